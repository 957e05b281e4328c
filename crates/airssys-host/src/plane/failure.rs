//! Why a message did not arrive, an ask has no answer, or an actor is no more.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::route::Outcome;

/// Why a message that was accepted was never handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    NoActor,
    Stopped,
    Overflow,
    Expired,
    Rejected,
    Killed,
    Undecodable,
    Unhandled,
    Failed,
    Cancelled,
    Stale,
}

impl Reason {
    pub const ALL: [Self; 11] = [
        Self::NoActor,
        Self::Stopped,
        Self::Overflow,
        Self::Expired,
        Self::Rejected,
        Self::Killed,
        Self::Undecodable,
        Self::Unhandled,
        Self::Failed,
        Self::Cancelled,
        Self::Stale,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoActor => "no_actor",
            Self::Stopped => "stopped",
            Self::Overflow => "overflow",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Killed => "killed",
            Self::Undecodable => "undecodable",
            Self::Unhandled => "unhandled",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Stale => "stale",
        }
    }

    /// What happened to the message, for whoever waits for it.
    const fn explained(self) -> &'static str {
        match self {
            Self::NoActor => "nobody has the address any more",
            Self::Stopped => "the actor was stopped before it came to it",
            Self::Overflow => "the mailbox was full and makes room by dropping messages",
            Self::Expired => "its time was over before it was delivered",
            Self::Rejected => "it was rejected before the actor saw it",
            Self::Killed => "the actor was killed while it handled it",
            Self::Undecodable => {
                "the actor could not read the payload; the dead letter has its words"
            }
            Self::Unhandled => {
                "the actor does not know such a message; the dead letter has its words"
            }
            Self::Failed => "the actor failed",
            Self::Cancelled => "it was cancelled",
            Self::Stale => "the incarnation that was to answer it has ended",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// Why a send, an ask or a command came to nothing.
#[derive(Clone, Debug)]
pub enum Failure {
    NoActor,
    Stopped,
    MailboxFull,
    Timeout,
    /// The rule that refused it.
    NotPermitted(String),
    WaitCycle(Vec<Arc<str>>),
    CodecMismatch {
        sent: u64,
        accepted: Vec<u64>,
    },
    InvalidPayload(String),
    TooLarge {
        size: u64,
        limit: u64,
    },
    Cancelled,
    /// The receiver failed while it handled the request.
    Failed(String),
    Refused(String),
    Dropped(Reason),
    TooMany,
    NotAnActor,
    UnknownToken,
    InvalidAddress(String),
    NameTaken,
    /// The component does not export what is needed.
    NoExport(&'static str),
    /// What is asked for is not possible in this state.
    State(&'static str),
    /// The incarnation did not come to life.
    StartFailed(Ending),
    Killed,
    Closed,
}

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoActor => f.write_str("nobody has this address"),
            Self::Stopped => f.write_str("the actor was stopped"),
            Self::MailboxFull => f.write_str("the lane of the mailbox has no room"),
            Self::Timeout => f.write_str("the time is over"),
            Self::NotPermitted(rule) => write!(f, "not permitted: {rule}"),
            Self::WaitCycle(cycle) => write!(
                f,
                "waiting here would close a circle of actors that wait for each other: {}",
                cycle.join(" -> ")
            ),
            Self::CodecMismatch { sent, accepted } => write!(
                f,
                "the receiver does not accept the codec {sent:#x}; it accepts {accepted:#x?}"
            ),
            Self::InvalidPayload(reason) => write!(f, "not a payload: {reason}"),
            Self::TooLarge { size, limit } => write!(
                f,
                "the payload has {size} bytes, the receiver takes at most {limit}"
            ),
            Self::Cancelled => f.write_str("the ask was cancelled"),
            Self::Failed(reason) => {
                write!(f, "the actor failed while it handled the request: {reason}")
            }
            Self::Refused(reason) => write!(f, "the request was refused: {reason}"),
            Self::Dropped(reason) => {
                let (name, why) = (reason.name(), reason.explained());
                write!(f, "the request was dropped unanswered ({name}): {why}")
            }
            Self::TooMany => f.write_str("too many requests of this actor are open"),
            Self::NotAnActor => f.write_str("this instance is not an actor and has no mailbox"),
            Self::UnknownToken => f.write_str("no open request has this token"),
            Self::InvalidAddress(reason) => f.write_str(reason),
            Self::NameTaken => f.write_str("a living actor has this address"),
            Self::NoExport(interface) => write!(f, "the component does not export {interface}"),
            Self::State(state) => write!(f, "not possible while the actor is {state}"),
            Self::StartFailed(ending) => write!(f, "the actor did not start: {ending}"),
            Self::Killed => f.write_str("the actor was killed"),
            Self::Closed => f.write_str("the plane is closed"),
        }
    }
}

/// How an incarnation ended, other than by a stop.
#[derive(Clone, Debug)]
pub struct Ending {
    pub kind: EndingKind,
    pub message: String,
    /// The guest's function that ran, where one did.
    pub function: &'static str,
    /// What the engine said, where it did.
    pub error: Option<Arc<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndingKind {
    Trap,
    Limit,
    Exit,
    /// The guest said that it failed.
    Error,
    /// It could not be made.
    Start,
    Killed,
}

impl EndingKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Limit => "limit",
            Self::Exit => "exit",
            Self::Error => "error",
            Self::Start => "start",
            Self::Killed => "killed",
        }
    }
}

impl Ending {
    pub(super) fn of(error: Error, function: &'static str) -> Self {
        let kind = match &error {
            Error::Trap(_) | Error::HostFunction => EndingKind::Trap,
            Error::Limit(_) => EndingKind::Limit,
            Error::Exit(_) => EndingKind::Exit,
            _ => EndingKind::Start,
        };
        Self {
            kind,
            message: error.to_string(),
            function,
            error: Some(Arc::new(error)),
        }
    }

    pub(super) fn said(message: String, function: &'static str) -> Self {
        Self {
            kind: EndingKind::Error,
            message,
            function,
            error: None,
        }
    }

    /// Whether the guest trapped, or left in the midst of a call.
    pub(super) fn is_trap(&self) -> bool {
        let of = |error: &Arc<Error>| Outcome::of(error) == Outcome::Trap;
        self.error.as_ref().is_some_and(of)
    }

    pub(super) fn killed() -> Self {
        Self {
            kind: EndingKind::Killed,
            message: "it was killed".into(),
            function: "",
            error: None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message, self.kind.name())?;
        if !self.function.is_empty() {
            write!(f, " in {}", self.function)?;
        }
        f.write_str(")")
    }
}
