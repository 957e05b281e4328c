//! What a store and whoever drives it share: calls to host functions on their way out and in, and the clock
//! of the call.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Pauses;
use crate::error::HostFunctionFailed;
use crate::gate::callers::Acting;
use crate::gate::subject::Subject;
use crate::limits::{Limit, LimitExceeded, Limits};
use crate::value::Value;

/// Set once, when the process is about to end; every guest stops at its next tick.
static SHUT_DOWN: AtomicBool = AtomicBool::new(false);

/// Stop all guests for good.
pub fn shut_down() {
    SHUT_DOWN.store(true, Ordering::Release);
}

#[must_use]
pub fn is_shut_down() -> bool {
    SHUT_DOWN.load(Ordering::Acquire)
}

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds of monotonic time since the first use.
pub fn now_nanos() -> u64 {
    let elapsed = BASE.elapsed();
    // Not `as_nanos`: this stands in every call, and 584 years fit.
    elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
}

/// Nanoseconds of processor time of this thread.
pub fn thread_cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Something of the host's that the guest waits for.
#[derive(Debug)]
pub struct Request {
    pub id: u64,
    pub wanted: Wanted,
}

/// What a guest waits for.
#[derive(Debug)]
pub enum Wanted {
    /// The result of a host function.
    Call {
        /// Which import, by its position in [`crate::component::Component::imports`].
        import: usize,
        arguments: Vec<Value>,
    },
    /// The next item of an [`super::Outgoing`], or nothing at its end.
    Item { source: u32 },
}

/// The answer to a [`Request`]: the result, or that the host failed (it keeps the reason).
pub type Reply = Result<Option<Value>, HostFunctionFailed>;

#[derive(Default)]
struct Exchange {
    next: u64,
    requests: VecDeque<Request>,
    replies: Vec<(u64, Reply)>,
    wakers: Vec<(u64, Waker)>,
    /// Host resources that the guest dropped: import position and representation.
    dropped: Vec<(usize, u32)>,
    /// Sources that no guest reads any more.
    released: Vec<u32>,
}

/// What whoever drives calls keeps with an instance from one call to the next; nothing here looks at it.
pub type Companion = Arc<dyn Any + Send + Sync>;

/// Whose store it is.
#[derive(Clone)]
pub struct Owner {
    pub principal: Arc<Subject>,
    pub acting: Arc<Acting>,
    /// The number of the authority that decides.
    pub authority: u64,
}

/// Shared by a store, its import futures and the driver. What guests hold of the driver's is an index here.
pub struct Link {
    exchange: Mutex<Exchange>,
    companion: OnceLock<Companion>,
    /// Nothing where no rules decide.
    owner: OnceLock<Owner>,
    limits: Arc<Limits>,
    /// Whether the thread that polls may block in file operations; shared with WASI.
    may_block: Arc<AtomicBool>,
    /// What stops the clock; of the store whose guest runs by it.
    pauses: OnceLock<Arc<Pauses>>,
    deadline: AtomicU64,
    cpu_limit: AtomicU64,
    cpu_used: AtomicU64,
    /// Start of the present slice: thread time, or wall time with the top bit set for a short slice.
    slice: AtomicU64,
    host_calls: AtomicU64,
    store_gone: AtomicBool,
    /// The guest is to end at its next tick.
    interrupted: AtomicBool,
    /// The present slice ended at a tick.
    gave_way: AtomicBool,
}

const WALL: u64 = 1 << 63;

/// What is left of a call whose clock stands: whoever waits looks again when it goes on.
const PAUSED: Duration = Duration::from_hours(24);

