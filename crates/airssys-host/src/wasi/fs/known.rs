//! Directories whose real path is known as long as nothing moves, so that the kernel need not be asked each time.
//!
//! What is known of a directory is known as of an epoch, in which it and all above it are watched. A file is opened
//! by its one name in exactly this directory, and only then it is looked whether anything has moved: if not, the
//! directory stood at its path while the file was opened in it, and so did the file. A rename that has not returned
//! by then counts as made after the opening. A directory that was deleted opens nothing.
//!
//! This is for file systems that tell every move on this machine, and in which two names are two names.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use foldhash::fast::RandomState;
use rustix::fs::{IFlags, Mode, OFlags, fstat, fstatfs, ioctl_getflags, openat};
use rustix::io::Errno;

use super::resolve::{lexical, open_plain, real_path};
use crate::gate::reserved::watch::{self, For};
use crate::gate::reserved::{Facts, Looked, ObjectId};

/// How often a directory is opened from, by one way, before it is worth watching. This bounds what somebody who
/// moves directories all the time costs others.
const WORTH: u32 = 8;
/// How many ways of one directory are told apart.
const WAYS: usize = 8;
/// How many directories are known at once. Each is a descriptor, as long as a guest holds one that leads to it.
const MOST: usize = 128;

/// A directory that has not moved since `epoch` began.
#[derive(Debug)]
pub(super) struct Known {
    /// From the directory of the guest.
    way: Box<str>,
    /// It names the directory and can do nothing else.
    directory: OwnedFd,
    path: Vec<u8>,
    mount: u64,
    epoch: u64,
}

/// The directory is no longer where it was.
struct Moved;

/// An object that was opened, and where it stands.
pub(super) struct Found {
    pub opened: OwnedFd,
    pub path: PathBuf,
    pub looked: Looked,
}

impl Found {
    /// An object that was opened at `path`, looked at now.
    pub fn at(opened: OwnedFd, path: PathBuf) -> std::io::Result<Found> {
        let looked = Looked::at(opened.as_fd())?;
        Ok(Found {
            opened,
            path,
            looked,
        })
    }
}

/// What is known of the ways from one directory.
#[derive(Default)]
pub(crate) struct Ways(OnceLock<Box<Mutex<[Way; WAYS]>>>);

#[derive(Default)]
struct Way {
    /// Of its text.
    hash: u64,
    taken: u32,
    known: Option<Arc<Known>>,
}

/// The last name of a plain path, and the way to the directory that it stands in.
fn split(path: &str) -> Option<(&str, &str)> {
    let (way, name) = path.rsplit_once('/').unwrap_or((".", path));
    (!matches!(name, "" | "." | "..")).then_some((way, name))
}

impl Ways {
    /// Open `path` from the directory `from`, to which these ways belong, where that takes nothing but a name in a
    /// known directory. No component of the path is `..`, and whatever it leads to, no link is followed.
    ///
    /// `None`: it has to be opened and looked up in the ordinary way.
    pub fn open(&self, from: BorrowedFd<'_>, path: &str, flags: OFlags) -> Option<Found> {
        let (way, name) = split(path)?;
        if flags.contains(OFlags::DIRECTORY) {
            return None;
        }
        let known = self.take(from, way)?;
        let found = known
            .open(name, flags)
            .inspect_err(|Moved| self.forget(way));
        found.ok().flatten()
    }

    /// The known directory at the end of `way`; one that was taken often enough becomes known.
    fn take(&self, from: BorrowedFd<'_>, way: &str) -> Option<Arc<Known>> {
        let (mut ways, number, hash) = self.locked(way);
        let slot = &mut ways[number];
        if let Some(known) = &slot.known
            && *known.way == *way
        {
            return Some(Arc::clone(known));
        }
        if slot.hash != hash {
            *slot = Way {
                hash,
                ..Way::default()
            };
        }
        slot.taken += 1;
        if slot.taken < WORTH {
            return None;
        }
        slot.taken = 0;
        slot.known = find(from, way);
        slot.known.clone()
    }

    fn forget(&self, way: &str) {
        let (mut ways, number, hash) = self.locked(way);
        if ways[number].hash == hash {
            ways[number].known = None;
        }
    }

    fn locked(&self, way: &str) -> (MutexGuard<'_, [Way; WAYS]>, usize, u64) {
        static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        use std::hash::BuildHasher;
        let hash = HASHES.hash_one(way);
        let ways = self.0.get_or_init(Box::default);
        let ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
        (ways, usize::try_from(hash).unwrap_or(0) % WAYS, hash)
    }
}

