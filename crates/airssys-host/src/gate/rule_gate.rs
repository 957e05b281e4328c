//! The gate of one principal over the compiled rules and the log.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, fstat, statat};
use rustix::io::Errno;

use super::authority::{Answer, Authority, Circumstances, Decided, Explained, Said};
use super::callers::Acting;
use super::condition::Attributes;
use super::kind::{AccessBits, Kind, OTHER_METHOD};
use super::matcher::Request;
use super::subject::Subject;
use super::target::{LISTEN, TCP, Target, UDP};
use super::{
    Access, At, Bar, Decision, Denial, FileAccess, Gate, Generation, RESERVED, Transport,
    WITHOUT_EFFECTS,
};

/// What became of a question: who agreed, or why nobody did.
pub type Answered = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Asks a person whether an access may take place.
pub trait Approver: Send + Sync + 'static {
    /// Who agrees to `subject` doing `access` to `target`, which `rule` leaves to them; why not, in the word of
    /// the log, when nobody does. Dropped, the question is withdrawn. With a `reason` the component asks for the
    /// right itself, and not for one access.
    fn ask(
        &self,
        subject: &Subject,
        kind: Kind,
        access: AccessBits,
        target: &[u8],
        rule: &str,
        reason: Option<&str>,
    ) -> Answered;
}

const UNKNOWN: Bar = Bar {
    rule: "unknown-object",
    reason: "what stands there cannot be examined, or was moved meanwhile",
};

/// How many approvals are remembered; beyond that people are asked again.
const MOST_APPROVED: usize = 1024;

/// What was agreed to, by whom, in one generation: a change of rules ends it.
#[derive(Default)]
struct Approved {
    generation: u64,
    by: HashMap<Matter, String>,
}

/// What was agreed to: the access, and for whom.
type Matter = (Kind, AccessBits, Vec<u8>, Option<Chain>);
/// The names of a chain of callers.
type Chain = Vec<String>;

fn chain_of(subject: &Subject) -> Option<Chain> {
    let callers = subject.callers.as_deref()?;
    Some(callers.names().map(str::to_owned).collect())
}

/// Decides for one subject by the rules of an authority, on the record of its log.
pub struct RuleGate {
    authority: Arc<Authority>,
    subject: Arc<Subject>,
    approver: Option<Arc<dyn Approver>>,
    approved: Arc<Mutex<Approved>>,
    /// What the subject owes for being over its budget of records, in microseconds.
    pause: AtomicU64,
    /// Refuse whatever has effects outside of the instance.
    without_effects: bool,
    /// For whom the instance acts, where the gate is that of one.
    acting: Option<Arc<Acting>>,
    /// The subject as it acted for others last.
    acted: Mutex<Option<(u64, Arc<Subject>)>>,
}

impl Gate for RuleGate {
    fn decide(&self, access: &Access<'_>) -> Decision {
        let attributes = Attributes::new();
        let described = Described::of(access);
        let subject = self.subject();
        let generation = self.generation().current();
        let approved_by = self.approved_by(&described, &subject, generation);
        let with = Circumstances {
            barred: self.bar(access),
            default_is_silent: matches!(access, Access::Given { .. }),
            detail: described.detail.as_deref(),
            approved_by: approved_by.as_deref(),
            ..Circumstances::default()
        };
        let decided = match described.request(&attributes) {
            Ok(request) => self.authority.decide(&subject, &request, &with),
            Err(reason) => self.authority.refuse_invalid(
                &subject,
                described.kind,
                described.access,
                &described.text,
                reason,
                &with,
            ),
        };
        let decided = self.finished(decided);
        match (decided.answer, &self.approver) {
            (Answer::Allow, _) => Decision::Allow,
            (Answer::Ask, Some(approver)) => {
                let rule = decided.rule.as_str();
                let (kind, bits) = (described.kind, described.access);
                let reason = match access {
                    Access::Stated { reason, .. } => Some(*reason),
                    _ => None,
                };
                let answer = approver.ask(&subject, kind, bits, &described.text, rule, reason);
                let question = Question {
                    authority: Arc::clone(&self.authority),
                    subject,
                    approved: Arc::clone(&self.approved),
                    described,
                    generation,
                };
                Decision::Ask(Box::pin(question.settled(answer)))
            }
            _ => Decision::Deny(Denial {
                rule: decided.rule.as_str().to_owned(),
            }),
        }
    }

