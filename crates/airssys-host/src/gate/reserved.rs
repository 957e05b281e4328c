//! Objects that no grant reaches: known by device and inode, directories with all that is below them.

mod clear;
pub(crate) mod watch;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags, fstat, fstatfs, open,
    openat2, statat, statx,
};
use rustix::io::Errno;

use self::clear::Clear;
use self::watch::Epochs;
use crate::osl::resolve::{real_path, split};

/// Device and inode.
pub type ObjectId = (u64, u64);

const PROC_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;
/// Deeper than any path that one can name.
const DEEPEST: usize = 2048;

#[derive(Debug, Default)]
pub struct Reserved {
    /// Each with a handle (`O_PATH`) that finds it wherever it is.
    objects: HashMap<ObjectId, Arc<OwnedFd>, RandomState>,
    clear: Clear,
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
            clear: Clear::default(),
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
        self.above(directory)
    }

    /// Whether a directory is reserved, or stands below what is.
    fn above(&self, directory: BorrowedFd<'_>) -> io::Result<bool> {
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
                let path = real_path(handle.as_fd())?;
                let (parent, _) = split(&path);
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

    /// [`Self::holds_entry`] for an entry that stands at `path`.
    ///
    /// # Errors
    /// The entry cannot be examined.
    pub fn holds_entry_at(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &Path,
    ) -> io::Result<bool> {
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if self.objects.contains_key(&(stat.st_dev, stat.st_ino)) => return Ok(true),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(place) = path.parent() else {
            return self.above(directory);
        };
        let mount = Facts::of(directory, "")?.mount;
        if self.clear.knows(place, mount, None) {
            return Ok(false);
        }
        self.look_above(directory, place, mount)
    }

    /// [`Self::holds`] for an object that is open and stands at `path`.
    ///
    /// # Errors
    /// The object cannot be examined, or stands there no more.
    pub fn holds_open(&self, object: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
        self.holds_looked(object, path, &Looked::at(object)?)
    }

    /// [`Self::holds_open`] for an object that was already looked at.
    ///
    /// # Errors
    /// The object cannot be examined, or stands there no more.
    pub fn holds_looked(
        &self,
        object: BorrowedFd<'_>,
        path: &Path,
        looked: &Looked,
    ) -> io::Result<bool> {
        let facts = &looked.facts;
        let now = looked.epochs.map(|epochs| epochs.reserved);
        if self.objects.contains_key(&facts.id) {
            return Ok(true);
        }
        if facts.is_directory() {
            return if self.clear.knows(path, facts.mount, now) {
                Ok(false)
            } else {
                self.look_above(object, path, facts.mount)
            };
        }
        // Without a name it stands nowhere any more.
        if facts.links == 0 {
            return Ok(false);
        }
        let (place, name) = split(path.as_os_str().as_bytes());
        let (place, name) = (Path::new(OsStr::from_bytes(place)), OsStr::from_bytes(name));
        if name.is_empty() {
            return Ok(true);
        }
        if self.clear.knows(place, facts.mount, now) {
            return Ok(false);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat2(CWD, place, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
        let found = Facts::of(parent.as_fd(), name)?;
        if found.id != facts.id {
            return Err(Errno::STALE.into());
        }
        // Seen through another mount it tells nothing of this one.
        let mount = facts.mount.filter(|_| found.mount == facts.mount);
        self.look_above(parent.as_fd(), place, mount)
    }

    /// [`Self::above`] for a directory that stood at `place`, remembered where it may be.
    fn look_above(
        &self,
        directory: BorrowedFd<'_>,
        place: &Path,
        mount: Option<u64>,
    ) -> io::Result<bool> {
        let epoch = mount.and_then(|_| self.clear.begin(self.objects.values()));
        let held = self.above(directory)?;
        if let (false, Some(epoch), Some(mount)) = (held, epoch, mount) {
            // It was looked at where it is; what stood elsewhere meanwhile says nothing of this place.
            if real_path(directory).is_ok_and(|now| now == place.as_os_str().as_bytes()) {
                self.clear.add(epoch, place, mount);
            }
        }
        Ok(held)
    }
}

/// What is to be known of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub id: ObjectId,
    pub file_type: FileType,
    pub links: u64,
    /// The mount that it is seen through, where the kernel tells.
    pub mount: Option<u64>,
}

impl Facts {
    pub fn of(directory: BorrowedFd<'_>, name: impl rustix::path::Arg) -> io::Result<Facts> {
        /// A number of a mount that no later one gets, since Linux 6.8.
        const MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        let wanted = StatxFlags::INO | StatxFlags::TYPE | StatxFlags::NLINK;
        let found = statx(directory, name, flags, wanted | StatxFlags::MNT_ID | MOUNT)?;
        let told = StatxFlags::from_bits_retain(found.stx_mask);
        Ok(Facts {
            id: (
                rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
                found.stx_ino,
            ),
            file_type: FileType::from_raw_mode(found.stx_mode.into()),
            links: found.stx_nlink.into(),
            mount: told
                .intersects(MOUNT | StatxFlags::MNT_ID)
                .then_some(found.stx_mnt_id),
        })
    }

    pub fn is_directory(&self) -> bool {
        self.file_type == FileType::Directory
    }
}

impl From<&Stat> for Facts {
    fn from(stat: &Stat) -> Self {
        Self {
            id: (stat.st_dev, stat.st_ino),
            file_type: FileType::from_raw_mode(stat.st_mode),
            links: stat.st_nlink,
            mount: None,
        }
    }
}

/// What was found out about an object after it was opened.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    pub(crate) facts: Facts,
    /// What had moved by then, where somebody looked.
    pub(crate) epochs: Option<Epochs>,
}

