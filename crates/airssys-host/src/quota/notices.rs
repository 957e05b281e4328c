//! What is told about limits: one queue for a host, read by whoever reports.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::limits::Limit;

/// Notices that wait; more are only counted.
const WAITING: usize = 1024;

/// What happened to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Four fifths of it are used.
    Near,
    /// Something was refused, or ended, because of it.
    Reached,
}

/// Word of a limit.
#[derive(Clone, Debug)]
pub struct Notice {
    pub happened: Happened,
    pub limit: Limit,
    pub configured: f64,
    /// Whose limit it is: `deployment image/resizer`, `namespace image`, `host`.
    pub owner: Arc<str>,
    /// Who came near to it, or reached it: a deployment.
    pub by: Arc<str>,
    /// How often since the last notice of the same.
    pub times: u64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Notice>,
    lost: u64,
    closed: bool,
}

/// The notices of one host.
#[derive(Debug, Default)]
pub struct Notices {
    queue: Mutex<Queue>,
    filled: Condvar,
}

impl Notices {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no code under this lock panics")
    }

    pub fn tell(&self, notice: Notice) {
        let mut queue = self.queue();
        if queue.waiting.len() == WAITING {
            queue.lost += 1;
            return;
        }
        queue.waiting.push_back(notice);
        drop(queue);
        self.filled.notify_one();
    }

    /// All that wait, and how many were lost before them; waits for one. `None` once closed and empty.
    pub fn take(&self, most: Duration) -> Option<(Vec<Notice>, u64)> {
        let end = Instant::now() + most;
        let mut queue = self.queue();
        loop {
            if !queue.waiting.is_empty() {
                let lost = std::mem::take(&mut queue.lost);
                return Some((queue.waiting.drain(..).collect(), lost));
            }
            if queue.closed {
                return None;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some((Vec::new(), 0));
            }
            queue = self
                .filled
                .wait_timeout(queue, left)
                .expect("no code under this lock panics")
                .0;
        }
    }

    pub fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_all();
    }
}
