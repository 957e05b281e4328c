//! The gate of one principal over the compiled rules and the log.

use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use super::address::canonical;
use super::authority::{Answer, Authority, Circumstances};
use super::condition::Attributes;
use super::kind::{AccessBits, Kind};
use super::matcher::Request;
use super::subject::Subject;
use super::target::{TCP, Target, UDP};
use super::{Access, Decision, Denial, FileAccess, Gate, Generation, Transport};

/// Asks a person whether an access may take place.
pub trait Approver: Send + Sync + 'static {
    /// The answer for `subject` doing `access` to `target`, required by `rule`.
    fn ask(
        &self,
        subject: &Subject,
        kind: Kind,
        access: AccessBits,
        target: &[u8],
        rule: &str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>>;
}

/// Decides for one subject by the rules of an authority.
pub struct RuleGate {
    pub authority: Arc<Authority>,
    pub subject: Arc<Subject>,
    /// Without one, what requires approval is refused.
    pub approver: Option<Arc<dyn Approver>>,
}

impl Gate for RuleGate {
    fn decide(&self, access: &Access<'_>) -> Decision {
        let attributes = Attributes::new();
        let described = Described::of(access);
        let with = Circumstances::default();
        let decided = match Target::parse(described.kind, described.access, &described.text) {
            Ok(target) => {
                let request = Request {
                    address: described.address,
                    transport: described.transport,
                    ..Request::new(described.kind, described.access, target, &attributes)
                };
                self.authority.decide(&self.subject, &request, &with)
            }
            Err(reason) => self.authority.refuse_invalid(
                &self.subject,
                described.kind,
                described.access,
                &described.text,
                reason,
                &with,
            ),
        };
        let decided = self.authority.wait(decided);
        match (decided.answer, &self.approver) {
            (Answer::Allow, _) => Decision::Allow,
            (Answer::Ask, Some(approver)) => Decision::Ask(approver.ask(
                &self.subject,
                described.kind,
                described.access,
                &described.text,
                decided.rule.as_str(),
            )),
            _ => Decision::Deny(Denial {
                rule: decided.rule.as_str().to_owned(),
            }),
        }
    }

    fn generation(&self) -> &Generation {
        self.authority.generation()
    }

    fn decide_http_address(&self, host: &str, address: SocketAddr) -> Decision {
        let decided = self.authority.decide_http_address(&self.subject, host, address);
        match decided {
            None => Decision::Allow,
            Some(denied) => Decision::Deny(Denial { rule: denied.reason }),
        }
    }

    fn decide_tree(&self, path: &Path, access: FileAccess) -> Decision {
        let path = path.as_os_str().as_bytes();
        let decided = self.authority.decide_tree(&self.subject, path, file_access(access), &Circumstances::default());
        let decided = self.authority.wait(decided);
        if decided.allowed() {
            Decision::Allow
        } else {
            Decision::Deny(Denial { rule: decided.reason })
        }
    }
}

const fn file_access(access: FileAccess) -> AccessBits {
    match access {
        FileAccess::Read => 1,
        FileAccess::Write => 1 << 1,
        FileAccess::Create => 1 << 2,
        FileAccess::Delete => 1 << 3,
        FileAccess::List => 1 << 4,
        FileAccess::Metadata => 1 << 5,
        FileAccess::Execute => 1 << 6,
    }
}

/// An access in the words of the rules.
struct Described {
    kind: Kind,
    access: AccessBits,
    text: Vec<u8>,
    address: Option<std::net::IpAddr>,
    transport: u8,
}

impl Described {
    fn of(access: &Access<'_>) -> Described {
        let plain = |kind, access, text: Vec<u8>| Described {
            kind,
            access,
            text,
            address: None,
            transport: TCP,
        };
        match access {
            Access::File { path, access } => {
                plain(Kind::Filesystem, file_access(*access), path.as_os_str().as_bytes().to_vec())
            }
            Access::Connect {
                transport,
                address,
                name,
            } => {
                let text = match name {
                    Some(name) => format!("{name}:{}", address.port()),
                    None => address.to_string(),
                };
                Described {
                    address: Some(canonical(address.ip())),
                    transport: bit_of(*transport),
                    ..plain(Kind::Network, 1, text.into_bytes())
                }
            }
            Access::Listen { transport, address } => Described {
                transport: bit_of(*transport),
                ..plain(Kind::Network, 1 << 1, address.to_string().into_bytes())
            },
            Access::Resolve { name } => plain(Kind::Network, 1 << 2, name.as_bytes().to_vec()),
            Access::Http {
                method,
                scheme,
                host,
                port,
                path,
            } => {
                let host = if host.contains(':') && !host.starts_with('[') {
                    format!("[{host}]")
                } else {
                    (*host).to_owned()
                };
                let text = format!("{scheme}://{host}:{port}{path}").into_bytes();
                plain(
                    Kind::Http,
                    Kind::Http
                        .access_bit(method)
                        .unwrap_or(super::kind::OTHER_METHOD),
                    text,
                )
            }
        }
    }
}

fn bit_of(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    }
}