    fn generation(&self) -> &Generation {
        self.authority.generation()
    }

    fn mark(&self) -> u64 {
        let acting = self.acting.as_ref().map_or(0, |acting| acting.number());
        self.generation().mark(acting)
    }

    fn of_instance(&self, acting: &Arc<Acting>) -> Option<Arc<dyn Gate>> {
        Some(Arc::new(Self {
            authority: Arc::clone(&self.authority),
            subject: Arc::clone(&self.subject),
            approver: self.approver.clone(),
            approved: Arc::clone(&self.approved),
            pause: AtomicU64::new(0),
            without_effects: self.without_effects,
            acting: Some(Arc::clone(acting)),
            acted: Mutex::default(),
        }))
    }

    fn rules(&self) -> Option<&RuleGate> {
        Some(self)
    }

    fn principal(&self) -> Option<&Arc<Subject>> {
        Some(&self.subject)
    }

    fn may_ask(&self) -> bool {
        self.approver.is_some()
    }

    fn pause(&self) -> Duration {
        Duration::from_micros(self.pause.swap(0, Ordering::Relaxed))
    }

    fn decide_http_address(&self, host: &str, address: SocketAddr) -> Decision {
        let decided = self
            .authority
            .decide_http_address(&self.subject(), host, address);
        match decided {
            None => Decision::Allow,
            Some(denied) => Decision::Deny(Denial {
                rule: self.finished(denied).reason,
            }),
        }
    }

    fn decide_tree(&self, path: &Path, access: FileAccess, at: At<'_>) -> Decision {
        let with = Circumstances {
            barred: self
                .reserved(path, at)
                .or_else(|| self.reserved_below(at))
                .or_else(|| self.without_effects.then_some(WITHOUT_EFFECTS)),
            ..Circumstances::default()
        };
        let path = path.as_os_str().as_bytes();
        let decided = self
            .authority
            .decide_tree(&self.subject(), path, access.bit(), &with);
        let decided = self.finished(decided);
        if decided.allowed() {
            Decision::Allow
        } else {
            Decision::Deny(Denial {
                rule: decided.reason,
            })
        }
    }
}

impl Approved {
    /// Those of `generation`, with room for one more.
    fn of(&mut self, generation: u64) -> &mut HashMap<Matter, String> {
        if self.generation != generation || self.by.len() >= MOST_APPROVED {
            self.by.clear();
            self.generation = generation;
        }
        &mut self.by
    }
}

