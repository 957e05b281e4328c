//! The simple gate: a list of what is allowed, everything else is denied.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::address::{canonical, is_global};
use super::callers::Acting;
use super::pattern::{Segment, matches_sequence, parse_segments};
use super::rule_gate::RuleGate;
use super::subject::Subject;
use super::{
    Access, At, Decision, Denial, FileAccess, Gate, Generation, HARD_LINK, MessageAccess, Transport,
};

/// What an [`AllowList`] allows; nothing until told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    directories: Vec<Directory>,
    connect: Vec<(Transport, Pattern)>,
    listen: Vec<(Transport, Pattern)>,
    http: Vec<Pattern>,
    addresses: Vec<Network>,
    storage: Vec<Vec<Segment>>,
    messages: Vec<(MessageAccess, crate::plane::pattern::Pattern)>,
}

#[derive(Clone, Debug)]
struct Directory {
    path: PathBuf,
    write: bool,
    hard_links: bool,
}

/// `host:port`: the host a name, `*.domain`, an IP address (`[::1]`) or a network (`10.0.0.0/8`), the port
/// a number or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    host: HostPattern,
    /// `None` is any port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Name(String),
    /// Any name that ends in this, which begins with a dot; never an IP address.
    Beneath(String),
    Network(Network),
}

/// A block of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    length: u8,
}

/// A pattern that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a {expected}")]
pub struct PatternError {
    pattern: String,
    expected: &'static str,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, length) = match text.split_once('/') {
            Some((base, length)) => (base.parse().ok()?, Some(length.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let full = if matches!(base, IpAddr::V4(_)) {
            32
        } else {
            128
        };
        let length = length.unwrap_or(full);
        (length <= full).then_some(Self { base, length })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.length);
                u64::from(base.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                self.length == 0
                    || (base.to_bits() ^ address.to_bits()) >> (128 - u32::from(self.length)) == 0
            }
            _ => false,
        }
    }
}