impl Known {
    /// Open what `name` is, unless that is a directory, a link, or has to be looked at closer.
    fn open(&self, name: &str, flags: OFlags) -> Result<Option<Found>, Moved> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(opened) = openat(&self.directory, name, flags, Mode::empty()) else {
            let deleted = fstat(&self.directory).map_or(true, |stat| stat.st_nlink == 0);
            return if deleted { Err(Moved) } else { Ok(None) };
        };
        let Ok(facts) = Facts::of(opened.as_fd(), "") else {
            return Ok(None);
        };
        // Last, so that it tells of whatever moved before the object was opened.
        let epochs = watch::look().ok_or(Moved)?;
        if epochs.known != self.epoch {
            return Err(Moved);
        }
        // Something may be mounted over the name.
        if facts.mount != Some(self.mount) || facts.is_directory() {
            return Ok(None);
        }
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Ok(Some(Found {
            opened,
            path: PathBuf::from(OsString::from_vec(path)),
            looked: Looked {
                facts,
                epochs: Some(epochs),
            },
        }))
    }

    /// Look for the directory at the end of `way` and watch it.
    fn new(from: BorrowedFd<'_>, way: &str) -> Option<Known> {
        let epoch = watch::look()?.known;
        let directory = open_plain(from, way, OFlags::PATH | OFlags::DIRECTORY).ok()?;
        if !is_plain(directory.as_fd()) {
            return None;
        }
        watch::follow(directory.as_fd(), For::Known)?;
        let path = real_path(&directory).ok()?;
        // What was walked down is what is watched.
        if lexical(&real_path(from).ok()?, way) != path {
            return None;
        }
        let mount = Facts::of(directory.as_fd(), "").ok()?.mount?;
        (watch::look()?.known == epoch).then(|| Known {
            way: way.into(),
            directory,
            path: path.into_os_string().into_vec(),
            mount,
            epoch,
        })
    }
}

/// Where a way begins, and its text.
type Key = (u64, ObjectId, Box<str>);

/// A directory that is known at the end of `way`, by this guest or another, or becomes so.
fn find(from: BorrowedFd<'_>, way: &str) -> Option<Arc<Known>> {
    static ALL: LazyLock<Mutex<HashMap<Key, Weak<Known>>>> = LazyLock::new(Mutex::default);
    let begin = Facts::of(from, "").ok()?;
    let key = (begin.mount?, begin.id, way.into());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(&key).and_then(Weak::upgrade)
        && known.epoch == watch::look()?.known
        && fstat(&known.directory).is_ok_and(|stat| stat.st_nlink > 0)
    {
        return Some(known);
    }
    all.retain(|_, known| known.strong_count() > 0);
    if all.len() >= MOST {
        return None;
    }
    let known = Arc::new(Known::new(from, way)?);
    all.insert(key, Arc::downgrade(&known));
    Some(known)
}