impl RuleGate {
    /// A gate for `subject`; without an approver, what requires approval is refused.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        subject: Arc<Subject>,
        approver: Option<Arc<dyn Approver>>,
    ) -> Self {
        Self {
            authority,
            subject,
            approver,
            approved: Arc::default(),
            pause: AtomicU64::new(0),
            without_effects: false,
            acting: None,
            acted: Mutex::default(),
        }
    }

    /// The same gate for instances on trial: whatever has effects is refused, and on record as such. Nobody is
    /// asked for approval.
    #[must_use]
    pub fn without_effects(self) -> Self {
        Self {
            approver: None,
            without_effects: true,
            ..self
        }
    }

    /// The subject in the chain in which it acts now.
    fn subject(&self) -> Arc<Subject> {
        let Some(callers) = self.acting.as_ref().and_then(|acting| acting.callers()) else {
            return Arc::clone(&self.subject);
        };
        let mut acted = self.acted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*acted {
            Some((number, subject)) if *number == callers.number() => Arc::clone(subject),
            _ => {
                let subject = Arc::new(self.subject.acting_for(&callers));
                *acted = Some((callers.number(), Arc::clone(&subject)));
                subject
            }
        }
    }

    /// The number of the authority behind it.
    #[must_use]
    pub fn authority(&self) -> u64 {
        self.authority.number()
    }

    /// What the rules say of an access in their words; nothing is recorded.
    ///
    /// # Errors
    /// Why `text` is no target.
    pub fn explain(&self, kind: Kind, access: &str, text: &str) -> Result<Explained, String> {
        let attributes = Attributes::new();
        let described = Described::of(&Access::Stated {
            kind,
            access,
            text,
            reason: "",
        });
        let request = described.request(&attributes)?;
        Ok(self.authority.explain(&self.subject(), &request))
    }

    /// The rights that rules give the subject: kind, access and pattern of targets, as they are written.
    pub fn rights(&self) -> Vec<(Kind, &'static str, String)> {
        self.authority.rules().rights(&self.subject())
    }

    /// Record what the subject itself says.
    pub fn say(&self, event: &str, detail: &str) -> Said {
        self.authority.say(&self.subject(), event, detail)
    }

    /// A decision whose record is as durable as it must be before the effect.
    fn finished(&self, decided: Decided) -> Decided {
        let owed = u64::try_from(decided.delay.as_micros()).unwrap_or(u64::MAX);
        self.pause.fetch_max(owed, Ordering::Relaxed);
        self.authority.wait(decided)
    }

    fn approved_by(
        &self,
        described: &Described,
        subject: &Subject,
        generation: u64,
    ) -> Option<String> {
        self.approver.as_ref()?;
        let approved = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
        if approved.generation != generation || approved.by.is_empty() {
            return None;
        }
        let key = (
            described.kind,
            described.access,
            described.text.clone(),
            chain_of(subject),
        );
        approved.by.get(&key).cloned()
    }

    /// What refuses an access whatever the rules say.
    fn bar(&self, access: &Access<'_>) -> Option<Bar> {
        match access {
            Access::File { path, at, bar, .. } => bar.or_else(|| self.reserved(path, *at)),
            Access::Http { bar, .. } => *bar,
            _ => None,
        }
        .or_else(|| (self.without_effects && access.has_effects()).then_some(WITHOUT_EFFECTS))
    }

    /// Refused as well is what cannot be examined: it may be the host's own.
    fn reserved(&self, path: &Path, at: At<'_>) -> Option<Bar> {
        let reserved = self.authority.reserved();
        let holds = match at {
            At::Object(object) => reserved.holds_open(object, path),
            At::Entry(directory, name) => reserved.holds_entry_at(directory, name.as_bytes(), path),
        };
        match holds {
            Ok(holds) => holds.then_some(RESERVED),
            Err(_) => Some(UNKNOWN),
        }
    }

    /// What refuses to move a directory: that something of the host's would move with it.
    fn reserved_below(&self, at: At<'_>) -> Option<Bar> {
        let found = match at {
            At::Object(object) => fstat(object),
            At::Entry(directory, name) => statat(directory, name, AtFlags::SYMLINK_NOFOLLOW),
        };
        let below = match found {
            // Nothing stands there yet.
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(stat) => self
                .authority
                .reserved()
                .stands_below((stat.st_dev, stat.st_ino)),
        };
        match below {
            Ok(below) => below.then_some(RESERVED),
            Err(_) => Some(UNKNOWN),
        }
    }
}

/// An access that waits for a person.
struct Question {
    authority: Arc<Authority>,
    subject: Arc<Subject>,
    approved: Arc<Mutex<Approved>>,
    described: Described,
    /// Of the rules that said to ask.
    generation: u64,
}

impl Question {
    /// Whether to decide the access anew: somebody agreed, or the rules no longer leave it to anybody.
    async fn settled(mut self, mut answer: Answered) -> bool {
        loop {
            let seen = self.generation;
            let answered = tokio::select! {
                biased;
                answered = &mut answer => answered,
                () = self.authority.generation().changed_since(seen) => {
                    self.generation = self.authority.generation().current();
                    if self.stands() {
                        continue;
                    }
                    return true;
                }
            };
            return match answered {
                Ok(who) => {
                    // The rules that the next decision rests on: it is made by them, whatever was agreed to.
                    let current = self.authority.generation().current();
                    let mut approved = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
                    let Described {
                        kind, access, text, ..
                    } = self.described;
                    let matter = (kind, access, text, chain_of(&self.subject));
                    approved.of(current).insert(matter, who);
                    true
                }
                Err(reason) => {
                    self.authority.record_unapproved(
                        &self.subject,
                        self.described.kind,
                        self.described.access,
                        &self.described.text,
                        &reason,
                    );
                    false
                }
            };
        }
    }

