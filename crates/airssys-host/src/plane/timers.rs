//! What is due when: deadlines of asks, ticks of guests' timers, ends of waits.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::ask::Ask;
use super::cell::Cell;

/// What happens when its time has come.
pub(super) enum Due {
    /// Look at the actor: something it waits for may be over.
    Wake(Weak<Cell>),
    /// Nobody waits for the answer any more.
    Expire(Weak<Ask>),
    /// A guest's timer fires.
    Tick {
        cell: Weak<Cell>,
        incarnation: u64,
        timer: u64,
    },
    /// A stop takes too long.
    Kill { cell: Weak<Cell>, stop: u64 },
}

/// Names one entry, to take it back.
pub(super) type Entry = (u64, u64);

#[derive(Default)]
struct Pending {
    next: u64,
    due: BTreeMap<Entry, Due>,
    /// Until when the thread sleeps; what is due later need not wake it.
    sleeping_until: u64,
    closed: bool,
}

/// All timers of a plane, in the order of their times.
#[derive(Default)]
pub(super) struct Timers {
    pending: Mutex<Pending>,
    changed: Condvar,
}

impl Timers {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no code under this lock panics")
    }

    pub fn insert(&self, at: u64, due: Due) -> Entry {
        let mut pending = self.pending();
        let entry = (at, pending.next);
        pending.next += 1;
        pending.due.insert(entry, due);
        if at < pending.sleeping_until {
            pending.sleeping_until = at;
            drop(pending);
            self.changed.notify_one();
        }
        entry
    }

    pub fn remove(&self, entry: Entry) {
        self.pending().due.remove(&entry);
    }

    pub fn len(&self) -> usize {
        self.pending().due.len()
    }

    /// When the next is due.
    pub fn next(&self) -> Option<u64> {
        self.pending().due.keys().next().map(|(at, _)| *at)
    }

    /// The next that is due at `now`.
    pub fn take_due(&self, now: u64) -> Option<Due> {
        let mut pending = self.pending();
        let first = pending.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Block until something is due, as `now` tells. False once closed.
    pub fn wait(&self, now: impl Fn() -> u64) -> bool {
        const LONG: u64 = 3_600_000_000_000;
        let mut pending = self.pending();
        loop {
            if pending.closed {
                return false;
            }
            let time = now();
            let next = pending.due.keys().next().map_or(time + LONG, |(at, _)| *at);
            if next <= time {
                pending.sleeping_until = 0;
                return true;
            }
            pending.sleeping_until = next;
            pending = self
                .changed
                .wait_timeout(pending, Duration::from_nanos(next - time))
                .expect("no code under this lock panics")
                .0;
        }
    }

    pub fn close(&self) {
        let mut pending = self.pending();
        pending.closed = true;
        pending.due.clear();
        drop(pending);
        self.changed.notify_all();
    }
}
