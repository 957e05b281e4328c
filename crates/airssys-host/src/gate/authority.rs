//! Deciding and recording: rules, enforcement and the audit log put together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::address::{canonical_socket, is_global};
use super::audit::{Appended, AuditError, AuditLog, Entry};
use super::condition::Attributes;
use super::kind::{AccessBits, Kind};
use super::matcher::{Outcome, Reason, Request, RuleSet};
use super::reserved::Reserved;
use super::rules::{Rule, RuleError};
use super::subject::{Budget, Enforcement, Subject};
use super::target::{Domain, Target};
use super::{Bar, Generation};

/// The rule that a decision rests on: one that was written, or one that always holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleName {
    Written(Arc<str>),
    Fixed(&'static str),
}

impl RuleName {
    pub fn as_str(&self) -> &str {
        match self {
            RuleName::Written(id) => id,
            RuleName::Fixed(name) => name,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow,
    Deny,
    Ask,
}

/// What is given because no rule speaks of it.
const BY_DEFAULT: RuleName = RuleName::Fixed("default-allow");

/// A decision that is on record.
#[derive(Clone, Debug)]
pub struct Decided {
    pub answer: Answer,
    pub rule: RuleName,
    pub reason: String,
    /// Number of its record; 0 when it was counted with an earlier one or could not be recorded.
    pub sequence: u64,
    /// It passed only because the subject is observed.
    pub observed: bool,
    pub alarm: bool,
    pub delay: Duration,
    pub generation: u64,
    /// The record must be durable before the effect: pass this to [`Authority::wait`].
    pub wait_for: Option<u64>,
}

impl Decided {
    pub fn allowed(&self) -> bool {
        self.answer == Answer::Allow
    }
}

/// What a decision needs beside subject and request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    pub requested: Option<&'a [u8]>,
    pub detail: Option<&'a str>,
    /// Who answered yes to the question that an earlier decision put.
    pub approved_by: Option<&'a str>,
    pub must_audit: bool,
    /// What no rule speaks of and is given by default leaves no record.
    pub default_is_silent: bool,
    /// What refuses the target whatever the rules say.
    pub barred: Option<Bar>,
}

/// Everything that decides: one for a host.
#[derive(Debug)]
pub struct Authority {
    /// Never another's in this process.
    number: u64,
    rules: ArcSwap<RuleSet>,
    generation: Generation,
    audit: Arc<AuditLog>,
    reserved: ArcSwap<Reserved>,
    learned: Mutex<BTreeMap<String, Learned>>,
    /// How much each principal may still say, by its id.
    saying: Mutex<HashMap<String, Arc<Budget>>>,
}

/// What became of a principal's own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Recorded,
    TooMany,
    Unavailable,
}

/// What one principal used while learning.
type Learned = BTreeSet<(Kind, AccessBits, Vec<u8>)>;

/// The most accesses remembered of one principal that learns.
const MOST_LEARNED: usize = 10_000;

/// What a principal may write of its own: records a second, and at once.
const SAID_RATE: f64 = 50.0;
const SAID_BURST: f64 = 100.0;
/// How many principals may be writing at the same time.
const MOST_SAYING: usize = 100_000;

impl Authority {
    /// An authority without rules, which refuses everything.
    ///
    /// # Errors
    /// `/proc`, `/sys` or the log's directory cannot be identified.
    pub fn new(audit: Arc<AuditLog>) -> std::io::Result<Authority> {
        let mut reserved = Reserved::default();
        for path in [b"/proc".as_slice(), b"/sys"] {
            reserved.add(path)?;
        }
        reserved.add(std::os::unix::ffi::OsStrExt::as_bytes(
            audit.directory().as_os_str(),
        ))?;
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Ok(Authority {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            rules: ArcSwap::default(),
            generation: Generation::default(),
            audit,
            reserved: ArcSwap::from_pointee(reserved),
            learned: Mutex::default(),
            saying: Mutex::default(),
        })
    }

    pub const fn number(&self) -> u64 {
        self.number
    }

    pub fn audit(&self) -> &Arc<AuditLog> {
        &self.audit
    }

    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    pub fn rules(&self) -> Arc<RuleSet> {
        self.rules.load_full()
    }

