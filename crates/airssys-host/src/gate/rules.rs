//! Rules as they are written down, and their checked form.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::condition::{Condition, unix_seconds};
use super::kind::{AccessBits, Kind};
use super::network::Network;
use super::pattern::{Segment, matches_sequence, parse_segment, parse_segments};
use super::subject::Subject;
use super::target::{Domain, HTTP, HTTPS, TCP, TOPIC_ACCESSES, UDP, check_name};

/// The file form: what a policy, a grant or a manifest is lowered to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<R> {
    schema: u32,
    rules: Vec<R>,
    #[serde(default)]
    ceiling: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    id: String,
    effect: Effect,
    principals: Vec<String>,
    kind: String,
    #[serde(default)]
    targets: Vec<String>,
    access: Vec<String>,
    when: Option<Condition>,
    callers: Option<Vec<String>>,
    #[serde(default)]
    must_audit: bool,
    act_as: Option<String>,
    expires: Option<f64>,
    #[serde(default)]
    addresses: Vec<String>,
    transport: Option<Vec<String>>,
    arguments: Option<Vec<String>>,
    position: Option<String>,
    #[serde(default)]
    part: Part,
    #[serde(default)]
    approves: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    Allow,
    Deny,
    RequireApproval,
}

/// What a rule is worth by itself. A component may do what it asked for, was granted and the policy allows: one
/// rule of each of the three parts has to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The rule counts by itself, for everybody.
    #[default]
    Whole,
    /// What a component asked for; counts for components only.
    Request,
    /// What was granted to a component; counts for components only.
    Grant,
    /// What may be granted at most; for everybody who is no component the rule counts by itself.
    Ceiling,
}

/// A document of rules, checked.
#[derive(Debug, Default)]
pub struct Rules {
    /// Ordered by id.
    pub list: Vec<Rule>,
    /// Whether components may do only what a rule of [`Part::Ceiling`] allows.
    pub ceiling: bool,
}

/// To whom a rule applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    Everybody,
    Name(String),
    Role(String),
    Namespace(String),
    /// One revision of a deployment: `image/resizer@3`.
    Revision(String),
    /// Names of this form: `image/*`, `acme/**`.
    Names(Vec<Segment>),
}

/// A rule that is known to be well formed.
#[derive(Debug)]
pub struct Rule {
    pub id: Arc<str>,
    pub effect: Effect,
    pub selectors: Vec<Selector>,
    pub kind: Kind,
    pub access: AccessBits,
    pub patterns: Vec<TargetPattern>,
    /// The targets as they were written.
    pub targets: Vec<String>,
    pub when: Option<Condition>,
    /// The rule counts only for these callers: see [`Rule::fits_callers`].
    pub callers: Option<Vec<Selector>>,
    pub must_audit: bool,
    pub act_as_self: bool,
    pub expiry: Option<Expiry>,
    pub addresses: Vec<Network>,
    pub arguments: Option<Vec<Segment>>,
    pub position: Option<String>,
    pub part: Part,
    /// A grant by which a person answered for good what the policy asks.
    pub approves: bool,
}

impl Selector {
    /// Whether the rules for it are rules for `subject`.
    pub fn selects(&self, subject: &Subject) -> bool {
        match self {
            Selector::Everybody => true,
            Selector::Name(name) => *name == subject.name,
            Selector::Role(role) => subject.roles.contains(role),
            Selector::Namespace(namespace) => subject.namespace.as_ref() == Some(namespace),
            Selector::Revision(revision) => subject
                .revision
                .is_some_and(|number| *revision == format!("{}@{number}", subject.name)),
            Selector::Names(pattern) => {
                let name: Vec<&[u8]> = subject
                    .name
                    .as_bytes()
                    .split(|byte| *byte == b'/')
                    .collect();
                matches_sequence(pattern, &name)
            }
        }
    }
}

