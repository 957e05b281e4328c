//! One revision while it takes calls.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::pool::{Pool, Turn};
use super::script;
use super::statistics::Statistics;
use crate::component::Component;
use crate::error::Error;
use crate::instance::{Call, Kill, Live};
use crate::limits::Limits;
use crate::wasi::WasiState;

/// Makes the WASI state of an instance.
pub type MakeWasi = Box<dyn Fn() -> Result<WasiState, Error> + Send + Sync>;

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// One instance for each call.
    Call,
    /// At most so many instances, used again and again; at most so many calls wait for one.
    Pooled { instances: usize, waiting: usize },
}

/// A revision from the moment it becomes live until its last call has ended. Becoming live again makes another.
pub struct Line {
    pub number: u64,
    pub component: Arc<Component>,
    pub limits: Arc<Limits>,
    pub statistics: Arc<Statistics>,
    /// What whoever made the line needs at each call; nothing here looks at it.
    pub companion: Box<dyn Any + Send + Sync>,
    pub(super) wasi: MakeWasi,
    pub(super) pool: Option<Arc<Pool<Box<Live>>>>,
    pub(super) memory: Memory,
    /// Whether the component runs scripts, whose errors are failures.
    pub(super) scripted: bool,
    in_flight: AtomicUsize,
    retired: AtomicBool,
    pub(super) kill: Arc<Kill>,
    draining: Mutex<()>,
    drained: Condvar,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("number", &self.number)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl Line {
    #[must_use]
    pub fn new(
        number: u64,
        component: Arc<Component>,
        limits: impl Into<Arc<Limits>>,
        lifetime: Lifetime,
        statistics: Arc<Statistics>,
        wasi: MakeWasi,
        companion: Box<dyn Any + Send + Sync>,
    ) -> Arc<Self> {
        let pool = match lifetime {
            Lifetime::Call => None,
            Lifetime::Pooled { instances, waiting } => Some(Pool::new(instances, waiting)),
        };
        statistics.go_warm();
        Arc::new(Self {
            number,
            scripted: script::runs_scripts(&component),
            component,
            limits: limits.into(),
            statistics,
            companion,
            wasi,
            pool,
            memory: Memory::default(),
            in_flight: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            kill: Arc::default(),
            draining: Mutex::new(()),
            drained: Condvar::new(),
        })
    }

    /// Calls that have begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Instances that are kept for further calls, in use or idle.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.pool.as_ref().map_or(0, |pool| pool.held())
    }

    /// Bytes of linear memory of the instances that are kept for further calls.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory.bytes()
    }

    /// Count a call in, unless the line was retired.
    pub(super) fn count_in(&self) -> bool {
        // SeqCst on both sides: either this sees the retirement, or whoever drains sees the count.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        if self.retired.load(Ordering::SeqCst) {
            self.count_out();
            return false;
        }
        true
    }

    pub(super) fn count_out(&self) {
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 && self.retired.load(Ordering::SeqCst)
        {
            let _draining = self
                .draining
                .lock()
                .expect("no code under this lock panics");
            self.drained.notify_all();
        }
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        if let Some(pool) = &self.pool {
            pool.retire();
        }
    }

    /// Make an instance of the revision; the call ends without a result.
    ///
    /// # Errors
    /// The WASI state of the instance cannot be made.
    pub fn instantiate(&self) -> Result<Call, Error> {
        Ok(Call::fresh(
            self.component.clone(),
            (self.wasi)()?,
            self.limits.clone(),
            None,
        ))
    }

    /// Keep an instance that was made in advance, if the revision keeps any and has room for one more.
    pub fn warm(&self, mut live: Box<Live>) {
        if let Some(pool) = &self.pool
            && let Some(turn) = pool.try_take()
        {
            if let Turn::Use(earlier) = turn {
                return pool.give_back(Some(earlier));
            }
            let memory = live.usage().memory;
            live.held
                .get_or_insert_with(|| self.memory.share())
                .set(memory);
            pool.give_back(Some(live));
        }
    }

    /// End the calls that still run; each fails with [`Error::Drained`].
    pub fn kill(&self) {
        self.kill.tell();
    }

    /// Block until a retired line has no call any more, or `most` has passed. Returns whether it has none.
    #[must_use]
    pub fn wait_drained(&self, most: Duration) -> bool {
        let end = Instant::now() + most;
        let mut draining = self
            .draining
            .lock()
            .expect("no code under this lock panics");
        while self.in_flight() > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            draining = self
                .drained
                .wait_timeout(draining, left)
                .expect("no code under this lock panics")
                .0;
        }
        true
    }
}
