//! One actor: its mailbox, its state, and the turn-taking between whoever wakes it and whoever runs it.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::address::Address;
use super::ask::{Answer, Ask, Desk, Health, Kind, Outcome, Waiter};
use super::blueprint::Blueprint;
use super::events::{Event, Stage};
use super::failure::{Ending, Failure, Reason};
use super::incarnation::{self, End};
use super::mailbox::{
    Aftermath, Bounds, Callback, Counts, Envelope, LANES, Mailbox, Next, Overflow, Source,
};
use super::pattern::Pattern;
use super::shared::Shared;
use super::succession::{Decision, Inheritance, Successor};
use super::target::Target;
use super::timers::{Due, Entry};
use crate::error::Error;
use crate::gate::Gate;
use crate::gate::callers::Callers;
use crate::instance::{Link, Usage};
use crate::quota::Bucket;

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Running, and woken meanwhile.
const WOKEN: u8 = 3;

/// Messages that an actor handles before others have their turn.
const BATCH: u32 = 32;
/// Messages that it handles on a thread that came with one of them.
const HERE: u32 = 2;
/// Timers that one actor may have.
pub(super) const TIMERS: usize = 256;

type Task = Pin<Box<dyn Future<Output = End> + Send>>;

/// What is asked of an incarnation between two messages.
#[derive(Clone, Debug)]
pub enum Request {
    Health,
    Metadata,
    Snapshot,
    /// From a version, a snapshot.
    Migrate(String, Bytes),
    /// Get another revision's instance ready beside this one.
    Prepare(Arc<Successor>),
}

/// Why an instance is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    Stopped,
    HostShutdown,
    Replaced,
}

/// How an incarnation is ended from outside.
#[derive(Clone, Debug)]
enum How {
    Kill,
    Fail(String),
    Restart(Option<Inheritance>),
}

enum Order {
    Start {
        inherits: Option<Inheritance>,
        done: Arc<Ask>,
    },
    Kill {
        how: How,
        done: Arc<Ask>,
    },
}

struct Stopping {
    number: u64,
    drain: bool,
    /// The mailbox stays, for another incarnation.
    keep: bool,
    reason: ShutdownReason,
    asks: Vec<Arc<Ask>>,
    timer: Option<Entry>,
    overdue: bool,
}

struct Life {
    stage: Stage,
    incarnation: u64,
    link: Option<Arc<Link>>,
    orders: VecDeque<Order>,
    starting: Option<Arc<Ask>>,
    stopping: Option<Stopping>,
    requests: VecDeque<(Request, Arc<Ask>)>,
    suspended: bool,
    last_failure: Option<Ending>,
    health: Health,
    started_at: u64,
    usage: Usage,
    next_stop: u64,
    /// The incarnation that gets ready beside the present one.
    successor: Option<u64>,
    decision: Option<Decision>,
}

/// A timer that a guest set.
pub(super) struct GuestTimer {
    incarnation: u64,
    payload: Bytes,
    /// For whom the actor acted when it set it.
    callers: Option<Arc<Callers>>,
    /// 0 for one that fires once.
    interval: u64,
    entry: Entry,
    /// The number of the message that is queued.
    queued: Option<u64>,
    missed: u64,
}

struct Rights {
    gate: Arc<dyn Gate>,
}

/// One actor.
pub struct Cell {
    pub address: Address,
    pub(super) shared: Arc<Shared>,
    pub(super) desk: Arc<Desk>,
    pub(super) message_size: usize,
    pub(super) asks_wait: bool,
    run: AtomicU8,
    /// Orders wait for whoever runs the actor.
    ordered: AtomicBool,
    /// Something besides messages wants the incarnation's attention.
    attention: AtomicBool,
    /// The mailbox takes nothing any more; said here too, so that senders need not lock it.
    closed: AtomicBool,
    budget: AtomicU32,
    ids: AtomicU64,
    /// Until when the one wake-up that is set sleeps; 0 for none.
    armed: AtomicU64,
    mailbox: Mutex<Mailbox>,
    life: Mutex<Life>,
    task: Mutex<Option<Task>>,
    blueprint: ArcSwap<Blueprint>,
    rights: ArcSwap<Rights>,
    rights_number: AtomicU64,
    waits_for: Mutex<Option<Target>>,
    timers: Mutex<HashMap<u64, GuestTimer>>,
    next_timer: AtomicU64,
    timers_missed: AtomicU64,
    /// How fast it may send; outlives incarnations.
    pace: Mutex<Option<Arc<Bucket>>>,
    /// Whether an incarnation that ends in order leaves its state.
    keeps_state: AtomicBool,
    parting: Mutex<Option<Bytes>>,
    hooked: AtomicBool,
    hook_answer: Mutex<Option<(u64, Option<String>)>>,
}

