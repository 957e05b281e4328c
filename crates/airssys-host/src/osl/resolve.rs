//! From a name to an object, its real path and the directory it stands in.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat, statat,
};
use rustix::io::Errno;

use super::OslError;
use crate::gate::reserved::Reserved;

/// How often a name that moves is resolved again.
const ATTEMPTS: usize = 16;

/// An existing object.
#[derive(Debug)]
pub struct Object {
    /// Opened with `O_PATH`: it names the object and can do nothing else.
    pub handle: OwnedFd,
    /// Where the object stands; `None` for a directory.
    pub parent: Option<OwnedFd>,
    pub path: Vec<u8>,
    pub stat: Stat,
}

/// A place in an existing directory, whether or not something is there.
#[derive(Debug)]
pub struct Place {
    pub directory: OwnedFd,
    pub directory_path: Vec<u8>,
    pub name: Vec<u8>,
}

impl Object {
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether the object belongs to the host itself.
    pub fn is_reserved(&self, reserved: &Reserved) -> io::Result<bool> {
        let directory = self.parent.as_ref().unwrap_or(&self.handle);
        reserved.holds((self.stat.st_dev, self.stat.st_ino), directory.as_fd())
    }
}

impl Place {
    pub fn path(&self) -> Vec<u8> {
        let mut path = self.directory_path.clone();
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(&self.name);
        path
    }

    /// Whether the directory belongs to the host itself, or what stands at the place does.
    pub fn is_reserved(&self, reserved: &Reserved) -> io::Result<bool> {
        reserved.holds_entry(self.directory.as_fd(), &self.name)
    }

    /// What stands at the place, links not followed.
    pub fn stat(&self) -> Result<Option<Stat>, Errno> {
        match statat(&self.directory, &self.name[..], AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the directory still has the path that was decided.
    pub fn is_still_there(&self) -> bool {
        real_path(self.directory.as_fd()).is_ok_and(|path| path == self.directory_path)
    }
}

/// Open whatever `path` leads to, without using it.
pub fn object(path: &[u8], follow: bool) -> Result<Object, OslError> {
    for _ in 0..ATTEMPTS {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let fault = |error: Errno| OslError::os(path, error);
        let handle =
            openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map_err(fault)?;
        let stat = fstat(&handle).map_err(fault)?;
        let real = real_path(handle.as_fd()).map_err(fault)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            if stat.st_nlink == 0 {
                continue;
            }
            return Ok(Object {
                handle,
                parent: None,
                path: real,
                stat,
            });
        }
        // The object is found a second time, through its real path, to hold the directory it stands in.
        let (directory, name) = split(&real);
        let Ok(parent) = directory_at(directory) else {
            continue;
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if found.st_ino == stat.st_ino && found.st_dev == stat.st_dev => {
                return Ok(Object {
                    handle,
                    parent: Some(parent),
                    path: real,
                    stat,
                });
            }
            _ => {}
        }
    }
    Err(OslError::Moved {
        path: String::from_utf8_lossy(path).into_owned(),
    })
}

/// Open the directory of `path`, whose last name stays as it is.
pub fn place(path: &[u8]) -> Result<Place, OslError> {
    let (directory, name) = split(path);
    if name.is_empty() {
        return Err(OslError::os(path, Errno::ISDIR));
    }
    let found = object(directory, true)?;
    if found.file_type() != FileType::Directory {
        return Err(OslError::os(path, Errno::NOTDIR));
    }
    Ok(Place {
        directory: found.handle,
        directory_path: found.path,
        name: name.to_vec(),
    })
}

fn directory_at(path: &[u8]) -> Result<OwnedFd, Errno> {
    openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
    )
}

/// The path that the kernel knows an open object by.
pub fn real_path(object: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let path = readlinkat(CWD, proc_path(object), Vec::with_capacity(256))?.into_bytes();
    if path.first() == Some(&b'/') {
        Ok(path)
    } else {
        Err(Errno::NOENT)
    }
}

/// A path that opens this very object again.
pub fn proc_path(object: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", object.as_raw_fd())
}

/// Directory and last name of an absolute, normal path.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"/", path),
    }
}