    pub fn reserved(&self) -> Arc<Reserved> {
        self.reserved.load_full()
    }

    /// Deny `path` and everything below it to everybody, whatever it is called later.
    ///
    /// # Errors
    /// There is nothing at `path`.
    pub fn reserve(&self, path: &[u8]) -> std::io::Result<()> {
        let mut object = Reserved::default();
        object.add(path)?;
        self.reserved.rcu(|reserved| reserved.with(&object));
        self.generation.advance();
        Ok(())
    }

    /// Replace all rules at once; the new generation. On an error the old rules stay.
    ///
    /// # Errors
    /// The first rule that is not understood.
    pub fn load(self: &Arc<Self>, json: &[u8]) -> Result<u64, LoadError> {
        let rules = Arc::new(RuleSet::compile(json)?);
        let detail = format!(
            "{} rules, sha {}",
            rules.len(),
            &blake3::hash(json).to_hex()[..16]
        );
        // A change of rights that cannot be recorded does not happen.
        self.audit.append(&Entry {
            subject: None,
            operation: ("gate", "load"),
            target: b"",
            requested: None,
            decision: "done",
            rule: "",
            enforcement: "",
            detail: Some(&detail),
            approved_by: None,
            alarm: false,
            coalesce: false,
        })?;
        self.rules.store(Arc::clone(&rules));
        self.generation.advance();
        if rules.next_expiry().is_some() {
            advance_on_expiry(Arc::downgrade(self), Arc::downgrade(&rules));
        }
        Ok(self.generation.current())
    }

    /// Decide and record. Nothing may happen before [`Self::wait`] when `wait_for` is set.
    pub fn decide(
        &self,
        subject: &Subject,
        request: &Request<'_>,
        with: &Circumstances<'_>,
    ) -> Decided {
        // Read before the rules: a change in between makes the decision look older than it is.
        let generation = self.generation.current();
        let rules = self.rules.load();
        let opinion = judge(&rules, subject, request, with);
        if with.default_is_silent && opinion.rule == BY_DEFAULT {
            return opinion.unrecorded(generation);
        }
        if opinion.answer == Answer::Allow && subject.effective_enforcement() == Enforcement::Learn
        {
            self.learn(subject, request);
        }
        self.record(
            subject,
            request.kind,
            request.access,
            &request.target.text,
            opinion,
            generation,
            with,
        )
    }

    /// Record that something is refused because its target is not one.
    pub fn refuse_invalid(
        &self,
        subject: &Subject,
        kind: Kind,
        access: AccessBits,
        target: &[u8],
        reason: String,
        with: &Circumstances<'_>,
    ) -> Decided {
        let opinion = Opinion::refuse(RuleName::Fixed("invalid-target"), reason);
        let generation = self.generation.current();
        self.record(subject, kind, access, target, opinion, generation, with)
    }

