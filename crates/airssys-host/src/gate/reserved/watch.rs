//! Tells whether a directory that is watched, or a mount, has moved since somebody looked last.
//!
//! One for the process: descriptors of inotify are few. To look is one system call that finds an empty list: the
//! kernel puts what is ready on it before the rename returns.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::{Timespec, epoll};
use rustix::fs::inotify::{self, WatchFlags, add_watch, init};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::gate::audit::forks;

/// How often something of a kind has happened. A mount that moves counts for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    /// Something reserved, or a directory above it, moved.
    pub reserved: u64,
    /// A directory whose path is known, or one above it, moved, or who may enter it was changed.
    pub known: u64,
}

/// What a directory is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// It stays so until it is deleted; an event of something that matters to nobody any more only makes others
    /// look again.
    Reserved,
    /// So that guests who move what is theirs disturb nobody who looks at what is reserved, these are apart.
    Known,
}

/// How many known directories are followed before all of them are forgotten: each keeps inodes in memory.
const MOST_FOLLOWED: usize = 1024;

const RESERVED: u64 = 0;
const KNOWN: u64 = 1;
const MOUNTS: u64 = 2;

struct Watch {
    /// Of the three below.
    ready: OwnedFd,
    reserved: OwnedFd,
    /// Its poll tells of mounts that came, went or moved.
    _mounts: OwnedFd,
    /// Held while one looks, so that nobody misses what another has just taken.
    state: Mutex<State>,
    /// When it was made: parent and child of a fork would take each other's events.
    forks: u64,
}

struct State {
    epochs: Epochs,
    known: Arc<OwnedFd>,
    followed: usize,
}

impl Watch {
    fn new() -> Result<Self, Errno> {
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let reserved = notifier(&ready, RESERVED)?;
        let known = notifier(&ready, KNOWN)?;
        let mounts = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = openat(CWD, "/proc/self/mountinfo", mounts, Mode::empty())?;
        let told = epoll::EventData::new_u64(MOUNTS);
        epoll::add(&ready, &mounts, told, epoll::EventFlags::PRI)?;
        Ok(Self {
            ready,
            reserved,
            _mounts: mounts,
            state: Mutex::new(State {
                epochs: Epochs::default(),
                known: Arc::new(known),
                followed: 0,
            }),
            forks: forks(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Result<Epochs, Errno> {
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut state = self.state();
        let mut happened = [MaybeUninit::<epoll::Event>::uninit(); 4];
        let (happened, _) = epoll::wait(&self.ready, &mut happened, Some(&at_once))?;
        for event in happened {
            match event.data.u64() {
                RESERVED => {
                    state.epochs.reserved += 1;
                    drain(&self.reserved)?;
                }
                KNOWN => {
                    state.epochs.known += 1;
                    drain(&state.known)?;
                }
                _ => {
                    state.epochs.reserved += 1;
                    state.epochs.known += 1;
                }
            }
        }
        Ok(state.epochs)
    }

    /// What tells of known directories, another one after [`MOST_FOLLOWED`].
    fn known(&self) -> Result<Arc<OwnedFd>, Errno> {
        let mut state = self.state();
        if state.followed >= MOST_FOLLOWED {
            // Not left to the last copy being closed, which a child of a fork may have.
            epoll::delete(&self.ready, &state.known)?;
            state.epochs.known += 1;
            state.known = Arc::new(notifier(&self.ready, KNOWN)?);
            state.followed = 0;
        }
        state.followed += 1;
        Ok(Arc::clone(&state.known))
    }
}

fn notifier(ready: &OwnedFd, told: u64) -> Result<OwnedFd, Errno> {
    let notifier = init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let told = epoll::EventData::new_u64(told);
    epoll::add(ready, &notifier, told, epoll::EventFlags::IN)?;
    Ok(notifier)
}

fn drain(notifier: &OwnedFd) -> Result<(), Errno> {
    let mut events = [MaybeUninit::<u8>::uninit(); 4096];
    loop {
        match rustix::io::read(notifier, &mut events) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn watch() -> Option<&'static Watch> {
    static WATCH: OnceLock<Option<Watch>> = OnceLock::new();
    let watch = WATCH.get_or_init(|| Watch::new().ok()).as_ref()?;
    (watch.forks == forks()).then_some(watch)
}

/// Numbers that are others once anything watched, or a mount, has moved; `None` where that cannot be told.
///
/// What moved before the call is seen by it: the kernel queues the event before the rename returns.
pub(crate) fn look() -> Option<Epochs> {
    watch()?.look().ok()
}

/// Watch a directory and all above it. `None` if one cannot be.
pub(crate) fn follow(directory: BorrowedFd<'_>, what: For) -> Option<()> {
    let watch = watch()?;
    let known;
    let (notifier, flags) = match what {
        For::Reserved => (&watch.reserved, WatchFlags::MOVE_SELF),
        For::Known => {
            known = watch.known().ok()?;
            (&*known, WatchFlags::MOVE_SELF | WatchFlags::ATTRIB)
        }
    };
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
        add_watch(notifier, path, flags).ok()?;
        here = openat(&here, "..", way, Mode::empty()).ok()?;
    }
    None
}
