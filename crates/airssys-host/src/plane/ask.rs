//! A wait for something of another's: an answer, room in a mailbox, the end of a command.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::cell::Cell;
use super::failure::{Failure, Reason};
use super::timers::{Due, Entry, Timers};

/// What a component says of its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub status: &'static str,
    pub detail: String,
}

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub name: String,
    pub version: String,
    pub description: String,
    pub accepts: Vec<u64>,
}

/// What was waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A reply, with its payload if it has one.
    Payload(Option<Bytes>),
    Health(Health),
    Metadata(Metadata),
    /// How something ended: `normal` or `killed`.
    Ended(&'static str),
    /// Done; there is nothing to tell.
    Done,
}

pub type Outcome = Result<Answer, Failure>;

/// Told of an outcome outside the plane. Called on any thread, with none of the plane's locks held.
pub trait Foreign: Send + Sync + 'static {
    fn done(&self, token: u64, outcome: Outcome);
}

/// Who waits.
pub enum Waiter {
    /// Whoever looks later.
    Nobody,
    /// The actor's own call, suspended in a host function. It minds the deadline itself, by the one wake-up that its
    /// actor has for all that it waits for.
    Guest(Arc<Cell>),
    /// The actor's `handle-callback`.
    Callback {
        cell: Arc<Cell>,
        incarnation: u64,
        correlation: u64,
    },
    Foreign(Arc<dyn Foreign>, u64),
}

/// Counts of the requests to one receiver: `asked = answered + failed + expired + cancelled + pending`.
#[derive(Default)]
pub(super) struct Desk {
    pub asked: AtomicU64,
    pub answered: AtomicU64,
    pub failed: AtomicU64,
    pub expired: AtomicU64,
    pub cancelled: AtomicU64,
    pub pending: AtomicU64,
    pub late: AtomicU64,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reply,
    /// That the message was accepted.
    Room,
    Command,
}

enum State {
    Pending(Waiter, Option<Entry>),
    Done(Outcome),
    /// The outcome was handed over.
    Taken,
}

/// One wait; completed once, by whoever comes first.
pub struct Ask {
    pub(super) kind: Kind,
    /// Plane time; `u64::MAX` without a bound.
    pub deadline: u64,
    desk: Arc<Desk>,
    timers: Arc<Timers>,
    state: Mutex<State>,
}

impl Ask {
    /// Begin to wait; counted at `desk`, expired by `timers` unless the waiter minds that.
    pub(super) fn begin(
        kind: Kind,
        deadline: u64,
        desk: &Arc<Desk>,
        timers: &Arc<Timers>,
        waiter: Waiter,
    ) -> Arc<Self> {
        let timed = deadline != u64::MAX && !matches!(waiter, Waiter::Guest(_));
        let ask = Arc::new(Self {
            kind,
            deadline,
            desk: desk.clone(),
            timers: timers.clone(),
            state: Mutex::new(State::Pending(waiter, None)),
        });
        if kind == Kind::Reply {
            desk.asked.fetch_add(1, Ordering::Relaxed);
            desk.pending.fetch_add(1, Ordering::Relaxed);
        }
        if timed {
            let entry = timers.insert(deadline, Due::Expire(Arc::downgrade(&ask)));
            let mut state = ask.state();
            if let State::Pending(_, timer) = &mut *state {
                *timer = Some(entry);
            }
        }
        ask
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }

    #[must_use]
    pub fn is_done(&self) -> bool {
        !matches!(*self.state(), State::Pending(..))
    }

    /// Undo the beginning: the request was not accepted, so it was never asked.
    pub(super) fn withdraw(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Taken);
        if let State::Pending(_, timer) = before {
            self.forget_timer(timer);
            if self.kind == Kind::Reply {
                self.desk.asked.fetch_sub(1, Ordering::Relaxed);
                self.desk.pending.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn forget_timer(&self, timer: Option<Entry>) {
        if let Some(entry) = timer {
            self.timers.remove(entry);
        }
    }

    /// End the wait. False if it had ended before.
    pub fn complete(&self, outcome: Outcome) -> bool {
        let (waiter, timer, outcome) = {
            let mut state = self.state();
            let State::Pending(..) = &*state else {
                drop(state);
                if self.kind == Kind::Reply && outcome.is_ok() {
                    self.desk.late.fetch_add(1, Ordering::Relaxed);
                }
                return false;
            };
            let State::Pending(waiter, timer) = std::mem::replace(&mut *state, State::Taken) else {
                unreachable!("looked at above")
            };
            if self.kind == Kind::Reply {
                self.count(&outcome);
            }
            let outcome = match waiter {
                Waiter::Nobody | Waiter::Guest(_) => {
                    *state = State::Done(outcome);
                    None
                }
                Waiter::Callback { .. } | Waiter::Foreign(..) => Some(outcome),
            };
            (waiter, timer, outcome)
        };
        self.forget_timer(timer);
        match (waiter, outcome) {
            (Waiter::Guest(cell), _) => cell.wake(),
            (
                Waiter::Callback {
                    cell,
                    incarnation,
                    correlation,
                },
                Some(outcome),
            ) => cell.call_back(incarnation, correlation, outcome),
            (Waiter::Foreign(foreign, token), Some(outcome)) => foreign.done(token, outcome),
            _ => {}
        }
        true
    }

    fn count(&self, outcome: &Outcome) {
        let desk = &self.desk;
        let counter = match outcome {
            Ok(_) => &desk.answered,
            Err(Failure::Timeout | Failure::Dropped(Reason::Expired)) => &desk.expired,
            Err(Failure::Cancelled | Failure::Dropped(Reason::Cancelled)) => &desk.cancelled,
            Err(_) => &desk.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        desk.pending.fetch_sub(1, Ordering::Relaxed);
    }

    /// Nobody waits any more. False if it had ended before.
    pub fn cancel(&self) -> bool {
        {
            let mut state = self.state();
            if let State::Pending(waiter, _) = &mut *state {
                *waiter = Waiter::Nobody;
            }
        }
        self.complete(Err(Failure::Cancelled))
    }

    /// The outcome, once, for whoever looks.
    pub fn take(&self) -> Option<Outcome> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => Some(outcome),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The outcome if there is one; else `foreign` will be told.
    pub fn take_or_tell(&self, foreign: Arc<dyn Foreign>, token: u64) -> Option<Outcome> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => Some(outcome),
            State::Pending(_, timer) => {
                *state = State::Pending(Waiter::Foreign(foreign, token), timer);
                None
            }
            State::Taken => None,
        }
    }
}
