//! The governed file system, beneath both versions of `wasi:filesystem`.
//!
//! [`Fs`] does the work synchronously and once: [`resolve`] finds the very object, the gate decides about
//! it, [`open`] and [`operate`] act on it. [`p2`] and [`p3`] only translate.
//!
//! Hard links cannot be seen in paths. A file that has several names is therefore refused in a mount that
//! may be written to, unless the guest gave it the names itself or the gate allows it
//! ([`HARD_LINK`](crate::gate::HARD_LINK)); in a read-only mount only the operator can
//! have put it there. Making a link needs the right to read and to write the file.

mod known;
pub(crate) mod object;
mod open;
mod operate;
mod p2;
mod p3;
mod resolve;
mod stream;

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use rustix::fs::Stat;
use rustix::io::Errno;

use self::object::Object;
use crate::gate::kind::Kind;
use crate::gate::reserved::Facts;
use crate::gate::{Access, At, Bar, FileAccess, Gate, HARD_LINK, OUTSIDE, READ_ONLY};
use crate::wasi::decide::{Fail, permit, settle};

/// How many files a guest can link itself and open again afterwards.
const MAX_LINKED: usize = 65_536;

/// The file system of one instance.
pub(crate) struct Fs {
    gate: Arc<dyn Gate>,
    /// Device and inode of the files to which the guest gave further names.
    linked: Mutex<HashSet<(u64, u64)>>,
    may_block: Arc<AtomicBool>,
}

impl Fs {
    pub fn new(gate: Arc<dyn Gate>, may_block: Arc<AtomicBool>) -> Self {
        Self {
            gate,
            linked: Mutex::default(),
            may_block,
        }
    }

    /// Make `attempt` on a thread that may block, waiting for approvers as often as the gate asks.
    pub async fn run<T>(&self, attempt: impl FnMut() -> Result<T, Fail>) -> Result<T, Errno> {
        self.wait_until_blocking_allowed().await;
        settle(&*self.gate, attempt).await
    }

    /// Hand control back to whoever polls until it has made sure that its thread may block.
    pub async fn wait_until_blocking_allowed(&self) {
        std::future::poll_fn(|context| {
            if self.may_block.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }

    pub fn may_block_now(&self) -> bool {
        self.may_block.load(Ordering::Acquire)
    }

    pub fn gate(&self) -> &Arc<dyn Gate> {
        &self.gate
    }

    /// What to answer when a path could not be resolved: that it is refused where it is, else why.
    fn refuse_or(&self, dir: &Object, path: &str, access: FileAccess, errno: Errno) -> Fail {
        let base = resolve::real_path(&dir.file).unwrap_or_else(|_| dir.path.clone());
        // The kernel says so of a path that leaves the directory.
        let bar = (errno == Errno::PERM).then_some(OUTSIDE);
        let path = resolve::lexical(&base, path);
        match self.permit(&path, access, At::Object(dir.file.as_fd()), bar) {
            Ok(()) => errno.into(),
            Err(fail) => fail,
        }
    }

    /// Refuse on record what can never be a path.
    fn check_form(&self, path: &str, access: FileAccess) -> Result<(), Fail> {
        let Err(errno) = resolve::check_form(path) else {
            return Ok(());
        };
        let reason = match errno {
            // An empty path asks for nothing.
            Errno::NOENT => return Err(errno.into()),
            Errno::INVAL => "NUL is not allowed",
            Errno::NAMETOOLONG => "a path has at most 4095 bytes",
            _ => "a path is relative to the directory that the guest holds",
        };
        let refused = permit(
            &*self.gate,
            &Access::NoTarget {
                kind: Kind::Filesystem,
                access: access.name(),
                text: path,
                reason,
            },
        );
        refused.and(Err(errno.into())).map_err(|fail| match fail {
            Fail::Errno(_) => errno.into(),
            ask @ Fail::Ask(_) => ask,
        })
    }

    /// What speaks against a change in this directory whatever is granted.
    fn bar_of(dir: &Object, access: FileAccess) -> Option<Bar> {
        (access.changes() && !dir.writable).then_some(READ_ONLY)
    }

    /// What speaks against `access` to a file of this directory whatever is granted: that the directory is
    /// not to be changed, or that the file has several names and is not the guest's own doing.
    fn bar_of_file(&self, dir: &Object, file: &Facts, access: FileAccess) -> Option<Bar> {
        let one_name = file.links <= 1 || file.is_directory();
        if one_name || !dir.writable || self.linked().contains(&file.id) {
            Self::bar_of(dir, access)
        } else {
            Some(HARD_LINK)
        }
    }

    fn remember_linked(&self, stat: &Stat) {
        let mut linked = self.linked();
        if linked.len() < MAX_LINKED {
            linked.insert((stat.st_dev, stat.st_ino));
        }
    }

    fn linked(&self) -> std::sync::MutexGuard<'_, HashSet<(u64, u64)>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(
        &self,
        path: &Path,
        access: FileAccess,
        at: At<'_>,
        bar: Option<Bar>,
    ) -> Result<(), Fail> {
        permit(
            &*self.gate,
            &Access::File {
                path,
                access,
                at,
                bar,
            },
        )
    }
}

/// A value that is equal exactly for the same file, and does not tell device or inode numbers.
fn identity_hash(stat: &Stat) -> (u64, u64) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&stat.st_dev.to_le_bytes());
    hasher.update(&stat.st_ino.to_le_bytes());
    let hash = hasher.finalize();
    let half = |from: usize| {
        u64::from_le_bytes(
            hash.as_bytes()[from..from + 8]
                .try_into()
                .expect("eight bytes of thirty-two"),
        )
    };
    (half(0), half(8))
}
