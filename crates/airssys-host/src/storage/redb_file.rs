//! The durable backend: one redb database in one file.

use std::borrow::Borrow;
use std::fs::{File, OpenOptions};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};

use super::backend::{Backend, Fixed, Reader, Table, Work, Writer};
use super::error::StorageError;
use super::owned_file::OwnedFile;

/// The form of what is written here; a file of a later one is refused.
const SCHEMA: u64 = 1;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
type Bytes = &'static [u8];
const TABLES: [TableDefinition<Bytes, Bytes>; 3] = [
    TableDefinition::new("namespaces"),
    TableDefinition::new("entries"),
    TableDefinition::new("expiries"),
];

/// A file larger than this is written in a way that costs a second fsync for each transaction and makes opening
/// after a crash quick whatever the size; a smaller one is checked as a whole after a crash instead.
const QUICK_REPAIR_FROM: u64 = 1 << 30;

/// A file that could not be opened again after a failure is tried at most this often.
const RETRY: Duration = Duration::from_secs(1);

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Bytes of pages kept in memory.
    pub cache: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { cache: 64 << 20 }
    }
}

/// One database file.
pub struct RedbFile {
    path: PathBuf,
    options: FileOptions,
    state: RwLock<State>,
    /// States that are held: they go before the database does, which has one owner.
    held: Mutex<Vec<Weak<Held>>>,
}

/// A database that is closed without a panic over what a damaged file holds.
struct Handle(ManuallyDrop<Database>);

impl Deref for Handle {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and not used afterwards.
        let database = unsafe { ManuallyDrop::take(&mut self.0) };
        // Closing writes what makes the next opening quick; without that it takes longer and finds the same.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

enum State {
    Open(Handle),
    /// A read or write of the file failed, and so did opening it again.
    Failed(StorageError, Instant),
}

impl RedbFile {
    /// Open the file at `path`; made where there is none. What a crash left is brought into order.
    ///
    /// # Errors
    /// [`StorageError::InUse`], [`StorageError::TooNew`], [`StorageError::Damaged`], [`StorageError::Full`], or the
    /// system refuses the file.
    pub fn open(path: &Path, options: FileOptions) -> Result<Self, StorageError> {
        let database = match open_file(path) {
            Ok(file) => open_database(path, file, &options)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path, &options)?,
            Err(error) => return Err(StorageError::from_io(path, &error)),
        };
        Ok(Self {
            path: path.to_owned(),
            options,
            state: RwLock::new(State::Open(database)),
            held: Mutex::default(),
        })
    }

    /// Do something with the database; after a failure of the file it is opened again for the next time, because
    /// redb takes no further request then.
    fn with<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        let failed = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Open(database) => {
                    let outcome = guarded(&self.path, || {
                        act(database).map_err(|error| explain(&self.path, error))
                    });
                    match outcome {
                        Err(error) if breaks(&error) => error,
                        outcome => return outcome,
                    }
                }
                State::Failed(error, at) if at.elapsed() < RETRY => return Err(error.clone()),
                State::Failed(error, _) => error.clone(),
            }
        };
        self.reopen(&failed);
        Err(failed)
    }

    fn begin_read<T>(&self, take: impl Fn(ReadTransaction) -> T) -> Result<T, StorageError> {
        let begin = |database: &Database| Ok(take(database.begin_read()?));
        // A failure of an earlier access has been dealt with by opening the file again.
        match self.with(begin) {
            Err(error) if breaks(&error) => self.with(begin),
            outcome => outcome,
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_go(&self) {
        for held in self.held().drain(..).filter_map(|held| held.upgrade()) {
            held.let_go();
        }
    }

    fn reopen(&self, failed: &StorageError) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // The old handle goes first, and what reads by it: a file has one owner.
        self.let_go();
        *state = State::Failed(failed.clone(), Instant::now());
        let opened = open_file(&self.path)
            .map_err(|error| StorageError::from_io(&self.path, &error))
            .and_then(|file| open_database(&self.path, file, &self.options));
        *state = match opened {
            Ok(database) => State::Open(database),
            Err(error) => State::Failed(error, Instant::now()),
        };
    }
}

fn breaks(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Full { .. } | StorageError::Io { .. } | StorageError::Damaged { .. }
    )
}

