//! The governed file system, beneath both versions of `wasi:filesystem`.
//!
//! [`Fs`] does the work synchronously and once: [`resolve`] finds the very object, the gate decides about
//! it, [`open`] and [`operate`] act on it. [`p2`] and [`p3`] only translate.
//!
//! Hard links cannot be seen in paths. A file that has several names is therefore refused in a mount that
//! may be written to, unless the guest gave it the names itself or the gate allows it
//! ([`Gate::decide_linked`](crate::gate::Gate::decide_linked)); in a read-only mount only the operator can
//! have put it there. Making a link needs the right to read and to write the file.

pub(crate) mod object;
mod open;
mod operate;
mod p2;
mod p3;
mod resolve;
mod stream;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use self::object::Object;
use crate::gate::{Access, FileAccess, Gate};
use crate::wasi::decide::{Fail, outcome, permit, settle};

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
        settle(attempt).await
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
        if errno == Errno::PERM || resolve::check_form(path).is_err() {
            return errno.into();
        }
        let base = resolve::real_path(&dir.file).unwrap_or_else(|_| dir.path.clone());
        match self.permit(&resolve::lexical(&base, path), access) {
            Ok(()) => errno.into(),
            Err(fail) => fail,
        }
    }

    /// The further decision about a file with several names in a mount that may be written to.
    fn permit_linked(
        &self,
        dir: &Object,
        path: &Path,
        stat: &Stat,
        access: FileAccess,
    ) -> Result<(), Fail> {
        let one_name =
            stat.st_nlink <= 1 || FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if one_name || !dir.writable || self.linked().contains(&(stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        outcome(self.gate.decide_linked(path, access))
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

    fn permit(&self, path: &Path, access: FileAccess) -> Result<(), Fail> {
        permit(&*self.gate, &Access::File { path, access })
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