/// Whether a directory is of a file system that tells every move on this machine, and in which an object has its
/// names as they are written.
fn is_plain(directory: BorrowedFd<'_>) -> bool {
    const EXT: i64 = 0xef53;
    const BTRFS: i64 = 0x9123_683e;
    const F2FS: i64 = 0xf2f5_2010;
    const TMPFS: i64 = 0x0102_1994;
    const OVERLAY: i64 = 0x794c_7630;
    /// Names that differ in case are one.
    const CASEFOLD: IFlags = IFlags::from_bits_retain(0x4000_0000);
    let Ok(system) = fstatfs(directory) else {
        return false;
    };
    if ![EXT, BTRFS, F2FS, TMPFS, OVERLAY].contains(&system.f_type) {
        return false;
    }
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(opened) = openat(directory, ".", flags, Mode::empty()) else {
        return false;
    };
    match ioctl_getflags(&opened) {
        Ok(flags) => !flags.intersects(CASEFOLD),
        // Before it had the flag.
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => system.f_type == TMPFS,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory that is gone with the test, and the ways from one within.
    struct Tree {
        root: PathBuf,
        from: File,
        ways: Ways,
    }

    impl Tree {
        /// With `from/way/file`, which says `here`.
        fn new(name: &str) -> Self {
            let root = fs::canonicalize(std::env::temp_dir())
                .unwrap()
                .join(format!("airssys-known-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            put(&root.join("from/way/file"), "here");
            Self {
                from: File::open(root.join("from")).unwrap(),
                ways: Ways::default(),
                root,
            }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.join(path)
        }

        fn open(&self, path: &str) -> Option<(PathBuf, String)> {
            let found = self.ways.open(self.from.as_fd(), path, OFlags::RDONLY)?;
            let mut text = String::new();
            File::from(found.opened).read_to_string(&mut text).unwrap();
            Some((found.path, text))
        }

        /// Open `way/file` until its directory is known; other tests move what they watch.
        fn learn(&self) -> (PathBuf, String) {
            let mut tries = 0..100_000;
            let found = tries.find_map(|_| self.open("way/file"));
            found.expect("this file system tells every move")
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    fn put(path: &std::path::Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_directory_is_known_once_it_is_worth_it() {
        let tree = Tree::new("worth");
        for _ in 1..WORTH {
            assert_eq!(tree.open("way/file"), None);
        }
        assert_eq!(tree.learn(), (tree.at("from/way/file"), "here".to_owned()));
    }

    #[test]
    fn another_directory_in_its_place_is_not_taken_for_it() {
        let tree = Tree::new("place");
        put(&tree.at("other/file"), "other");
        for turn in 0..200 {
            let (path, text) = tree.learn();
            assert_eq!(path, tree.at("from/way/file"));
            assert_eq!(text, ["here", "other"][turn % 2]);
            fs::rename(tree.at("from/way"), tree.at("aside")).unwrap();
            assert_eq!(tree.open("way/file"), None);
            fs::rename(tree.at("other"), tree.at("from/way")).unwrap();
            assert_eq!(tree.open("way/file"), None);
            fs::rename(tree.at("aside"), tree.at("other")).unwrap();
        }
    }

    #[test]
    fn a_directory_that_moves_with_one_above_it_has_its_new_path() {
        let tree = Tree::new("above");
        for turn in 0..50 {
            let (now, then) = [("from", "moved"), ("moved", "from")][turn % 2];
            assert_eq!(tree.learn().0, tree.at(now).join("way/file"));
            fs::rename(tree.at(now), tree.at(then)).unwrap();
            assert_eq!(tree.open("way/file"), None);
        }
    }

    #[test]
    fn a_deleted_directory_opens_nothing() {
        let tree = Tree::new("deleted");
        for turn in 0..50 {
            tree.learn();
            fs::remove_dir_all(tree.at("from/way")).unwrap();
            put(&tree.at("from/way/file"), &turn.to_string());
            let text = tree.open("way/file").map(|(_, text)| text);
            assert!(text.is_none_or(|text| text == turn.to_string()));
        }
    }

    #[test]
    fn who_may_enter_is_asked_again_once_that_was_changed() {
        let tree = Tree::new("enter");
        for turn in 0..50 {
            tree.learn();
            let mode = fs::Permissions::from_mode([0o700, 0o755][turn % 2]);
            fs::set_permissions(tree.at("from"), mode).unwrap();
            assert_eq!(tree.open("way/file"), None);
        }
    }

    #[test]
    fn links_directories_and_odd_names_are_left_to_the_ordinary_way() {
        let tree = Tree::new("odd");
        symlink(tree.at("from/way/file"), tree.at("from/way/link")).unwrap();
        fs::create_dir(tree.at("from/way/below")).unwrap();
        tree.learn();
        for odd in ["way/link", "way/below", "way/.", "way/", "way/none"] {
            for _ in 0..2 * WORTH {
                assert_eq!(tree.open(odd), None, "{odd}");
            }
        }
        // Nor is anything behind a link known.
        symlink("way", tree.at("from/alias")).unwrap();
        for _ in 0..2 * WORTH {
            assert_eq!(tree.open("alias/file"), None);
        }
    }

    #[test]
    fn guests_of_one_directory_share_what_is_known_and_leave_nothing_open() {
        let mut tree = Tree::new("shared");
        tree.learn();
        let mut again = Tree {
            root: tree.root.join("none"),
            from: File::open(tree.at("from")).unwrap(),
            ways: Ways::default(),
        };
        let known = |tree: &Tree| tree.ways.take(tree.from.as_fd(), "way");
        let mut tries = 0..100_000;
        let shared = tries.any(|_| {
            tree.learn();
            again.learn();
            matches!((known(&tree), known(&again)), (Some(one), Some(other)) if Arc::ptr_eq(&one, &other))
        });
        assert!(shared);
        let last = Arc::downgrade(&known(&again).unwrap());
        (tree.ways, again.ways) = Default::default();
        assert!(last.upgrade().is_none());
    }

    #[test]
    fn file_systems_that_the_kernel_makes_up_are_not_known() {
        for path in ["/proc", "/sys", "/dev/fd"] {
            let Ok(directory) = File::open(path) else {
                continue;
            };
            assert!(!is_plain(directory.as_fd()), "{path}");
        }
    }
}
