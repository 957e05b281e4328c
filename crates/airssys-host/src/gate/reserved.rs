//! Objects that no grant reaches: known by device and inode, directories with all that is below them.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, fstatfs, open, statx};

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