    /// Whether the rules as they are now still ask.
    fn stands(&self) -> bool {
        let attributes = Attributes::new();
        let request = self.described.request(&attributes);
        request.is_ok_and(|request| {
            self.authority.explain(&self.subject, &request).answer == Answer::Ask
        })
    }
}

/// The target of an access in the words of the rules.
pub(crate) fn text_of(access: &Access<'_>) -> Vec<u8> {
    Described::of(access).text
}

/// An access in the words of the rules.
struct Described {
    kind: Kind,
    access: AccessBits,
    text: Vec<u8>,
    /// What a name led to.
    address: Option<IpAddr>,
    transport: u8,
    detail: Option<String>,
    /// Why the text is no target.
    invalid: Option<&'static str>,
}

impl Described {
    fn of(access: &Access<'_>) -> Described {
        let plain = |kind, access, text: Vec<u8>| Described {
            kind,
            access,
            text,
            address: None,
            transport: TCP,
            detail: None,
            invalid: None,
        };
        match access {
            Access::File { path, access, .. } => plain(
                Kind::Filesystem,
                access.bit(),
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
                    address: Some(address.ip()),
                    transport: bit_of(*transport),
                    detail: name.map(|_| address.to_string()),
                    ..plain(Kind::Network, 1, text.into_bytes())
                }
            }
            Access::Listen { transport, address } => Described {
                transport: bit_of(*transport),
                ..plain(Kind::Network, LISTEN, address.to_string().into_bytes())
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
                ..
            } => {
                let host = bracketed(host);
                let text = format!("{scheme}://{host}:{port}{}", encoded(path));
                plain(
                    Kind::Http,
                    Kind::Http.access_bit(method).unwrap_or(OTHER_METHOD),
                    text.into_bytes(),
                )
            }
            Access::Environment { name } => plain(Kind::Environment, 1, name.as_bytes().to_vec()),
            Access::Config { key } => plain(Kind::Config, 1, key.as_bytes().to_vec()),
            Access::Secret {
                name,
                scheme,
                host,
                port,
                header,
            } => {
                let host = bracketed(host);
                let text = format!("{name}@{scheme}://{host}:{port}/{header}");
                plain(Kind::Secret, 1, text.into_bytes())
            }
            Access::Given { kind } => plain(*kind, 1, Vec::new()),
            Access::Storage { access, target } => plain(
                Kind::Storage,
                1 << *access as u8,
                target.as_bytes().to_vec(),
            ),
            Access::Stated {
                kind,
                access,
                text,
                reason,
            } => Described {
                detail: (!reason.is_empty()).then(|| format!("reason: {reason}")),
                ..plain(
                    *kind,
                    kind.access_bit(access).unwrap_or(OTHER_METHOD),
                    text.as_bytes().to_vec(),
                )
            },
            Access::NoTarget {
                kind,
                access,
                text,
                reason,
            } => Described {
                invalid: Some(reason),
                ..plain(
                    *kind,
                    kind.access_bit(access).unwrap_or(OTHER_METHOD),
                    text.as_bytes().to_vec(),
                )
            },
        }
    }

    fn request<'a>(&'a self, attributes: &'a Attributes) -> Result<Request<'a>, String> {
        if let Some(reason) = self.invalid {
            return Err(reason.to_owned());
        }
        let target = Target::parse(self.kind, self.access, &self.text)?;
        let request = Request {
            transport: self.transport,
            ..Request::new(self.kind, self.access, target, attributes)
        };
        match self.address {
            Some(address) => request.leading_to(address),
            None => Ok(request),
        }
    }
}

/// The host as it stands in a URL.
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') && !host.starts_with('[') {
        Cow::Owned(format!("[{host}]"))
    } else {
        Cow::Borrowed(host)
    }
}

