//! What a guest holds when it holds a descriptor.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::known::Ways;
use crate::gate::FileAccess;

/// An open file or directory.
pub(crate) struct Object {
    pub file: File,
    pub is_dir: bool,
    /// Its mount may be written to; the gate still decides each access.
    pub writable: bool,
    /// Opened for reading.
    pub read: bool,
    /// A file opened for writing.
    pub write: bool,
    /// A directory opened to be changed, which tells the guest and binds nobody: each change is decided.
    pub mutable: bool,
    /// Where it was when it was opened, for deciding once it has no path any more.
    pub path: PathBuf,
    /// What is known of where it leads, being a directory.
    pub(super) ways: Ways,
    /// The generations in which reading and writing were last allowed.
    decided: [AtomicU64; 2],
}

impl Object {
    /// An object whose opening was allowed in `generation`.
    pub fn new(file: File, path: PathBuf, kind: Kind, generation: u64) -> Self {
        Self {
            file,
            is_dir: kind.is_dir,
            writable: kind.writable,
            read: kind.read,
            write: kind.write && !kind.is_dir,
            mutable: kind.is_dir && kind.writable && kind.mutable,
            path,
            ways: Ways::default(),
            decided: [AtomicU64::new(generation), AtomicU64::new(generation)],
        }
    }

    pub fn decided_in(&self, access: FileAccess) -> u64 {
        self.slot(access).load(Ordering::Acquire)
    }

    pub fn set_decided(&self, access: FileAccess, generation: u64) {
        self.slot(access).store(generation, Ordering::Release);
    }

    fn slot(&self, access: FileAccess) -> &AtomicU64 {
        &self.decided[usize::from(access == FileAccess::Write)]
    }
}

/// How an object was opened.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the flags of the interface"
)]
pub(crate) struct Kind {
    pub is_dir: bool,
    pub writable: bool,
    pub read: bool,
    pub write: bool,
    pub mutable: bool,
}
