//! The one log of decisions: append-only, chained, in the kernel's hands before the effect.
//!
//! A record is copied into a shared file mapping before the access it describes takes place, so that the
//! death of the process loses none. A thread makes groups of records durable; `must_audit` waits for it.
//! When a record cannot be written, the access is refused: the log fails closed.

mod chain;
mod checkpoint;
mod coalesce;
mod line;
mod prune;
mod reader;
mod recovery;
mod segment;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

pub use self::chain::hex;
pub use self::checkpoint::{Checkpoint, public_key};
pub use self::prune::{Pruned, Retention, plan as plan_pruning};
pub use self::reader::{Filter, Reader};
pub use self::recovery::Ending;
pub use self::verify::{Report, verify};
use self::writer::Writer;
use super::subject::Subject;

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    #[error(
        "the audit log cannot reserve disk space ({0}); free some, accesses are refused until then"
    )]
    Full(io::Error),
    #[error("the audit log is closed")]
    Closed,
    #[error("the audit log belongs to the process that opened it; open another after fork")]
    Forked,
    #[error("the audit log could not be made durable ({0}); reopen it after the disk is repaired")]
    Failed(String),
    #[error("{0} is in use by another process; one process owns an audit log")]
    Locked(PathBuf),
    #[error(
        "the audit log ends at record {last}, its checkpoint says {checkpoint}, or they disagree: records were \
         removed or changed; acknowledge the truncation to go on"
    )]
    Truncated { checkpoint: u64, last: u64 },
    #[error(
        "the audit log begins at record {first}, and no record says that those before were pruned: they were \
         removed"
    )]
    Beheaded { first: u64 },
    #[error("{path}, byte {offset}: record {sequence} is damaged: {reason}", path = segment.display())]
    Corrupt {
        segment: PathBuf,
        offset: usize,
        sequence: u64,
        reason: String,
    },
    #[error("the checkpoint is refused: {0}")]
    BadCheckpoint(String),
    #[error("an audit key is 32 bytes (the seed of an Ed25519 key)")]
    BadKey,
    #[error("the audit log was opened without a key; checkpoints are signed with one")]
    NoKey,
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of the Ed25519 key that signs checkpoints.
    pub key: Option<Vec<u8>>,
    /// Size of one segment in bytes; at least 64 KiB. Twice this is reserved on disk.
    pub segment_bytes: usize,
    /// The most records that a power failure can lose.
    pub group: u64,
    pub flush_interval: Duration,
    /// The newest checkpoint known elsewhere.
    pub checkpoint: Option<Checkpoint>,
    pub acknowledge_truncation: bool,
    /// Texts that must not appear in the log.
    pub masks: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            key: None,
            segment_bytes: 16 << 20,
            group: 16_384,
            flush_interval: Duration::from_millis(50),
            checkpoint: None,
            acknowledge_truncation: false,
            masks: Vec::new(),
        }
    }
}

/// One thing to record.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub subject: Option<&'a Subject>,
    /// Two parts that a dot joins: `filesystem`, `read`.
    pub operation: (&'a str, &'a str),
    pub target: &'a [u8],
    /// What was asked for, where it led elsewhere.
    pub requested: Option<&'a [u8]>,
    pub decision: &'a str,
    pub rule: &'a str,
    pub enforcement: &'a str,
    pub detail: Option<&'a str>,
    pub approved_by: Option<&'a str>,
    pub alarm: bool,
    /// Whether equal entries may be counted instead of written while the subject is over its budget.
    pub coalesce: bool,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// Number of the record; 0 when it was counted with an earlier one.
    pub sequence: u64,
    /// How long the subject should wait, being over its budget.
    pub delay: Duration,
    /// Wait for this record to be durable before the effect: the group is full.
    pub wait_for: Option<u64>,
}

/// What opening the log found.
#[derive(Clone, Debug)]
pub struct Opened {
    pub ending: Ending,
    pub records: u64,
    pub quarantined: Option<(PathBuf, usize)>,
    pub coalesced_recovered: u64,
    pub truncation_acknowledged: bool,
}

/// The writing side of a log. One process owns it.
#[derive(Debug)]
pub struct AuditLog {
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
    pub opened: Opened,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    options: Options,
    /// Guards the order of records.
    writer: Mutex<Writer>,
    progress: Mutex<Progress>,
    durable_moved: Condvar,
    flush_wanted: Condvar,
    durable: AtomicU64,
    dirty: AtomicBool,
    lock: File,
    /// [`FORKS`] when the log was opened.
    forks: u64,
}

#[derive(Debug, Default)]
struct Progress {
    urgent: bool,
    stop: bool,
    failed: Option<String>,
}

/// How many forks lie between this process and the one that was started.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// How many forks lie between this process and the one that was started, once a log has been opened.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

