//! The file of a database, with one owner.
//!
//! The lock is the process's own (`fcntl`), because one that is tied to the open file (`flock`) would go on in a
//! forked child for as long as that lives. It does not tell two owners in one process apart, so a list does.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use rustix::fs::FlockOperation;

use super::error::StorageError;

/// Process, device and inode of the files that are open here.
static OPEN: LazyLock<Mutex<HashSet<(u32, u64, u64)>>> = LazyLock::new(Mutex::default);

fn open_files() -> MutexGuard<'static, HashSet<(u32, u64, u64)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open file that nobody else has open this way.
#[derive(Debug)]
pub struct OwnedFile {
    file: File,
    identity: (u32, u64, u64),
}

impl OwnedFile {
    /// Become the owner of `file`, which was opened from `path`.
    ///
    /// # Errors
    /// [`StorageError::InUse`]; or the lock cannot be taken.
    pub fn own(file: File, path: &Path) -> Result<Self, StorageError> {
        let explain = |error: std::io::Error| StorageError::from_io(path, &error);
        let metadata = file.metadata().map_err(explain)?;
        let identity = (std::process::id(), metadata.dev(), metadata.ino());
        let in_use = || StorageError::InUse {
            path: path.to_owned(),
        };
        // Listed first: closing a second handle would drop the first one's lock.
        if !open_files().insert(identity) {
            std::mem::forget(file);
            return Err(in_use());
        }
        let owned = Self { file, identity };
        match rustix::fs::fcntl_lock(&owned.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(owned),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(in_use()),
            Err(errno) => Err(explain(errno.into())),
        }
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        open_files().remove(&self.identity);
    }
}

impl StorageBackend for OwnedFile {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}
