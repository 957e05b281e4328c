//! An open storage and its namespaces.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::backend::{Backend, Reader, Writer};
use super::error::StorageError;
use super::group::{Group, Job};
use super::memory::Memory;
use super::overlay::{Base, Overlay};
use super::quota::Quota;
use super::record::{Entry, Millis};
use super::records::{Changes, Operation, Outcome, Page, Records, Usage};
use super::redb_file::{FileOptions, RedbFile};
use super::relaxed::Relaxed;
use super::watch::{Watcher, Watchers};

/// How often expired entries are swept, at most.
const SWEEP: Duration = Duration::from_secs(1);
/// Entries swept in one transaction.
const SWEPT_AT_ONCE: usize = 500;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on the disk.
    Durable,
    /// At once; it is on the disk within the interval. A crash loses the last writes, never one before another.
    Relaxed(Duration),
}

/// The present time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The wall clock.
#[must_use]
pub fn wall_clock() -> Clock {
    Arc::new(|| {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            })
    })
}

/// An open storage. Dropped, it is closed.
pub struct Storage {
    shared: Arc<Shared>,
    keeper: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Shared {
    /// `None` once the storage is closed: whoever still holds a namespace does not keep the file.
    backend: RwLock<Option<Arc<dyn Backend>>>,
    /// Makes the transactions where a write waits for the disk.
    group: Option<Group>,
    /// Held over a transaction and telling of it, where there is no group: watchers hear in order.
    in_order: Mutex<()>,
    watchers: Watchers,
    clock: Clock,
    place: PathBuf,
    closed: AtomicBool,
    /// When the keeper next has something to sweep; `u64::MAX` where it does not know of anything.
    next_expiry: AtomicU64,
    keeper: Mutex<bool>,
    wake_keeper: Condvar,
}

impl Storage {
    /// Open, or make, the database file at `path`.
    ///
    /// # Errors
    /// As [`RedbFile::open`].
    pub fn open(
        path: &Path,
        durability: Durability,
        options: FileOptions,
        clock: Clock,
    ) -> Result<Self, StorageError> {
        let file = RedbFile::open(path, options)?;
        let backend: Arc<dyn Backend> = match durability {
            Durability::Durable => Arc::new(file),
            Durability::Relaxed(interval) => Arc::new(Relaxed::over(Box::new(file), interval)),
        };
        Self::on(backend, path.to_owned(), clock)
    }

    /// A storage that is gone with the process.
    #[must_use]
    pub fn in_memory(clock: Clock) -> Self {
        Self::on(Arc::new(Memory::default()), "memory".into(), clock)
            .expect("empty memory can be read")
    }

    fn on(backend: Arc<dyn Backend>, place: PathBuf, clock: Clock) -> Result<Self, StorageError> {
        let group = backend
            .waits_for_disk()
            .then(|| Group::start(backend.clone()));
        let shared = Arc::new(Shared {
            backend: RwLock::new(Some(backend)),
            group,
            in_order: Mutex::new(()),
            watchers: Watchers::default(),
            clock,
            place,
            closed: AtomicBool::new(false),
            next_expiry: AtomicU64::new(u64::MAX),
            keeper: Mutex::new(false),
            wake_keeper: Condvar::new(),
        });
        let next = shared.read(|records, reader| records.next_expiry(reader))?;
        shared
            .next_expiry
            .store(next.unwrap_or(u64::MAX), Ordering::Release);
        let for_keeper = shared.clone();
        let keeper = std::thread::Builder::new()
            .name("airssys-kv-sweep".into())
            .spawn(move || for_keeper.keep())
            .expect("a thread can be had when the storage is opened");
        Ok(Self {
            shared,
            keeper: Mutex::new(Some(keeper)),
        })
    }

    /// The namespace of this name, with what it may hold. It is made by its first write.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a name that no namespace can have.
    pub fn namespace(&self, name: &str, quota: Quota) -> Result<Namespace, StorageError> {
        if name.is_empty() || name.contains('\0') {
            return Err(StorageError::Invalid(
                "a namespace has a name, without NUL".into(),
            ));
        }
        Ok(Namespace {
            shared: self.shared.clone(),
            name: name.into(),
            quota,
            number: Arc::default(),
            overlay: None,
        })
    }

