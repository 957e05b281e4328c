//! Patterns of targets, taken apart for the index.

use super::super::kind::{AccessBits, Kind};
use super::super::network::Network;
use super::super::pattern::{Segment, parse_segment, parse_segments};
use super::super::target::{Domain, HTTP, HTTPS, TCP, TOPIC_ACCESSES, UDP, check_name};

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

pub(super) fn parse_targets(
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
