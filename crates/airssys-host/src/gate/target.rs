//! Targets of accesses in their one normal form.
//!
//! A target is decoded once, here. What could mean something else to whoever acts on it (`..`, NUL, an
//! encoded slash, an address in octal) is refused rather than repaired.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use super::address::canonical;
use super::kind::{AccessBits, Kind};
use super::network::canonical_listen;

/// The longest target that is decided, in bytes.
pub const LONGEST: usize = 8192;

/// What shares one index of patterns: a kind, split where a kind has targets of two shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Domain {
    Path,
    Host,
    UnixSocket,
    Http,
    Storage,
    Deployment,
    Topic,
    Executable,
    Environment,
    Config,
    Secret,
    Clock,
    Random,
    Log,
    Custom,
}

impl Domain {
    pub const COUNT: usize = 15;

    /// What separates the segments of a target.
    pub const fn separator(self) -> u8 {
        match self {
            Domain::Topic | Domain::Config | Domain::Host => b'.',
            // An environment variable's name is one segment: no name contains NUL.
            Domain::Environment => 0,
            _ => b'/',
        }
    }

    /// Whether targets begin with the separator.
    pub const fn is_rooted(self) -> bool {
        matches!(self, Domain::Path | Domain::Executable | Domain::UnixSocket)
    }

    /// Whether the first segment `self` stands for the principal's own id.
    pub const fn knows_self(self) -> bool {
        matches!(self, Domain::Storage | Domain::Deployment | Domain::Topic)
    }
}

pub const HTTP: u8 = 1;
pub const HTTPS: u8 = 2;
pub const TCP: u8 = 1;
pub const UDP: u8 = 2;

/// The host of a network, HTTP or secret target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A lower-case name: where it stands in [`Target::text`].
    Name(Range<usize>),
    Address(IpAddr),
}

/// A target in its normal form.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    pub domain: Domain,
    /// What rules match and the audit log shows.
    pub text: Cow<'a, [u8]>,
    pub host: Option<Host>,
    /// The part of `text` that consists of segments.
    pub segments: Range<usize>,
    pub port: Option<u16>,
    /// [`HTTP`] or [`HTTPS`]; 0 where there is no scheme.
    pub scheme: u8,
}

