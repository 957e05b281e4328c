//! Documents of rules: reading and checking.

use serde::Deserialize;

use super::super::condition::Condition;
use super::super::kind::{AccessBits, Kind};
use super::super::network::Network;
use super::super::pattern::parse_segment;
use super::super::target::{TCP, UDP};
use super::selector::parse_selector;
use super::target_pattern::parse_targets;
use super::{Effect, Expiry, Part, Rule, RuleError, Rules};

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
