//! Objects that no grant reaches: known by device and inode, directories with all that is below them.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstat, fstatfs, open, openat2,
    statat, statx,
};
use rustix::io::Errno;

/// Device and inode.
pub type ObjectId = (u64, u64);

const PROC_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;
/// Deeper than any path that one can name.
const DEEPEST: usize = 2048;

#[derive(Clone, Debug, Default)]
pub struct Reserved {
    /// Each with a handle (`O_PATH`) that finds it wherever it is.
    objects: HashMap<ObjectId, Arc<OwnedFd>>,
}

impl Reserved {
    /// Reserve what is at `path` now.
    pub fn add(&mut self, path: &[u8]) -> io::Result<()> {
        let object = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let id = identify(object.as_fd(), "")?;
        self.objects.insert(id, Arc::new(object));
        Ok(())
    }

    /// These objects and those of `other`.
    pub fn with(&self, other: &Reserved) -> Reserved {
        Reserved {
            objects: self
                .objects
                .iter()
                .chain(&other.objects)
                .map(|(id, handle)| (*id, Arc::clone(handle)))
                .collect(),
        }
    }

    /// Whether an object is reserved, or stands below what is. `directory` is the object itself, or where
    /// it stands if it is no directory.
    ///
    /// # Errors
    /// The object cannot be examined.
    pub fn holds(&self, object: ObjectId, directory: BorrowedFd<'_>) -> io::Result<bool> {
        if self.objects.contains_key(&object) {
            return Ok(true);
        }
        let kind = fstatfs(directory)?.f_type;
        if kind == PROC_MAGIC || kind == SYSFS_MAGIC {
            return Ok(true);
        }
        any_above(directory, |here| self.objects.contains_key(&here))
    }

    /// Whether a reserved object is, or stands below, the directory with this identity: whoever moves the
    /// directory would move what is the host's.
    ///
    /// # Errors
    /// An object cannot be examined.
    pub fn stands_below(&self, directory: ObjectId) -> io::Result<bool> {
        for (id, handle) in &self.objects {
            let below = if fstat(handle)?.st_nlink == 0 {
                false
            } else if is_directory(handle.as_fd())? {
                any_above(handle.as_fd(), |here| here == directory)?
            } else {
                let path = crate::osl::resolve::real_path(handle.as_fd())?;
                let (parent, _) = crate::osl::resolve::split(&path);
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let parent = openat2(CWD, parent, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
                any_above(parent.as_fd(), |here| here == directory)?
            };
            if below || *id == directory {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// [`Self::holds`] for an entry of a directory, or for the directory where it does not exist yet.
    ///
    /// # Errors
    /// The entry cannot be examined.
    pub fn holds_entry(&self, directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => fstat(directory)?,
            Err(error) => return Err(error.into()),
        };
        self.holds((stat.st_dev, stat.st_ino), directory)
    }

    /// [`Self::holds`] for an object that is open and stands at `path`.
    ///
    /// # Errors
    /// The object cannot be examined, or stands there no more.
    pub fn holds_open(&self, object: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
        let stat = fstat(object)?;
        let id = (stat.st_dev, stat.st_ino);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return self.holds(id, object);
        }
        // Without a name it stands nowhere any more.
        if stat.st_nlink == 0 || self.objects.contains_key(&id) {
            return Ok(self.objects.contains_key(&id));
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(true);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat2(CWD, parent, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
        let found = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (found.st_dev, found.st_ino) == id {
            self.holds(id, parent.as_fd())
        } else {
            Err(Errno::STALE.into())
        }
    }
}

fn is_directory(object: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(object)?.st_mode) == FileType::Directory)
}

/// Whether `wanted` says so of a directory or of one above it.
fn any_above(directory: BorrowedFd<'_>, wanted: impl Fn(ObjectId) -> bool) -> io::Result<bool> {
    let mut way = String::new();
    let mut before = None;
    for _ in 0..DEEPEST {
        let here = identify(directory, &way)?;
        if wanted(here) {
            return Ok(true);
        }
        // The root is its own parent.
        if before == Some(here) {
            return Ok(false);
        }
        before = Some(here);
        way.push_str(if way.is_empty() { ".." } else { "/.." });
    }
    Ok(true)
}

fn identify(directory: BorrowedFd<'_>, way: &str) -> io::Result<ObjectId> {
    let flags = if way.is_empty() {
        AtFlags::EMPTY_PATH
    } else {
        AtFlags::empty()
    };
    let found = statx(directory, way, flags, StatxFlags::INO)?;
    Ok((
        rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
        found.stx_ino,
    ))
}