fn open_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn open_database(path: &Path, file: File, options: &FileOptions) -> Result<Handle, StorageError> {
    let length = file
        .metadata()
        .map_err(|error| StorageError::from_io(path, &error))?
        .len();
    if length == 0 {
        // redb would begin a new database in it, as if nothing had ever been stored.
        return Err(StorageError::Damaged {
            path: path.to_owned(),
            reason: "the file is empty".into(),
        });
    }
    let database = build(path, file, options)?;
    let found = guarded(path, || {
        schema_of(&database).map_err(|error| explain(path, error))
    })?;
    match found {
        Some(SCHEMA) => Ok(database),
        Some(found) if found > SCHEMA => Err(StorageError::TooNew {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        }),
        _ => Err(StorageError::Damaged {
            path: path.to_owned(),
            reason: "it is a database of something else".into(),
        }),
    }
}

fn build(path: &Path, file: File, options: &FileOptions) -> Result<Handle, StorageError> {
    let owned = OwnedFile::own(file, path)?;
    guarded(path, move || {
        Builder::new()
            .set_cache_size(options.cache)
            .create_with_backend(owned)
            .map(|database| Handle(ManuallyDrop::new(database)))
            .map_err(|error| explain(path, error.into()))
    })
}

fn schema_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    let reading = database.begin_read()?;
    match reading.open_table(META) {
        Ok(table) => Ok(table.get("schema")?.map(|found| found.value())),
        Err(
            redb::TableError::TableDoesNotExist(_) | redb::TableError::TableTypeMismatch { .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Make the file beside its place and move it there once it is whole.
fn create(path: &Path, options: &FileOptions) -> Result<Handle, StorageError> {
    let beside = path.with_extension("new");
    let explain_io = |error: std::io::Error| StorageError::from_io(path, &error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)
        .map_err(explain_io)?;
    let database = build(path, file, options)?;
    guarded(path, || {
        initialize(&database).map_err(|error| explain(path, error))
    })?;
    std::fs::rename(&beside, path).map_err(explain_io)?;
    sync_directory_of(path).map_err(explain_io)?;
    Ok(database)
}

/// Make the entry of `path` in its directory durable.
pub(super) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

fn initialize(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(META)?.insert("schema", SCHEMA)?;
    for table in TABLES {
        writing.open_table(table)?;
    }
    writing.commit()?;
    Ok(())
}

/// Turn a panic over what a damaged file holds into the error that it is.
fn guarded<T>(
    path: &Path,
    act: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it cannot be read");
        Err(StorageError::Damaged {
            path: path.to_owned(),
            reason: said.to_owned(),
        })
    })
}

fn explain(path: &Path, error: redb::Error) -> StorageError {
    let owned = || path.to_owned();
    match error {
        redb::Error::Io(error) => StorageError::from_io(path, &error),
        redb::Error::DatabaseAlreadyOpen => StorageError::InUse { path: owned() },
        redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::Corrupted(_)
        | redb::Error::LockPoisoned(_) => StorageError::Damaged {
            path: owned(),
            reason: error.to_string(),
        },
        other => StorageError::Io {
            path: owned(),
            reason: other.to_string(),
        },
    }
}

impl Backend for RedbFile {
    fn read(&self) -> Result<Box<dyn Reader + '_>, StorageError> {
        Ok(Box::new(Reading {
            path: &self.path,
            transaction: self.begin_read(|transaction| transaction)?,
        }))
    }

    fn write(&self, work: Work<'_>) -> Result<(), StorageError> {
        let mut refused = None;
        let written = self.with(|database| {
            let mut transaction = database.begin_write()?;
            if self
                .path
                .metadata()
                .is_ok_and(|metadata| metadata.len() >= QUICK_REPAIR_FROM)
            {
                transaction.set_quick_repair(true);
            }
            let worked = {
                let mut writing = Writing::new(self, &transaction)?;
                work(&mut writing)
            };
            if let Err(error) = worked {
                // Where the file failed, dropping is all that can be done with the transaction.
                let file_failed = breaks(&error);
                refused = Some(error);
                if !file_failed {
                    transaction.abort()?;
                }
                return Ok(());
            }
            transaction.commit()?;
            Ok(())
        });
        match refused {
            Some(error) => {
                if breaks(&error) {
                    self.reopen(&error);
                }
                Err(error)
            }
            None => written,
        }
    }

    fn fixed(&self) -> Result<Option<Fixed>, StorageError> {
        // Listed before the database can go.
        let held = self.begin_read(|transaction| {
            let held = Arc::new(Held {
                path: self.path.clone(),
                transaction: RwLock::new(Some(transaction)),
            });
            let mut all = self.held();
            all.retain(|each| each.strong_count() > 0);
            all.push(Arc::downgrade(&held));
            held
        })?;
        Ok(Some(Box::new(held)))
    }

    fn waits_for_disk(&self) -> bool {
        true
    }
}