impl Rule {
    /// Whether those for whom `subject` acts are the ones that the rule names: each of them where it allows, any
    /// of them where it refuses or asks. What a chain leaves out never makes a rule allow, and always makes it
    /// refuse. Nobody is not named by any rule.
    pub fn fits_callers(&self, subject: &Subject) -> bool {
        let Some(selectors) = &self.callers else {
            return true;
        };
        let Some(callers) = &subject.callers else {
            return false;
        };
        let named = |who: &Arc<Subject>| selectors.iter().any(|selector| selector.selects(who));
        if selectors.contains(&Selector::Everybody) {
            true
        } else if self.effect == Effect::Allow {
            !callers.is_cut() && callers.named().iter().all(named)
        } else {
            callers.is_cut() || callers.named().iter().any(named)
        }
    }
}

/// When a rule ends: by the wall clock or by the time that has passed, whichever is first.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    wall: f64,
    monotonic: Instant,
}

impl Expiry {
    fn at(wall: f64) -> Result<Expiry, String> {
        let remaining = (wall - unix_seconds()).max(0.0);
        Duration::try_from_secs_f64(remaining)
            .ok()
            .and_then(|remaining| Instant::now().checked_add(remaining))
            .map(|monotonic| Expiry { wall, monotonic })
            .ok_or_else(|| "`expires` is seconds since 1970".to_owned())
    }

    pub fn is_over(&self) -> bool {
        self.remaining().is_none()
    }

    /// The time until the end, `None` when it is over.
    pub fn remaining(&self) -> Option<Duration> {
        let by_wall = Duration::try_from_secs_f64(self.wall - unix_seconds()).ok()?;
        let by_monotonic = self.monotonic.checked_duration_since(Instant::now())?;
        Some(by_wall.min(by_monotonic)).filter(|remaining| !remaining.is_zero())
    }
}

/// A pattern of targets, taken apart for the index.
#[derive(Clone, Debug)]
pub struct TargetPattern {
    pub domain: Domain,
    pub host: Option<HostPattern>,
    /// Path, name or topic; `None` where the host is all there is.
    pub segments: Option<Vec<Segment>>,
    pub ports: (u16, u16),
    pub schemes: u8,
    pub transports: u8,
}

#[derive(Clone, Debug)]
pub enum HostPattern {
    /// Labels from the last to the first.
    Labels(Vec<Segment>),
    Network(Network),
}

/// Why a document of rules was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    pub rule: Option<String>,
    pub index: Option<usize>,
    pub position: Option<String>,
    pub field: Option<&'static str>,
    pub message: String,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        match (&self.rule, self.index) {
            (Some(rule), _) => write!(f, "rule `{rule}`: ")?,
            (None, Some(index)) => write!(f, "rule number {}: ", index + 1)?,
            (None, None) => {}
        }
        if let Some(field) = self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}

/// Read and check a document of rules; the result is ordered by id.
///
/// # Errors
/// The first rule that is not understood, and why.
pub fn parse_rules(json: &[u8]) -> Result<Rules, RuleError> {
    let whole = |message: String| RuleError {
        rule: None,
        index: None,
        position: None,
        field: None,
        message,
    };
    let document: Document<RuleText> =
        serde_json::from_slice(json).map_err(|_| not_understood(json))?;
    if document.schema != 1 {
        return Err(whole(format!(
            "schema {} is not known; this version reads schema 1",
            document.schema
        )));
    }
    let ceiling = document.ceiling;
    let mut rules = Vec::with_capacity(document.rules.len());
    for (index, text) in document.rules.into_iter().enumerate() {
        let (id, position) = (text.id.clone(), text.position.clone());
        let rule = check(text).map_err(|(field, message)| RuleError {
            rule: Some(id),
            index: Some(index),
            position,
            field: Some(field),
            message,
        })?;
        rules.push(rule);
    }
    // Ordered by id, so that what a decision reports does not depend on the order of writing.
    rules.sort_by(|left: &Rule, right| left.id.cmp(&right.id));
    if let Some(pair) = rules.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(RuleError {
            rule: Some(pair[1].id.to_string()),
            index: None,
            position: pair[1].position.clone(),
            field: Some("id"),
            message: "another rule has this id; ids are unique".to_owned(),
        });
    }
    Ok(Rules {
        list: rules,
        ceiling,
    })
}

