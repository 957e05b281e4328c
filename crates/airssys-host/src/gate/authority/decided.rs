//! Decisions, and what they are made of.

use std::sync::Arc;
use std::time::Duration;

use super::super::Bar;
use super::super::matcher::Reason;
use super::super::rules::Effect;

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

/// An answer with its grounds.
#[derive(Clone, Debug)]
pub struct Explained {
    pub answer: Answer,
    pub rule: RuleName,
    pub reason: String,
    pub position: Option<String>,
    pub considered: Vec<(Arc<str>, Effect, Reason)>,
}
