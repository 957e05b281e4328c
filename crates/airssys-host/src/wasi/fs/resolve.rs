//! From a guest's path to the very object that it means.
//!
//! A path is never walked twice: its parent directory is opened (`O_PATH`, beneath the directory the
//! guest holds), the kernel tells where that directory really is, and what is decided and done next names
//! one entry of exactly this directory without following anything.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;

/// As many symbolic links as Linux itself follows in one path.
const MAX_LINKS: usize = 40;
/// The kernel's `PATH_MAX`, its terminating NUL included.
const MAX_PATH: usize = 4096;
/// How often a lookup is repeated that a rename elsewhere in the tree disturbed.
const MAX_RETRIES: usize = 128;

/// No way out of the directory that the guest holds, and none through `/proc`'s magic links.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// An entry of a directory, or a directory itself.
pub(crate) struct Place {
    /// The directory that holds the entry; the object itself when `name` is absent.
    pub parent: OwnedFd,
    /// `None` for a path such as `.`, `a/..` or `a/.`, which can only be a directory.
    pub name: Option<OsString>,
    /// Where the object really is: absolute, without symbolic links.
    pub path: PathBuf,
    /// The path ended in a slash: only a directory will do.
    pub must_be_dir: bool,
}

/// `openat2`, again while a concurrent rename makes the kernel unsure whether the walk stayed beneath.
pub(crate) fn openat2(
    dir: impl AsFd,
    path: &OsStr,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    for _ in 0..MAX_RETRIES {
        match rustix::fs::openat2(dir.as_fd(), path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // How the kernel says that the path leaves the directory.
            Err(Errno::XDEV) => return Err(Errno::PERM),
            other => return other,
        }
    }
    Err(Errno::BUSY)
}

/// Open `path` beneath `dir` when no component of it is a symbolic link (else `ELOOP`).
pub(crate) fn open_plain(dir: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(
        dir,
        OsStr::new(path),
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        BENEATH | ResolveFlags::NO_SYMLINKS,
    )
}

/// Where the object behind a descriptor really is.
///
/// # Errors
/// `ENOENT` when it was deleted and so has no path.
pub(crate) fn real_path(object: impl AsFd) -> Result<PathBuf, Errno> {
    let digits = itoa(object.as_fd().as_raw_fd());
    let link = rustix::fs::readlinkat(proc_fd()?, digits.as_c_str(), Vec::new())?;
    let path = PathBuf::from(OsString::from_vec(link.into_bytes()));
    if path.as_os_str().as_bytes().ends_with(b" (deleted)")
        && rustix::fs::fstat(object.as_fd())?.st_nlink == 0
    {
        return Err(Errno::NOENT);
    }
    // Sockets, pipes and the like read as `socket:[1]`, things outside this root as `(unreachable)/…`.
    if !path.is_absolute() {
        return Err(Errno::NOENT);
    }
    Ok(path)
}

/// A descriptor number as a C string, without an allocation.
struct Digits {
    bytes: [u8; 12],
    start: usize,
}

impl Digits {
    fn as_c_str(&self) -> &std::ffi::CStr {
        std::ffi::CStr::from_bytes_with_nul(&self.bytes[self.start..])
            .expect("only digits stand before the one NUL at the end")
    }
}

fn itoa(number: i32) -> Digits {
    let mut bytes = [0; 12];
    let mut start = bytes.len() - 1;
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        bytes[start] = b'0' + u8::try_from(rest % 10).expect("a digit fits in a byte");
        rest /= 10;
        if rest == 0 {
            return Digits { bytes, start };
        }
    }
}

/// `/proc/self/fd`, held open: reading a link beneath it costs half of walking to it each time.
fn proc_fd() -> Result<BorrowedFd<'static>, Errno> {
    static DIR: OnceLock<Result<OwnedFd, Errno>> = OnceLock::new();
    match DIR.get_or_init(|| {
        let dir = rustix::fs::openat(
            CWD,
            "/proc/self/fd",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // Whoever can mount something else over it must not be able to forge real paths.
        if rustix::fs::fstatfs(&dir)?.f_type == PROC_SUPER_MAGIC {
            Ok(dir)
        } else {
            Err(Errno::NOSYS)
        }
    }) {
        Ok(dir) => Ok(dir.as_fd()),
        Err(errno) => Err(*errno),
    }
}

