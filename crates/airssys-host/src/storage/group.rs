//! Concurrent writes that share one transaction, and so one fsync.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::backend::{Backend, Writer};
use super::error::StorageError;

/// Writes that may wait for their turn; whoever brings one more waits for room.
const MOST_WAITING: usize = 1024;
/// Most writes, and most bytes of theirs, in one transaction.
const GROUP_WRITES: usize = 256;
const GROUP_BYTES: usize = 8 << 20;

/// A write, with what is to be done once its transaction has ended.
pub struct Job {
    pub work: Box<dyn FnOnce(&mut dyn Writer) -> Result<(), StorageError> + Send>,
    /// Called in the order of the transactions.
    pub done: Box<dyn FnOnce(Result<(), StorageError>) + Send>,
    /// Bytes that it writes, about.
    pub bytes: usize,
}

/// The thread that makes the transactions.
pub struct Group {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    transactions: Arc<AtomicU64>,
}

impl Group {
    /// Transactions so far.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    pub fn start(backend: Arc<dyn Backend>) -> Self {
        let (jobs, waiting) = sync_channel(MOST_WAITING);
        let transactions = Arc::<AtomicU64>::default();
        let counted = transactions.clone();
        let thread = std::thread::Builder::new()
            .name("airssys-kv-write".into())
            .spawn(move || run(&*backend, &waiting, &counted))
            .expect("a thread can be had when the storage is opened");
        Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            transactions,
        }
    }

    /// Hand a write in; waits while too many wait already.
    pub fn submit(&self, job: Job) {
        let jobs = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let refused = match jobs {
            None => Some(job),
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
        };
        if let Some(job) = refused {
            (job.done)(Err(StorageError::Closed));
        }
    }

    /// Take no write any more and wait until those taken are done.
    pub fn close(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A thread that panicked has dropped its jobs, and whoever waited for them knows.
            let _ = thread.join();
        }
    }
}

fn run(backend: &dyn Backend, waiting: &Receiver<Job>, counted: &AtomicU64) {
    while let Ok(first) = waiting.recv() {
        let mut bytes = first.bytes;
        let mut works = vec![first.work];
        let mut ends = vec![first.done];
        while works.len() < GROUP_WRITES && bytes < GROUP_BYTES {
            let Ok(next) = waiting.try_recv() else { break };
            bytes += next.bytes;
            works.push(next.work);
            ends.push(next.done);
        }
        let mut works = works.into_iter();
        let written = backend.write(&mut |writer| works.by_ref().try_for_each(|work| work(writer)));
        counted.fetch_add(1, Ordering::Relaxed);
        for done in ends {
            done(written.clone());
        }
    }
}
