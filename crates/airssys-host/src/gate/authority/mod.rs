//! Deciding and recording: rules, enforcement and the audit log put together.

mod decided;
mod expiry;
mod loading;
mod opinion;
mod saying;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use self::expiry::ExpiryWatch;
use self::opinion::{BY_DEFAULT, Opinion, judge};
use self::saying::Saying;
use super::Generation;
use super::address::{canonical_socket, is_global};
use super::audit::{Appended, AuditError, AuditLog, Entry};
use super::condition::Attributes;
use super::kind::{AccessBits, Kind};
use super::matcher::{Request, RuleSet};
use super::reserved::Reserved;
use super::subject::{Enforcement, Subject};
use super::target::{Domain, Target};

pub use decided::{Answer, Circumstances, Decided, Explained, RuleName};
pub use loading::LoadError;
pub use saying::Said;

/// Everything that decides: one for a host.
#[derive(Debug)]
pub struct Authority {
    /// Never another's in this process.
    number: u64,
    rules: ArcSwap<RuleSet>,
    /// Held by whoever makes new rules of those in force.
    change: Mutex<()>,
    expiry: Arc<ExpiryWatch>,
    generation: Generation,
    audit: Arc<AuditLog>,
    reserved: ArcSwap<Reserved>,
    learned: Mutex<BTreeMap<String, Learned>>,
    saying: Saying,
}

/// What one principal used while learning.
type Learned = BTreeSet<(Kind, AccessBits, Vec<u8>)>;

/// The most accesses remembered of one principal that learns.
const MOST_LEARNED: usize = 10_000;

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
            change: Mutex::default(),
            expiry: Arc::default(),
            generation: Generation::default(),
            audit,
            reserved: ArcSwap::from_pointee(reserved),
            learned: Mutex::default(),
            saying: Saying::default(),
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

    pub fn reserved(&self) -> Guard<Arc<Reserved>> {
        self.reserved.load()
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
            let own = rules.of(subject);
            own.subtree_rule(&request).is_some_and(|rule| {
                rule.act_as_self
                    || subject
                        .original_caller()
                        .is_none_or(|caller| rules.of(caller).covers_subtree(&request))
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
                .of(subject)
                .lists_http_address(host, address.ip())
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
        let own = rules.of(subject);
        let (verdict, considered) = own.explain(request);
        let opinion = judge(&rules, subject, request, &Circumstances::default());
        Explained {
            answer: opinion.answer,
            rule: opinion.rule,
            reason: opinion.reason,
            position: own.rule_of(&verdict).and_then(|rule| rule.position.clone()),
            considered: considered
                .into_iter()
                .map(|(rule, reason)| (Arc::clone(&rule.id), rule.effect, reason))
                .collect(),
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

/// The name of one access of a kind.
pub fn access_name(kind: Kind, access: AccessBits) -> &'static str {
    kind.accesses()
        .get(access.trailing_zeros() as usize)
        .copied()
        .unwrap_or("other")
}