/// What an actor looks like from outside.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub stage: Stage,
    pub incarnation: u64,
    pub queued: [usize; LANES],
    pub queued_bytes: usize,
    pub waiting_senders: usize,
    /// Number, sender and beginning (plane time) of the message that is being handled.
    pub current: Option<(u64, String, u64)>,
    pub waits_for: Option<Arc<str>>,
    pub counts: Counts,
    pub asked: u64,
    pub answered: u64,
    pub failed: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub pending: u64,
    pub late: u64,
    pub timers: usize,
    pub timers_missed: u64,
    pub subscriptions: Vec<Arc<str>>,
    pub usage: Usage,
    pub last_failure: Option<Ending>,
    pub health: Health,
    pub started_at: u64,
    pub suspended: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code under this lock panics")
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::wake(self);
    }
}

impl Cell {
    pub(super) fn new(
        shared: Arc<Shared>,
        address: Address,
        bounds: Bounds,
        blueprint: Arc<Blueprint>,
        gate: Arc<dyn Gate>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            shared,
            desk: Arc::default(),
            message_size: bounds.message_size,
            asks_wait: bounds.overflow == Overflow::Wait,
            run: AtomicU8::new(IDLE),
            ordered: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            budget: AtomicU32::new(0),
            ids: AtomicU64::new(1),
            armed: AtomicU64::new(0),
            mailbox: Mutex::new(Mailbox::new(bounds)),
            life: Mutex::new(Life {
                stage: Stage::Starting,
                incarnation: 0,
                link: None,
                orders: VecDeque::new(),
                starting: None,
                stopping: None,
                requests: VecDeque::new(),
                suspended: false,
                last_failure: None,
                health: Health {
                    status: "unknown",
                    detail: String::new(),
                },
                started_at: 0,
                usage: Usage::default(),
                next_stop: 0,
                successor: None,
                decision: None,
            }),
            task: Mutex::new(None),
            blueprint: ArcSwap::new(blueprint),
            rights: ArcSwap::from_pointee(Rights { gate }),
            rights_number: AtomicU64::new(0),
            waits_for: Mutex::new(None),
            timers: Mutex::default(),
            next_timer: AtomicU64::new(1),
            timers_missed: AtomicU64::new(0),
            pace: Mutex::default(),
            keeps_state: AtomicBool::new(false),
            parting: Mutex::new(None),
            hooked: AtomicBool::new(false),
            hook_answer: Mutex::default(),
        })
    }

    // Turns.

    /// Something happened that the actor should look at.
    pub(super) fn wake(self: &Arc<Self>) {
        let mut state = self.run.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => WOKEN,
                _ => return,
            };
            match self
                .run
                .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if next == QUEUED => return self.shared.schedule(self.clone()),
                Ok(_) => return,
                Err(seen) => state = seen,
            }
        }
    }

    /// Run one slice of an actor that was taken from the run queue.
    pub(super) fn run(self: Arc<Self>) {
        // Somebody may have claimed it since it was queued.
        if self
            .run
            .compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.slice(BATCH);
        }
    }

    /// Take the turn of an actor that has nothing to do, so that what it is given next runs here: give it that,
    /// then call [`Cell::run_claimed`] in any case.
    #[must_use]
    pub fn claim(&self) -> bool {
        self.run
            .compare_exchange(IDLE, RUNNING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Run one slice on this thread, after [`Cell::claim`].
    pub fn run_claimed(self: &Arc<Self>) {
        // Whatever woke it since the claim is seen by the slice.
        self.run.store(RUNNING, Ordering::Release);
        self.slice(HERE);
    }

    fn slice(self: &Arc<Self>, budget: u32) {
        self.shared.slices.fetch_add(1, Ordering::Relaxed);
        self.budget.store(budget, Ordering::Relaxed);
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        let mut task = locked(&self.task);
        loop {
            if self.ordered.load(Ordering::Acquire) {
                while let Some(order) = self.take_order() {
                    self.obey(order, &mut task);
                }
            }
            let Some(future) = task.as_mut() else { break };
            // A host function that panics ends its guest, not the thread that runs all the others.
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
            let end = match polled {
                Ok(Poll::Ready(end)) => end,
                Ok(Poll::Pending) if self.ordered.load(Ordering::Acquire) => continue,
                Ok(Poll::Pending) => break,
                Err(panic) => End::Failed(Ending::of(panic_error(&*panic), "")),
            };
            *task = None;
            let end = self.take_kill().map_or(end, |(how, done)| End::Killed {
                how: KillReason(how),
                done,
            });
            self.ended(end);
        }
        drop(task);
        if self
            .run
            .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            self.run.store(QUEUED, Ordering::Release);
            self.shared.schedule(self.clone());
        }
    }

    fn take_order(&self) -> Option<Order> {
        let mut life = locked(&self.life);
        let order = life.orders.pop_front();
        self.ordered
            .store(!life.orders.is_empty(), Ordering::Release);
        order
    }

    fn take_kill(&self) -> Option<(How, Arc<Ask>)> {
        let mut life = locked(&self.life);
        let position = life
            .orders
            .iter()
            .position(|order| matches!(order, Order::Kill { .. }))?;
        let Some(Order::Kill { how, done }) = life.orders.remove(position) else {
            unreachable!("found above")
        };
        self.ordered
            .store(!life.orders.is_empty(), Ordering::Release);
        Some((how, done))
    }

    fn order(self: &Arc<Self>, order: Order) {
        {
            let mut life = locked(&self.life);
            if let (Order::Kill { .. }, Some(link)) = (&order, &life.link) {
                link.interrupt();
            }
            life.orders.push_back(order);
            self.ordered.store(true, Ordering::Release);
        }
        self.wake();
    }

    fn obey(self: &Arc<Self>, order: Order, task: &mut Option<Task>) {
        match order {
            Order::Start { inherits, done } => {
                if task.is_some() {
                    done.complete(Err(Failure::State(self.stage().name())));
                    return;
                }
                let blueprint = self.blueprint();
                let link = Link::new(blueprint.limits.clone(), Arc::new(AtomicBool::new(true)));
                let incarnation = {
                    let mut life = locked(&self.life);
                    life.incarnation += 1;
                    life.link = Some(link.clone());
                    life.starting = Some(done);
                    life.incarnation
                };
                *task = Some(Box::pin(incarnation::live(
                    self.clone(),
                    blueprint,
                    incarnation,
                    link,
                    inherits,
                )));
            }
            Order::Kill { how, done } => {
                let lived = task.take().is_some();
                if lived || matches!(how, How::Restart(_)) {
                    self.ended(End::Killed {
                        how: KillReason(how),
                        done,
                    });
                } else {
                    done.complete(Ok(Answer::Ended("killed")));
                }
            }
        }
    }

    /// An incarnation is gone; what it held is released and what it handled dies.
    fn ended(self: &Arc<Self>, end: End) {
        *locked(&self.waits_for) = None;
        let (reason, failure, ending) = match &end {
            End::Stopped => (Reason::Stopped, Failure::Stopped, None),
            End::Failed(ending) | End::NotStarted(ending) => (
                Reason::Failed,
                Failure::Failed(ending.message.clone()),
                Some(ending.clone()),
            ),
            End::Killed { how, .. } => match &how.0 {
                How::Kill => (
                    Reason::Killed,
                    Failure::Dropped(Reason::Killed),
                    Some(Ending::killed()),
                ),
                How::Restart(_) => (Reason::Killed, Failure::Dropped(Reason::Killed), None),
                How::Fail(message) => (
                    Reason::Failed,
                    Failure::Failed(message.clone()),
                    Some(Ending::said(message.clone(), "")),
                ),
            },
        };
        for timer in locked(&self.timers).drain() {
            self.shared.timers.remove(timer.1.entry);
        }
        let (incarnation, successor, starting, requests) = {
            let mut life = locked(&self.life);
            life.link = None;
            life.decision = None;
            if ending.is_some() {
                life.last_failure.clone_from(&ending);
            }
            (
                life.incarnation,
                life.successor.take(),
                life.starting.take(),
                std::mem::take(&mut life.requests),
            )
        };
        let mut aftermath = Aftermath::default();
        let in_flight = {
            let mut mailbox = locked(&self.mailbox);
            let in_flight = mailbox.in_flight.take().map(|(envelope, _)| envelope);
            if in_flight.is_some() {
                mailbox.finish(Some(reason));
            }
            mailbox.purge(incarnation, &mut aftermath);
            if let Some(successor) = successor {
                mailbox.purge(successor, &mut aftermath);
            }
            in_flight
        };
        if let Some(envelope) = in_flight {
            let error = ending.as_ref().map(ToString::to_string);
            self.bury(envelope, reason, Some(failure.clone()), error);
        }
        self.settle(aftermath);
        for (_, ask) in requests {
            ask.complete(Err(failure.clone()));
        }
        if let Some(ask) = starting {
            ask.complete(Err(match (&end, ending.clone()) {
                (End::Killed { .. }, _) => Failure::Killed,
                (_, Some(ending)) => Failure::StartFailed(ending),
                (_, None) => Failure::Stopped,
            }));
        }
        let stopping = locked(&self.life).stopping.take();
        if let Some(Stopping {
            keep: true,
            asks,
            timer,
            ..
        }) = stopping
        {
            return self.retired(asks, timer, end);
        }
        if matches!(end, End::Stopped) || stopping.is_some() {
            if let (Some(ending), None) = (&ending, &stopping) {
                self.tell_failed(incarnation, ending.clone());
            }
            let how = if matches!(end, End::Stopped) {
                "normal"
            } else {
                "killed"
            };
            return self.finish_stop(stopping, how, end);
        }
        self.set_stage(Stage::Restarting);
        if let Some(ending) = ending {
            self.tell_failed(incarnation, ending);
        }
        if let End::Killed { how, done } = end {
            match how.0 {
                How::Restart(inherits) => self.order(Order::Start { inherits, done }),
                _ => {
                    done.complete(Ok(Answer::Ended("killed")));
                }
            }
        }
    }

    fn tell_failed(&self, incarnation: u64, ending: Ending) {
        self.shared.tell(Event::Failed {
            address: self.address.text.clone(),
            incarnation,
            ending,
        });
    }

    /// The incarnation made room for another; the mailbox stays.
    fn retired(self: &Arc<Self>, asks: Vec<Arc<Ask>>, timer: Option<Entry>, end: End) {
        if let Some(entry) = timer {
            self.shared.timers.remove(entry);
        }
        self.set_stage(Stage::Restarting);
        let how = if matches!(end, End::Stopped) {
            "normal"
        } else {
            "killed"
        };
        for ask in asks {
            ask.complete(Ok(Answer::Ended(how)));
        }
        if let End::Killed { done, .. } = end {
            done.complete(Ok(Answer::Ended("killed")));
        }
    }

    fn finish_stop(self: &Arc<Self>, stopping: Option<Stopping>, how: &'static str, end: End) {
        self.close(Reason::Stopped);
        if let Some(stopping) = stopping {
            if let Some(entry) = stopping.timer {
                self.shared.timers.remove(entry);
            }
            for ask in stopping.asks {
                ask.complete(Ok(Answer::Ended(how)));
            }
        }
        if let End::Killed { done, .. } = end {
            done.complete(Ok(Answer::Ended("killed")));
        }
    }

    /// The address is free, what is queued dies.
    fn close(self: &Arc<Self>, reason: Reason) {
        let target = Target::Actor(self.clone());
        self.shared.topics.forget(&target);
        self.shared.remove(&target);
        let mut aftermath = Aftermath::default();
        self.closed.store(true, Ordering::Release);
        let refused = locked(&self.mailbox).close(reason, &mut aftermath);
        self.settle(aftermath);
        for ask in refused {
            ask.complete(Err(Failure::Stopped));
        }
        let orders = {
            let mut life = locked(&self.life);
            std::mem::take(&mut life.orders)
        };
        for order in orders {
            match order {
                Order::Start { done, .. } => done.complete(Err(Failure::Stopped)),
                Order::Kill { done, .. } => done.complete(Ok(Answer::Ended("killed"))),
            };
        }
        self.set_stage(Stage::Stopped);
    }

    // What the incarnation calls.

    /// The incarnation takes messages from now on.
    pub(super) fn started(&self) {
        let (starting, suspended) = {
            let mut life = locked(&self.life);
            life.started_at = self.shared.clock.now();
            life.health = Health {
                status: "unknown",
                detail: String::new(),
            };
            (life.starting.take(), life.suspended)
        };
        let stopping = locked(&self.life).stopping.is_some();
        self.set_stage(match (stopping, suspended) {
            (true, _) => Stage::Stopping,
            (false, true) => Stage::Suspended,
            (false, false) => Stage::Running,
        });
        if let Some(ask) = starting {
            ask.complete(Ok(Answer::Done));
        }
    }

    /// What comes next, and `None` while there is nothing. `finished` tells what became of the last message.
    pub(super) fn next(&self, now: u64, finished: &mut Option<Option<Reason>>) -> Step {
        if self.attention.load(Ordering::Acquire)
            && let Some(step) = self.attend(finished)
        {
            return step;
        }
        let mut aftermath = Aftermath::default();
        let budget = self.budget.load(Ordering::Relaxed);
        let next = {
            let mut mailbox = locked(&self.mailbox);
            if let Some(dead) = finished.take() {
                mailbox.finish(dead);
            }
            if budget == 0 {
                if mailbox.is_empty() {
                    return Step::Wait;
                }
                return Step::GiveWay;
            }
            mailbox.next(now, &mut aftermath)
        };
        self.settle(aftermath);
        let Some(next) = next else { return Step::Wait };
        self.budget.store(budget - 1, Ordering::Relaxed);
        match next {
            Next::Message(envelope) => Step::Message(envelope),
            Next::Callback(callback) => Step::Callback(callback),
        }
    }

    /// Requests, a stop and a suspension come before messages.
    fn attend(&self, finished: &mut Option<Option<Reason>>) -> Option<Step> {
        let empty = {
            let mut mailbox = locked(&self.mailbox);
            if let Some(dead) = finished.take() {
                mailbox.finish(dead);
            }
            mailbox.is_empty()
        };
        let mut life = locked(&self.life);
        while let Some((request, ask)) = life.requests.pop_front() {
            if !ask.is_done() {
                return Some(Step::Request(request, ask));
            }
        }
        if let Some(stopping) = &life.stopping
            && (!stopping.drain || empty)
        {
            return Some(Step::Stop(stopping.reason));
        }
        if life.suspended && life.stopping.is_none() {
            return Some(Step::Wait);
        }
        if life.stopping.is_none() {
            self.attention.store(false, Ordering::Release);
        }
        None
    }

    /// Tell what became of the last message when nothing follows it.
    pub(super) fn finish(&self, finished: &mut Option<Option<Reason>>) {
        if let Some(dead) = finished.take() {
            locked(&self.mailbox).finish(dead);
        }
    }

    pub(super) fn note_usage(&self, usage: Usage) {
        locked(&self.life).usage = usage;
    }

    pub(super) fn note_health(&self, health: &Health) {
        locked(&self.life).health = health.clone();
    }

    // Another incarnation beside the present one.

    /// Incarnation `number` gets ready; a kill reaches it through `link`.
    pub(super) fn successor_begins(&self, number: u64, link: Arc<Link>) {
        let mut life = locked(&self.life);
        life.successor = Some(number);
        life.decision = None;
        life.link = Some(link);
    }

    /// What was decided about the successor, once.
    pub(super) fn take_decision(&self) -> Option<Decision> {
        locked(&self.life).decision.take()
    }

    /// A kill reaches the present one through `link` from now on.
    pub(super) fn set_link(&self, link: Arc<Link>) {
        locked(&self.life).link = Some(link);
    }

    /// There is one incarnation again: the successor if it `took` over. What belonged to the other ends.
    pub(super) fn succession_over(&self, blueprint: Option<Arc<Blueprint>>, link: Arc<Link>) {
        let took = blueprint.is_some();
        if let Some(blueprint) = blueprint {
            self.blueprint.store(blueprint);
        }
        let gone = {
            let mut life = locked(&self.life);
            life.link = Some(link);
            let Some(number) = life.successor.take() else {
                return;
            };
            if took {
                std::mem::replace(&mut life.incarnation, number)
            } else {
                number
            }
        };
        locked(&self.timers).retain(|_, timer| {
            let stays = timer.incarnation != gone;
            if !stays {
                self.shared.timers.remove(timer.entry);
            }
            stays
        });
        let mut aftermath = Aftermath::default();
        locked(&self.mailbox).purge(gone, &mut aftermath);
        self.settle(aftermath);
        if took {
            self.started();
        }
    }

    /// Wake the actor at `at` or earlier. One wake-up serves all that it waits for.
    pub(super) fn arm(self: &Arc<Self>, at: u64) {
        let armed = self.armed.load(Ordering::Relaxed);
        if armed != 0 && armed <= at {
            return;
        }
        self.armed.store(at, Ordering::Relaxed);
        self.shared
            .timers
            .insert(at, Due::Wake(Arc::downgrade(self)));
    }

    pub(super) fn timer_fired(self: &Arc<Self>) {
        self.armed.store(0, Ordering::Relaxed);
        self.wake();
    }

    pub(super) fn set_waits_for(&self, target: Option<Target>) {
        *locked(&self.waits_for) = target;
    }

    pub(super) fn waits_for(&self) -> Option<Target> {
        locked(&self.waits_for).clone()
    }

    // Messages.

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn offer(
        self: &Arc<Self>,
        envelope: Arc<Envelope>,
        may_wait: bool,
    ) -> Result<bool, Failure> {
        let mut aftermath = Aftermath::default();
        let accepted = locked(&self.mailbox).offer(envelope, may_wait, &mut aftermath);
        self.settle(aftermath);
        if let Ok(true) = accepted {
            self.wake();
        }
        accepted
    }

    /// The outcome of an `ask-async` of incarnation `incarnation`.
    pub(super) fn call_back(
        self: &Arc<Self>,
        incarnation: u64,
        correlation: u64,
        outcome: Outcome,
    ) {
        let living = {
            let life = locked(&self.life);
            life.incarnation == incarnation || life.successor == Some(incarnation)
        };
        if !living {
            return;
        }
        locked(&self.mailbox).call_back(Callback {
            incarnation,
            correlation,
            outcome,
        });
        self.wake();
    }

    fn settle(&self, mut aftermath: Aftermath) {
        aftermath.tell_admitted();
        for (envelope, reason) in aftermath.dead {
            self.bury(envelope, reason, None, None);
        }
    }

    /// Tell whoever asked, and the observer, that a message is dead.
    pub(super) fn bury(
        &self,
        envelope: Arc<Envelope>,
        reason: Reason,
        failure: Option<Failure>,
        error: Option<String>,
    ) {
        if let Source::Timer(timer) = envelope.source {
            self.timer_taken(timer);
        }
        if let Some(ask) = envelope.reply() {
            ask.complete(Err(failure.unwrap_or(match reason {
                Reason::Stopped => Failure::Stopped,
                Reason::Expired => Failure::Timeout,
                reason => Failure::Dropped(reason),
            })));
        }
        self.shared.tell(Event::Dead {
            address: self.address.text.clone(),
            incarnation: self.incarnation(),
            reason,
            envelope,
            error,
        });
    }

    // Timers of the guest.

    /// Set a timer. `None` if there are too many.
    pub(super) fn set_timer(
        self: &Arc<Self>,
        incarnation: u64,
        first: u64,
        interval: u64,
        payload: Bytes,
        callers: Option<Arc<Callers>>,
    ) -> Option<u64> {
        let mut timers = locked(&self.timers);
        if timers.len() >= TIMERS {
            return None;
        }
        let timer = self.next_timer.fetch_add(1, Ordering::Relaxed);
        let entry = self.schedule_tick(incarnation, timer, self.shared.after(first));
        timers.insert(
            timer,
            GuestTimer {
                incarnation,
                payload,
                callers,
                interval,
                entry,
                queued: None,
                missed: 0,
            },
        );
        Some(timer)
    }

    fn schedule_tick(self: &Arc<Self>, incarnation: u64, timer: u64, at: u64) -> Entry {
        let cell = Arc::downgrade(self);
        self.shared.timers.insert(
            at,
            Due::Tick {
                cell,
                incarnation,
                timer,
            },
        )
    }

    /// A timer's time has come.
    pub(super) fn tick(self: &Arc<Self>, incarnation: u64, timer: u64) {
        let envelope = {
            let mut timers = locked(&self.timers);
            let Some(found) = timers.get_mut(&timer) else {
                return;
            };
            if found.interval > 0 {
                let next = found.entry.0.saturating_add(found.interval);
                found.entry = self.schedule_tick(incarnation, timer, next);
            }
            if found.queued.is_some() {
                found.missed += 1;
                self.timers_missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let id = self.next_id();
            found.queued = Some(id);
            Arc::new(Envelope {
                id,
                source: Source::Timer(timer),
                payload: found.payload.clone(),
                priority: 1,
                expires: u64::MAX,
                ask: None,
                trace: None,
                callers: found.callers.clone(),
                incarnation,
            })
        };
        if locked(&self.mailbox).offer_reserved(envelope) {
            self.wake();
        }
    }

    /// A tick left the mailbox; how many were missed while it was there.
    pub(super) fn timer_taken(&self, timer: u64) -> u64 {
        let mut timers = locked(&self.timers);
        let Some(found) = timers.get_mut(&timer) else {
            return 0;
        };
        found.queued = None;
        let missed = std::mem::take(&mut found.missed);
        if found.interval == 0 {
            timers.remove(&timer);
        }
        missed
    }

    pub(super) fn cancel_timer(&self, timer: u64) -> bool {
        let Some(found) = locked(&self.timers).remove(&timer) else {
            return false;
        };
        self.shared.timers.remove(found.entry);
        if let Some(id) = found.queued {
            let mut aftermath = Aftermath::default();
            locked(&self.mailbox).remove(id, Reason::Cancelled, &mut aftermath);
            self.settle(aftermath);
        }
        true
    }

    // Commands, from any thread.

    pub fn stage(&self) -> Stage {
        locked(&self.life).stage
    }

    pub fn incarnation(&self) -> u64 {
        locked(&self.life).incarnation
    }

    #[must_use]
    pub fn blueprint(&self) -> Arc<Blueprint> {
        self.blueprint.load_full()
    }

    /// How fast it may send from now on.
    pub(super) fn pace(&self, per_second: Option<u64>) -> Option<Arc<Bucket>> {
        let mut pace = locked(&self.pace);
        if pace.as_ref().map(|pace| pace.per_second()) != per_second {
            *pace = per_second.map(|rate| Arc::new(Bucket::new(rate)));
        }
        pace.clone()
    }

    /// Look at the blueprint without holding on to it: for what is done with every message.
    pub(super) fn with_blueprint<R>(&self, look: impl FnOnce(&Blueprint) -> R) -> R {
        look(&self.blueprint.load())
    }

    /// What the next incarnation is made of.
    pub fn upgrade(&self, blueprint: Arc<Blueprint>) {
        self.blueprint.store(blueprint);
    }

    /// Other rights, at once.
    pub fn regrant(self: &Arc<Self>, gate: Arc<dyn Gate>) {
        self.shared
            .topics
            .regrant(&Target::Actor(self.clone()), &gate);
        self.rights.store(Arc::new(Rights { gate }));
        self.rights_number.fetch_add(1, Ordering::AcqRel);
    }

    /// The gate in force, and the number of the grant.
    pub(super) fn rights(&self) -> (Arc<dyn Gate>, u64) {
        let number = self.rights_number.load(Ordering::Acquire);
        (self.rights.load().gate.clone(), number)
    }

    pub(super) fn rights_number(&self) -> u64 {
        self.rights_number.load(Ordering::Acquire)
    }

    /// Subscribe it to topics, without a right: the host decides what its actors hear.
    ///
    /// # Errors
    /// [`Failure::InvalidAddress`] when the pattern cannot be read.
    pub fn subscribe(self: &Arc<Self>, pattern: &str) -> Result<(), Failure> {
        let parsed = Pattern::topic(pattern).map_err(Failure::InvalidAddress)?;
        let own = Target::Actor(self.clone());
        self.shared.topics.subscribe(own, pattern, parsed, None);
        Ok(())
    }

    #[must_use]
    pub fn unsubscribe(self: &Arc<Self>, pattern: &str) -> bool {
        let own = Target::Actor(self.clone());
        self.shared.topics.unsubscribe(&own, pattern)
    }

    /// Whether somebody outside is asked before each message, and told after it.
    pub fn hook_messages(&self, on: bool) {
        self.hooked.store(on, Ordering::Relaxed);
    }

    pub(super) fn is_hooked(&self) -> bool {
        self.hooked.load(Ordering::Relaxed)
    }

    /// Whoever is asked about turn `token` of a message lets it go on, or says why not.
    pub fn hook_done(self: &Arc<Self>, token: u64, refusal: Option<String>) {
        *locked(&self.hook_answer) = Some((token, refusal));
        self.wake();
    }

    pub(super) fn take_hook_answer(&self, token: u64) -> Option<Option<String>> {
        let mut answer = locked(&self.hook_answer);
        // One of an earlier turn came too late.
        match answer.take() {
            Some((answered, refusal)) if answered == token => Some(refusal),
            _ => None,
        }
    }

    fn command(&self, deadline: u64, waiter: Waiter) -> Arc<Ask> {
        Ask::begin(
            Kind::Command,
            deadline,
            &self.desk,
            &self.shared.timers,
            waiter,
        )
    }

    /// Begin an incarnation, from a snapshot if there is one.
    pub fn start(self: &Arc<Self>, inherits: Option<Inheritance>, waiter: Waiter) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        match self.stage() {
            Stage::Starting | Stage::Restarting => {
                self.order(Order::Start {
                    inherits,
                    done: done.clone(),
                });
            }
            stage => {
                done.complete(Err(Failure::State(stage.name())));
            }
        }
        done
    }

    fn end(self: &Arc<Self>, how: How, waiter: Waiter) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        if self.stage() == Stage::Stopped {
            done.complete(Err(Failure::Stopped));
        } else {
            self.order(Order::Kill {
                how,
                done: done.clone(),
            });
        }
        done
    }

    /// Get an instance of another revision ready beside the present one, which is not given anything meanwhile. The
    /// answer is the state that it was handed, if any; then [`Cell::decide`] says which of the two goes on.
    pub fn prepare(
        self: &Arc<Self>,
        successor: Arc<Successor>,
        timeout: u64,
        waiter: Waiter,
    ) -> Arc<Ask> {
        self.request(Request::Prepare(successor), timeout, waiter)
    }

    /// Let the successor that is ready take over, or drop it.
    pub fn decide(self: &Arc<Self>, takes: bool, waiter: Waiter) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        let ready = {
            let mut life = locked(&self.life);
            if life.successor.is_some() {
                life.decision = Some(Decision {
                    takes,
                    done: done.clone(),
                });
                None
            } else {
                Some(life.stage)
            }
        };
        match ready {
            None => self.wake(),
            Some(stage) => {
                done.complete(Err(Failure::State(stage.name())));
            }
        }
        done
    }

    /// Drop the instance, whatever it does; the mailbox stays.
    pub fn kill(self: &Arc<Self>, waiter: Waiter) -> Arc<Ask> {
        self.end(How::Kill, waiter)
    }

    /// Drop the instance because it failed in a way that only its supervisor saw.
    pub fn fail(self: &Arc<Self>, message: String, waiter: Waiter) -> Arc<Ask> {
        self.end(How::Fail(message), waiter)
    }

    /// Drop the instance and start another.
    pub fn restart(self: &Arc<Self>, inherits: Option<Inheritance>, waiter: Waiter) -> Arc<Ask> {
        self.end(How::Restart(inherits), waiter)
    }

    /// Stop: before the queue, or after it with `drain`. After `timeout` nanoseconds the instance is killed.
    pub fn stop(
        self: &Arc<Self>,
        drain: bool,
        timeout: u64,
        reason: ShutdownReason,
        waiter: Waiter,
    ) -> Arc<Ask> {
        self.end_in_order(drain, false, timeout, reason, waiter)
    }

    /// End the incarnation in order, as `stop`, and keep the mailbox for the next one.
    pub fn retire(
        self: &Arc<Self>,
        timeout: u64,
        reason: ShutdownReason,
        waiter: Waiter,
    ) -> Arc<Ask> {
        self.end_in_order(false, true, timeout, reason, waiter)
    }

    /// Whether an incarnation that ends in order is asked for its state before it is shut down.
    pub fn keep_state(&self, keep: bool) {
        self.keeps_state.store(keep, Ordering::Relaxed);
    }

    pub(super) fn keeps_state(&self) -> bool {
        self.keeps_state.load(Ordering::Relaxed)
    }

    pub(super) fn leave(&self, state: Bytes) {
        *locked(&self.parting) = Some(state);
    }

    /// The state that the last incarnation left, once.
    pub fn take_parting(&self) -> Option<Bytes> {
        locked(&self.parting).take()
    }

    fn end_in_order(
        self: &Arc<Self>,
        drain: bool,
        keep: bool,
        timeout: u64,
        reason: ShutdownReason,
        waiter: Waiter,
    ) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        let alive = {
            let mut life = locked(&self.life);
            if life.stage == Stage::Stopped {
                drop(life);
                done.complete(Ok(Answer::Ended("normal")));
                return done;
            }
            // An order to start counts as alive: it is obeyed, and then stopped.
            let alive = life.link.is_some() || !life.orders.is_empty();
            if alive {
                if let Some(stopping) = &mut life.stopping {
                    stopping.drain &= drain;
                    stopping.keep &= keep;
                    stopping.asks.push(done.clone());
                } else {
                    let number = life.next_stop;
                    life.next_stop += 1;
                    let due = Due::Kill {
                        cell: Arc::downgrade(self),
                        stop: number,
                    };
                    let timer = self.shared.timers.insert(self.shared.after(timeout), due);
                    life.stopping = Some(Stopping {
                        number,
                        drain,
                        keep,
                        reason,
                        asks: vec![done.clone()],
                        timer: Some(timer),
                        overdue: false,
                    });
                }
            }
            alive
        };
        if alive {
            if !keep {
                locked(&self.mailbox).closed = true;
                self.closed.store(true, Ordering::Release);
            }
            self.set_stage(Stage::Stopping);
            self.attention.store(true, Ordering::Release);
            self.wake();
        } else {
            if !keep {
                self.close(Reason::Stopped);
            }
            done.complete(Ok(Answer::Ended("normal")));
        }
        done
    }

    pub(super) fn stop_overdue(self: &Arc<Self>, number: u64) {
        let overdue = {
            let mut life = locked(&self.life);
            match &mut life.stopping {
                Some(stopping) if stopping.number == number && !stopping.overdue => {
                    stopping.overdue = true;
                    stopping.timer = None;
                    true
                }
                _ => false,
            }
        };
        if overdue {
            self.kill(Waiter::Nobody);
        }
    }

    /// Give an actor up that has no instance. What is queued dies.
    ///
    /// # Errors
    /// [`Failure::State`] while there is one.
    pub fn discard(self: &Arc<Self>) -> Result<(), Failure> {
        {
            let life = locked(&self.life);
            if life.link.is_some() || !life.orders.is_empty() {
                return Err(Failure::State(life.stage.name()));
            }
            if life.stage == Stage::Stopped {
                return Ok(());
            }
        }
        self.close(Reason::Stopped);
        Ok(())
    }

    /// Deliver nothing until resumed.
    pub fn suspend(&self) {
        let running = {
            let mut life = locked(&self.life);
            life.suspended = true;
            life.stage == Stage::Running
        };
        self.attention.store(true, Ordering::Release);
        if running {
            self.set_stage(Stage::Suspended);
        }
    }

    pub fn resume(self: &Arc<Self>) {
        let suspended = {
            let mut life = locked(&self.life);
            life.suspended = false;
            life.stage == Stage::Suspended
        };
        if suspended {
            self.set_stage(Stage::Running);
        }
        self.wake();
    }

    /// Ask the incarnation for something, between messages. `timeout` in nanoseconds.
    pub fn request(self: &Arc<Self>, request: Request, timeout: u64, waiter: Waiter) -> Arc<Ask> {
        let ask = self.command(self.shared.after(timeout), waiter);
        let refused = {
            let mut life = locked(&self.life);
            match life.stage {
                Stage::Running | Stage::Suspended | Stage::Starting if life.link.is_some() => {
                    life.requests.push_back((request, ask.clone()));
                    None
                }
                stage => Some(stage),
            }
        };
        match refused {
            None => {
                self.attention.store(true, Ordering::Release);
                self.wake();
            }
            Some(stage) => {
                ask.complete(Err(Failure::State(stage.name())));
            }
        }
        ask
    }

    fn set_stage(&self, stage: Stage) {
        let (previous, incarnation) = {
            let mut life = locked(&self.life);
            let previous = std::mem::replace(&mut life.stage, stage);
            (previous, life.incarnation)
        };
        if previous != stage {
            self.shared.tell(Event::Stage {
                address: self.address.text.clone(),
                incarnation,
                stage,
                previous,
            });
        }
    }

    /// Messages in the mailbox.
    #[must_use]
    pub fn queued(&self) -> usize {
        locked(&self.mailbox).queued().iter().sum()
    }

    /// Look at the actor without its help.
    #[must_use]
    pub fn inspect(self: &Arc<Self>) -> Inspection {
        let timers = locked(&self.timers).len();
        let subscriptions = self.shared.topics.of(&Target::Actor(self.clone()));
        let waits_for = self.waits_for().map(|target| target.address().clone());
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mailbox = locked(&self.mailbox);
        let life = locked(&self.life);
        let desk = &self.desk;
        Inspection {
            stage: life.stage,
            incarnation: life.incarnation,
            queued: mailbox.queued(),
            queued_bytes: mailbox.queued_bytes(),
            waiting_senders: mailbox.waiting(),
            current: mailbox.in_flight.as_ref().map(|(envelope, since)| {
                (envelope.id, envelope.source.address().to_owned(), *since)
            }),
            waits_for,
            counts: mailbox.counts,
            asked: read(&desk.asked),
            answered: read(&desk.answered),
            failed: read(&desk.failed),
            expired: read(&desk.expired),
            cancelled: read(&desk.cancelled),
            pending: read(&desk.pending),
            late: read(&desk.late),
            timers,
            timers_missed: read(&self.timers_missed),
            subscriptions,
            usage: life.usage,
            last_failure: life.last_failure.clone(),
            health: life.health.clone(),
            started_at: life.started_at,
            suspended: life.suspended,
        }
    }
}

fn panic_error(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    Error::Internal(format!("a function of the host panicked: {text}"))
}

/// Keeps how an incarnation was ended within this file.
pub(super) struct KillReason(How);

/// What an incarnation does next.
pub(super) enum Step {
    Message(Arc<Envelope>),
    Callback(Callback),
    Request(Request, Arc<Ask>),
    Stop(ShutdownReason),
    /// Nothing to do until woken.
    Wait,
    /// Others have their turn first.
    GiveWay,
}
