//! Directories that are known not to be reserved, so that nobody walks up from them again.
//!
//! A directory is known by its real path and its mount. As long as no reserved directory, nothing above one, and
//! no mount has moved, the same path of the same mount cannot come to lie below what is reserved: a directory has
//! one path in its file system, and whatever else is put there is then itself not below. [`watch`] tells when that
//! no longer holds, before the access that follows.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use super::watch::{self, For};

/// More are forgotten all at once.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Clear(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// In which all reserved directories are watched, and the rest was found.
    epoch: Option<u64>,
    mounts: HashMap<Box<[u8]>, u64, RandomState>,
}

/// The present epoch of what is reserved.
fn present() -> Option<u64> {
    watch::look().map(|epochs| epochs.reserved)
}

impl Clear {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the directory at `path` of this mount is known, `now` or where that is not said when it is asked.
    pub fn knows(&self, path: &Path, mount: Option<u64>, now: Option<u64>) -> bool {
        let found = self.found();
        mount.is_some()
            && found.epoch.is_some()
            && found.mounts.get(path.as_os_str().as_bytes()).copied() == mount
            && now.or_else(present) == found.epoch
    }

    /// See to it that all of `reserved` is watched before something is looked at; the epoch in which it is.
    pub fn begin<'a>(&self, reserved: impl Iterator<Item = &'a Arc<OwnedFd>>) -> Option<u64> {
        let now = present()?;
        let mut found = self.found();
        if found.epoch != Some(now) {
            found.epoch = None;
            found.mounts.clear();
            for directory in reserved {
                if super::is_directory(directory.as_fd()).ok()? {
                    watch::follow(directory.as_fd(), For::Reserved)?;
                }
            }
            // What moved while it began to be watched is watched with the next attempt.
            found.epoch = present().filter(|after| *after == now);
        }
        found.epoch
    }

    /// Know a directory that was looked at after [`Self::begin`] said `epoch`.
    pub fn add(&self, epoch: u64, path: &Path, mount: u64) {
        let mut found = self.found();
        if found.epoch == Some(epoch) && present() == Some(epoch) {
            if found.mounts.len() >= MOST {
                found.mounts.clear();
            }
            found
                .mounts
                .insert(path.as_os_str().as_bytes().into(), mount);
        }
    }
}
