//! The gate of one principal over the compiled rules and the log.

mod described;
mod question;

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, fstat, statat};
use rustix::io::Errno;

use self::described::Described;
use self::question::{Approved, Question, chain_of};
use super::authority::{Answer, Authority, Circumstances, Decided, Explained, Said};
use super::callers::Acting;
use super::condition::Attributes;
use super::kind::Kind;
use super::subject::Subject;
use super::{
    Access, At, Bar, Decision, Denial, FileAccess, Gate, Generation, RESERVED, WITHOUT_EFFECTS,
};

pub(crate) use described::text_of;
pub use question::{Answered, Approver};

const UNKNOWN: Bar = Bar {
    rule: "unknown-object",
    reason: "what stands there cannot be examined, or was moved meanwhile",
};

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
        // Mostly nothing is owed, and looking is cheaper than taking.
        match self.pause.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            _ => Duration::from_micros(self.pause.swap(0, Ordering::Relaxed)),
        }
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
        self.authority.rules().of(&self.subject()).rights()
    }

    /// Record what the subject itself says.
    pub fn say(&self, event: &str, detail: &str) -> Said {
        self.authority.say(&self.subject(), event, detail)
    }

    /// A decision whose record is as durable as it must be before the effect.
    fn finished(&self, decided: Decided) -> Decided {
        if !decided.delay.is_zero() {
            let owed = u64::try_from(decided.delay.as_micros()).unwrap_or(u64::MAX);
            self.pause.fetch_max(owed, Ordering::Relaxed);
        }
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
            At::Looked(object, looked) => reserved.holds_looked(object, path, looked),
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
            At::Object(object) | At::Looked(object, _) => fstat(object),
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

#[cfg(test)]
mod tests;