/// The path of a URL, decoded once, as text that decodes to it.
fn encoded(path: &str) -> Cow<'_, str> {
    if path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#'))
    {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len() * 2);
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    Cow::Owned(text)
}

fn bit_of(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::fd::AsFd;

    use super::super::audit::{AuditLog, Filter, Options, Reader};
    use super::super::callers::Callers;
    use super::*;

    fn gate(name: &str) -> (std::path::PathBuf, RuleGate) {
        let directory =
            std::env::temp_dir().join(format!("airssys-gate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let log = Arc::new(AuditLog::open(&directory, Options::default()).unwrap());
        let authority = Arc::new(Authority::new(log).unwrap());
        let gate = RuleGate::new(authority, Arc::new(Subject::named("acme/calc")), None);
        (directory, gate)
    }

    fn load(gate: &RuleGate, rules: serde_json::Value) {
        let document = serde_json::json!({"schema": 1, "rules": rules}).to_string();
        gate.authority.load(document.as_bytes()).unwrap();
    }

    fn read(gate: &RuleGate, path: &str) -> bool {
        let root = std::fs::File::open("/").unwrap();
        let access = Access::File {
            path: Path::new(path),
            access: FileAccess::Read,
            at: At::Entry(root.as_fd(), OsStr::new("nothing")),
            bar: None,
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
    fn who_is_over_its_budget_of_records_is_told_to_wait_once() {
        let (directory, gate) = gate("budget");
        let mut subject = Subject::named("flood");
        subject.budget = Some(Arc::new(super::super::subject::Budget::new(0.5, 1.0)));
        let flood = RuleGate::new(Arc::clone(&gate.authority), Arc::new(subject), None);
        assert!(!read(&flood, "/data/a"));
        assert_eq!(flood.pause(), Duration::ZERO);
        assert!(!read(&flood, "/data/b"));
        assert!(flood.pause() > Duration::ZERO);
        assert_eq!(flood.pause(), Duration::ZERO);
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
        called.callers = Some(Callers::with(None, &Arc::new(Subject::named("strict"))));
        assert!(
            !decide(&called, Kind::Filesystem, "/data/a").allowed(),
            "the strictest of the chain applies"
        );
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_grant_that_answers_for_good_is_asked_about_no_more() {
        let (directory, gate) = gate("answers");
        let mut component = Subject::named("acme/calc");
        component.guest = true;
        let rule = |id: &str, part: &str, effect: &str| {
            serde_json::json!({"id": id, "effect": effect, "principals": ["name:acme/calc"], "part": part,
                "kind": "filesystem", "targets": ["/data/**"], "access": ["read"]})
        };
        let answer = |approves: bool, requested: bool, denied: bool| {
            let mut grant = rule("grant", "grant", "allow");
            grant["approves"] = approves.into();
            let mut rules = vec![grant, rule("ask", "ceiling", "require-approval")];
            if requested {
                rules.push(rule("request", "request", "allow"));
            }
            if denied {
                rules.push(rule("deny", "whole", "deny"));
            }
            load(&gate, rules.into());
            let attributes = Attributes::new();
            let target = Target::parse(Kind::Filesystem, 1, b"/data/a").unwrap();
            let request = Request::new(Kind::Filesystem, 1, target, &attributes);
            gate.authority
                .decide(&component, &request, &Circumstances::default())
                .answer
        };
        assert_eq!(answer(false, true, false), Answer::Ask);
        assert_eq!(answer(true, true, false), Answer::Allow);
        assert_eq!(answer(true, false, false), Answer::Deny);
        assert_eq!(answer(true, true, true), Answer::Deny);
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
        deputy.callers = Some(Callers::with(None, &Arc::new(Subject::named("guest"))));
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
        let renames = |path: &str| {
            let with = Circumstances::default();
            gate.authority
                .decide_tree(&deputy, path.as_bytes(), 2, &with)
                .allowed()
        };
        assert!(!renames("/shared/tree"));
        assert!(renames("/own/tree"), "a tree is written as its deputy, too");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