/// Say which rule of a document is not understood, by reading each by itself.
fn not_understood(json: &[u8]) -> RuleError {
    let whole = |error: serde_json::Error| RuleError {
        rule: None,
        index: None,
        position: None,
        field: None,
        message: format!("the rules are not understood: {error}"),
    };
    let document: Document<serde_json::Value> = match serde_json::from_slice(json) {
        Ok(document) => document,
        Err(error) => return whole(error),
    };
    for (index, value) in document.rules.iter().enumerate() {
        if let Err(cause) = RuleText::deserialize(value) {
            let text = |name: &str| {
                let text = value.get(name).and_then(|text| text.as_str());
                text.map(str::to_owned)
            };
            return RuleError {
                rule: text("id"),
                index: Some(index),
                position: text("position"),
                field: None,
                message: cause.to_string(),
            };
        }
    }
    whole(serde::de::Error::custom("the document is not one of rules"))
}

type Fault = (&'static str, String);

fn check(text: RuleText) -> Result<Rule, Fault> {
    if text.id.is_empty() || text.id.len() > 256 || text.id.chars().any(char::is_control) {
        return Err((
            "id",
            "an id has 1 to 256 bytes, none of them a control character".to_owned(),
        ));
    }
    let kind = Kind::parse(&text.kind).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        ("kind", format!("`{}` is not one of {known}", text.kind))
    })?;
    if text.principals.is_empty() {
        return Err((
            "principals",
            "name at least one, or \"*\" for everybody".to_owned(),
        ));
    }
    let selectors = text
        .principals
        .iter()
        .map(|principal| parse_selector(principal).map_err(|message| ("principals", message)))
        .collect::<Result<Vec<_>, _>>()?;
    let access = parse_access(kind, &text.access).map_err(|message| ("access", message))?;
    let transports = parse_transports(kind, text.transport.as_deref())
        .map_err(|message| ("transport", message))?;
    let patterns = parse_targets(kind, access, &text.targets, transports)
        .map_err(|message| ("targets", message))?;
    if !text.addresses.is_empty()
        && (!matches!(kind, Kind::Network | Kind::Http | Kind::Secret)
            || text.effect == Effect::Deny)
    {
        return Err((
            "addresses",
            "only for rules that allow network, http or secret; a deny takes ranges as targets"
                .to_owned(),
        ));
    }
    let addresses = text
        .addresses
        .iter()
        .map(|range| Network::parse(range).map_err(|message| ("addresses", message)))
        .collect::<Result<Vec<_>, _>>()?;
    if text.arguments.is_some() && kind != Kind::Process {
        return Err(("arguments", "only for rules of kind process".to_owned()));
    }
    let arguments = text
        .arguments
        .map(|arguments| {
            arguments
                .iter()
                .map(|argument| parse_segment(argument.as_bytes()))
                .collect()
        })
        .transpose()
        .map_err(|message| ("arguments", message))?;
    let callers = text
        .callers
        .map(|callers| {
            if callers.is_empty() {
                return Err("name at least one, or \"*\" for any".to_owned());
            }
            callers
                .iter()
                .map(|caller| parse_selector(caller))
                .collect()
        })
        .transpose()
        .map_err(|message| ("callers", message))?;
    if let Some(when) = &text.when {
        when.validate(0).map_err(|message| ("when", message))?;
    }
    let act_as_self = match text.act_as.as_deref() {
        None => false,
        Some("self") if text.effect != Effect::Deny => true,
        Some(_) => {
            return Err((
                "act_as",
                "only \"self\", and not in a rule that denies".to_owned(),
            ));
        }
    };
    match (text.part, text.effect) {
        (Part::Whole, _) | (_, Effect::Allow) | (Part::Ceiling, Effect::RequireApproval) => {}
        (Part::Request | Part::Grant, _) => {
            return Err((
                "part",
                "a request or a grant is a rule that allows".to_owned(),
            ));
        }
        (Part::Ceiling, Effect::Deny) => {
            return Err(("part", "a deny is never a ceiling".to_owned()));
        }
    }
    if text.approves && text.part != Part::Grant {
        return Err(("approves", "only a grant answers what is asked".to_owned()));
    }
    let expiry = text
        .expires
        .map(Expiry::at)
        .transpose()
        .map_err(|message| ("expires", message))?;
    Ok(Rule {
        id: text.id.into(),
        effect: text.effect,
        selectors,
        kind,
        access,
        patterns,
        targets: text.targets,
        when: text.when,
        callers,
        must_audit: text.must_audit,
        act_as_self,
        expiry,
        addresses,
        arguments,
        position: text.position,
        part: text.part,
        approves: text.approves,
    })
}