    /// Record that nobody agreed to what the rules leave to a person, for `reason`.
    pub fn record_unapproved(
        &self,
        subject: &Subject,
        kind: Kind,
        access: AccessBits,
        target: &[u8],
        reason: &str,
    ) {
        let appended = self.audit.append(&Entry {
            subject: Some(subject),
            operation: (kind.name(), access_name(kind, access)),
            target,
            requested: None,
            decision: "deny",
            rule: reason,
            enforcement: subject.effective_enforcement().name(),
            detail: None,
            approved_by: None,
            alarm: false,
            coalesce: true,
        });
        if let Err(error) = appended {
            // It is refused with or without the record.
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }

    /// Decide `access` to everything that is or may come below the directory `path`.
    pub fn decide_tree(
        &self,
        subject: &Subject,
        path: &[u8],
        access: AccessBits,
        with: &Circumstances<'_>,
    ) -> Decided {
        let generation = self.generation.current();
        let attributes = Attributes::new();
        let covered = Target::path(Domain::Path, path).is_ok_and(|target| {
            let request = Request::new(Kind::Filesystem, access, target, &attributes);
            let rules = self.rules.load();
            rules.subtree_rule(subject, &request).is_some_and(|rule| {
                rule.act_as_self
                    || subject
                        .original_caller()
                        .is_none_or(|caller| rules.covers_subtree(caller, &request))
            })
        });
        let opinion = if let Some(bar) = with.barred {
            Opinion::refuse(RuleName::Fixed(bar.rule), bar.reason.to_owned())
        } else if !covered {
            Opinion::refuse(
                RuleName::Fixed("default-deny"),
                "no rule without exceptions covers everything below it".to_owned(),
            )
        } else {
            Opinion {
                answer: Answer::Allow,
                ..Opinion::refuse(RuleName::Fixed("subtree-covered"), String::new())
            }
        };
        let with = Circumstances {
            detail: with.detail.or(Some("and everything below")),
            ..*with
        };
        self.record(
            subject,
            Kind::Filesystem,
            access,
            path,
            opinion,
            generation,
            &with,
        )
    }

    /// The refusal, on record, of an HTTP request that was allowed by name and leads to `address`.
    pub fn decide_http_address(
        &self,
        subject: &Subject,
        host: &str,
        address: SocketAddr,
    ) -> Option<Decided> {
        let by_name = host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        let address = canonical_socket(address);
        let generation = self.generation.current();
        if !by_name
            || is_global(address.ip())
            || self
                .rules
                .load()
                .lists_http_address(subject, host, address.ip())
        {
            return None;
        }
        let reason = format!(
            "{host} leads to {address}, which no rule lists and is not of the public internet"
        );
        let opinion = Opinion::refuse(RuleName::Fixed("address-not-allowed"), reason);
        let target = format!("{host}:{}", address.port());
        let detail = address.to_string();
        let with = Circumstances {
            detail: Some(&detail),
            ..Circumstances::default()
        };
        Some(self.record(
            subject,
            Kind::Network,
            1,
            target.as_bytes(),
            opinion,
            generation,
            &with,
        ))
    }

    /// What the rules say of an access, and which of them; nothing is recorded.
    pub fn explain(&self, subject: &Subject, request: &Request<'_>) -> Explained {
        let rules = self.rules.load();
        let (verdict, considered) = rules.explain(subject, request);
        let opinion = judge(&rules, subject, request, &Circumstances::default());
        Explained {
            answer: opinion.answer,
            rule: opinion.rule,
            reason: opinion.reason,
            position: rules
                .rule_of(&verdict)
                .and_then(|rule| rule.position.clone()),
            considered: considered
                .into_iter()
                .map(|(rule, reason)| (Arc::clone(&rule.id), rule.effect, reason))
                .collect(),
        }
    }

    /// Record what a principal says itself, marked as its word, as long as it does not say too much.
    pub fn say(&self, subject: &Subject, event: &str, detail: &str) -> Said {
        let budget = {
            let mut saying = self.saying.lock().unwrap_or_else(PoisonError::into_inner);
            if saying.len() >= MOST_SAYING && !saying.contains_key(&subject.id) {
                // Nobody whose budget is not full again is forgotten.
                saying.retain(|_, budget| !budget.is_full());
            }
            if saying.len() >= MOST_SAYING && !saying.contains_key(&subject.id) {
                return Said::TooMany;
            }
            Arc::clone(
                saying
                    .entry(subject.id.clone())
                    .or_insert_with(|| Arc::new(Budget::new(SAID_RATE, SAID_BURST))),
            )
        };
        if !budget.try_take() {
            return Said::TooMany;
        }
        let appended = self.audit.append(&Entry {
            subject: Some(subject),
            operation: ("guest", "says"),
            target: event.as_bytes(),
            requested: None,
            decision: "said",
            rule: "",
            enforcement: "",
            detail: Some(detail),
            approved_by: None,
            alarm: false,
            coalesce: false,
        });
        match appended {
            Ok(_) => Said::Recorded,
            Err(error) => {
                tracing::error!(%error, "what a component said could not be recorded");
                Said::Unavailable
            }
        }
    }

    /// Wait until the record of a decision is durable, where that was asked for; on failure it is refused.
    pub fn wait(&self, mut decided: Decided) -> Decided {
        if let Some(sequence) = decided.wait_for.take()
            && let Err(error) = self.audit.wait_durable(sequence)
        {
            decided.answer = Answer::Deny;
            decided.rule = RuleName::Fixed("audit-unavailable");
            decided.reason = error.to_string();
        }
        decided
    }

    /// The accesses that a principal used while it was learning.
    pub fn learned(&self, principal: &str) -> Vec<(Kind, &'static str, Vec<u8>)> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let used = learned.get(principal).into_iter().flatten();
        used.map(|(kind, access, target)| (*kind, access_name(*kind, *access), target.clone()))
            .collect()
    }

    fn learn(&self, subject: &Subject, request: &Request<'_>) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let used = learned.entry(subject.name.clone()).or_default();
        if used.len() < MOST_LEARNED {
            used.insert((request.kind, request.access, request.target.text.to_vec()));
        }
    }

    fn record(
        &self,
        subject: &Subject,
        kind: Kind,
        access: AccessBits,
        target: &[u8],
        opinion: Opinion,
        generation: u64,
        with: &Circumstances<'_>,
    ) -> Decided {
        let decision = match opinion.answer {
            Answer::Allow if opinion.observed => "observed",
            Answer::Allow => "allow",
            Answer::Deny => "deny",
            Answer::Ask => "ask",
        };
        let appended = self.audit.append(&Entry {
            subject: Some(subject),
            operation: (kind.name(), access_name(kind, access)),
            target,
            requested: with.requested,
            decision,
            rule: opinion.rule.as_str(),
            enforcement: subject.effective_enforcement().name(),
            detail: with.detail,
            approved_by: with.approved_by.filter(|_| opinion.approved),
            alarm: opinion.alarm,
            coalesce: opinion.answer == Answer::Deny,
        });
        match appended {
            Ok(Appended {
                sequence,
                delay,
                wait_for,
            }) => {
                let must = with.must_audit || opinion.must_audit;
                Decided {
                    answer: opinion.answer,
                    rule: opinion.rule,
                    reason: opinion.reason,
                    sequence,
                    observed: opinion.observed,
                    alarm: opinion.alarm,
                    delay,
                    generation,
                    wait_for: if must && sequence != 0 {
                        Some(sequence)
                    } else {
                        wait_for
                    },
                }
            }
            Err(error) => unrecorded(&error, opinion.alarm, generation),
        }
    }
}

fn unrecorded(error: &AuditError, alarm: bool, generation: u64) -> Decided {
    Decided {
        answer: Answer::Deny,
        rule: RuleName::Fixed("audit-unavailable"),
        reason: error.to_string(),
        sequence: 0,
        observed: false,
        alarm,
        delay: Duration::ZERO,
        generation,
        wait_for: None,
    }
}

/// Why rules were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// An answer with its grounds.
#[derive(Clone, Debug)]
pub struct Explained {
    pub answer: Answer,
    pub rule: RuleName,
    pub reason: String,
    pub position: Option<String>,
    pub considered: Vec<(Arc<str>, super::rules::Effect, Reason)>,
}

struct Opinion {
    answer: Answer,
    rule: RuleName,
    reason: String,
    observed: bool,
    approved: bool,
    alarm: bool,
    must_audit: bool,
}

impl Opinion {
    fn unrecorded(self, generation: u64) -> Decided {
        Decided {
            answer: self.answer,
            rule: self.rule,
            reason: self.reason,
            sequence: 0,
            observed: self.observed,
            alarm: self.alarm,
            delay: Duration::ZERO,
            generation,
            wait_for: None,
        }
    }