impl Drop for RedbFile {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// A state that is held until the database goes.
struct Held {
    path: PathBuf,
    transaction: RwLock<Option<ReadTransaction>>,
}

impl Held {
    fn let_go(&self) {
        let mut transaction = self
            .transaction
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *transaction = None;
    }

    fn with<T>(
        &self,
        act: impl FnOnce(Reading<'_, &ReadTransaction>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let transaction = self
            .transaction
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let transaction = transaction.as_ref().ok_or(StorageError::Closed)?;
        act(Reading {
            path: &self.path,
            transaction,
        })
    }
}

impl Reader for Arc<Held> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        self.with(|reading| reading.get(table, key, show))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        self.with(|reading| reading.scan(table, from, to, show))
    }
}

struct Reading<'a, T = ReadTransaction> {
    path: &'a Path,
    transaction: T,
}

fn get(
    path: &Path,
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
    show: &mut dyn FnMut(&[u8]),
) -> Result<bool, StorageError> {
    let found = table
        .get(key)
        .map_err(|error| explain(path, error.into()))?;
    Ok(found.map(|found| show(found.value())).is_some())
}

fn scan(
    path: &Path,
    table: &impl ReadableTable<Bytes, Bytes>,
    from: &[u8],
    to: Option<&[u8]>,
    show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StorageError> {
    use std::ops::Bound;
    let end = to.map_or(Bound::Unbounded, Bound::Excluded);
    let broken = |error: redb::StorageError| explain(path, error.into());
    for found in table
        .range::<&[u8]>((Bound::Included(from), end))
        .map_err(broken)?
    {
        let (key, value) = found.map_err(broken)?;
        if !show(key.value(), value.value()) {
            break;
        }
    }
    Ok(())
}

impl<R: Borrow<ReadTransaction>> Reading<'_, R> {
    fn with<T>(
        &self,
        table: Table,
        act: impl FnOnce(&redb::ReadOnlyTable<Bytes, Bytes>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let path = self.path;
        guarded(path, || {
            let table = self
                .transaction
                .borrow()
                .open_table(TABLES[table as usize])
                .map_err(|error| explain(path, error.into()))?;
            act(&table)
        })
    }
}

impl<R: Borrow<ReadTransaction>> Reader for Reading<'_, R> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        self.with(table, |table| get(self.path, table, key, show))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        self.with(table, |table| scan(self.path, table, from, to, show))
    }
}

struct Writing<'a> {
    file: &'a RedbFile,
    tables: [redb::Table<'a, Bytes, Bytes>; 3],
}

impl<'a> Writing<'a> {
    fn new(file: &'a RedbFile, transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        let [namespaces, entries, expiries] = TABLES;
        Ok(Self {
            file,
            tables: [
                transaction.open_table(namespaces)?,
                transaction.open_table(entries)?,
                transaction.open_table(expiries)?,
            ],
        })
    }
}

impl Reader for Writing<'_> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        get(&self.file.path, &self.tables[table as usize], key, show)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        scan(
            &self.file.path,
            &self.tables[table as usize],
            from,
            to,
            show,
        )
    }
}

impl Writer for Writing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.tables[table as usize]
            .insert(key, value)
            .map(drop)
            .map_err(|error| explain(&self.file.path, error.into()))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StorageError> {
        self.tables[table as usize]
            .remove(key)
            .map(drop)
            .map_err(|error| explain(&self.file.path, error.into()))
    }
}
