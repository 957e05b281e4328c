//! What an incarnation that is gone leaves: what it held is released, what it handled dies, and who waits is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::orders::{How, Order};
use super::stopping::Stopping;
use super::{Cell, locked};
use crate::plane::ask::{Answer, Ask};
use crate::plane::events::{Event, Stage};
use crate::plane::failure::{Ending, Failure, Reason};
use crate::plane::incarnation::End;
use crate::plane::mailbox::Aftermath;
use crate::plane::target::Target;
use crate::plane::timers::Entry;

impl Cell {
    /// An incarnation is gone; what it held is released and what it handled dies.
    pub(super) fn ended(self: &Arc<Self>, end: End) {
        *locked(&self.waits_for) = None;
        let (reason, failure, ending) = match &end {
            End::Stopped => (Reason::Stopped, Failure::Stopped, None),
            End::Failed(ending) | End::NotStarted(ending) => (
                Reason::Failed,
                Failure::Failed(ending.message.clone()),
                Some(ending.clone()),
            ),
            End::Killed { how, .. } => match &how.0 {
                How::Kill => (
                    Reason::Killed,
                    Failure::Dropped(Reason::Killed),
                    Some(Ending::killed()),
                ),
                How::Restart(_) => (Reason::Killed, Failure::Dropped(Reason::Killed), None),
                How::Fail(message) => (
                    Reason::Failed,
                    Failure::Failed(message.clone()),
                    Some(Ending::said(message.clone(), "")),
                ),
            },
        };
        if ending.as_ref().is_some_and(Ending::is_trap) {
            // Before anything else: every other actor of the revision looks there before its next message.
            self.with_blueprint(|made| made.statistics.guard.trapped(&self.address.text));
        }
        for timer in locked(&self.timers).drain() {
            self.shared.timers.remove(timer.1.entry);
        }
        let (incarnation, successor, starting, requests) = {
            let mut life = locked(&self.life);
            life.link = None;
            life.decision = None;
            if ending.is_some() {
                life.last_failure.clone_from(&ending);
            }
            (
                life.incarnation,
                life.successor.take(),
                life.starting.take(),
                std::mem::take(&mut life.requests),
            )
        };
        let mut aftermath = Aftermath::default();
        let in_flight = {
            let mut mailbox = locked(&self.mailbox);
            let in_flight = mailbox.in_flight.take().map(|(envelope, _)| envelope);
            if in_flight.is_some() {
                mailbox.finish(Some(reason));
            }
            mailbox.purge(incarnation, &mut aftermath);
            if let Some(successor) = successor {
                mailbox.purge(successor, &mut aftermath);
            }
            in_flight
        };
        if let Some(envelope) = in_flight {
            let error = ending.as_ref().map(ToString::to_string);
            self.bury(envelope, reason, Some(failure.clone()), error);
        }
        self.settle(aftermath);
        for (_, ask) in requests {
            ask.complete(Err(failure.clone()));
        }
        if let Some(ask) = starting {
            ask.complete(Err(match (&end, ending.clone()) {
                (End::Killed { .. }, _) => Failure::Killed,
                (_, Some(ending)) => Failure::StartFailed(ending),
                (_, None) => Failure::Stopped,
            }));
        }
        let stopping = locked(&self.life).stopping.take();
        if let Some(Stopping {
            keep: true,
            asks,
            timer,
            ..
        }) = stopping
        {
            return self.retired(asks, timer, end);
        }
        if matches!(end, End::Stopped) || stopping.is_some() {
            if let (Some(ending), None) = (&ending, &stopping) {
                self.tell_failed(incarnation, ending.clone());
            }
            let how = if matches!(end, End::Stopped) {
                "normal"
            } else {
                "killed"
            };
            return self.finish_stop(stopping, how, end);
        }
        self.set_stage(Stage::Restarting);
        if let Some(ending) = ending {
            self.tell_failed(incarnation, ending);
        }
        if let End::Killed { how, done } = end {
            match how.0 {
                How::Restart(inherits) => self.order(Order::Start { inherits, done }),
                _ => {
                    done.complete(Ok(Answer::Ended("killed")));
                }
            }
        }
    }

    fn tell_failed(&self, incarnation: u64, ending: Ending) {
        self.shared.tell(Event::Failed {
            address: self.address.text.clone(),
            incarnation,
            ending,
        });
    }

    /// The incarnation made room for another; the mailbox stays.
    fn retired(self: &Arc<Self>, asks: Vec<Arc<Ask>>, timer: Option<Entry>, end: End) {
        if let Some(entry) = timer {
            self.shared.timers.remove(entry);
        }
        self.set_stage(Stage::Restarting);
        let how = if matches!(end, End::Stopped) {
            "normal"
        } else {
            "killed"
        };
        for ask in asks {
            ask.complete(Ok(Answer::Ended(how)));
        }
        if let End::Killed { done, .. } = end {
            done.complete(Ok(Answer::Ended("killed")));
        }
    }

    fn finish_stop(self: &Arc<Self>, stopping: Option<Stopping>, how: &'static str, end: End) {
        self.close(Reason::Stopped);
        if let Some(stopping) = stopping {
            if let Some(entry) = stopping.timer {
                self.shared.timers.remove(entry);
            }
            for ask in stopping.asks {
                ask.complete(Ok(Answer::Ended(how)));
            }
        }
        if let End::Killed { done, .. } = end {
            done.complete(Ok(Answer::Ended("killed")));
        }
    }

    /// The address is free, what is queued dies.
    pub(super) fn close(self: &Arc<Self>, reason: Reason) {
        let target = Target::Actor(self.clone());
        self.shared.topics.forget(&target);
        self.shared.remove(&target);
        let mut aftermath = Aftermath::default();
        self.closed.store(true, Ordering::Release);
        let refused = locked(&self.mailbox).close(reason, &mut aftermath);
        self.settle(aftermath);
        for ask in refused {
            ask.complete(Err(Failure::Stopped));
        }
        let orders = {
            let mut life = locked(&self.life);
            std::mem::take(&mut life.orders)
        };
        for order in orders {
            match order {
                Order::Start { done, .. } => done.complete(Err(Failure::Stopped)),
                Order::Kill { done, .. } => done.complete(Ok(Answer::Ended("killed"))),
            };
        }
        self.set_stage(Stage::Stopped);
    }
}
