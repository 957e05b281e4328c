//! What the incarnation does next: requests, a stop and a suspension come before messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::requests::Request;
use super::stopping::ShutdownReason;
use super::{Cell, locked};
use crate::plane::ask::{Answer, Ask, Health};
use crate::plane::events::Stage;
use crate::plane::failure::Reason;
use crate::plane::mailbox::{Aftermath, Callback, Envelope, Next};

/// What an incarnation does next.
pub(in crate::plane) enum Step {
    Message(Arc<Envelope>),
    Callback(Callback),
    Request(Request, Arc<Ask>),
    Stop(ShutdownReason),
    /// Nothing to do until woken.
    Wait,
    /// Others have their turn first.
    GiveWay,
}

impl Cell {
    /// The incarnation takes messages from now on.
    pub(in crate::plane) fn started(&self) {
        let (starting, suspended) = {
            let mut life = locked(&self.life);
            life.started_at = self.shared.clock.now();
            life.health = Health {
                status: "unknown",
                detail: String::new(),
            };
            (life.starting.take(), life.suspended)
        };
        let stopping = locked(&self.life).stopping.is_some();
        self.set_stage(match (stopping, suspended) {
            (true, _) => Stage::Stopping,
            (false, true) => Stage::Suspended,
            (false, false) => Stage::Running,
        });
        if let Some(ask) = starting {
            ask.complete(Ok(Answer::Done));
        }
    }

    /// What comes next; messages do not while they are `held`. `finished` tells what became of the last message.
    pub(in crate::plane) fn next(
        &self,
        now: u64,
        held: bool,
        finished: &mut Option<Option<Reason>>,
    ) -> Step {
        if self.attention.load(Ordering::Acquire)
            && let Some(step) = self.attend(finished)
        {
            return step;
        }
        let mut aftermath = Aftermath::default();
        let budget = self.budget.load(Ordering::Relaxed);
        let next = {
            let mut mailbox = locked(&self.mailbox);
            if let Some(dead) = finished.take() {
                mailbox.finish(dead);
            }
            if held {
                return Step::Wait;
            }
            if budget == 0 {
                if mailbox.is_empty() {
                    return Step::Wait;
                }
                return Step::GiveWay;
            }
            mailbox.next(now, &mut aftermath)
        };
        self.settle(aftermath);
        let Some(next) = next else { return Step::Wait };
        self.budget.store(budget - 1, Ordering::Relaxed);
        match next {
            Next::Message(envelope) => Step::Message(envelope),
            Next::Callback(callback) => Step::Callback(callback),
        }
    }

    /// Requests, a stop and a suspension come before messages.
    fn attend(&self, finished: &mut Option<Option<Reason>>) -> Option<Step> {
        let empty = {
            let mut mailbox = locked(&self.mailbox);
            if let Some(dead) = finished.take() {
                mailbox.finish(dead);
            }
            mailbox.is_empty()
        };
        let mut life = locked(&self.life);
        while let Some((request, ask)) = life.requests.pop_front() {
            if !ask.is_done() {
                return Some(Step::Request(request, ask));
            }
        }
        if let Some(stopping) = &life.stopping
            && (!stopping.drain || empty)
        {
            return Some(Step::Stop(stopping.reason));
        }
        if life.suspended && life.stopping.is_none() {
            return Some(Step::Wait);
        }
        if life.stopping.is_none() {
            self.attention.store(false, Ordering::Release);
        }
        None
    }

    /// Tell what became of the last message when nothing follows it.
    pub(in crate::plane) fn finish(&self, finished: &mut Option<Option<Reason>>) {
        if let Some(dead) = finished.take() {
            locked(&self.mailbox).finish(dead);
        }
    }

    /// Deliver nothing until resumed.
    pub fn suspend(&self) {
        let running = {
            let mut life = locked(&self.life);
            life.suspended = true;
            life.stage == Stage::Running
        };
        self.attention.store(true, Ordering::Release);
        if running {
            self.set_stage(Stage::Suspended);
        }
    }

    pub fn resume(self: &Arc<Self>) {
        let suspended = {
            let mut life = locked(&self.life);
            life.suspended = false;
            life.stage == Stage::Suspended
        };
        if suspended {
            self.set_stage(Stage::Running);
        }
        self.wake();
    }
}
