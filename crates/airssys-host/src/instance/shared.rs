//! A live store that several threads may try to call into; one call at a time.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use super::{Abandoned, Live};
use crate::error::Error;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const POISONED: u8 = 2;

/// An instance to be shared.
pub struct Instance {
    state: AtomicU8,
    /// Some while `state` is IDLE.
    live: UnsafeCell<Option<Box<Live>>>,
    /// Why the instance is POISONED.
    reason: Mutex<String>,
    /// Handles dropped while a call may have had the store.
    abandoned: Mutex<Vec<Abandoned>>,
    has_abandoned: AtomicBool,
    /// Those who wait until the instance is not RUNNING.
    watchers: Mutex<Vec<Waker>>,
    has_watchers: AtomicBool,
}

// SAFETY: `live` is touched only by whoever moved `state` from IDLE to RUNNING, and given up by the move back.
unsafe impl Sync for Instance {}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code under this lock panics")
}

impl Instance {
    #[must_use]
    pub fn new(live: Box<Live>) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(IDLE),
            live: UnsafeCell::new(Some(live)),
            reason: Mutex::default(),
            abandoned: Mutex::default(),
            has_abandoned: AtomicBool::new(false),
            watchers: Mutex::default(),
            has_watchers: AtomicBool::new(false),
        })
    }

    /// Move from IDLE to RUNNING and take the store.
    fn acquire(&self) -> Result<Box<Live>, Error> {
        match self
            .state
            .compare_exchange(IDLE, RUNNING, Ordering::Acquire, Ordering::Acquire)
        {
            // SAFETY: this thread has just moved the state to RUNNING.
            Ok(_) => Ok(unsafe { &mut *self.live.get() }
                .take()
                .expect("an idle instance has its store")),
            Err(RUNNING) => Err(Error::Busy),
            Err(_) => Err(Error::Poisoned(locked(&self.reason).clone())),
        }
    }

    /// Move from RUNNING back to IDLE.
    fn release(&self, live: Box<Live>) {
        // SAFETY: the caller holds the store, so the state is RUNNING and nobody else looks.
        unsafe { *self.live.get() = Some(live) };
        self.state.store(IDLE, Ordering::SeqCst);
        self.tell_watchers();
    }

    fn poison(&self, reason: String) {
        *locked(&self.reason) = reason;
        self.state.store(POISONED, Ordering::SeqCst);
        self.tell_watchers();
    }

    fn tell_watchers(&self) {
        // Sequentially consistent with `watch`: either this sees the watcher, or the watcher sees the new state.
        if self.has_watchers.load(Ordering::SeqCst) {
            self.has_watchers.store(false, Ordering::SeqCst);
            let watchers = std::mem::take(&mut *locked(&self.watchers));
            watchers.into_iter().for_each(Waker::wake);
        }
    }

    /// Wake `waker` when no call has the store, which may be at once.
    pub fn watch(&self, waker: Waker) {
        locked(&self.watchers).push(waker);
        self.has_watchers.store(true, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) != RUNNING {
            self.tell_watchers();
        }
    }

    /// Take the store for one call. `instance` is a reference, or an `Arc` where the call outlives it.
    ///
    /// # Errors
    /// [`Error::Busy`] while another call has it, [`Error::Poisoned`] after a failure.
    pub fn take<I: Deref<Target = Self>>(instance: I) -> Result<(Box<Live>, Lease<I>), Error> {
        let mut live = instance.acquire()?;
        if instance.has_abandoned.load(Ordering::Relaxed) {
            instance.has_abandoned.store(false, Ordering::Relaxed);
            live.abandoned.append(&mut locked(&instance.abandoned));
        }
        Ok((
            live,
            Lease {
                instance: Some(instance),
            },
        ))
    }

    /// Drop a guest's handle with the next call.
    pub fn drop_later(&self, handle: Abandoned) {
        locked(&self.abandoned).push(handle);
        self.has_abandoned.store(true, Ordering::Relaxed);
    }

    /// Use the store without calling into it.
    ///
    /// # Errors
    /// As [`Instance::take`].
    pub fn with<R>(&self, use_it: impl FnOnce(&mut Live) -> R) -> Result<R, Error> {
        let (mut live, lease) = Self::take(self)?;
        let result = use_it(&mut live);
        lease.give_back(live);
        Ok(result)
    }

    /// Drop the store; no further call is taken. Closing twice does nothing.
    ///
    /// # Errors
    /// [`Error::Busy`] while a call runs.
    pub fn close(&self) -> Result<(), Error> {
        match Self::take(self) {
            Ok((live, lease)) => {
                drop(live);
                lease.poison("it was closed".into());
                Ok(())
            }
            Err(Error::Poisoned(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The duty to say how a call ended. Dropped without that, the call was abandoned and the store with it.
pub struct Lease<I: Deref<Target = Instance>> {
    instance: Option<I>,
}

impl<I: Deref<Target = Instance>> Lease<I> {
    /// The call ended well: the store is ready for the next.
    pub fn give_back(mut self, live: Box<Live>) {
        if let Some(instance) = self.instance.take() {
            instance.release(live);
        }
    }

    /// The call failed and its store is gone.
    pub fn poison(mut self, reason: String) {
        if let Some(instance) = self.instance.take() {
            instance.poison(reason);
        }
    }
}

impl<I: Deref<Target = Instance>> Drop for Lease<I> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            instance.poison("a call was cancelled".into());
        }
    }
}
