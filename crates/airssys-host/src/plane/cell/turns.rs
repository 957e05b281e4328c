//! Turns: whoever wakes an actor queues it, and whoever runs it has it alone for one slice.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};

use super::orders::KillReason;
use super::{Cell, locked};
use crate::error::Error;
use crate::plane::failure::Ending;
use crate::plane::incarnation::End;

pub(super) const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Running, and woken meanwhile.
const WOKEN: u8 = 3;

/// Messages that an actor handles before others have their turn.
const BATCH: u32 = 32;
/// Messages that it handles on a thread that came with one of them.
const HERE: u32 = 2;

/// An incarnation in progress, and what wakes its actor: made once, not for every slice.
pub(super) struct Task {
    pub(super) future: Pin<Box<dyn Future<Output = End> + Send>>,
    pub(super) waker: Waker,
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::wake(self);
    }
}

impl Cell {
    /// Something happened that the actor should look at.
    pub(in crate::plane) fn wake(self: &Arc<Self>) {
        let mut state = self.run.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => WOKEN,
                _ => return,
            };
            match self
                .run
                .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if next == QUEUED => return self.shared.schedule(self.clone()),
                Ok(_) => return,
                Err(seen) => state = seen,
            }
        }
    }

    /// Run one slice of an actor that was taken from the run queue.
    pub(in crate::plane) fn run(self: Arc<Self>) {
        // Somebody may have claimed it since it was queued.
        if self
            .run
            .compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.slice(BATCH);
        }
    }

    /// Take the turn of an actor that has nothing to do, so that what it is given next runs here: give it that,
    /// then call [`Cell::run_claimed`] in any case.
    #[must_use]
    pub fn claim(&self) -> bool {
        self.run
            .compare_exchange(IDLE, RUNNING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Run one slice on this thread, after [`Cell::claim`].
    pub fn run_claimed(self: &Arc<Self>) {
        // Whatever woke it since the claim is seen by the slice.
        self.run.store(RUNNING, Ordering::Release);
        self.slice(HERE);
    }

    fn slice(self: &Arc<Self>, budget: u32) {
        self.shared.slices.fetch_add(1, Ordering::Relaxed);
        self.budget.store(budget, Ordering::Relaxed);
        let mut task = locked(&self.task);
        loop {
            if self.ordered.load(Ordering::Acquire) {
                while let Some(order) = self.take_order() {
                    self.obey(order, &mut task);
                }
            }
            let Some(Task { future, waker }) = task.as_mut() else {
                break;
            };
            let mut context = Context::from_waker(waker);
            // A host function that panics ends its guest, not the thread that runs all the others.
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
            let end = match polled {
                Ok(Poll::Ready(end)) => end,
                Ok(Poll::Pending) if self.ordered.load(Ordering::Acquire) => continue,
                Ok(Poll::Pending) => break,
                Err(panic) => End::Failed(Ending::of(panic_error(&*panic), "")),
            };
            *task = None;
            let end = self.take_kill().map_or(end, |(how, done)| End::Killed {
                how: KillReason(how),
                done,
            });
            self.ended(end);
        }
        drop(task);
        if self
            .run
            .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            self.run.store(QUEUED, Ordering::Release);
            self.shared.schedule(self.clone());
        }
    }
}

fn panic_error(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    Error::Internal(format!("a function of the host panicked: {text}"))
}
