//! What an actor waits for: a time, or another actor.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::{Cell, locked};
use crate::plane::target::Target;
use crate::plane::timers::Due;

impl Cell {
    /// Wake the actor at `at` or earlier. One wake-up serves all that it waits for.
    pub(in crate::plane) fn arm(self: &Arc<Self>, at: u64) {
        let armed = self.armed.load(Ordering::Relaxed);
        if armed != 0 && armed <= at {
            return;
        }
        self.armed.store(at, Ordering::Relaxed);
        self.shared
            .timers
            .insert(at, Due::Wake(Arc::downgrade(self)));
    }

    pub(in crate::plane) fn timer_fired(self: &Arc<Self>) {
        self.armed.store(0, Ordering::Relaxed);
        self.wake();
    }

    /// What `future` comes to within so many nanoseconds of the plane's time, or `None`.
    pub(crate) async fn within<R>(
        self: &Arc<Self>,
        time: u64,
        future: impl Future<Output = R>,
    ) -> Option<R> {
        let until = self.shared.after(time);
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(result) = future.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            if self.shared.clock.now() >= until {
                return Poll::Ready(None);
            }
            self.arm(until);
            Poll::Pending
        })
        .await
    }

    pub(in crate::plane) fn set_waits_for(&self, target: Option<Target>) {
        *locked(&self.waits_for) = target;
    }

    pub(in crate::plane) fn waits_for(&self) -> Option<Target> {
        locked(&self.waits_for).clone()
    }
}