impl Looked {
    pub(crate) fn at(object: BorrowedFd<'_>) -> io::Result<Looked> {
        Ok(Looked {
            facts: Facts::of(object, "")?,
            epochs: None,
        })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A directory that is gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = fs::canonicalize(std::env::temp_dir())
                .unwrap()
                .join(format!("airssys-reserved-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn reserving(path: &Path) -> Reserved {
        let mut reserved = Reserved::default();
        reserved.add(path.as_os_str().as_bytes()).unwrap();
        reserved
    }

    fn holds(reserved: &Reserved, path: &Path) -> bool {
        let file = fs::File::open(path).unwrap();
        reserved.holds_open(file.as_fd(), path).unwrap()
    }

    fn known(reserved: &Reserved, directory: &Path) -> bool {
        let opened = fs::File::open(directory).unwrap();
        let mount = Facts::of(opened.as_fd(), "").unwrap().mount;
        reserved.clear.knows(directory, mount, None)
    }

    #[test]
    fn a_directory_is_walked_up_from_once() {
        let folder = Folder::new("once");
        folder.file("state/key");
        let file = folder.file("data/deep/file");
        let reserved = reserving(&folder.0.join("state"));
        let parent = file.parent().unwrap();
        assert!(!known(&reserved, parent));
        // Other tests move what they watch, which is looked at again.
        while !known(&reserved, parent) {
            assert!(!holds(&reserved, &file));
        }
        assert!(holds(&reserved, &folder.0.join("state/key")));
        assert!(!known(&reserved, &folder.0.join("state")));
        let entry = fs::File::open(parent).unwrap();
        assert!(
            !reserved
                .holds_entry_at(entry.as_fd(), b"new", &parent.join("new"))
                .unwrap()
        );
    }

    #[test]
    fn a_reserved_directory_that_moves_to_a_known_place_is_found_there_every_time() {
        let folder = Folder::new("moves");
        folder.file("state/images/key");
        let reserved = reserving(&folder.0.join("state"));
        let at = |name: &str| folder.0.join(name);
        for _ in 0..500 {
            let file = folder.file("guest/images/key");
            assert!(!holds(&reserved, &file));
            fs::rename(at("guest"), at("aside")).unwrap();
            fs::rename(at("state"), at("guest")).unwrap();
            assert!(holds(&reserved, &file));
            fs::rename(at("guest"), at("state")).unwrap();
            fs::rename(at("aside"), at("guest")).unwrap();
            assert!(!holds(&reserved, &file));
        }
    }

    #[test]
    fn a_reserved_directory_that_moves_with_one_above_it_is_found_too() {
        let folder = Folder::new("above");
        folder.file("up/state/x/key");
        let reserved = reserving(&folder.0.join("up/state"));
        let at = |name: &str| folder.0.join(name);
        for _ in 0..500 {
            let file = folder.file("low/state/x/key");
            assert!(!holds(&reserved, &file));
            assert!(holds(&reserved, &at("up/state/x/key")));
            fs::rename(at("low"), at("aside")).unwrap();
            fs::rename(at("up"), at("low")).unwrap();
            assert!(holds(&reserved, &file));
            fs::rename(at("low"), at("up")).unwrap();
            fs::rename(at("aside"), at("low")).unwrap();
        }
    }

    #[test]
    fn a_known_directory_that_moves_below_what_is_reserved_is_reserved() {
        let folder = Folder::new("below");
        folder.file("state/key");
        let file = folder.file("data/file");
        let reserved = reserving(&folder.0.join("state"));
        assert!(!holds(&reserved, &file));
        fs::rename(folder.0.join("data"), folder.0.join("state/data")).unwrap();
        assert!(holds(&reserved, &folder.0.join("state/data/file")));
    }
}