impl Pattern {
    /// Read `host:port`.
    ///
    /// # Errors
    /// When `text` has another form.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Self::read(text, true).ok_or_else(|| PatternError {
            pattern: text.to_owned(),
            expected: "host:port pattern (a name, *.domain, IP address or network, then a port or *)",
        })
    }

    /// Read `host` or `host:port`; without a port it means the default ports of HTTP.
    fn parse_http(text: &str) -> Result<Self, PatternError> {
        Self::read(text, false).ok_or_else(|| PatternError {
            pattern: text.to_owned(),
            expected: "host or host:port pattern (a name, *.domain or IP address)",
        })
    }

    fn read(text: &str, needs_port: bool) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // A colon within `[::1]` does not separate a port.
            Some((host, port))
                if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) =>
            {
                (host, Some(port))
            }
            _ => (text, None),
        };
        if needs_port && port.is_none() {
            return None;
        }
        let port = match port {
            Some("*") => None,
            Some(port) => Some(port.parse().ok()?),
            // Port 0 reaches nothing; it stands for the default ports.
            None => Some(0),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = if let Some(network) = Network::parse(bare) {
            HostPattern::Network(network)
        } else if let Some(domain) = bare.strip_prefix('*') {
            if domain.len() < 2 || !domain.starts_with('.') || !is_name(&domain[1..]) {
                return None;
            }
            HostPattern::Beneath(domain.to_ascii_lowercase())
        } else if is_name(bare) {
            HostPattern::Name(bare.to_ascii_lowercase())
        } else {
            return None;
        };
        Some(Self { host, port })
    }

    fn matches_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    fn matches_name(&self, name: &str) -> bool {
        match &self.host {
            HostPattern::Name(own) => own == name,
            HostPattern::Beneath(domain) => {
                name.len() > domain.len() && name.ends_with(domain.as_str())
            }
            HostPattern::Network(_) => false,
        }
    }

    fn matches_address(&self, address: IpAddr) -> bool {
        matches!(self.host, HostPattern::Network(network) if network.contains(address))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

impl Allowed {
    /// Allow reading, and with `write` also changing, everything beneath `path`.
    ///
    /// # Errors
    /// When there is no such directory: rules are about real paths, so it is resolved now.
    pub fn directory(&mut self, path: &Path, write: bool) -> std::io::Result<&mut Self> {
        let path = path.canonicalize()?;
        self.directories.push(Directory {
            path,
            write,
            hard_links: false,
        });
        Ok(self)
    }

    /// Allow that files beneath the directories allowed so far have further names (hard links) elsewhere.
    pub fn hard_links(&mut self) -> &mut Self {
        for directory in &mut self.directories {
            directory.hard_links = true;
        }
        self
    }

    /// Allow connecting to `host:port`; resolving the host's name is part of it.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn connect(
        &mut self,
        transport: Transport,
        pattern: &str,
    ) -> Result<&mut Self, PatternError> {
        self.connect.push((transport, Pattern::parse(pattern)?));
        Ok(self)
    }

    /// Allow listening on `host:port`, where the host is an IP address or a network.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn listen(
        &mut self,
        transport: Transport,
        pattern: &str,
    ) -> Result<&mut Self, PatternError> {
        self.listen.push((transport, Pattern::parse(pattern)?));
        Ok(self)
    }

    /// Allow HTTP requests to `host` (on the default ports) or `host:port`.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn http(&mut self, pattern: &str) -> Result<&mut Self, PatternError> {
        self.http.push(Pattern::parse_http(pattern)?);
        Ok(self)
    }

    /// Allow names to resolve to addresses of `network`, although it is not globally routable.
    ///
    /// # Errors
    /// When the network cannot be read.
    pub fn addresses(&mut self, network: &str) -> Result<&mut Self, PatternError> {
        self.addresses
            .push(Network::parse(network).ok_or_else(|| PatternError {
                pattern: network.to_owned(),
                expected: "network such as 10.0.0.0/8",
            })?);
        Ok(self)
    }

    /// Allow every access to the storage keys that match `pattern`: `self/**`, `self/users/*`.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn storage(&mut self, pattern: &str) -> Result<&mut Self, PatternError> {
        let segments = parse_segments(pattern.as_bytes(), b'/').map_err(|_| PatternError {
            pattern: pattern.to_owned(),
            expected: "pattern of storage keys such as self/** or self/users/*",
        })?;
        self.storage.push(segments);
        Ok(self)
    }

    fn key(&self, target: &str) -> bool {
        let segments: Vec<&[u8]> = target.split('/').map(str::as_bytes).collect();
        self.storage
            .iter()
            .any(|pattern| matches_sequence(pattern, &segments))
    }

    /// Allow messages to deployments, or about topics, that match `pattern`: `*` for one segment, `**` for any
    /// number.
    ///
    /// # Errors
    /// When the pattern cannot be read.
    pub fn message(
        &mut self,
        access: MessageAccess,
        pattern: &str,
    ) -> Result<&mut Self, PatternError> {
        use crate::plane::pattern::Pattern as Name;
        let (read, expected) = match access {
            MessageAccess::Publish | MessageAccess::Subscribe => (
                Name::topic(pattern),
                "pattern of topics (words separated by dots, * for one, ** for any number)",
            ),
            _ => (
                Name::deployment(pattern),
                "pattern of deployments (segments separated by /, * for one, ** for any number)",
            ),
        };
        let read = read.map_err(|_| PatternError {
            pattern: pattern.to_owned(),
            expected,
        })?;
        self.messages.push((access, read));
        Ok(self)
    }

    fn file(&self, path: &Path, access: FileAccess) -> bool {
        let changes = access.changes();
        access != FileAccess::Execute
            && self
                .directories
                .iter()
                .any(|directory| (directory.write || !changes) && path.starts_with(&directory.path))
    }

    fn linked(&self, path: &Path) -> bool {
        self.directories
            .iter()
            .any(|directory| directory.hard_links && path.starts_with(&directory.path))
    }

    fn name_may_mean(&self, address: IpAddr) -> bool {
        is_global(address)
            || self
                .addresses
                .iter()
                .any(|network| network.contains(canonical(address)))
    }

    fn connection(&self, transport: Transport, address: SocketAddr, name: Option<&str>) -> bool {
        let ip = canonical(address.ip());
        self.connect.iter().any(|(own, pattern)| {
            *own == transport
                && pattern.matches_port(address.port())
                && (pattern.matches_address(ip)
                    || name
                        .is_some_and(|name| pattern.matches_name(name) && self.name_may_mean(ip)))
        })
    }

    fn listening(&self, transport: Transport, address: SocketAddr) -> bool {
        self.listen.iter().any(|(own, pattern)| {
            *own == transport
                && pattern.matches_port(address.port())
                && pattern.matches_address(address.ip())
        })
    }

    fn http_host(&self, scheme: &str, host: &str, port: u16) -> bool {
        let default_port = if scheme == "https" { 443 } else { 80 };
        self.http.iter().any(|pattern| {
            let port_matches = match pattern.port {
                Some(0) => port == default_port,
                _ => pattern.matches_port(port),
            };
            port_matches
                && match host.parse() {
                    Ok(address) => pattern.matches_address(canonical(address)),
                    Err(_) => pattern.matches_name(host),
                }
        })
    }

    /// Why it does not allow an access; `None` where it does.
    fn objection(&self, access: &Access<'_>) -> Option<&'static str> {
        const NOTHING: &str = "nothing in the allow list covers it";
        let allowed = match *access {
            Access::File {
                path, access, bar, ..
            } => match bar {
                Some(bar) if bar != HARD_LINK || !self.linked(path) => return Some(bar.reason),
                _ => self.file(path, access),
            },
            Access::NoTarget { reason, .. } => return Some(reason),
            Access::Stated { .. } => false,
            Access::Connect {
                transport,
                address,
                name,
            } => self.connection(transport, address, name),
            Access::Listen { transport, address } => self.listening(transport, address),
            Access::Resolve { name } => self
                .connect
                .iter()
                .any(|(_, pattern)| pattern.matches_name(name)),
            Access::Http { bar: Some(bar), .. } => return Some(bar.reason),
            Access::Http {
                scheme, host, port, ..
            } => self.http_host(scheme, host, port),
            // What was given beside the list is the instance's to read.
            Access::Environment { .. } | Access::Config { .. } | Access::Given { .. } => true,
            Access::Secret { .. } => {
                return Some("only rules say where a secret may be used");
            }
            Access::Storage { target, .. } => self.key(target),
            Access::Message { access, target } => self
                .messages
                .iter()
                .any(|(own, pattern)| *own == access && pattern.matches(target)),
        };
        (!allowed).then_some(NOTHING)
    }
}

