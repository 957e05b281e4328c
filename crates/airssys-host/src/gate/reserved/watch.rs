//! Tells whether a directory that is watched, or a mount, has moved since somebody looked last.
//!
//! One for the process: descriptors of inotify are few. What is watched stays so until it is deleted; an event
//! of something that matters to nobody any more only makes others look again.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::gate::audit::forks;

struct Watch {
    inotify: OwnedFd,
    /// Its poll tells of mounts that came, went or moved.
    mounts: OwnedFd,
    /// Counts what happened. Held while one looks, so that nobody misses what another has just taken.
    epoch: Mutex<u64>,
    /// When it was made: parent and child of a fork would take each other's events.
    forks: u64,
}

impl Watch {
    fn new() -> Result<Self, Errno> {
        let mounts = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self {
            inotify: init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            mounts: openat(CWD, "/proc/self/mountinfo", mounts, Mode::empty())?,
            epoch: Mutex::new(0),
            forks: forks(),
        })
    }

    fn look(&self) -> Result<u64, Errno> {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = [
            PollFd::new(&self.inotify, PollFlags::IN),
            PollFd::new(&self.mounts, PollFlags::PRI),
        ];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut looked, Some(&at_once))? > 0 {
            *epoch += 1;
            let mut events = [MaybeUninit::<u8>::uninit(); 4096];
            loop {
                match rustix::io::read(&self.inotify, &mut events) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(*epoch)
    }
}

fn watch() -> Option<&'static Watch> {
    static WATCH: OnceLock<Option<Watch>> = OnceLock::new();
    let watch = WATCH.get_or_init(|| Watch::new().ok()).as_ref()?;
    (watch.forks == forks()).then_some(watch)
}

/// A number that is another one once anything watched, or a mount, has moved; `None` where that cannot be told.
///
/// What moved before the call is seen by it: the kernel queues the event before the rename returns.
pub(super) fn epoch() -> Option<u64> {
    watch()?.look().ok()
}

/// Watch a directory and all above it. `None` if one cannot be.
pub(super) fn follow(directory: BorrowedFd<'_>) -> Option<()> {
    let watch = watch()?;
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = openat(directory, ".", way, Mode::empty()).ok()?;
    let mut before = None;
    for _ in 0..super::DEEPEST {
        let id = super::identify(here.as_fd(), "").ok()?;
        // The root is its own parent.
        if before == Some(id) {
            return Some(());
        }
        before = Some(id);
        // First watched, then left: whatever moves after this is told.
        let path = format!("/proc/self/fd/{}", here.as_raw_fd());
        add_watch(&watch.inotify, path, WatchFlags::MOVE_SELF).ok()?;
        here = openat(&here, "..", way, Mode::empty()).ok()?;
    }
    None
}