fn watch_forks() {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    // SAFETY: the handler only counts in an atomic. When it cannot be registered (no memory), a forked
    // child is still kept out by its copy of the writer having no flusher.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AuditLog {
    /// Open the log in `directory`, made if missing, and repair what a killed writer left.
    ///
    /// # Errors
    /// Another process owns it; it is behind its checkpoint or damaged; the disk is full.
    pub fn open(directory: &Path, mut options: Options) -> Result<AuditLog, AuditError> {
        watch_forks();
        options.segment_bytes = options.segment_bytes.max(64 << 10);
        options.group = options.group.max(1);
        if let Some(key) = &options.key {
            public_key(key)?;
        }
        if let Some(checkpoint) = &options.checkpoint {
            let key = options.key.as_deref().map(public_key).transpose()?;
            // Whoever acknowledges that the log is gone may have lost its key too.
            let own = !options.acknowledge_truncation;
            checkpoint.verify(key.as_deref().filter(|_| own))?;
        }
        let fault = |error| AuditError::Io(directory.to_owned(), error);
        make_directory(directory).map_err(fault)?;
        let lock_file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("lock"))
            .map_err(fault)?;
        flock(&lock_file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| AuditError::Locked(directory.to_owned()))?;
        let (writer, opened) = Writer::open(directory, &options)?;
        recovery::note_owner(directory, false).map_err(fault)?;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            durable: AtomicU64::new(0),
            dirty: AtomicBool::new(true),
            options,
            writer: Mutex::new(writer),
            progress: Mutex::default(),
            durable_moved: Condvar::new(),
            flush_wanted: Condvar::new(),
            lock: lock_file,
            forks: FORKS.load(Ordering::Relaxed),
        });
        let flusher = std::thread::Builder::new()
            .name("airssys-audit".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.flush_until_stopped()
            })
            .map_err(fault)?;
        let log = AuditLog {
            shared,
            flusher: Mutex::new(Some(flusher)),
            opened,
        };
        if log.opened.truncation_acknowledged && log.shared.options.key.is_some() {
            // An acknowledgement counts once it is signed.
            log.checkpoint()?;
        }
        Ok(log)
    }

    fn is_forked(&self) -> bool {
        FORKS.load(Ordering::Relaxed) != self.shared.forks
    }

    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Write one entry into the mapping. It survives the process from here on; whether it must also
    /// survive the machine is said by [`Appended::wait_for`] and [`Self::wait_durable`].
    ///
    /// # Errors
    /// The log is full, closed, failed, or belongs to another process: the access must not happen.
    pub fn append(&self, entry: &Entry<'_>) -> Result<Appended, AuditError> {
        if self.is_forked() {
            return Err(AuditError::Forked);
        }
        let delay = match entry.subject.and_then(|subject| subject.budget.as_ref()) {
            Some(budget) => budget.take(),
            None => Duration::ZERO,
        };
        let coalesce = entry.coalesce && !delay.is_zero();
        let sequence = lock(&self.shared.writer).append(entry, coalesce)?;
        if !self.shared.dirty.swap(true, Ordering::AcqRel) {
            // Taking the lock keeps the wake-up from falling between the flusher's look and its sleep.
            drop(lock(&self.shared.progress));
            self.shared.flush_wanted.notify_one();
        }
        let behind = sequence.saturating_sub(self.shared.durable.load(Ordering::Acquire));
        if behind > self.shared.options.group / 2 {
            lock(&self.shared.progress).urgent = true;
            self.shared.flush_wanted.notify_one();
        }
        let wait_for =
            (behind > self.shared.options.group).then(|| sequence - self.shared.options.group);
        Ok(Appended {
            sequence,
            delay,
            wait_for,
        })
    }

    /// Wait until record `sequence` is on disk.
    ///
    /// # Errors
    /// The disk failed.
    pub fn wait_durable(&self, sequence: u64) -> Result<(), AuditError> {
        let mut progress = lock(&self.shared.progress);
        while self.shared.durable.load(Ordering::Acquire) < sequence {
            if let Some(reason) = &progress.failed {
                return Err(AuditError::Failed(reason.clone()));
            }
            if progress.stop {
                return Err(AuditError::Closed);
            }
            progress.urgent = true;
            self.shared.dirty.store(true, Ordering::Release);
            self.shared.flush_wanted.notify_one();
            progress = self
                .shared
                .durable_moved
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Record the counts of coalesced denials and make everything durable; the last record's number.
    ///
    /// # Errors
    /// The log is closed or the disk failed.
    pub fn flush(&self) -> Result<u64, AuditError> {
        if self.is_forked() {
            return Err(AuditError::Forked);
        }
        let sequence = {
            let mut writer = lock(&self.shared.writer);
            writer.end_series(|_| true)?;
            let in_place = writer.check_place();
            in_place.map_err(|error| AuditError::Failed(error.to_string()))?;
            writer.sequence()
        };
        self.wait_durable(sequence)?;
        Ok(sequence)
    }

    /// Make everything durable and sign how far the log has come.
    ///
    /// # Errors
    /// There is no key, the log is closed or the disk failed.
    pub fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        let key = self
            .shared
            .options
            .key
            .as_deref()
            .ok_or(AuditError::NoKey)?;
        self.flush()?;
        let (sequence, head) = lock(&self.shared.writer).position();
        self.wait_durable(sequence)?;
        let time = line::Clock::text(super::condition::unix_seconds());
        let checkpoint = Checkpoint::sign(key, sequence, hex(&head), time)?;
        checkpoint.keep(&self.shared.directory)?;
        Ok(checkpoint)
    }

    /// Replace the texts that must not appear in the log.
    pub fn set_masks(&self, masks: &[String]) {
        lock(&self.shared.writer).set_masks(masks);
    }

    /// Number and hash of the last record.
    pub fn position(&self) -> (u64, [u8; 32]) {
        lock(&self.shared.writer).position()
    }

    /// Number of the last record that is on disk.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Make everything durable and end. Later entries are refused. Closing twice does nothing.
    ///
    /// # Errors
    /// The disk failed.
    pub fn close(&self) -> Result<(), AuditError> {
        if self.is_forked() {
            return Ok(());
        }
        let Some(flusher) = lock(&self.flusher).take() else {
            return Ok(());
        };
        let flushed = self.flush().map(drop);
        lock(&self.shared.progress).stop = true;
        self.shared.flush_wanted.notify_one();
        self.shared.durable_moved.notify_all();
        // The flusher does not panic: it records what fails.
        let _ = flusher.join();
        let sealed = lock(&self.shared.writer).close();
        let fault = |error| AuditError::Io(self.shared.directory.clone(), error);
        // What failed is not noted as closed, so that whoever opens it next looks for what is missing.
        let noted = flushed
            .and(sealed)
            .and_then(|()| recovery::note_owner(&self.shared.directory, true).map_err(fault));
        // A gate may hold on to the log; whoever opens the directory next need not wait for that.
        let unlocked = flock(&self.shared.lock, FlockOperation::Unlock);
        noted.and(unlocked.map_err(|error| fault(error.into())))
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // A failure here was either seen by the last flush or leaves what recovery repairs.
        let _ = self.close();
    }
}

