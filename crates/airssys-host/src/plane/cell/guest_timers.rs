//! Timers that a guest sets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Cell, locked};
use crate::gate::callers::Callers;
use crate::plane::failure::Reason;
use crate::plane::mailbox::{Aftermath, Envelope, Source};
use crate::plane::timers::{Due, Entry};

/// Timers that one actor may have.
const TIMERS: usize = 256;

/// A timer that a guest set.
pub(super) struct GuestTimer {
    pub(super) incarnation: u64,
    payload: Bytes,
    /// For whom the actor acted when it set it.
    callers: Option<Arc<Callers>>,
    /// 0 for one that fires once.
    interval: u64,
    pub(super) entry: Entry,
    /// The number of the message that is queued.
    queued: Option<u64>,
    missed: u64,
}

impl Cell {
    /// Set a timer. `None` if there are too many.
    pub(in crate::plane) fn set_timer(
        self: &Arc<Self>,
        incarnation: u64,
        first: u64,
        interval: u64,
        payload: Bytes,
        callers: Option<Arc<Callers>>,
    ) -> Option<u64> {
        let mut timers = locked(&self.timers);
        if timers.len() >= TIMERS {
            return None;
        }
        let timer = self.next_timer.fetch_add(1, Ordering::Relaxed);
        let entry = self.schedule_tick(incarnation, timer, self.shared.after(first));
        timers.insert(
            timer,
            GuestTimer {
                incarnation,
                payload,
                callers,
                interval,
                entry,
                queued: None,
                missed: 0,
            },
        );
        Some(timer)
    }

    fn schedule_tick(self: &Arc<Self>, incarnation: u64, timer: u64, at: u64) -> Entry {
        let cell = Arc::downgrade(self);
        self.shared.timers.insert(
            at,
            Due::Tick {
                cell,
                incarnation,
                timer,
            },
        )
    }

    /// A timer's time has come.
    pub(in crate::plane) fn tick(self: &Arc<Self>, incarnation: u64, timer: u64) {
        let envelope = {
            let mut timers = locked(&self.timers);
            let Some(found) = timers.get_mut(&timer) else {
                return;
            };
            if found.interval > 0 {
                let next = found.entry.0.saturating_add(found.interval);
                found.entry = self.schedule_tick(incarnation, timer, next);
            }
            if found.queued.is_some() {
                found.missed += 1;
                self.timers_missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let id = self.next_id();
            found.queued = Some(id);
            Arc::new(Envelope {
                id,
                source: Source::Timer(timer),
                payload: found.payload.clone(),
                priority: 1,
                expires: u64::MAX,
                ask: None,
                trace: None,
                callers: found.callers.clone(),
                incarnation,
            })
        };
        if locked(&self.mailbox).offer_reserved(envelope) {
            self.wake();
        }
    }

    /// A tick left the mailbox; how many were missed while it was there.
    pub(in crate::plane) fn timer_taken(&self, timer: u64) -> u64 {
        let mut timers = locked(&self.timers);
        let Some(found) = timers.get_mut(&timer) else {
            return 0;
        };
        found.queued = None;
        let missed = std::mem::take(&mut found.missed);
        if found.interval == 0 {
            timers.remove(&timer);
        }
        missed
    }

    pub(in crate::plane) fn cancel_timer(&self, timer: u64) -> bool {
        let Some(found) = locked(&self.timers).remove(&timer) else {
            return false;
        };
        self.shared.timers.remove(found.entry);
        if let Some(id) = found.queued {
            let mut aftermath = Aftermath::default();
            locked(&self.mailbox).remove(id, Reason::Cancelled, &mut aftermath);
            self.settle(aftermath);
        }
        true
    }
}