    fn refuse(rule: RuleName, reason: String) -> Opinion {
        Opinion {
            answer: Answer::Deny,
            rule,
            reason,
            observed: false,
            approved: false,
            alarm: false,
            must_audit: false,
        }
    }
}

fn judge(
    rules: &RuleSet,
    subject: &Subject,
    request: &Request<'_>,
    with: &Circumstances<'_>,
) -> Opinion {
    if let Some(bar) = with.barred {
        return Opinion::refuse(RuleName::Fixed(bar.rule), bar.reason.to_owned());
    }
    let mut opinion = judge_for(rules, subject, subject, request, with);
    let acts_for_caller =
        opinion.answer != Answer::Deny && request.kind.guards_against_deputies(request.access);
    if acts_for_caller && let Some(caller) = subject.original_caller() {
        let verdict = rules.decide(subject, request);
        let acts_as_self = rules.rule_of(&verdict).is_some_and(|rule| rule.act_as_self);
        let theirs = judge_for(rules, caller, subject, request, with);
        if !acts_as_self && theirs.answer != Answer::Allow {
            opinion.must_audit |= theirs.must_audit;
            opinion.alarm |= theirs.alarm;
            opinion.observed = false;
            if opinion.answer == Answer::Allow || theirs.answer == Answer::Deny {
                opinion.answer = theirs.answer;
                opinion.rule = theirs.rule;
                opinion.reason = format!(
                    "the original caller `{}` does not hold the right: {}",
                    caller.name, theirs.reason
                );
            }
        }
    }
    opinion
}

/// What the rules say of `request` by `who`, enforced as for `subject` and its callers.
fn judge_for(
    rules: &RuleSet,
    who: &Subject,
    subject: &Subject,
    request: &Request<'_>,
    with: &Circumstances<'_>,
) -> Opinion {
    let verdict = rules.decide(who, request);
    let rule = rules.rule_of(&verdict);
    let named = |rule: Option<&Rule>| match rule {
        Some(rule) => RuleName::Written(Arc::clone(&rule.id)),
        None => BY_DEFAULT,
    };
    let mut opinion = Opinion {
        answer: Answer::Allow,
        rule: named(rule),
        reason: String::new(),
        observed: false,
        approved: false,
        alarm: verdict.alarm,
        must_audit: verdict.must_audit,
    };
    match verdict.outcome {
        Outcome::Allow => {}
        Outcome::Deny => {
            opinion.answer = Answer::Deny;
            "a rule denies it".clone_into(&mut opinion.reason);
        }
        Outcome::RuleError => {
            opinion.answer = Answer::Deny;
            let id = rule.map_or("", |rule| &rule.id);
            opinion.rule = RuleName::Fixed("rule-error");
            opinion.reason = format!("the condition of rule `{id}` could not be decided");
        }
        Outcome::RequireApproval if with.approved_by.is_some() => opinion.approved = true,
        Outcome::RequireApproval => {
            opinion.answer = Answer::Ask;
            "a rule requires approval".clone_into(&mut opinion.reason);
        }
        Outcome::NotGranted => {
            let (name, reason) = verdict
                .lack
                .map_or(("default-deny", "no rule grants it"), |lack| {
                    (lack.rule(), lack.text())
                });
            opinion.rule = RuleName::Fixed(name);
            reason.clone_into(&mut opinion.reason);
            opinion.observed = subject.effective_enforcement() != Enforcement::Enforce
                && request.kind.may_be_observed(request.access);
            if !opinion.observed {
                opinion.answer = Answer::Deny;
            }
        }
    }
    opinion
}

/// The name of one access of a kind.
pub fn access_name(kind: Kind, access: AccessBits) -> &'static str {
    kind.accesses()
        .get(access.trailing_zeros() as usize)
        .copied()
        .unwrap_or("other")
}

/// Begin a new generation whenever a rule of `rules` expires, as long as they are in force. Looks once a
/// second, because the wall clock may be set.
fn advance_on_expiry(authority: Weak<Authority>, rules: Weak<RuleSet>) {
    let watch = move || {
        let mut remaining = rules.upgrade().map_or(0, |rules| rules.unexpired());
        loop {
            let Some(next) = rules.upgrade().and_then(|rules| rules.next_expiry()) else {
                // The last rule expired, or the rules were replaced.
                if let Some(authority) = authority.upgrade() {
                    authority.generation.advance();
                }
                return;
            };
            std::thread::sleep(next.min(Duration::from_secs(1)));
            let left = rules.upgrade().map_or(0, |rules| rules.unexpired());
            if left != remaining
                && let Some(authority) = authority.upgrade()
            {
                authority.generation.advance();
            }
            remaining = left;
        }
    };
    // Without the thread rules still expire for new accesses; only what is open would not be looked at.
    if let Err(error) = std::thread::Builder::new()
        .name("airssys-expiry".to_owned())
        .spawn(watch)
    {
        tracing::error!(%error, "no thread for expiring rules");
    }
}
