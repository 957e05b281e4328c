//! Records in which a principal says something itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::audit::Entry;
use super::super::subject::{Budget, Subject};
use super::Authority;

/// What became of a principal's own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Recorded,
    TooMany,
    Unavailable,
}

/// What a principal may write of its own: records a second, and at once.
const SAID_RATE: f64 = 50.0;
const SAID_BURST: f64 = 100.0;
/// How many principals may be writing at the same time.
const MOST_SAYING: usize = 100_000;

/// How much each principal may still say, by its id.
#[derive(Debug, Default)]
pub(super) struct Saying(Mutex<HashMap<String, Arc<Budget>>>);

impl Saying {
    /// The budget of `subject`; none where too many are writing.
    fn of(&self, subject: &Subject) -> Option<Arc<Budget>> {
        let mut saying = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if saying.len() >= MOST_SAYING && !saying.contains_key(&subject.id) {
            // Nobody whose budget is not full again is forgotten.
            saying.retain(|_, budget| !budget.is_full());
        }
        if saying.len() >= MOST_SAYING && !saying.contains_key(&subject.id) {
            return None;
        }
        let budget = saying
            .entry(subject.id.clone())
            .or_insert_with(|| Arc::new(Budget::new(SAID_RATE, SAID_BURST)));
        Some(Arc::clone(budget))
    }
}

impl Authority {
    /// Record what a principal says itself, marked as its word, as long as it does not say too much.
    pub fn say(&self, subject: &Subject, event: &str, detail: &str) -> Said {
        let budget = self.saying.of(subject);
        if !budget.is_some_and(|budget| budget.try_take()) {
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
}