impl Shared {
    fn flush_until_stopped(&self) {
        loop {
            let stop = self.await_work();
            self.flush_once();
            if stop {
                return;
            }
        }
    }

    /// Sleep until there is something to do, then for the rest of the interval unless it is urgent.
    fn await_work(&self) -> bool {
        let begun = Instant::now();
        let mut progress = lock(&self.progress);
        loop {
            if progress.stop || progress.urgent {
                break;
            }
            let waited = begun.elapsed();
            let dirty = self.dirty.load(Ordering::Acquire);
            // A second at most, because counts of coalesced denials are due then.
            let limit = if dirty {
                self.options.flush_interval
            } else {
                Duration::from_secs(1)
            };
            if waited >= limit {
                break;
            }
            progress = self
                .flush_wanted
                .wait_timeout(progress, limit - waited)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        progress.urgent = false;
        progress.stop
    }

    fn flush_once(&self) {
        self.dirty.store(false, Ordering::Release);
        let result = {
            let mut writer = lock(&self.writer);
            // A disk too full for the counts is reported to whoever appends next.
            let _ = writer.end_series(|series| series.started.elapsed() >= Duration::from_secs(1));
            let _ = writer.reserve();
            let unsynced = writer.take_unsynced();
            unsynced.map(|unsynced| (unsynced, writer.check_place()))
        };
        let Some(((sequence, files, directory_changed), in_place)) = result else {
            self.durable_moved.notify_all();
            return;
        };
        let synced = in_place
            .and_then(|()| files.iter().try_for_each(|file| file.sync_data()))
            .and_then(|()| {
                if directory_changed {
                    File::open(&self.directory)?.sync_all()
                } else {
                    Ok(())
                }
            });
        // Gone since it was looked at: that is what is wrong with the disk.
        let synced =
            synced.map_err(|error| lock(&self.writer).check_place().err().unwrap_or(error));
        let mut progress = lock(&self.progress);
        match synced {
            Ok(()) => self.durable.store(sequence, Ordering::Release),
            Err(error) => {
                // After a failed sync the kernel may have dropped the pages: nothing later can be trusted.
                progress.failed = Some(error.to_string());
                drop(progress);
                lock(&self.writer).fail(&error);
            }
        }
        self.durable_moved.notify_all();
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}
