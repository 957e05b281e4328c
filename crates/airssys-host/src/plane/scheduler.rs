//! Which actor runs next, and the threads that run them.

use std::cell::Cell as Flag;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::cell::Cell;

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Cell>>,
    sleeping: usize,
    closed: bool,
}

/// Actors that have something to do, in the order in which they got it.
#[derive(Default)]
pub(super) struct RunQueue {
    queue: Mutex<Queue>,
    filled: Condvar,
}

thread_local!(static WORKER: Flag<bool> = const { Flag::new(false) });

impl RunQueue {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no code under this lock panics")
    }

    /// Queue an actor. True if the queue was empty before.
    pub fn push(&self, cell: Arc<Cell>) -> bool {
        let mut queue = self.queue();
        queue.ready.push_back(cell);
        let length = queue.ready.len();
        // A worker takes the next actor itself when its slice is over; waking another for it would cost more
        // than the wait. A guest that computes gives way at its next tick, and then there are two.
        let wake = queue.sleeping > 0 && (length > 1 || !WORKER.get());
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
        length == 1
    }

    pub fn pop(&self) -> Option<Arc<Cell>> {
        self.queue().ready.pop_front()
    }

    /// The present thread is about to block: another one takes what is queued.
    pub fn share(&self) {
        let queue = self.queue();
        let wake = queue.sleeping > 0 && !queue.ready.is_empty();
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    /// The next actor; waits for one. `None` once closed.
    fn wait(&self) -> Option<Arc<Cell>> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(cell) = queue.ready.pop_front() {
                return Some(cell);
            }
            queue.sleeping += 1;
            queue = self
                .filled
                .wait(queue)
                .expect("no code under this lock panics");
            queue.sleeping -= 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queue().ready.is_empty()
    }

    pub fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.ready.clear();
        drop(queue);
        self.filled.notify_all();
    }

    /// A worker's whole life.
    pub fn work(&self) {
        WORKER.set(true);
        while let Some(cell) = self.wait() {
            cell.run();
        }
    }
}