impl<'a> Target<'a> {
    /// Normalise `text` as a target of `access` in `kind`.
    ///
    /// # Errors
    /// Says why the text is no target.
    pub fn parse(kind: Kind, access: AccessBits, text: &'a [u8]) -> Result<Target<'a>, String> {
        if text.len() > LONGEST {
            return Err(format!("a target has at most {LONGEST} bytes"));
        }
        if text.contains(&0) {
            return Err("NUL is not allowed".to_owned());
        }
        match kind {
            Kind::Filesystem => Self::path(Domain::Path, text),
            Kind::Process => Self::path(Domain::Executable, text),
            Kind::Network => Self::network(text, access & LISTEN != 0),
            Kind::Http => Self::url(text),
            Kind::Secret => Self::secret(text),
            Kind::Storage => Self::named(Domain::Storage, text),
            Kind::Messaging if access & TOPIC_ACCESSES != 0 => Self::named(Domain::Topic, text),
            Kind::Messaging => Self::named(Domain::Deployment, text),
            Kind::Environment => Self::named(Domain::Environment, text),
            Kind::Config => Self::named(Domain::Config, text),
            Kind::Custom => Self::named(Domain::Custom, text),
            Kind::Clock => Self::none(Domain::Clock, text),
            Kind::Random => Self::none(Domain::Random, text),
            Kind::Log => Self::none(Domain::Log, text),
        }
    }

    /// What decides whether a pattern without wildcards is one of this target: path, name or host. None where it
    /// is an address, or has both a host and a path.
    pub fn whole_text(&self) -> Option<&[u8]> {
        match &self.host {
            None => Some(&self.text[self.segments.clone()]),
            Some(Host::Name(range)) if self.segments.is_empty() => Some(&self.text[range.clone()]),
            Some(_) => None,
        }
    }

    fn plain(domain: Domain, text: Cow<'a, [u8]>) -> Target<'a> {
        let segments = 0..text.len();
        Target {
            domain,
            text,
            host: None,
            segments,
            port: None,
            scheme: 0,
        }
    }

    fn none(domain: Domain, text: &'a [u8]) -> Result<Target<'a>, String> {
        if text.is_empty() {
            Ok(Self::plain(domain, Cow::Borrowed(text)))
        } else {
            Err("this kind of access has no target".to_owned())
        }
    }

    /// An absolute path. `.`, doubled and trailing slashes go; `..` is refused.
    ///
    /// # Errors
    /// Says why the text is no such path.
    pub fn path(domain: Domain, text: &'a [u8]) -> Result<Target<'a>, String> {
        if text.first() != Some(&b'/') {
            return Err("a path must be absolute".to_owned());
        }
        if text.len() > 4096 {
            return Err("a path has at most 4096 bytes".to_owned());
        }
        let starts_oddly = |pair: &[u8]| pair[0] == b'/' && matches!(pair[1], b'/' | b'.');
        let ends_oddly = text.len() > 1 && text.ends_with(b"/");
        if !ends_oddly && !text.windows(2).any(starts_oddly) {
            return Ok(Self::plain(domain, Cow::Borrowed(text)));
        }
        if text.split(|byte| *byte == b'/').any(|name| name == b"..") {
            return Err("`..` is not allowed in a path".to_owned());
        }
        let mut normal = Vec::with_capacity(text.len());
        for segment in text.split(|byte| *byte == b'/') {
            if !segment.is_empty() && segment != b"." {
                normal.push(b'/');
                normal.extend_from_slice(segment);
            }
        }
        if normal.is_empty() {
            normal.push(b'/');
        }
        Ok(Self::plain(domain, Cow::Owned(normal)))
    }

    fn named(domain: Domain, text: &'a [u8]) -> Result<Target<'a>, String> {
        let separator = domain.separator();
        for segment in text.split(|byte| *byte == separator) {
            match segment {
                b"" => return Err("the target or one of its segments is empty".to_owned()),
                b".." | b"." if separator == b'/' => {
                    return Err("`.` and `..` are not allowed as segments".to_owned());
                }
                _ => {}
            }
        }
        Ok(Self::plain(domain, Cow::Borrowed(text)))
    }

    fn network(text: &'a [u8], listen: bool) -> Result<Target<'a>, String> {
        if let Some(path) = text.strip_prefix(b"unix:") {
            let path = Self::path(Domain::UnixSocket, path).map_err(
                |_| "a unix socket is named by an absolute path; abstract names are not allowed",
            )?;
            let segments = path.segments.clone();
            let mut whole = path.text.into_owned();
            let shift = b"unix:".len();
            whole.splice(0..0, *b"unix:");
            return Ok(Target {
                domain: Domain::UnixSocket,
                text: Cow::Owned(whole),
                host: None,
                segments: segments.start + shift..segments.end + shift,
                port: None,
                scheme: 0,
            });
        }
        let text = std::str::from_utf8(text).map_err(|_| "a host name is ASCII")?;
        let (host, port) = split_port(text)?;
        let parsed = parse_host(host, listen)?;
        let mut normal = String::with_capacity(text.len());
        let host = match parsed {
            ParsedHost::Name(name) => {
                normal.push_str(&name);
                Host::Name(0..name.len())
            }
            ParsedHost::Address(address) => {
                push_address(&mut normal, address);
                Host::Address(address)
            }
        };
        if let Some(port) = port {
            normal.push(':');
            normal.push_str(&port.to_string());
        }
        Ok(Target {
            domain: Domain::Host,
            text: Cow::Owned(normal.into_bytes()),
            host: Some(host),
            segments: 0..0,
            port,
            scheme: 0,
        })
    }

    fn url(text: &'a [u8]) -> Result<Target<'a>, String> {
        let text = std::str::from_utf8(text).map_err(|_| "a URL is ASCII")?;
        let (scheme_name, rest) = text
            .split_once("://")
            .ok_or("a URL starts with http:// or https://")?;
        let (scheme_name, scheme, default_port) = match scheme_name {
            _ if scheme_name.eq_ignore_ascii_case("https") => ("https", HTTPS, 443),
            _ if scheme_name.eq_ignore_ascii_case("http") => ("http", HTTP, 80),
            _ => return Err("a URL starts with http:// or https://".to_owned()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("user and password are not allowed in a URL".to_owned());
        }
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(default_port);
        let mut normal = format!("{scheme_name}://");
        let host = match parse_host(host, false)? {
            ParsedHost::Name(name) => {
                let start = normal.len();
                normal.push_str(&name);
                Host::Name(start..start + name.len())
            }
            ParsedHost::Address(address) => {
                push_address(&mut normal, address);
                Host::Address(address)
            }
        };
        normal.push(':');
        normal.push_str(&port.to_string());
        let mut normal = normal.into_bytes();
        let start = normal.len();
        // Queries carry data, often secret, and rules are about places.
        let path = path.split(['?', '#']).next().unwrap_or_default();
        push_url_path(&mut normal, path.as_bytes())?;
        let segments = start..normal.len();
        Ok(Target {
            domain: Domain::Http,
            text: Cow::Owned(normal),
            host: Some(host),
            segments,
            port: Some(port),
            scheme,
        })
    }

    /// `name@https://host:port/header`: matched as the host, then the header, then the name.
    fn secret(text: &'a [u8]) -> Result<Target<'a>, String> {
        let at = text
            .iter()
            .position(|byte| *byte == b'@')
            .ok_or("a secret is written name@https://host:port/header")?;
        let (name, place) = (&text[..at], &text[at + 1..]);
        if name.is_empty() || name.contains(&b'/') {
            return Err("the name of a secret is one segment".to_owned());
        }
        let mut target = Self::url(place)?;
        let mut whole = target.text.into_owned();
        let header = &mut whole[target.segments.clone()];
        if header.len() < 2 || header[1..].contains(&b'/') {
            return Err("the place of a secret ends with one header name".to_owned());
        }
        header.make_ascii_lowercase();
        whole.push(b'/');
        whole.extend_from_slice(name);
        target.segments.end = whole.len();
        target.text = Cow::Owned(whole);
        target.domain = Domain::Secret;
        Ok(target)
    }
}

/// Publish and subscribe, which name topics; the other accesses of messaging name deployments.
pub const TOPIC_ACCESSES: AccessBits = 0b11000;

/// The access that opens a socket for others.
pub const LISTEN: AccessBits = 1 << 1;

enum ParsedHost {
    Name(String),
    Address(IpAddr),
}

/// Split `host:port`, `[v6]:port`, `host`. An IPv6 address with a port needs its brackets.
pub fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("`[` without `]`")?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(format!("`{rest}` after `]`")),
        }
    } else {
        match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        None => None,
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => Some(
            port.parse::<u16>()
                .map_err(|_| format!("`{port}` is not a port"))?,
        ),
        Some(port) => return Err(format!("`{port}` is not a port")),
    };
    Ok((host, port))
}

fn parse_host(text: &str, listen: bool) -> Result<ParsedHost, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let form = if listen {
            canonical_listen(address)
        } else {
            canonical(address)
        };
        return Ok(ParsedHost::Address(form));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    check_name(name, false)?;
    Ok(ParsedHost::Name(name.to_ascii_lowercase()))
}

/// Whether `name` is a host name that resolvers take for a name, never for an address.
pub fn check_name(name: &str, pattern: bool) -> Result<(), String> {
    if name.is_empty() || name.len() > 253 {
        return Err("a host name has 1 to 253 characters".to_owned());
    }
    for label in name.split('.') {
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || pattern && byte == b'*'
        };
        if label.is_empty() || label.len() > 63 || !label.bytes().all(allowed) {
            return Err(format!(
                "`{name}` is not a host name (labels of letters, digits, `-` and `_`; other scripts as xn--)"
            ));
        }
    }
    let last = name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if last.bytes().all(|byte| byte.is_ascii_digit()) || hexadecimal {
        return Err(format!(
            "`{name}` could be read as an address; write it with four decimal parts"
        ));
    }
    Ok(())
}

fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => text.push_str(&v4.to_string()),
        IpAddr::V6(v6) => {
            text.push('[');
            text.push_str(&v6.to_string());
            text.push(']');
        }
    }
}

fn push_url_path(normal: &mut Vec<u8>, path: &[u8]) -> Result<(), String> {
    let start = normal.len();
    for segment in path.split(|byte| *byte == b'/') {
        if segment.is_empty() {
            continue;
        }
        normal.push(b'/');
        let begin = normal.len();
        decode_segment(normal, segment)?;
        let decoded = &normal[begin..];
        let name = decoded
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        if matches!(name, b"." | b"..") {
            return Err("`.` and `..` are not allowed in the path of a URL".to_owned());
        }
        // What is still encoded would be decoded a second time by a server that does so.
        let lower = decoded.to_ascii_lowercase();
        if [&b"%2e"[..], b"%2f", b"%5c", b"%00"]
            .iter()
            .any(|code| find(&lower, code))
        {
            return Err("the path of a URL is encoded twice".to_owned());
        }
    }
    if normal.len() == start {
        normal.push(b'/');
    }
    Ok(())
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn decode_segment(normal: &mut Vec<u8>, segment: &[u8]) -> Result<(), String> {
    let mut bytes = segment.iter().copied();
    while let Some(byte) = bytes.next() {
        let decoded = if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
            match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err("`%` in a URL without two hexadecimal digits".to_owned()),
            }
        } else {
            byte
        };
        if matches!(decoded, 0 | b'\\') || byte == b'%' && decoded == b'/' {
            return Err("%2f, backslash and NUL are not allowed in the path of a URL".to_owned());
        }
        if decoded.is_ascii_control() || byte == b' ' {
            return Err("control characters and spaces are not allowed in a URL".to_owned());
        }
        normal.push(decoded);
    }
    Ok(())
}