/// How many accesses were decided, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub allowed: u64,
    pub denied: u64,
}

type Report = Box<dyn Fn(&Access<'_>, &Denial) + Send + Sync>;

/// A gate that allows what is listed and denies the rest. It counts, and does not record.
#[derive(Default)]
pub struct AllowList {
    allowed: ArcSwap<Allowed>,
    generation: Generation,
    allowed_count: AtomicU64,
    denied_count: AtomicU64,
    report: Option<Report>,
}

impl AllowList {
    pub fn new(allowed: Allowed) -> Self {
        Self {
            allowed: ArcSwap::from_pointee(allowed),
            ..Self::default()
        }
    }

    /// Tell `report` of each denial, on the thread that asked and before the guest learns of it.
    #[must_use]
    pub fn on_denial(
        mut self,
        report: impl Fn(&Access<'_>, &Denial) + Send + Sync + 'static,
    ) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// Put another list in place of the present one: what it no longer holds is revoked at once, also for
    /// what is open.
    pub fn replace(&self, allowed: Allowed) {
        self.allowed.store(Arc::new(allowed));
        self.generation.advance();
    }

    pub fn counts(&self) -> Counts {
        Counts {
            allowed: self.allowed_count.load(Ordering::Relaxed),
            denied: self.denied_count.load(Ordering::Relaxed),
        }
    }

    fn answer(&self, objection: Option<&'static str>, access: &Access<'_>) -> Decision {
        let Some(rule) = objection else {
            self.allowed_count.fetch_add(1, Ordering::Relaxed);
            return Decision::Allow;
        };
        self.denied_count.fetch_add(1, Ordering::Relaxed);
        let denial = Denial {
            rule: rule.to_owned(),
        };
        if let Some(report) = &self.report {
            report(access, &denial);
        }
        Decision::Deny(denial)
    }
}

impl Gate for AllowList {
    fn decide(&self, access: &Access<'_>) -> Decision {
        let objection = self.allowed.load().objection(access);
        self.answer(objection, access)
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn mark(&self) -> u64 {
        self.generation.mark(0)
    }

    fn of_instance(&self, _: &Arc<Acting>) -> Option<Arc<dyn Gate>> {
        None
    }

    fn rules(&self) -> Option<&RuleGate> {
        None
    }

    fn principal(&self) -> Option<&Arc<Subject>> {
        None
    }

    fn decide_tree(&self, path: &Path, access: FileAccess, at: At<'_>) -> Decision {
        // A directory is allowed with everything beneath it.
        self.decide(&Access::File {
            path,
            access,
            at,
            bar: None,
        })
    }

    fn decide_http_address(&self, host: &str, address: SocketAddr) -> Decision {
        let literal = host.parse::<IpAddr>().is_ok();
        let allowed = literal || self.allowed.load().name_may_mean(address.ip());
        let access = Access::Connect {
            transport: Transport::Tcp,
            address,
            name: Some(host),
        };
        let objection = "the name resolves to an address that is not globally routable";
        self.answer((!allowed).then_some(objection), &access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connects(pattern: &str, address: &str, name: Option<&str>) -> bool {
        let mut allowed = Allowed::default();
        allowed.connect(Transport::Tcp, pattern).unwrap();
        allowed.connection(Transport::Tcp, address.parse().unwrap(), name)
    }

    #[test]
    fn patterns_match_what_they_say() {
        assert!(connects("127.0.0.1:80", "127.0.0.1:80", None));
        assert!(connects("127.0.0.1:80", "127.0.0.1:80", Some("localhost")));
        assert!(connects("127.0.0.1:80", "[::ffff:127.0.0.1]:80", None));
        assert!(!connects("127.0.0.1:80", "127.0.0.1:81", None));
        assert!(connects("10.0.0.0/8:*", "10.2.3.4:5", None));
        assert!(!connects("10.0.0.0/8:*", "11.2.3.4:5", None));
        assert!(connects("[::1]:80", "[::1]:80", None));
        assert!(connects("0.0.0.0/0:80", "8.8.8.8:80", None));
        assert!(connects("[::/0]:80", "[2606:4700::1]:80", None));
        assert!(connects(
            "example.com:443",
            "1.1.1.1:443",
            Some("example.com")
        ));
        assert!(!connects("example.com:443", "1.1.1.1:443", None));
        assert!(!connects(
            "example.com:443",
            "127.0.0.1:443",
            Some("example.com")
        ));
        assert!(connects(
            "*.example.com:443",
            "1.1.1.1:443",
            Some("a.example.com")
        ));
        assert!(!connects(
            "*.example.com:443",
            "1.1.1.1:443",
            Some("example.com")
        ));
        assert!(!connects(
            "*.example.com:443",
            "1.1.1.1:443",
            Some("badexample.com")
        ));
    }

    #[test]
    fn a_pattern_in_another_form_is_refused() {
        for text in [
            "",
            "example.com",
            "*:80",
            "*.:80",
            "a b:80",
            "example.com:x",
            "10.0.0.0/33:80",
            "*com:80",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn http_without_a_port_means_the_default_ports() {
        let mut allowed = Allowed::default();
        allowed
            .http("example.com")
            .unwrap()
            .http("127.0.0.1:8080")
            .unwrap();
        assert!(allowed.http_host("https", "example.com", 443));
        assert!(allowed.http_host("http", "example.com", 80));
        assert!(!allowed.http_host("http", "example.com", 443));
        assert!(!allowed.http_host("http", "example.com", 0));
        assert!(allowed.http_host("http", "127.0.0.1", 8080));
    }
}