impl Link {
    #[must_use]
    pub fn new(limits: impl Into<Arc<Limits>>, may_block: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            exchange: Mutex::default(),
            companion: OnceLock::new(),
            owner: OnceLock::new(),
            limits: limits.into(),
            may_block,
            pauses: OnceLock::new(),
            deadline: AtomicU64::new(u64::MAX),
            cpu_limit: AtomicU64::new(u64::MAX),
            cpu_used: AtomicU64::new(0),
            slice: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
            store_gone: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            gave_way: AtomicBool::new(false),
        })
    }

    /// Say whose store it is, once.
    pub(super) fn belongs_to(&self, owner: Owner) {
        let _ = self.owner.set(owner);
    }

    pub(super) fn is_of(&self, other: &Self) {
        if let Some(owner) = other.owner() {
            self.belongs_to(owner.clone());
        }
    }

    /// Whose store it is.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.get()
    }

    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Whether the thread that polls may block in file operations.
    #[must_use]
    pub fn may_block(&self) -> &Arc<AtomicBool> {
        &self.may_block
    }

    /// Say whether the thread that polls next may block in file operations.
    pub fn set_may_block(&self, may_block: bool) {
        self.may_block.store(may_block, Ordering::Relaxed);
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange
            .lock()
            .expect("no code under this lock panics")
    }

    /// The next call of a host function to be answered.
    pub fn take_request(&self) -> Option<Request> {
        self.exchange().requests.pop_front()
    }

    #[must_use]
    pub fn has_requests(&self) -> bool {
        !self.exchange().requests.is_empty()
    }

    /// Answer a request. The answer is dropped if the guest stopped waiting.
    pub fn reply(&self, id: u64, reply: Reply) {
        let mut exchange = self.exchange();
        let Some(index) = exchange
            .wakers
            .iter()
            .position(|(waiting, _)| *waiting == id)
        else {
            // Unlocked first: a value may say that it is gone.
            drop(exchange);
            return;
        };
        let waker = exchange.wakers.swap_remove(index).1;
        exchange.replies.push((id, reply));
        drop(exchange);
        waker.wake();
    }

    /// Call the host function of import `import`; resolves when the driver has answered.
    pub fn call(self: &Arc<Self>, import: usize, arguments: Vec<Value>) -> HostCall {
        self.host_calls.fetch_add(1, Ordering::Relaxed);
        self.ask(Wanted::Call { import, arguments })
    }

    /// Fetch the next item of a source; resolves when the driver has answered.
    pub(super) fn fetch(self: &Arc<Self>, source: u32) -> HostCall {
        self.ask(Wanted::Item { source })
    }

    fn ask(self: &Arc<Self>, wanted: Wanted) -> HostCall {
        let mut exchange = self.exchange();
        let id = exchange.next;
        exchange.next += 1;
        exchange.requests.push_back(Request { id, wanted });
        HostCall {
            link: self.clone(),
            id,
        }
    }

    /// Note that no guest reads a source any more.
    pub(super) fn note_released(&self, source: u32) {
        self.exchange().released.push(source);
    }

    pub fn take_released(&self) -> Vec<u32> {
        std::mem::take(&mut self.exchange().released)
    }

    /// Note that the guest dropped a host resource.
    pub fn note_dropped(&self, import: usize, representation: u32) {
        self.exchange().dropped.push((import, representation));
    }

    pub fn take_dropped(&self) -> Vec<(usize, u32)> {
        std::mem::take(&mut self.exchange().dropped)
    }

    /// The store is being dropped, or will be.
    pub(super) fn store_is_gone(&self) {
        self.store_gone.store(true, Ordering::Release);
    }

    /// Whether the store was dropped.
    #[must_use]
    pub fn is_store_gone(&self) -> bool {
        self.store_gone.load(Ordering::Acquire)
    }

    /// What was kept with the instance, if anything was.
    #[must_use]
    pub fn companion(&self) -> Option<&Companion> {
        self.companion.get()
    }

    /// Keep something with the instance. The first counts.
    pub fn accompany(&self, companion: Companion) {
        self.companion.get_or_init(|| companion);
    }

    /// Let the waits of a store for people stop the clock. The first counts.
    pub fn pause_with(&self, pauses: &Arc<Pauses>) {
        self.pauses.get_or_init(|| Arc::clone(pauses)).begin_call();
    }

    /// What stops the clock.
    #[must_use]
    pub fn pauses(&self) -> Option<&Arc<Pauses>> {
        self.pauses.get()
    }

    /// What stops the clock, also of a store that brought nothing along.
    #[must_use]
    pub fn own_pauses(&self) -> Arc<Pauses> {
        self.pauses.get_or_init(Arc::default).clone()
    }

    /// Whether the clock stands.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.pauses.get().is_some_and(|pauses| pauses.is_paused())
    }

    /// Nanoseconds for which the clock of the present call stood.
    #[must_use]
    pub fn paused_nanos(&self) -> u64 {
        self.pauses.get().map_or(0, |pauses| pauses.nanos())
    }

    /// Calls of host functions so far.
    #[must_use]
    pub fn host_calls(&self) -> u64 {
        self.host_calls.load(Ordering::Relaxed)
    }

    /// Begin the clock of a call.
    pub fn begin_call(&self) -> u64 {
        let now = now_nanos();
        self.begin_call_at(now);
        now
    }

    /// Begin the clock of a call that begins at `now`, which is [`now_nanos`] of a moment ago.
    pub fn begin_call_at(&self, now: u64) {
        if let Some(pauses) = self.pauses.get() {
            pauses.begin_call();
        }
        let limits = &self.limits;
        let timeout = u64::try_from(limits.call_timeout.as_nanos()).unwrap_or(u64::MAX);
        self.deadline
            .store(now.saturating_add(timeout), Ordering::Relaxed);
        self.cpu_limit.store(
            u64::try_from(limits.cpu_per_call.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        self.cpu_used.store(0, Ordering::Relaxed);
        self.slice.store(now | WALL, Ordering::Relaxed);
    }

    /// The guest gives its thread away at a tick.
    pub(super) fn note_tick(&self) {
        self.gave_way.store(true, Ordering::Relaxed);
    }

    /// A further slice of the call begins; it is measured as its beginning allows.
    pub fn resume_slice(&self) {
        if self.gave_way.swap(false, Ordering::Relaxed) {
            self.begin_slice();
        } else {
            self.begin_short_slice();
        }
    }

    /// End the guest at its next tick; for good.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
    }

    /// A slice begins after the guest gave its thread away. Its processor time is measured.
    pub fn begin_slice(&self) {
        self.slice.store(thread_cpu_nanos(), Ordering::Relaxed);
    }

    /// A slice begins after a host function. As of a call's first slice its processor time is taken from the wall,
    /// because a system call would cost a short slice more than itself; it lasts a tick at most.
    pub fn begin_short_slice(&self) {
        self.slice.store(now_nanos() | WALL, Ordering::Relaxed);
    }

    /// Processor time since the slice began.
    fn slice_cpu(&self) -> u64 {
        let start = self.slice.load(Ordering::Relaxed);
        if start & WALL == 0 {
            thread_cpu_nanos().saturating_sub(start)
        } else {
            now_nanos().saturating_sub(start & !WALL)
        }
    }

    /// A slice ends; what it used counts.
    pub fn end_slice(&self) {
        self.cpu_used.fetch_add(self.slice_cpu(), Ordering::Relaxed);
    }

    /// Processor time of the call in nanoseconds, up to the last finished slice.
    #[must_use]
    pub fn cpu_nanos(&self) -> u64 {
        self.cpu_used.load(Ordering::Relaxed)
    }

    /// How long the call may still take; as long as one likes to wait while its clock stands.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        if self.is_paused() {
            return PAUSED;
        }
        Duration::from_nanos(self.deadline().saturating_sub(now_nanos()))
    }

    /// When the time of the call is over, in [`now_nanos`], as things stand.
    fn deadline(&self) -> u64 {
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline.saturating_add(self.paused_nanos())
    }

    /// The call took longer than it may.
    #[must_use]
    pub fn timed_out(&self) -> LimitExceeded {
        LimitExceeded {
            limit: Limit::CallTimeout,
            configured: self.limits.call_timeout.as_secs_f64(),
            owner: None,
        }
    }

    /// Asked at every tick, on the guest's stack.
    pub(super) fn check(&self) -> wasmtime::Result<()> {
        let limits = &self.limits;
        if is_shut_down() {
            return Err(wasmtime::Error::msg("the host is shut down"));
        }
        if self.interrupted.load(Ordering::Acquire) {
            return Err(wasmtime::Error::msg("the guest was interrupted"));
        }
        if now_nanos() >= self.deadline() {
            return Err(self.timed_out().into());
        }
        if self
            .cpu_used
            .load(Ordering::Relaxed)
            .saturating_add(self.slice_cpu())
            > self.cpu_limit.load(Ordering::Relaxed)
        {
            let configured = limits.cpu_per_call.as_secs_f64();
            return Err(LimitExceeded {
                limit: Limit::CpuPerCall,
                configured,
                owner: None,
            }
            .into());
        }
        Ok(())
    }
}

/// Resolves to the answer of a host function.
pub struct HostCall {
    link: Arc<Link>,
    id: u64,
}

impl Future for HostCall {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut exchange = self.link.exchange();
        if let Some(index) = exchange.replies.iter().position(|(id, _)| *id == self.id) {
            return Poll::Ready(exchange.replies.swap_remove(index).1);
        }
        let id = self.id;
        match exchange
            .wakers
            .iter_mut()
            .find(|(waiting, _)| *waiting == id)
        {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => exchange.wakers.push((id, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for HostCall {
    fn drop(&mut self) {
        let id = self.id;
        let mut exchange = self.link.exchange();
        exchange.wakers.retain(|(waiting, _)| *waiting != id);
        let request = exchange
            .requests
            .iter()
            .position(|request| request.id == id);
        let request = request.and_then(|index| exchange.requests.remove(index));
        let reply = exchange
            .replies
            .iter()
            .position(|(replied, _)| *replied == id);
        let reply = reply.map(|index| exchange.replies.swap_remove(index));
        // Unlocked first: a value may say that it is gone.
        drop(exchange);
        drop((request, reply));
    }
}