fn parse_selector(text: &str) -> Result<Selector, String> {
    if text == "*" {
        return Ok(Selector::Everybody);
    }
    let expected =
        || format!("`{text}` is not `*`, `name:…`, `role:…`, `namespace:…` or `revision:…`");
    let (form, name) = text.split_once(':').ok_or_else(expected)?;
    if name.is_empty() || name.contains('*') && form != "name" {
        return Err(format!(
            "`{text}`: roles and namespaces are exact; patterns are for names, as in `name:image/*`"
        ));
    }
    match form {
        "name" if name.contains('*') => parse_segments(name.as_bytes(), b'/').map(Selector::Names),
        "name" => Ok(Selector::Name(name.to_owned())),
        "role" => Ok(Selector::Role(name.to_owned())),
        "namespace" => Ok(Selector::Namespace(name.to_owned())),
        "revision" if name.contains('@') => Ok(Selector::Revision(name.to_owned())),
        _ => Err(expected()),
    }
}

fn parse_access(kind: Kind, names: &[String]) -> Result<AccessBits, String> {
    if names.is_empty() {
        return Err("name at least one access, or \"*\" for all".to_owned());
    }
    let mut bits = 0;
    for name in names {
        if name == "*" {
            return Ok(AccessBits::MAX);
        }
        let position = kind
            .accesses()
            .iter()
            .position(|access| access == name)
            .ok_or_else(|| {
                format!(
                    "`{name}` is not an access of {}: {}",
                    kind.name(),
                    kind.accesses().join(", ")
                )
            })?;
        bits |= 1 << position;
    }
    Ok(bits)
}

fn parse_transports(kind: Kind, names: Option<&[String]>) -> Result<u8, String> {
    let Some(names) = names else {
        return Ok(TCP | UDP);
    };
    if kind != Kind::Network || names.is_empty() {
        return Err("only for rules of kind network: \"tcp\", \"udp\" or both".to_owned());
    }
    names.iter().try_fold(0, |bits, name| match name.as_str() {
        "tcp" => Ok(bits | TCP),
        "udp" => Ok(bits | UDP),
        _ => Err(format!("`{name}` is not \"tcp\" or \"udp\"")),
    })
}

