//! Objects that no grant reaches: known by device and inode, directories with all that is below them.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

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
    objects: HashSet<ObjectId>,
}

impl Reserved {
    /// Reserve what is at `path` now.
    pub fn add(&mut self, path: &[u8]) -> io::Result<()> {
        let object = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        self.objects.insert(identify(object.as_fd(), "")?);
        Ok(())
    }

    /// These objects and those of `other`.
    pub fn with(&self, other: &Reserved) -> Reserved {
        Reserved {
            objects: self.objects.union(&other.objects).copied().collect(),
        }
    }

    /// Whether an object is reserved, or stands below what is. `directory` is the object itself, or where
    /// it stands if it is no directory.
    ///
    /// # Errors
    /// The object cannot be examined.
    pub fn holds(&self, object: ObjectId, directory: BorrowedFd<'_>) -> io::Result<bool> {
        if self.objects.contains(&object) {
            return Ok(true);
        }
        let kind = fstatfs(directory)?.f_type;
        if kind == PROC_MAGIC || kind == SYSFS_MAGIC {
            return Ok(true);
        }
        let mut way = String::new();
        let mut before = None;
        for _ in 0..DEEPEST {
            let here = identify(directory, &way)?;
            if self.objects.contains(&here) {
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
        if stat.st_nlink == 0 || self.objects.contains(&id) {
            return Ok(self.objects.contains(&id));
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