/// What may never be a path: empty, absolute, with a NUL, or longer than the kernel takes.
pub(crate) fn check_form(path: &str) -> Result<(), Errno> {
    if path.is_empty() {
        Err(Errno::NOENT)
    } else if path.as_bytes().contains(&0) {
        Err(Errno::INVAL)
    } else if path.starts_with('/') {
        Err(Errno::PERM)
    } else if path.len() >= MAX_PATH {
        Err(Errno::NAMETOOLONG)
    } else {
        Ok(())
    }
}

/// The parent part and the last name of a path; no name when the path can only mean a directory.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>, bool) {
    let trimmed = trim_slashes(path);
    let must_be_dir = trimmed.len() < path.len();
    let (parent, name) = match trimmed.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&trimmed[..=slash], &trimmed[slash + 1..]),
        None => (&b"."[..], trimmed),
    };
    if name.is_empty() || name == b"." || name == b".." {
        (if trimmed.is_empty() { b"." } else { trimmed }, None, true)
    } else {
        (parent, Some(name), must_be_dir)
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(0, |last| last + 1);
    &path[..end]
}

/// Resolve `path` beneath `dir`, following a final symbolic link only when told to.
pub(crate) fn resolve(dir: BorrowedFd<'_>, path: &str, follow: bool) -> Result<Place, Errno> {
    check_form(path)?;
    let mut path = path.as_bytes().to_vec();
    let mut through_slash = false;
    for _ in 0..MAX_LINKS {
        let (parent, name, must_be_dir) = split(&path);
        through_slash |= must_be_dir;
        let parent_dir = openat2(
            dir,
            OsStr::from_bytes(parent),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            BENEATH,
        )?;
        let mut real = real_path(&parent_dir)?;
        let Some(name) = name else {
            return Ok(Place {
                parent: parent_dir,
                name: None,
                path: real,
                must_be_dir: true,
            });
        };
        // A trailing slash follows, as in every path walk.
        if follow || through_slash {
            match rustix::fs::readlinkat(&parent_dir, OsStr::from_bytes(name), Vec::new()) {
                Ok(target) => {
                    let target = target.into_bytes();
                    if target.first() == Some(&b'/') {
                        return Err(Errno::PERM);
                    }
                    let mut next = parent.to_vec();
                    next.push(b'/');
                    next.extend_from_slice(&target);
                    if next.len() >= MAX_PATH {
                        return Err(Errno::NAMETOOLONG);
                    }
                    path = next;
                    continue;
                }
                // Not a link, or nothing there: either way this entry is what the path means.
                Err(Errno::INVAL | Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let name = OsStr::from_bytes(name).to_owned();
        real.push(&name);
        return Ok(Place {
            parent: parent_dir,
            name: Some(name),
            path: real,
            must_be_dir: through_slash,
        });
    }
    Err(Errno::LOOP)
}

/// What `path` would mean if nothing in it were a symbolic link: for deciding about what cannot be
/// resolved, so that a refused directory does not tell which names exist in it.
pub(crate) fn lexical(base: &Path, path: &str) -> PathBuf {
    let mut result = base.to_path_buf();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                result.pop();
            }
            name => result.push(name),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_into_parent_and_name() {
        for (path, parent, name, must_be_dir) in [
            ("a", ".", Some("a"), false),
            ("a/b", "a/", Some("b"), false),
            ("a//b//", "a//", Some("b"), true),
            ("a/.", "a/.", None, true),
            ("a/..", "a/..", None, true),
            (".", ".", None, true),
            ("..", "..", None, true),
            ("./a", "./", Some("a"), false),
        ] {
            let split = split(path.as_bytes());
            assert_eq!(
                split,
                (parent.as_bytes(), name.map(str::as_bytes), must_be_dir),
                "{path}"
            );
        }
    }

    #[test]
    fn a_descriptor_number_reads_as_itself() {
        for number in [0, 7, 10, 1_048_575, i32::MAX] {
            assert_eq!(
                itoa(number).as_c_str().to_str().unwrap(),
                number.to_string()
            );
        }
    }
}