    /// The names of the namespaces that hold anything, in order. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or is closed.
    pub fn namespaces(&self) -> Result<Vec<String>, StorageError> {
        self.shared
            .read(|records, reader| records.namespaces(reader))
    }

    /// The file, or `memory`.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.shared.place
    }

    /// Transactions that wrote, since the storage was opened.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.shared.group.as_ref().map_or(0, Group::transactions)
    }

    /// Make durable what was acknowledged before it was. Blocks.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.backend()?.flush()
    }

    /// The backend, for copies. The file stays open while it is held.
    pub(super) fn backend(&self) -> Result<Arc<dyn Backend>, StorageError> {
        self.shared.backend().clone().ok_or(StorageError::Closed)
    }

    /// Take no operation any more and end those that run. What was acknowledged is durable then. Blocks.
    ///
    /// # Errors
    /// What was acknowledged before it was durable cannot be written.
    pub fn close(&self) -> Result<(), StorageError> {
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        *self
            .shared
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake_keeper.notify_all();
        let keeper = self
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(keeper) = keeper {
            // A keeper that panicked keeps nothing back.
            let _ = keeper.join();
        }
        if let Some(group) = &self.shared.group {
            group.close();
        }
        self.shared.watchers.close();
        let backend = self
            .shared
            .backend
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        backend.map_or(Ok(()), |backend| backend.flush())
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!("closing the storage: {error}");
        }
    }
}

/// What a batch came to, what watchers are told of it, and when the first of what it set expires.
type Applied = Result<(Outcome, Changes, Option<Millis>), StorageError>;
type Sent<T> = oneshot::Receiver<Result<T, StorageError>>;

impl Shared {
    fn check(&self) -> Result<(), StorageError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StorageError::Closed);
        }
        Ok(())
    }

    fn records(&self) -> Records<'_> {
        Records {
            place: &self.place,
            now: (self.clock)(),
        }
    }

    fn read<T>(
        &self,
        look: impl FnOnce(Records<'_>, &dyn Reader) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.check()?;
        // Held meanwhile, so that closing waits.
        let backend = self.backend();
        let reader = backend.as_ref().ok_or(StorageError::Closed)?.read()?;
        look(self.records(), &*reader)
    }

    fn hold(&self) -> Result<Option<Arc<Base>>, StorageError> {
        self.check()?;
        let backend = self.backend();
        let at = (self.clock)();
        let fixed = backend.as_ref().ok_or(StorageError::Closed)?.fixed()?;
        Ok(fixed.map(|reader| {
            Arc::new(Base {
                place: self.place.clone(),
                clock: self.clock.clone(),
                at,
                reader,
            })
        }))
    }

    fn backend(&self) -> RwLockReadGuard<'_, Option<Arc<dyn Backend>>> {
        self.backend.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begin a write: `work` in a transaction, then `after` with what it gave, in the order of the transactions.
    /// Where writes wait for the disk the answer comes later; else this blocks and it has come.
    fn write<T: Send + 'static>(
        self: &Arc<Self>,
        bytes: usize,
        work: impl FnOnce(Records<'_>, &mut dyn Writer) -> Result<T, StorageError> + Send + 'static,
        after: impl FnOnce(&Self, &T) + Send + 'static,
    ) -> Sent<T> {
        let (send, receive) = oneshot::channel();
        if let Err(closed) = self.check() {
            // Nobody has dropped the receiver yet.
            let _ = send.send(Err(closed));
            return receive;
        }
        let given = Arc::new(Mutex::new(None));
        let (for_done, shared) = (given.clone(), self.clone());
        let for_work = self.clone();
        let job = Job {
            work: Box::new(move |writer| {
                let value = work(for_work.records(), writer)?;
                *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                Ok(())
            }),
            done: Box::new(move |written| {
                let value = for_done
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                let answer = match (written, value) {
                    (Ok(()), Some(value)) => {
                        after(&shared, &value);
                        Ok(value)
                    }
                    (Ok(()), None) => Err(StorageError::Closed),
                    (Err(error), _) => Err(error),
                };
                // Whoever asked may have gone; the write stands all the same.
                let _ = send.send(answer);
            }),
            bytes,
        };
        match &self.group {
            Some(group) => group.submit(job),
            None => {
                let _in_order = self.in_order.lock().unwrap_or_else(PoisonError::into_inner);
                let mut work = Some(job.work);
                let written = match &*self.backend() {
                    None => Err(StorageError::Closed),
                    Some(backend) => {
                        backend.write(&mut |writer| work.take().map_or(Ok(()), |work| work(writer)))
                    }
                };
                (job.done)(written);
            }
        }
        receive
    }

    /// Sweep what has expired, soon after it has, until the storage is closed.
    fn keep(self: &Arc<Self>) {
        loop {
            let next = self.next_expiry.load(Ordering::Acquire);
            let now = (self.clock)();
            {
                let over = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
                if *over {
                    return;
                }
                let wait = if next <= now {
                    Duration::ZERO
                } else {
                    Duration::from_millis((next - now).min(60_000))
                };
                if !wait.is_zero() {
                    let (over, _) = self
                        .wake_keeper
                        .wait_timeout(over, wait)
                        .unwrap_or_else(PoisonError::into_inner);
                    if *over {
                        return;
                    }
                    drop(over);
                    continue;
                }
            }
            if let Err(error) = self.sweep() {
                tracing::warn!("sweeping expired entries: {error}");
            }
            let over = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
            let (over, _) = self
                .wake_keeper
                .wait_timeout_while(over, SWEEP, |over| !*over)
                .unwrap_or_else(PoisonError::into_inner);
            if *over {
                return;
            }
        }
    }

    fn sweep(self: &Arc<Self>) -> Result<(), StorageError> {
        // Set before looking: what comes meanwhile lowers it again.
        self.next_expiry.store(u64::MAX, Ordering::Release);
        loop {
            let sent = self.write(
                0,
                |records, writer| records.sweep(writer, SWEPT_AT_ONCE),
                |shared, (told, _)| {
                    for (name, changes) in told {
                        shared.watchers.tell(name, changes);
                    }
                },
            );
            let (_, more) = sent.blocking_recv().unwrap_or(Err(StorageError::Closed))?;
            if !more {
                break;
            }
        }
        let next = self.read(|records, reader| records.next_expiry(reader))?;
        self.expect_expiry(next.unwrap_or(u64::MAX));
        Ok(())
    }

    fn expect_expiry(&self, at: Millis) {
        if self.next_expiry.fetch_min(at, Ordering::AcqRel) > at {
            let _keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake_keeper.notify_all();
        }
    }
}

