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
        let decided = self
            .authority
            .decide_http_address(&self.subject, host, address);
        match decided {
            None => Decision::Allow,
            Some(denied) => Decision::Deny(Denial {
                rule: denied.reason,
            }),
        }
    }

    fn decide_tree(&self, path: &Path, access: FileAccess) -> Decision {
        let path = path.as_os_str().as_bytes();
        let decided = self.authority.decide_tree(
            &self.subject,
            path,
            file_access(access),
            &Circumstances::default(),
        );
        let decided = self.authority.wait(decided);
        if decided.allowed() {
            Decision::Allow
        } else {
            Decision::Deny(Denial {
                rule: decided.reason,
            })
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
            Access::File { path, access } => plain(
                Kind::Filesystem,
                file_access(*access),
                path.as_os_str().as_bytes().to_vec(),
            ),
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
            Access::Message { access, target } => plain(
                Kind::Messaging,
                1 << *access as u8,
                target.as_bytes().to_vec(),
            ),
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

#[cfg(test)]
mod tests {
    use super::super::audit::{AuditLog, Filter, Options, Reader};
    use super::*;

    fn gate(name: &str) -> (std::path::PathBuf, RuleGate) {
        let directory =
            std::env::temp_dir().join(format!("airssys-gate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let log = Arc::new(AuditLog::open(&directory, Options::default()).unwrap());
        let gate = RuleGate {
            authority: Arc::new(Authority::new(log).unwrap()),
            subject: Arc::new(Subject::named("acme/calc")),
            approver: None,
        };
        (directory, gate)
    }

    fn load(gate: &RuleGate, rules: serde_json::Value) {
        let document = serde_json::json!({"schema": 1, "rules": rules}).to_string();
        gate.authority.load(document.as_bytes()).unwrap();
    }

    fn read(gate: &RuleGate, path: &str) -> bool {
        let access = Access::File {
            path: Path::new(path),
            access: FileAccess::Read,
        };
        matches!(gate.decide(&access), Decision::Allow)
    }

    #[test]
    fn rights_follow_the_rules_and_each_decision_is_recorded() {
        let (directory, gate) = gate("follow");
        let rule = serde_json::json!({"id": "grant", "effect": "allow", "principals": ["name:acme/calc"],
            "kind": "filesystem", "targets": ["/data/**"], "access": ["read"]});
        assert!(!read(&gate, "/data/a"));
        let before = gate.generation().current();
        load(&gate, serde_json::json!([rule]));
        assert_ne!(gate.generation().current(), before);
        assert!(read(&gate, "/data/a"));
        load(&gate, serde_json::json!([]));
        assert!(!read(&gate, "/data/a"));
        let filter = Filter {
            operation: Some("filesystem".to_owned()),
            ..Filter::default()
        };
        let lines = Reader::new(&directory, filter)
            .read(10, std::time::Duration::ZERO)
            .unwrap();
        let decisions: Vec<bool> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).contains("\"decision\":\"allow\""))
            .collect();
        assert_eq!(decisions, [false, true, false]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn nothing_is_allowed_that_cannot_be_recorded() {
        let (directory, gate) = gate("closed");
        load(
            &gate,
            serde_json::json!([{"id": "all", "effect": "allow", "principals": ["*"],
            "kind": "filesystem", "targets": ["/**"], "access": ["*"]}]),
        );
        assert!(read(&gate, "/data/a"));
        gate.authority.audit().close().unwrap();
        assert!(!read(&gate, "/data/a"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn observing_passes_what_nobody_granted_and_nothing_that_is_denied() {
        let (directory, gate) = gate("observe");
        load(
            &gate,
            serde_json::json!([{"id": "no", "effect": "deny", "principals": ["*"],
            "kind": "filesystem", "targets": ["/secret/**"], "access": ["*"]}]),
        );
        let decide = |subject: &Subject, kind: Kind, target: &str| {
            let attributes = Attributes::new();
            let target = Target::parse(kind, 1, target.as_bytes()).unwrap();
            let request = Request::new(kind, 1, target, &attributes);
            gate.authority
                .decide(subject, &request, &Circumstances::default())
        };
        let mut observed = Subject::named("new");
        observed.enforcement = super::super::subject::Enforcement::Observe {
            until: f64::INFINITY,
        };
        let passed = decide(&observed, Kind::Filesystem, "/data/a");
        assert!(passed.allowed() && passed.observed);
        assert!(!decide(&observed, Kind::Filesystem, "/secret/a").allowed());
        assert!(!decide(&observed, Kind::Process, "/usr/bin/git").allowed());
        assert!(
            !decide(
                &observed,
                Kind::Secret,
                "key@https://api.example.com/authorization"
            )
            .allowed()
        );
        let mut over = observed.again();
        over.enforcement = super::super::subject::Enforcement::Observe { until: 1.0 };
        assert!(!decide(&over, Kind::Filesystem, "/data/a").allowed());
        let mut called = observed.again();
        called.caller = Some(Arc::new(Subject::named("strict")));
        assert!(
            !decide(&called, Kind::Filesystem, "/data/a").allowed(),
            "the strictest of the chain applies"
        );
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_deputy_does_not_write_what_its_caller_may_not() {
        let (directory, gate) = gate("deputy");
        let grant = |id: &str, act_as: bool| {
            let mut rule = serde_json::json!({"id": id, "effect": "allow", "principals": ["name:deputy"],
                "kind": "filesystem", "targets": [format!("/{id}/**")], "access": ["read", "write"]});
            if act_as {
                rule["act_as"] = "self".into();
            }
            rule
        };
        load(
            &gate,
            serde_json::json!([grant("shared", false), grant("own", true)]),
        );
        let mut deputy = Subject::named("deputy");
        deputy.caller = Some(Arc::new(Subject::named("guest")));
        let decide = |access: AccessBits, path: &str| {
            let attributes = Attributes::new();
            let target = Target::parse(Kind::Filesystem, access, path.as_bytes()).unwrap();
            let request = Request::new(Kind::Filesystem, access, target, &attributes);
            gate.authority
                .decide(&deputy, &request, &Circumstances::default())
                .allowed()
        };
        assert!(
            decide(1, "/shared/a"),
            "reading is the deputy's own business"
        );
        assert!(!decide(2, "/shared/a"));
        assert!(decide(2, "/own/a"));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
