//! Copies of a whole storage: online backup, and the move from one backend to another with proof.

use std::path::Path;

use super::backend::{Backend, Reader, Table};
use super::error::StorageError;
use super::redb_file::{FileOptions, RedbFile, sync_directory_of};
use super::store::Storage;

/// Bytes written in one transaction of a copy.
const COPIED_AT_ONCE: usize = 8 << 20;

/// What was copied, and proof that it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub entries: u64,
    /// BLAKE3 over every row of every table, computed from what was read back.
    pub digest: String,
}

impl Storage {
    /// Write a copy of the present state to a new file at `path`, while the storage is used. Blocks.
    ///
    /// # Errors
    /// There is a file at `path` already, it cannot be written, or `stopped` said so.
    pub fn backup(&self, path: &Path, stopped: &dyn Fn() -> bool) -> Result<Copied, StorageError> {
        if path.exists() {
            return Err(StorageError::Invalid(format!(
                "{} exists; a backup is a new file",
                path.display()
            )));
        }
        let unfinished = path.with_extension("unfinished");
        let explain = |error: std::io::Error| StorageError::from_io(path, &error);
        let copied = {
            let target = RedbFile::open(&unfinished, FileOptions::default())?;
            copy(&*self.backend()?, &target, stopped)
        };
        match copied {
            Ok(copied) => {
                std::fs::rename(&unfinished, path).map_err(explain)?;
                sync_directory_of(path).map_err(explain)?;
                Ok(copied)
            }
            Err(error) => {
                // What failed is told; that the remains could not be removed as well adds nothing.
                let _ = std::fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }

    /// Copy everything into `target`, which is empty, and compare the two. Blocks; nothing may write to either
    /// meanwhile.
    ///
    /// # Errors
    /// `target` holds something, cannot be written, or differs afterwards; or `stopped` said so.
    pub fn copy_to(
        &self,
        target: &Self,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Copied, StorageError> {
        let mut empty = true;
        // A namespace that holds nothing has its number all the same.
        target
            .backend()?
            .read()?
            .scan(Table::Namespaces, &[], None, &mut |_, _| {
                empty = false;
                false
            })?;
        if !empty {
            return Err(StorageError::Invalid(format!(
                "{} is not empty; copy into an empty storage",
                target.place().display()
            )));
        }
        copy(&*self.backend()?, &*target.backend()?, stopped)
    }
}

fn copy(
    source: &dyn Backend,
    target: &dyn Backend,
    stopped: &dyn Fn() -> bool,
) -> Result<Copied, StorageError> {
    let reader = source.snapshot()?;
    for table in Table::ALL {
        let mut from = Some(Vec::new());
        while let Some(begin) = from.take() {
            if stopped() {
                return Err(StorageError::Closed);
            }
            let mut rows = Vec::new();
            let mut bytes = 0;
            reader.scan(table, &begin, None, &mut |key, value| {
                if bytes >= COPIED_AT_ONCE {
                    from = Some(key.to_vec());
                    return false;
                }
                bytes += key.len() + value.len();
                rows.push((key.to_vec(), value.to_vec()));
                true
            })?;
            target.write(&mut |writer| {
                rows.iter()
                    .try_for_each(|(key, value)| writer.put(table, key, value))
            })?;
        }
    }
    let sent = digest(&*reader, stopped)?;
    let arrived = digest(&*target.snapshot()?, stopped)?;
    if sent != arrived {
        return Err(StorageError::Invalid(format!(
            "the copy differs from what was copied ({} against {}): it was written to meanwhile, or a device fails",
            arrived.digest, sent.digest
        )));
    }
    Ok(arrived)
}

fn digest(reader: &dyn Reader, stopped: &dyn Fn() -> bool) -> Result<Copied, StorageError> {
    let mut hasher = blake3::Hasher::new();
    let (mut entries, mut ended) = (0, false);
    for table in Table::ALL {
        reader.scan(table, &[], None, &mut |key, value| {
            for part in [key, value] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            if table == Table::Entries {
                entries += 1;
                ended = entries % 1024 == 0 && stopped();
            }
            !ended
        })?;
        if ended {
            return Err(StorageError::Closed);
        }
    }
    Ok(Copied {
        entries,
        digest: hasher.finalize().to_hex().to_string(),
    })
}
