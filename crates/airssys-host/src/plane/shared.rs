//! What the actors of a plane have in common: the directory, the clock, the run queue, and the way of a message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::ask::{Answer, Ask, Kind, Waiter};
use super::cell::Cell;
use super::clock::Clock;
use super::codec;
use super::events::{Event, LogLine, Logs, Observer};
use super::failure::Failure;
use super::mailbox::{Envelope, Source};
use super::scheduler::RunQueue;
use super::target::Target;
use super::timers::{Due, Timers};
use super::topics::Topics;
use crate::gate::callers::Callers;

type Wake = Arc<dyn Fn() + Send + Sync>;
struct Watching(Arc<dyn Observer>);

pub struct Shared {
    pub clock: Arc<Clock>,
    pub(super) timers: Arc<Timers>,
    pub(super) queue: RunQueue,
    pub(super) directory: RwLock<HashMap<Arc<str>, Target>>,
    pub(super) topics: Topics,
    pub(super) logs: Logs,
    observer: ArcSwapOption<Watching>,
    /// Called when a plane without threads has something to do.
    wake: Mutex<Option<Wake>>,
    pub(super) closed: AtomicBool,
    pub(super) slices: AtomicU64,
}

/// How a message is sent.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0 low to 3 critical.
    pub priority: u8,
    /// Nanoseconds for which it may wait.
    pub time_to_live: Option<u64>,
    pub trace: Option<Arc<str>>,
    /// For whom the receiver is to act.
    pub callers: Option<Arc<Callers>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            priority: 1,
            time_to_live: None,
            trace: None,
            callers: None,
        }
    }
}

