//! Being told of changes: bounded, in order, with a mark where some were missed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Set,
    Deleted,
    /// Its time was over; told when it is swept, which is up to a second after it was gone.
    Expired,
}

/// One change, or the place where changes are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Changed {
        key: String,
        change: Change,
        /// The version that the namespace has since.
        version: u64,
    },
    /// The watcher was too slow: so many changes were not kept. What it needs it reads anew.
    Missed(u64),
}

/// Everyone who watches a storage.
#[derive(Debug, Default)]
pub struct Watchers {
    list: Mutex<Vec<Weak<Queue>>>,
    count: AtomicUsize,
}

#[derive(Debug)]
struct Queue {
    namespace: String,
    prefix: String,
    capacity: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// Changes missed since the last event in the queue.
    missed: u64,
    closed: bool,
}

/// One who watches; dropped, it is told nothing more.
#[derive(Debug)]
pub struct Watcher {
    queue: Arc<Queue>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watchers {
    /// Watch the keys of a namespace that begin with `prefix`, keeping at most `capacity` changes.
    pub fn add(&self, namespace: &str, prefix: &str, capacity: usize) -> Watcher {
        let queue = Arc::new(Queue {
            namespace: namespace.to_owned(),
            prefix: prefix.to_owned(),
            capacity: capacity.max(1),
            waiting: Mutex::default(),
            arrived: Notify::new(),
        });
        let mut list = locked(&self.list);
        list.retain(|each| each.strong_count() > 0);
        list.push(Arc::downgrade(&queue));
        self.count.store(list.len(), Ordering::Release);
        Watcher { queue }
    }

    /// Whether nobody watches; costs one load.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Tell of the changes of one transaction, in order.
    pub fn tell(&self, namespace: &str, changes: &[(String, Change, u64)]) {
        if self.is_empty() {
            return;
        }
        let mut list = locked(&self.list);
        list.retain(|each| {
            let Some(queue) = each.upgrade() else {
                return false;
            };
            if queue.namespace == namespace {
                queue.take(changes);
            }
            true
        });
        self.count.store(list.len(), Ordering::Release);
    }

    /// No change comes any more.
    pub fn close(&self) {
        for each in locked(&self.list).drain(..) {
            if let Some(queue) = each.upgrade() {
                locked(&queue.waiting).closed = true;
                queue.arrived.notify_waiters();
            }
        }
    }
}

impl Queue {
    fn take(&self, changes: &[(String, Change, u64)]) {
        let mut waiting = locked(&self.waiting);
        let mut any = false;
        for (key, change, version) in changes {
            if !key.starts_with(&self.prefix) {
                continue;
            }
            any = true;
            if waiting.events.len() >= self.capacity {
                waiting.missed += 1;
                continue;
            }
            waiting.mark_missed();
            waiting.events.push_back(Event::Changed {
                key: key.clone(),
                change: *change,
                version: *version,
            });
        }
        drop(waiting);
        if any {
            self.arrived.notify_waiters();
        }
    }
}

impl Waiting {
    fn mark_missed(&mut self) {
        if self.missed > 0 {
            self.events
                .push_back(Event::Missed(std::mem::take(&mut self.missed)));
        }
    }
}

impl Watcher {
    /// The next events, at most `most`, at least one; empty once the storage is closed.
    pub async fn next(&self, most: usize) -> Vec<Event> {
        loop {
            let arrived = self.queue.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            {
                let mut waiting = locked(&self.queue.waiting);
                if waiting.events.is_empty() {
                    waiting.mark_missed();
                }
                if !waiting.events.is_empty() || waiting.closed {
                    let count = waiting.events.len().min(most.max(1));
                    return waiting.events.drain(..count).collect();
                }
            }
            arrived.await;
        }
    }
}
