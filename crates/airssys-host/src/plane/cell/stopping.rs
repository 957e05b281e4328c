//! Ends in order: after the message in hand or after the queue, with a deadline.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Cell, locked};
use crate::plane::ask::{Answer, Ask, Waiter};
use crate::plane::events::Stage;
use crate::plane::failure::{Failure, Reason};
use crate::plane::timers::{Due, Entry};

/// Why an instance is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    Stopped,
    HostShutdown,
    Replaced,
}

pub(super) struct Stopping {
    pub(super) number: u64,
    pub(super) drain: bool,
    /// The mailbox stays, for another incarnation.
    pub(super) keep: bool,
    pub(super) reason: ShutdownReason,
    pub(super) asks: Vec<Arc<Ask>>,
    pub(super) timer: Option<Entry>,
    pub(super) overdue: bool,
}

impl Cell {
    /// Stop: before the queue, or after it with `drain`. After `timeout` nanoseconds the instance is killed.
    pub fn stop(
        self: &Arc<Self>,
        drain: bool,
        timeout: u64,
        reason: ShutdownReason,
        waiter: Waiter,
    ) -> Arc<Ask> {
        self.end_in_order(drain, false, timeout, reason, waiter)
    }

    /// End the incarnation in order, as `stop`, and keep the mailbox for the next one.
    pub fn retire(
        self: &Arc<Self>,
        timeout: u64,
        reason: ShutdownReason,
        waiter: Waiter,
    ) -> Arc<Ask> {
        self.end_in_order(false, true, timeout, reason, waiter)
    }

    fn end_in_order(
        self: &Arc<Self>,
        drain: bool,
        keep: bool,
        timeout: u64,
        reason: ShutdownReason,
        waiter: Waiter,
    ) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        let alive = {
            let mut life = locked(&self.life);
            if life.stage == Stage::Stopped {
                drop(life);
                done.complete(Ok(Answer::Ended("normal")));
                return done;
            }
            // An order to start counts as alive: it is obeyed, and then stopped.
            let alive = life.link.is_some() || !life.orders.is_empty();
            if alive {
                if let Some(stopping) = &mut life.stopping {
                    stopping.drain &= drain;
                    stopping.keep &= keep;
                    stopping.asks.push(done.clone());
                } else {
                    let number = life.next_stop;
                    life.next_stop += 1;
                    let due = Due::Kill {
                        cell: Arc::downgrade(self),
                        stop: number,
                    };
                    let timer = self.shared.timers.insert(self.shared.after(timeout), due);
                    life.stopping = Some(Stopping {
                        number,
                        drain,
                        keep,
                        reason,
                        asks: vec![done.clone()],
                        timer: Some(timer),
                        overdue: false,
                    });
                }
            }
            alive
        };
        if alive {
            if !keep {
                locked(&self.mailbox).closed = true;
                self.closed.store(true, Ordering::Release);
            }
            self.set_stage(Stage::Stopping);
            self.attention.store(true, Ordering::Release);
            self.wake();
        } else {
            if !keep {
                self.close(Reason::Stopped);
            }
            done.complete(Ok(Answer::Ended("normal")));
        }
        done
    }

    pub(in crate::plane) fn stop_overdue(self: &Arc<Self>, number: u64) {
        let overdue = {
            let mut life = locked(&self.life);
            match &mut life.stopping {
                Some(stopping) if stopping.number == number && !stopping.overdue => {
                    stopping.overdue = true;
                    stopping.timer = None;
                    true
                }
                _ => false,
            }
        };
        if overdue {
            self.kill(Waiter::Nobody);
        }
    }

    /// Give an actor up that has no instance. What is queued dies.
    ///
    /// # Errors
    /// [`Failure::State`] while there is one.
    pub fn discard(self: &Arc<Self>) -> Result<(), Failure> {
        {
            let life = locked(&self.life);
            if life.link.is_some() || !life.orders.is_empty() {
                return Err(Failure::State(life.stage.name()));
            }
            if life.stage == Stage::Stopped {
                return Ok(());
            }
        }
        self.close(Reason::Stopped);
        Ok(())
    }

    /// Whether an incarnation that ends in order is asked for its state before it is shut down.
    pub fn keep_state(&self, keep: bool) {
        self.keeps_state.store(keep, Ordering::Relaxed);
    }

    pub(in crate::plane) fn keeps_state(&self) -> bool {
        self.keeps_state.load(Ordering::Relaxed)
    }

    pub(in crate::plane) fn leave(&self, state: Bytes) {
        *locked(&self.parting) = Some(state);
    }

    /// The state that the last incarnation left, once.
    pub fn take_parting(&self) -> Option<Bytes> {
        locked(&self.parting).take()
    }
}
