//! Accesses that wait for a person, and what people agreed to.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::authority::{Answer, Authority};
use super::super::condition::Attributes;
use super::super::kind::{AccessBits, Kind};
use super::super::subject::Subject;
use super::described::Described;

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

/// How many approvals are remembered; beyond that people are asked again.
const MOST_APPROVED: usize = 1024;

/// What was agreed to, by whom, in one generation: a change of rules ends it.
#[derive(Default)]
pub(super) struct Approved {
    pub generation: u64,
    pub by: HashMap<Matter, String>,
}

/// What was agreed to: the access, and for whom.
pub(super) type Matter = (Kind, AccessBits, Vec<u8>, Option<Chain>);
/// The names of a chain of callers.
pub(super) type Chain = Vec<String>;

pub(super) fn chain_of(subject: &Subject) -> Option<Chain> {
    let callers = subject.callers.as_deref()?;
    Some(callers.names().map(str::to_owned).collect())
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

/// An access that waits for a person.
pub(super) struct Question {
    pub authority: Arc<Authority>,
    pub subject: Arc<Subject>,
    pub approved: Arc<Mutex<Approved>>,
    pub described: Described,
    /// Of the rules that said to ask.
    pub generation: u64,
}

impl Question {
    /// Whether to decide the access anew: somebody agreed, or the rules no longer leave it to anybody.
    pub async fn settled(mut self, mut answer: Answered) -> bool {
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
