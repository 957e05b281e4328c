//! The way into the mailbox, and out of it to the dead letters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cell, locked};
use crate::plane::ask::Outcome;
use crate::plane::events::Event;
use crate::plane::failure::{Failure, Reason};
use crate::plane::mailbox::{Aftermath, Callback, Envelope, Source};

impl Cell {
    pub(in crate::plane) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(in crate::plane) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(in crate::plane) fn offer(
        self: &Arc<Self>,
        envelope: Arc<Envelope>,
        may_wait: bool,
    ) -> Result<bool, Failure> {
        let mut aftermath = Aftermath::default();
        let accepted = locked(&self.mailbox).offer(envelope, may_wait, &mut aftermath);
        self.settle(aftermath);
        if let Ok(true) = accepted {
            self.wake();
        }
        accepted
    }

    /// The outcome of an `ask-async` of incarnation `incarnation`.
    pub(in crate::plane) fn call_back(
        self: &Arc<Self>,
        incarnation: u64,
        correlation: u64,
        outcome: Outcome,
    ) {
        let living = {
            let life = locked(&self.life);
            life.incarnation == incarnation || life.successor == Some(incarnation)
        };
        if !living {
            return;
        }
        locked(&self.mailbox).call_back(Callback {
            incarnation,
            correlation,
            outcome,
        });
        self.wake();
    }

    pub(super) fn settle(&self, mut aftermath: Aftermath) {
        if aftermath.is_empty() {
            return;
        }
        aftermath.tell_admitted();
        for (envelope, reason) in aftermath.dead {
            self.bury(envelope, reason, None, None);
        }
    }

    /// Tell whoever asked, and the observer, that a message is dead.
    pub(in crate::plane) fn bury(
        &self,
        envelope: Arc<Envelope>,
        reason: Reason,
        failure: Option<Failure>,
        error: Option<String>,
    ) {
        if let Source::Timer(timer) = envelope.source {
            self.timer_taken(timer);
        }
        if let Some(ask) = envelope.reply() {
            ask.complete(Err(failure.unwrap_or(match reason {
                Reason::Stopped => Failure::Stopped,
                Reason::Expired => Failure::Timeout,
                reason => Failure::Dropped(reason),
            })));
        }
        self.shared.tell(Event::Dead {
            address: self.address.text.clone(),
            incarnation: self.incarnation(),
            reason,
            envelope,
            error,
        });
    }

    /// Messages in the mailbox.
    #[must_use]
    pub fn queued(&self) -> usize {
        locked(&self.mailbox).queued().iter().sum()
    }
}