/// One namespace of a storage, which no operation on it can leave. Cheap to share.
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
    name: Arc<str>,
    quota: Quota,
    /// The number that the name stands for, once it was found.
    number: Arc<OnceLock<u64>>,
    /// Where whoever has it is on trial, what they see of the storage and write to.
    overlay: Option<Arc<Overlay>>,
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Namespace {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time by which entries expire.
    #[must_use]
    pub fn now(&self) -> Millis {
        match &self.overlay {
            None => (self.shared.clock)(),
            Some(overlay) => overlay.now(),
        }
    }

    /// Hold the present state of the whole storage, at once; `None` where that cannot be had without keeping others
    /// waiting.
    ///
    /// # Errors
    /// The storage cannot be read, or is closed.
    pub fn hold(&self) -> Result<Option<Arc<Base>>, StorageError> {
        self.shared.hold()
    }

    /// The same namespace as it is under `overlay`.
    #[must_use]
    pub fn under(&self, overlay: Arc<Overlay>) -> Self {
        Self {
            overlay: Some(overlay),
            // One that is new since is another there, or none.
            number: Arc::default(),
            ..self.clone()
        }
    }

    /// What it is under, where whoever has it is on trial.
    #[must_use]
    pub fn overlay(&self) -> Option<&Arc<Overlay>> {
        self.overlay.as_ref()
    }

    fn read<T>(
        &self,
        look: impl FnOnce(Records<'_>, &dyn Reader) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match &self.overlay {
            None => self.shared.read(look),
            Some(overlay) => overlay.read(look),
        }
    }

    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The live value of `key`. Blocks.
    ///
    /// # Errors
    /// The key is none, or the storage cannot be read or is closed.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        self.quota.check_key(key)?;
        self.read(|records, reader| match self.number(records, reader)? {
            Some(number) => records.get(reader, number, key),
            None => Ok(None),
        })
    }

    fn number(
        &self,
        records: Records<'_>,
        reader: &dyn Reader,
    ) -> Result<Option<u64>, StorageError> {
        if let Some(number) = self.number.get() {
            return Ok(Some(*number));
        }
        let found = records.number(reader, &self.name)?;
        Ok(found.map(|number| *self.number.get_or_init(|| number)))
    }

    /// A part of the entries whose keys begin with `prefix`, as [`Records::page`]. Blocks.
    ///
    /// # Errors
    /// As [`Namespace::get`].
    pub fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
        values: bool,
    ) -> Result<Page, StorageError> {
        self.read(|records, reader| match self.number(records, reader)? {
            Some(number) => records.page(reader, number, prefix, after, most, values),
            None => Ok(Page::default()),
        })
    }

    /// What the namespace holds. Blocks.
    ///
    /// # Errors
    /// As [`Namespace::get`].
    pub fn usage(&self) -> Result<Usage, StorageError> {
        self.read(|records, reader| records.usage(reader, &self.name))
    }

    /// Do all of `operations` or none. Where writes wait for the disk the answer comes once they are on it; else
    /// this blocks and the answer is there. Dropping the answer does not take the write back.
    pub fn apply(
        &self,
        operations: Vec<Operation>,
    ) -> impl Future<Output = Result<Outcome, StorageError>> + Send + use<> {
        let begun = match &self.overlay {
            None => Ok(self.begin(operations)),
            Some(overlay) => Err(overlay.apply(&self.name, &self.quota, &operations)),
        };
        async move {
            match begun {
                Ok(sent) => {
                    let applied = sent.await.unwrap_or(Err(StorageError::Closed))?;
                    applied.map(|(outcome, ..)| outcome)
                }
                Err(applied) => applied,
            }
        }
    }

    /// Begin to do all of `operations` or none in the storage itself.
    fn begin(&self, operations: Vec<Operation>) -> Sent<Applied> {
        let bytes = operations
            .iter()
            .map(|operation| match operation {
                Operation::Set { key, value, .. } => key.len() + value.len(),
                other => other.key().len(),
            })
            .sum();
        let (name, quota) = (self.name.clone(), self.quota);
        let for_watchers = self.name.clone();
        self.shared.write(
            bytes,
            move |records, writer| -> Result<Applied, StorageError> {
                let applied = records.apply(writer, &name, &quota, &operations)?;
                let expiry = operations
                    .iter()
                    .filter_map(|operation| match operation {
                        Operation::Set { time_to_live, .. } => *time_to_live,
                        _ => None,
                    })
                    .min()
                    .map(|milliseconds| records.now.saturating_add(milliseconds));
                Ok(applied.map(|(outcome, changes)| (outcome, changes, expiry)))
            },
            move |shared, applied| {
                if let Ok((_, changes, expiry)) = applied {
                    shared.watchers.tell(&for_watchers, changes);
                    if let Some(expiry) = expiry {
                        shared.expect_expiry(*expiry);
                    }
                }
            },
        )
    }

    /// Be told of changes of keys that begin with `prefix`; at most `capacity` wait to be looked at.
    ///
    /// # Errors
    /// The storage is closed.
    pub fn watch(&self, prefix: &str, capacity: usize) -> Result<Watcher, StorageError> {
        if let Some(overlay) = &self.overlay {
            return overlay.watch(&self.name, prefix, capacity);
        }
        self.shared.check()?;
        Ok(self.shared.watchers.add(&self.name, prefix, capacity))
    }

    /// Delete everything in the namespace, some hundred keys at a time. Blocks.
    ///
    /// # Errors
    /// It cannot be written; what was deleted so far stays deleted.
    pub fn clear(&self) -> Result<(), StorageError> {
        loop {
            let page = self.page("", None, SWEPT_AT_ONCE, false)?;
            if page.entries.is_empty() && page.cursor.is_none() {
                return Ok(());
            }
            let operations = page
                .entries
                .into_iter()
                .map(|(key, _)| Operation::Delete { key })
                .collect();
            let own = Self {
                quota: Quota::NONE,
                ..self.clone()
            };
            block_on(own.apply(operations))?;
        }
    }
}

/// Wait for an answer on this thread.
pub fn block_on<T>(answer: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut answer = std::pin::pin!(answer);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