impl Shared {
    pub(super) fn new(virtual_time: bool, log_ring: usize) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::new(Clock::new(virtual_time)),
            timers: Arc::default(),
            queue: RunQueue::default(),
            directory: RwLock::default(),
            topics: Topics::default(),
            logs: Logs::new(log_ring),
            observer: ArcSwapOption::empty(),
            wake: Mutex::default(),
            closed: AtomicBool::new(false),
            slices: AtomicU64::new(0),
        })
    }

    pub fn set_observer(&self, observer: Option<Arc<dyn Observer>>) {
        self.observer
            .store(observer.map(|observer| Arc::new(Watching(observer))));
    }

    pub(super) fn set_wake(&self, wake: Option<Wake>) {
        *self.wake.lock().expect("no code under this lock panics") = wake;
    }

    pub(super) fn tell(&self, event: Event) {
        if let Some(observer) = &*self.observer.load() {
            observer.0.happened(event);
        }
    }

    pub(super) fn log(&self, deployment: &Arc<str>, line: LogLine) {
        let line = self.logs.add(deployment, line);
        self.tell(Event::Log(line));
    }

    /// Let an actor run soon.
    pub(super) fn schedule(&self, cell: Arc<Cell>) {
        if self.queue.push(cell) && self.clock.is_virtual() {
            let wake = self
                .wake
                .lock()
                .expect("no code under this lock panics")
                .clone();
            if let Some(wake) = wake {
                wake();
            }
        }
    }

    pub fn find(&self, address: &str) -> Option<Target> {
        let directory = self
            .directory
            .read()
            .expect("no code under this lock panics");
        match directory.get(address) {
            // `name#` and `name` are the same actor.
            None => directory.get(address.strip_suffix('#')?).cloned(),
            found => found.cloned(),
        }
    }

    pub(super) fn add(&self, target: Target) -> Result<(), Failure> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::Closed);
        }
        let mut directory = self
            .directory
            .write()
            .expect("no code under this lock panics");
        match directory.entry(target.address().clone()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(Failure::NameTaken),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(target);
                Ok(())
            }
        }
    }

    pub(super) fn remove(&self, target: &Target) {
        let mut directory = self
            .directory
            .write()
            .expect("no code under this lock panics");
        if directory
            .get(target.address())
            .is_some_and(|found| found.is(target))
        {
            directory.remove(target.address());
        }
    }

    /// Everybody, by address.
    pub fn targets(&self) -> Vec<Target> {
        let directory = self
            .directory
            .read()
            .expect("no code under this lock panics");
        let mut all: Vec<Target> = directory.values().cloned().collect();
        all.sort_by(|one, other| one.address().cmp(other.address()));
        all
    }

    /// Plane time after `nanos` from now.
    #[must_use]
    pub fn after(&self, nanos: u64) -> u64 {
        self.clock.now().saturating_add(nanos)
    }

    fn envelope(
        &self,
        target: &Target,
        source: Source,
        payload: Bytes,
        options: Options,
        incarnation: u64,
        ask: Option<Arc<Ask>>,
    ) -> Arc<Envelope> {
        Arc::new(Envelope {
            id: target.next_id(),
            source,
            payload,
            priority: options.priority.min(3),
            expires: options
                .time_to_live
                .map_or(u64::MAX, |time| self.after(time)),
            ask,
            trace: options.trace,
            callers: options.callers,
            incarnation,
        })
    }

    /// Whether `target` takes such a payload at all.
    pub(super) fn check(target: &Target, payload: &[u8]) -> Result<(), Failure> {
        let sent =
            codec::read(payload).map_err(|reason| Failure::InvalidPayload(reason.to_owned()))?;
        target.with_terms(|accepted, limit| {
            if payload.len() > limit {
                return Err(Failure::TooLarge {
                    size: payload.len() as u64,
                    limit: limit as u64,
                });
            }
            if !codec::accepts(accepted, sent) {
                let accepted = if accepted.is_empty() {
                    codec::KNOWN
                } else {
                    accepted
                };
                return Err(Failure::CodecMismatch {
                    sent,
                    accepted: accepted.to_vec(),
                });
            }
            Ok(())
        })
    }

    /// Put a message in `target`'s mailbox. Never waits. `incarnation` is the sender's for what an actor sends to
    /// itself, else 0.
    ///
    /// # Errors
    /// Why it was not accepted.
    pub fn send_now(
        &self,
        target: &Target,
        source: Source,
        payload: Bytes,
        options: Options,
        incarnation: u64,
    ) -> Result<(), Failure> {
        Self::check(target, &payload)?;
        let envelope = self.envelope(target, source, payload, options, incarnation, None);
        target.offer(envelope, false).map(|_| ())
    }

    /// Put a message in `target`'s mailbox and wait: for the answer, or just for room. `timeout` in nanoseconds.
    ///
    /// # Errors
    /// Why it was not accepted; then nobody is told.
    pub(super) fn send_and_wait(
        &self,
        kind: Kind,
        target: &Target,
        source: Source,
        payload: Bytes,
        options: Options,
        timeout: u64,
        waiter: Waiter,
    ) -> Result<Arc<Ask>, Failure> {
        Self::check(target, &payload)?;
        let deadline = self.after(timeout);
        let ask = Ask::begin(kind, deadline, target.desk(), &self.timers, waiter);
        let envelope = self.envelope(target, source, payload, options, 0, Some(ask.clone()));
        let may_wait = kind == Kind::Room || target.asks_wait();
        match target.offer(envelope, may_wait) {
            Ok(accepted) => {
                if accepted && kind == Kind::Room {
                    ask.complete(Ok(Answer::Done));
                }
                Ok(ask)
            }
            Err(failure) => {
                ask.withdraw();
                Err(failure)
            }
        }
    }

    /// Ask `target`; `waiter` is told.
    ///
    /// # Errors
    /// Why the request was not accepted; then nobody is told.
    pub fn ask(
        &self,
        target: &Target,
        source: Source,
        payload: Bytes,
        options: Options,
        timeout: u64,
        waiter: Waiter,
    ) -> Result<Arc<Ask>, Failure> {
        self.send_and_wait(
            Kind::Reply,
            target,
            source,
            payload,
            options,
            timeout,
            waiter,
        )
    }

    /// Send to `target` as soon as there is room; `waiter` is told when that was.
    ///
    /// # Errors
    /// Why the message will not be accepted even with room; then nobody is told.
    pub fn send(
        &self,
        target: &Target,
        source: Source,
        payload: Bytes,
        options: Options,
        timeout: u64,
        waiter: Waiter,
    ) -> Result<Arc<Ask>, Failure> {
        self.send_and_wait(
            Kind::Room,
            target,
            source,
            payload,
            options,
            timeout,
            waiter,
        )
    }

    /// Put a message in the mailbox of every subscriber of `topic`. Tells how many accepted and refused it.
    ///
    /// # Errors
    /// [`Failure::InvalidPayload`].
    pub fn publish(
        &self,
        topic: &str,
        publisher: &Arc<str>,
        payload: &Bytes,
        options: &Options,
    ) -> Result<(u64, u64), Failure> {
        let forms = std::slice::from_ref(payload);
        self.publish_to(topic, publisher, forms, options, |_| true)
    }

    /// The same for the components among the subscribers, each of which gets the first of the message's `forms` whose
    /// codec it takes.
    ///
    /// # Errors
    /// As [`Shared::publish`].
    pub fn publish_inside(
        &self,
        topic: &str,
        publisher: &Arc<str>,
        forms: &[Bytes],
        options: &Options,
    ) -> Result<(u64, u64), Failure> {
        self.publish_to(topic, publisher, forms, options, |target| {
            matches!(target, Target::Actor(_))
        })
    }

    /// What each of the components that would receive `topic` accepts.
    #[must_use]
    pub fn accepted_inside(&self, topic: &str) -> Vec<Vec<u64>> {
        let (receivers, _) = self.topics.receivers(&topic.into());
        receivers
            .iter()
            .filter(|target| matches!(target, Target::Actor(_)))
            .map(|target| target.with_terms(|accepted, _| accepted.to_vec()))
            .collect()
    }

    fn publish_to(
        &self,
        topic: &str,
        publisher: &Arc<str>,
        forms: &[Bytes],
        options: &Options,
        reaches: impl Fn(&Target) -> bool,
    ) -> Result<(u64, u64), Failure> {
        for payload in forms {
            codec::read(payload).map_err(|reason| Failure::InvalidPayload(reason.to_owned()))?;
        }
        let topic: Arc<str> = topic.into();
        let (receivers, mut refused) = self.topics.receivers(&topic);
        let mut accepted = 0;
        for target in receivers.iter().filter(|target| reaches(target)) {
            let source = Source::Topic {
                topic: topic.clone(),
                publisher: publisher.clone(),
            };
            let send = |payload: &Bytes| {
                self.send_now(target, source.clone(), payload.clone(), options.clone(), 0)
            };
            let sent = forms
                .iter()
                .map(send)
                .find(|sent| !matches!(sent, Err(Failure::CodecMismatch { .. })));
            match sent {
                Some(Ok(())) => accepted += 1,
                _ => refused += 1,
            }
        }
        Ok((accepted, refused))
    }

    /// The circle that `waiting` would close by waiting for `target`.
    pub fn cycle(&self, waiting: &Target, target: &Target) -> Option<Vec<Arc<str>>> {
        let mut circle = vec![waiting.address().clone()];
        let mut next = Some(target.clone());
        while let Some(current) = next {
            circle.push(current.address().clone());
            if current.is(waiting) {
                return Some(circle);
            }
            // A circle that others are in does not concern this one.
            if circle.len() > 10_000 {
                return None;
            }
            next = current.waits_for();
        }
        None
    }

    /// Do what is due. True if something was.
    pub(super) fn fire(self: &Arc<Self>) -> bool {
        let mut fired = false;
        while let Some(due) = self.timers.take_due(self.clock.now()) {
            fired = true;
            match due {
                Due::Wake(cell) => {
                    if let Some(cell) = cell.upgrade() {
                        cell.timer_fired();
                    }
                }
                Due::Expire(ask) => {
                    if let Some(ask) = ask.upgrade() {
                        ask.complete(Err(Failure::Timeout));
                    }
                }
                Due::Tick {
                    cell,
                    incarnation,
                    timer,
                } => {
                    if let Some(cell) = cell.upgrade() {
                        cell.tick(incarnation, timer);
                    }
                }
                Due::Kill { cell, stop } => {
                    if let Some(cell) = cell.upgrade() {
                        cell.stop_overdue(stop);
                    }
                }
            }
        }
        fired
    }
}
