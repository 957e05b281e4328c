//! Host names: what a guest resolved, and what a name is at all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::gate::address::canonical;
use crate::gate::kind::Kind;
use crate::gate::{Access, Gate};
use crate::wasi::decide::{REFUSED, permit, settle};

/// How long an address stands for the name it was resolved from. Resolvers do not tell the record's own
/// time to live, and guests resolve right before they connect.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);
/// How long a resolver may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many look-ups of one guest run at a time, and of all guests together: each occupies a thread.
const LOOKUPS_PER_GUEST: usize = 4;
const LOOKUPS: usize = 32;
/// How many addresses a guest can have resolved at a time; the oldest make room.
const MAX_KNOWN: usize = 1024;

/// What a guest may write where a host is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    /// Lower case, in ASCII, without a dot at the end.
    Name(String),
}

impl Host {
    /// Read a host in any spelling that some resolver or client would understand: octal, hexadecimal and
    /// integer addresses are the address they mean, names are lower case and in punycode.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        match url::Host::parse(text).ok()? {
            url::Host::Ipv4(address) => Some(Self::Address(address.into())),
            url::Host::Ipv6(address) => Some(Self::Address(address.into())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let fits = !name.is_empty() && name.len() <= 253;
                let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
                (fits && labels).then(|| Self::Name(name.to_owned()))
            }
        }
    }
}

/// Why there are no addresses for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    Refused,
    Invalid,
    Unresolvable,
    Timeout,
}

/// What one guest has resolved.
pub(crate) struct Names {
    known: Mutex<HashMap<IpAddr, Vec<Known>>>,
    running: Semaphore,
}

struct Known {
    name: Arc<str>,
    until: Instant,
}

impl Names {
    pub fn new() -> Self {
        Self {
            known: Mutex::default(),
            running: Semaphore::new(LOOKUPS_PER_GUEST),
        }
    }

    /// Resolve a name that the guest may resolve, and remember for what its addresses stand.
    pub async fn resolve(&self, gate: &dyn Gate, text: &str) -> Result<Vec<IpAddr>, LookupError> {
        let Some(host) = Host::parse(text) else {
            let decision = gate.decide(&Access::NoTarget {
                kind: Kind::Network,
                access: "resolve",
                text,
                reason: "it is neither a host name nor an address",
            });
            // There is nothing to approve.
            drop(decision);
            return Err(LookupError::Invalid);
        };
        match host {
            Host::Address(address) => Ok(vec![address]),
            Host::Name(name) => {
                settle(gate, || permit(gate, &Access::Resolve { name: &name }))
                    .await
                    .map_err(|_| LookupError::Refused)?;
                let addresses = self.look_up(&name).await?;
                self.remember(&name, &addresses);
                Ok(addresses)
            }
        }
    }

    /// Ask the resolver of the host. The caller has made sure that the guest may.
    pub async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        static RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(LOOKUPS));
        let look_up = async {
            let _own = self
                .running
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let _shared = RUNNING
                .acquire()
                .await
                .expect("the semaphore is never closed");
            // The dot keeps search domains of the host out of it, but `localhost` lives in its hosts file.
            tokio::net::lookup_host((name, 0)).await
        };
        let found = tokio::time::timeout(PATIENCE, look_up)
            .await
            .map_err(|_| LookupError::Timeout)?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map_err(|_| LookupError::Unresolvable)? {
            let address = address.ip().to_canonical();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            Err(LookupError::Unresolvable)
        } else {
            Ok(addresses)
        }
    }

    fn remember(&self, name: &str, addresses: &[IpAddr]) {
        let now = Instant::now();
        let name: Arc<str> = name.into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            let names = known.entry(canonical(*address)).or_default();
            names.retain(|known| known.until > now && known.name != name);
            names.push(Known {
                name: Arc::clone(&name),
                until: now + TIME_TO_LIVE,
            });
        }
        if known.len() > MAX_KNOWN {
            known.retain(|_, names| names.iter().any(|known| known.until > now));
        }
        while known.len() > MAX_KNOWN {
            let oldest = known
                .iter()
                .min_by_key(|(_, names)| names.iter().map(|known| known.until).max())
                .map(|(address, _)| *address)
                .expect("there are more than MAX_KNOWN");
            known.remove(&oldest);
        }
    }

    /// The names that `address` stands for now, the one resolved last first.
    pub fn of(&self, address: IpAddr) -> Vec<Arc<str>> {
        let now = Instant::now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let names = known.get(&canonical(address)).into_iter().flatten();
        names
            .rev()
            .filter(|known| known.until > now)
            .map(|known| Arc::clone(&known.name))
            .collect()
    }
}

/// What a look-up that the gate refused is to a socket.
impl From<LookupError> for rustix::io::Errno {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Refused => REFUSED,
            LookupError::Invalid => Self::INVAL,
            LookupError::Unresolvable => Self::HOSTUNREACH,
            LookupError::Timeout => Self::TIMEDOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        let loopback = Host::Address("127.0.0.1".parse().unwrap());
        for text in [
            "127.0.0.1",
            "0177.0.0.1",
            "0x7f.1",
            "2130706433",
            "127.1",
            "0x7f000001",
            "%3127.0.0.1",
        ] {
            assert_eq!(Host::parse(text), Some(loopback.clone()), "{text}");
        }
        assert_eq!(
            Host::parse("::1"),
            Some(Host::Address("::1".parse().unwrap()))
        );
        assert_eq!(
            Host::parse("[::1]"),
            Some(Host::Address("::1".parse().unwrap()))
        );
    }

    #[test]
    fn an_address_stands_for_a_name_for_its_time_to_live() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let names = Names::new();
        assert!(names.of(address).is_empty());
        names.remember("one.example", &[address]);
        names.remember("two.example", &["::ffff:192.0.2.1".parse().unwrap()]);
        let both: Vec<_> = names.of(address).iter().map(ToString::to_string).collect();
        assert_eq!(both, ["two.example", "one.example"]);
        assert!(Names::new().of(address).is_empty(), "of one guest alone");
        names.known.lock().unwrap().get_mut(&address).unwrap()[0].until = Instant::now();
        let left: Vec<_> = names.of(address).iter().map(ToString::to_string).collect();
        assert_eq!(left, ["two.example"]);
    }

    #[test]
    fn a_name_has_one_form() {
        for (text, name) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("ｅxample.com", "example.com"),
        ] {
            assert_eq!(
                Host::parse(text),
                Some(Host::Name(name.to_owned())),
                "{text}"
            );
        }
        let long = format!("{}.com", "a".repeat(64));
        for text in [
            "",
            ".",
            "a b",
            "a..b",
            "a/b",
            "user@host",
            "host:80",
            "a\0b",
            &long,
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }
}