fn parse_targets(
    kind: Kind,
    access: AccessBits,
    texts: &[String],
    transports: u8,
) -> Result<Vec<TargetPattern>, String> {
    if kind.given_by_default() {
        if !texts.is_empty() {
            return Err(format!("{} has no targets", kind.name()));
        }
        let domain = match kind {
            Kind::Clock => Domain::Clock,
            Kind::Random => Domain::Random,
            _ => Domain::Log,
        };
        return Ok(vec![TargetPattern::of_segments(domain, Vec::new())]);
    }
    if texts.is_empty() {
        return Err("name at least one".to_owned());
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for text in texts {
        let several = parse_target(kind, access, text, transports)
            .map_err(|message| format!("`{text}`: {message}"))?;
        patterns.extend(several);
    }
    Ok(patterns)
}

fn parse_target(
    kind: Kind,
    access: AccessBits,
    text: &str,
    transports: u8,
) -> Result<Vec<TargetPattern>, String> {
    let named = |domain: Domain| -> Result<TargetPattern, String> {
        Ok(TargetPattern::of_segments(
            domain,
            parse_segments(text.as_bytes(), domain.separator())?,
        ))
    };
    Ok(match kind {
        Kind::Filesystem => vec![TargetPattern::of_segments(Domain::Path, parse_path(text)?)],
        Kind::Process => vec![TargetPattern::of_segments(
            Domain::Executable,
            parse_path(text)?,
        )],
        Kind::Network => vec![parse_network(text, transports)?],
        Kind::Http => vec![parse_url(text)?],
        Kind::Secret => vec![parse_secret(text)?],
        Kind::Messaging => {
            let mut patterns = Vec::new();
            if access & TOPIC_ACCESSES != 0 {
                patterns.push(named(Domain::Topic)?);
            }
            if access & !TOPIC_ACCESSES != 0 {
                patterns.push(named(Domain::Deployment)?);
            }
            patterns
        }
        Kind::Storage => vec![named(Domain::Storage)?],
        Kind::Environment => vec![named(Domain::Environment)?],
        Kind::Config => vec![named(Domain::Config)?],
        Kind::Custom => vec![named(Domain::Custom)?],
        Kind::Clock | Kind::Random | Kind::Log => unreachable!("kinds without targets"),
    })
}

impl TargetPattern {
    /// What [`Target::whole_text`] is of the targets that match, where the pattern has no wildcard and means the
    /// same to everybody.
    pub fn only_text(&self) -> Option<Vec<u8>> {
        let literal = |segment: &'_ Segment| match segment {
            Segment::Literal(text) => Some(text.clone()),
            _ => None,
        };
        match (&self.host, &self.segments) {
            (None, Some(segments)) => {
                let names: Vec<_> = segments.iter().map(literal).collect::<Option<_>>()?;
                let own = names.first().is_some_and(|name| **name == *b"self");
                if own && self.domain.knows_self() {
                    return None;
                }
                let mut text = if self.domain.is_rooted() {
                    b"/".to_vec()
                } else {
                    Vec::new()
                };
                text.extend(names.join(&self.domain.separator()));
                Some(text)
            }
            (Some(HostPattern::Labels(labels)), None) => {
                let names: Vec<_> = labels.iter().rev().map(literal).collect::<Option<_>>()?;
                Some(names.join(&b'.'))
            }
            _ => None,
        }
    }

    fn of_segments(domain: Domain, segments: Vec<Segment>) -> TargetPattern {
        TargetPattern {
            domain,
            host: None,
            segments: Some(segments),
            ports: (0, u16::MAX),
            schemes: 0,
            transports: TCP | UDP,
        }
    }
}

fn parse_path(text: &str) -> Result<Vec<Segment>, String> {
    parse_path_bytes(text.as_bytes())
}

fn parse_path_bytes(text: &[u8]) -> Result<Vec<Segment>, String> {
    let rest = text
        .strip_prefix(b"/")
        .ok_or("a path pattern is absolute")?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let segments = parse_segments(rest, b'/')?;
    let dots = |segment: &Segment| matches!(segment, Segment::Literal(text) if matches!(&**text, b"." | b".."));
    if segments.iter().any(dots) {
        return Err("`.` and `..` never occur in a resolved path".to_owned());
    }
    Ok(segments)
}

