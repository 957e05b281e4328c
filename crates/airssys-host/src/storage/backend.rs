//! What keeps the bytes: three ordered tables with atomic transactions. What they mean is decided above, once,
//! for every backend.

use super::error::StorageError;

/// The tables of a backend; keys and values are bytes, ordered by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Table {
    /// Name to number and totals of a namespace.
    Namespaces,
    /// Number of the namespace and key to record.
    Entries,
    /// Time of expiry, number and key to name and size.
    Expiries,
}

impl Table {
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Entries, Self::Expiries];
}

/// A state that no later transaction changes.
pub trait Reader {
    /// Show the value of `key`, where there is one; tell whether there is.
    ///
    /// # Errors
    /// The bytes cannot be read.
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError>;

    /// Show what lies from `from` to before `to` (`None`: to the end), in order, while `show` says `true`.
    ///
    /// # Errors
    /// The bytes cannot be read.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError>;
}

impl<R: Reader + ?Sized> Reader for Box<R> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        (**self).get(table, key, show)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        (**self).scan(table, from, to, show)
    }
}

/// A transaction, which reads its own writes.
pub trait Writer: Reader {
    /// # Errors
    /// The bytes cannot be written; the transaction must not go on.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError>;

    /// # Errors
    /// The bytes cannot be written; the transaction must not go on.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StorageError>;
}

/// A state that is held.
pub type Fixed = Box<dyn Reader + Send + Sync>;

/// What happens in one transaction.
pub type Work<'a> = &'a mut dyn FnMut(&mut dyn Writer) -> Result<(), StorageError>;

/// Keeps the bytes. Safe to use from several threads; may block in all its methods.
pub trait Backend: Send + Sync + 'static {
    /// The state after the last transaction.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self) -> Result<Box<dyn Reader + '_>, StorageError>;

    /// Do `work` in one transaction, whole or not at all. When this returns, it is as durable as the backend
    /// makes it.
    ///
    /// # Errors
    /// What `work` returned, or the transaction could not be made durable. Nothing of it is seen.
    fn write(&self, work: Work<'_>) -> Result<(), StorageError>;

    /// A durable state to be read for long, which keeps nobody from writing where that can be had.
    ///
    /// # Errors
    /// As [`Backend::read`] and [`Backend::flush`].
    fn snapshot(&self) -> Result<Box<dyn Reader + '_>, StorageError> {
        self.read()
    }

    /// The state after the last transaction, as it is however long it is held, at once: nobody waits for it, and it
    /// keeps nobody from writing. `None` where that cannot be had. Who holds it does not keep the backend open; what
    /// is read after that is [`StorageError::Closed`].
    ///
    /// # Errors
    /// As [`Backend::read`].
    fn fixed(&self) -> Result<Option<Fixed>, StorageError>;

    /// Whether a write waits for the disk, so that several had better share one transaction.
    fn waits_for_disk(&self) -> bool;

    /// Make durable what is not yet. Does nothing where there is nothing to do.
    ///
    /// # Errors
    /// It cannot be written.
    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