fn parse_network(text: &str, transports: u8) -> Result<TargetPattern, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(TargetPattern::of_segments(
            Domain::UnixSocket,
            parse_path(path)?,
        ));
    }
    let (host, ports) = split_ports(text)?;
    Ok(TargetPattern {
        domain: Domain::Host,
        host: Some(parse_host_pattern(host)?),
        segments: None,
        ports: ports.map_or(Ok((0, u16::MAX)), parse_ports)?,
        schemes: 0,
        transports,
    })
}

/// Split `host:ports`, where the host may be an address range or stand in brackets.
fn split_ports(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("`[` without `]`")?;
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((host, Some(ports))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("`{rest}` after `]`")),
        };
    }
    match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Ok((text, None)),
        Some((host, ports)) => Ok((host, Some(ports))),
        None => Ok((text, None)),
    }
}

fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    if text == "*" {
        return Ok((0, u16::MAX));
    }
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("`{text}` is not a port (1 to 65535, a range, or `*`)"))
    };
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                return Err(format!("`{text}`: the range of ports is empty"));
            }
            Ok((first, last))
        }
    }
}

fn parse_host_pattern(text: &str) -> Result<HostPattern, String> {
    if text.contains(['/', ':']) || text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Network::parse(text).map(HostPattern::Network);
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    check_name(&name, true)?;
    let mut labels = parse_segments(name.as_bytes(), b'.')?;
    labels.reverse();
    Ok(HostPattern::Labels(labels))
}

fn parse_url(text: &str) -> Result<TargetPattern, String> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("an http target is scheme://host:port/path, with scheme http, https or `*`")?;
    let (schemes, default_ports) = match scheme {
        "http" => (HTTP, (80, 80)),
        "https" => (HTTPS, (443, 443)),
        "*" => (HTTP | HTTPS, (0, u16::MAX)),
        _ => return Err(format!("`{scheme}` is not http, https or `*`")),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/**"),
    };
    if authority.contains('@') {
        return Err("user and password are not part of a target".to_owned());
    }
    let (host, ports) = split_ports(authority)?;
    Ok(TargetPattern {
        domain: Domain::Http,
        host: Some(parse_host_pattern(host)?),
        segments: Some(parse_path_bytes(&decoded_pattern(
            path.strip_suffix('/')
                .filter(|rest| !rest.is_empty())
                .unwrap_or(path),
        )?)?),
        ports: ports.map_or(Ok(default_ports), parse_ports)?,
        schemes,
        transports: TCP | UDP,
    })
}

/// The pattern of a URL's path with `%` and two digits as the character itself, which is how targets are matched.
fn decoded_pattern(path: &str) -> Result<Vec<u8>, String> {
    let mut pattern = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            pattern.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let decoded = match (digit(), digit()) {
            (Some(high), Some(low)) => (high * 16 + low) as u8,
            _ => {
                return Err(
                    "`%` stands before two hexadecimal digits; write `%25` for it".to_owned(),
                );
            }
        };
        if decoded.is_ascii_control() || matches!(decoded, b'/' | b'\\') {
            return Err(format!(
                "`%{decoded:02x}` never occurs in a path that is allowed"
            ));
        }
        if matches!(decoded, b'*' | b'?' | b'[' | b']' | b'{' | b'}') {
            pattern.push(b'\\');
        }
        pattern.push(decoded);
    }
    Ok(pattern)
}

fn parse_secret(text: &str) -> Result<TargetPattern, String> {
    let (name, place) = text
        .split_once('@')
        .ok_or("a secret is written name@https://host:port/header: the one place it may appear")?;
    let mut pattern = parse_url(&place.to_ascii_lowercase())?;
    match pattern.segments.as_mut() {
        Some(header) if matches!(header.as_slice(), [Segment::Literal(_)]) => {
            header.push(parse_segment(name.as_bytes())?);
        }
        _ => return Err("the place of a secret ends with exactly one header name".to_owned()),
    }
    if matches!(pattern.segments.as_deref(), Some([_, Segment::Deep])) {
        return Err("the name of a secret is one segment".to_owned());
    }
    pattern.domain = Domain::Secret;
    Ok(pattern)
}
