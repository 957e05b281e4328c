//! The queue of one actor: four lanes with a bound each, and the counts that must add up.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::ask::{Answer, Ask, Kind, Outcome};
use super::failure::{Failure, Reason};
use crate::gate::callers::Callers;

pub const LANES: usize = 4;
/// Every so many deliveries serve the lane that waited longest.
const AGING: u64 = 16;

/// Senders that may wait for room in one lane, where its bound is not more.
pub(super) const WAITING: usize = 1000;

/// Where a message came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Host,
    Actor(Arc<str>),
    Topic {
        topic: Arc<str>,
        /// Empty for the host.
        publisher: Arc<str>,
    },
    Timer(u64),
}

impl Source {
    /// The address of who sent it, empty for the host.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Host | Self::Timer(_) => "",
            Self::Actor(address) => address,
            Self::Topic { publisher, .. } => publisher,
        }
    }
}

/// A message on its way.
pub struct Envelope {
    pub id: u64,
    pub source: Source,
    pub payload: Bytes,
    /// 0 low to 3 critical.
    pub priority: u8,
    /// Plane time after which it is not delivered; `u64::MAX` without a bound.
    pub expires: u64,
    pub ask: Option<Arc<Ask>>,
    pub trace: Option<Arc<str>>,
    /// For whom the receiver acts while it handles this; nobody for the host.
    pub callers: Option<Arc<Callers>>,
    /// For what an actor sends itself: the incarnation that it dies with; else 0.
    pub incarnation: u64,
}

impl Envelope {
    /// Whether somebody waits for a reply.
    #[must_use]
    pub fn wants_reply(&self) -> bool {
        self.reply().is_some()
    }

    pub(super) fn reply(&self) -> Option<&Arc<Ask>> {
        self.ask.as_ref().filter(|ask| ask.kind == Kind::Reply)
    }
}

/// What happens to a message when its lane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    Fail,
    Wait,
    DropOldest,
    DropNewest,
}

impl Overflow {
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "fail" => Self::Fail,
            "wait" => Self::Wait,
            "drop-oldest" => Self::DropOldest,
            "drop-newest" => Self::DropNewest,
            _ => return None,
        })
    }
}

/// The bounds of a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Messages in each lane.
    pub capacity: usize,
    /// Bytes of payload in each lane.
    pub bytes: usize,
    pub overflow: Overflow,
    /// Bytes of one payload.
    pub message_size: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            capacity: 1000,
            bytes: 4 << 20,
            overflow: Overflow::Fail,
            message_size: 1 << 20,
        }
    }
}

/// The answer to an earlier `ask-async`.
pub(super) struct Callback {
    pub incarnation: u64,
    pub correlation: u64,
    pub outcome: Outcome,
}

/// What is to be told to others once the mailbox is no longer locked.
#[derive(Default)]
pub(super) struct Aftermath {
    pub dead: SmallVec<[(Arc<Envelope>, Reason); 2]>,
    pub admitted: SmallVec<[Arc<Ask>; 2]>,
}

impl Aftermath {
    pub fn is_empty(&self) -> bool {
        self.dead.is_empty() && self.admitted.is_empty()
    }

    /// Those who waited for room have it.
    pub fn tell_admitted(&mut self) {
        for ask in self.admitted.drain(..) {
            ask.complete(Ok(Answer::Done));
        }
    }
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Arc<Envelope>>,
    bytes: usize,
    /// Messages whose senders wait for room; not accepted yet.
    waiting: VecDeque<Arc<Envelope>>,
}

impl Lane {
    fn has_room(&self, bounds: &Bounds, size: usize) -> bool {
        self.queue.len() < bounds.capacity && self.bytes + size <= bounds.bytes
    }

    fn push(&mut self, envelope: Arc<Envelope>) {
        self.bytes += envelope.payload.len();
        self.queue.push_back(envelope);
    }

    fn pop(&mut self) -> Option<Arc<Envelope>> {
        let envelope = self.queue.pop_front()?;
        self.bytes -= envelope.payload.len();
        Some(envelope)
    }
}

/// `accepted = handled + queued + in flight + dead`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub accepted: u64,
    pub handled: u64,
    /// In the order of [`Reason::ALL`].
    pub dead: [u64; Reason::ALL.len()],
    /// Sends that were refused, so never accepted.
    pub refused: u64,
}

/// What to do next.
pub(super) enum Next {
    Message(Arc<Envelope>),
    Callback(Callback),
}

/// The mailbox of one actor. It belongs to the actor, not to an instance.
#[derive(Default)]
pub(super) struct Mailbox {
    lanes: [Lane; LANES],
    callbacks: VecDeque<Callback>,
    pub in_flight: Option<(Arc<Envelope>, u64)>,
    deliveries: u64,
    pub bounds: Bounds,
    pub counts: Counts,
    /// Takes nothing any more.
    pub closed: bool,
}

impl Mailbox {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    pub fn queued(&self) -> [usize; LANES] {
        std::array::from_fn(|lane| self.lanes[lane].queue.len())
    }

    pub fn queued_bytes(&self) -> usize {
        self.lanes.iter().map(|lane| lane.bytes).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.callbacks.is_empty() && self.lanes.iter().all(|lane| lane.queue.is_empty())
    }

    /// Take a message, or let its sender wait for room if it `may_wait`. True if it was accepted.
    pub fn offer(
        &mut self,
        envelope: Arc<Envelope>,
        may_wait: bool,
        aftermath: &mut Aftermath,
    ) -> Result<bool, Failure> {
        if self.closed {
            return Err(Failure::Stopped);
        }
        let size = envelope.payload.len();
        let bounds = self.bounds;
        let lane = &mut self.lanes[usize::from(envelope.priority)];
        if lane.waiting.is_empty() && lane.has_room(&bounds, size) {
            self.counts.accepted += 1;
            lane.push(envelope);
            return Ok(true);
        }
        match bounds.overflow {
            Overflow::DropOldest if size <= bounds.bytes => {
                self.counts.accepted += 1;
                while !lane.has_room(&bounds, size) {
                    let Some(oldest) = lane.pop() else { break };
                    self.counts.dead[Reason::Overflow as usize] += 1;
                    aftermath.dead.push((oldest, Reason::Overflow));
                }
                lane.push(envelope);
                Ok(true)
            }
            Overflow::DropNewest | Overflow::DropOldest => {
                self.counts.accepted += 1;
                self.counts.dead[Reason::Overflow as usize] += 1;
                aftermath.dead.push((envelope, Reason::Overflow));
                Ok(true)
            }
            Overflow::Fail | Overflow::Wait
                if may_wait
                    && size <= bounds.bytes
                    && lane.waiting.len() < bounds.capacity.max(WAITING) =>
            {
                lane.waiting.push_back(envelope);
                Ok(false)
            }
            Overflow::Fail | Overflow::Wait => {
                self.counts.refused += 1;
                Err(Failure::MailboxFull)
            }
        }
    }

    /// Take a message for which a slot is reserved: the tick of a timer.
    pub fn offer_reserved(&mut self, envelope: Arc<Envelope>) -> bool {
        if self.closed {
            return false;
        }
        self.counts.accepted += 1;
        self.lanes[usize::from(envelope.priority)].push(envelope);
        true
    }

    pub fn call_back(&mut self, callback: Callback) {
        if !self.closed {
            self.callbacks.push_back(callback);
        }
    }

    /// The message in flight is done with.
    pub fn finish(&mut self, dead: Option<Reason>) {
        self.in_flight = None;
        match dead {
            None => self.counts.handled += 1,
            Some(reason) => self.counts.dead[reason as usize] += 1,
        }
    }

    fn choose(&self) -> Option<usize> {
        let highest = (0..LANES)
            .rev()
            .find(|lane| !self.lanes[*lane].queue.is_empty())?;
        if (self.deliveries + 1).is_multiple_of(AGING) {
            let head = |lane: &usize| self.lanes[*lane].queue.front().map(|first| first.id);
            // Numbers are given in the order of arrival, so the smallest has waited longest.
            let longest = (0..highest)
                .filter(|lane| head(lane).is_some())
                .min_by_key(head);
            return Some(longest.unwrap_or(highest));
        }
        Some(highest)
    }

    /// What is delivered next. What expired on the way dies.
    pub fn next(&mut self, now: u64, aftermath: &mut Aftermath) -> Option<Next> {
        if let Some(callback) = self.callbacks.pop_front() {
            return Some(Next::Callback(callback));
        }
        loop {
            let lane = self.choose()?;
            let envelope = self.lanes[lane].pop().expect("the lane has a head");
            self.admit(lane, aftermath);
            let reason = if envelope.expires <= now {
                Some(Reason::Expired)
            } else {
                match &envelope.ask {
                    Some(ask) if ask.kind == Kind::Reply && ask.deadline <= now => {
                        Some(Reason::Expired)
                    }
                    Some(ask) if ask.kind == Kind::Reply && ask.is_done() => {
                        Some(Reason::Cancelled)
                    }
                    _ => None,
                }
            };
            if let Some(reason) = reason {
                self.counts.dead[reason as usize] += 1;
                aftermath.dead.push((envelope, reason));
                continue;
            }
            self.deliveries += 1;
            self.in_flight = Some((envelope.clone(), now));
            return Some(Next::Message(envelope));
        }
    }

    /// Let those in who wait for room.
    fn admit(&mut self, lane: usize, aftermath: &mut Aftermath) {
        let lane = &mut self.lanes[lane];
        while let Some(first) = lane.waiting.front() {
            if first.ask.as_ref().is_some_and(|ask| ask.is_done()) {
                lane.waiting.pop_front(); // gave up waiting; was never accepted
                continue;
            }
            if !lane.has_room(&self.bounds, first.payload.len()) {
                return;
            }
            let envelope = lane.waiting.pop_front().expect("looked at above");
            self.counts.accepted += 1;
            if let Some(ask) = &envelope.ask
                && ask.kind == Kind::Room
            {
                aftermath.admitted.push(ask.clone());
            }
            lane.push(envelope);
        }
    }

    /// Let what belongs to an incarnation die with it.
    pub fn purge(&mut self, incarnation: u64, aftermath: &mut Aftermath) {
        self.callbacks
            .retain(|callback| callback.incarnation != incarnation);
        for number in 0..LANES {
            let lane = &mut self.lanes[number];
            if lane
                .queue
                .iter()
                .any(|envelope| envelope.incarnation == incarnation)
            {
                for envelope in std::mem::take(&mut lane.queue) {
                    if envelope.incarnation == incarnation {
                        lane.bytes -= envelope.payload.len();
                        self.counts.dead[Reason::Stale as usize] += 1;
                        aftermath.dead.push((envelope, Reason::Stale));
                    } else {
                        lane.queue.push_back(envelope);
                    }
                }
                self.admit(number, aftermath);
            }
        }
    }

    /// Remove a queued message. True if it was there.
    pub fn remove(&mut self, id: u64, reason: Reason, aftermath: &mut Aftermath) -> bool {
        for number in 0..LANES {
            let lane = &mut self.lanes[number];
            if let Some(position) = lane.queue.iter().position(|envelope| envelope.id == id) {
                let envelope = lane.queue.remove(position).expect("found above");
                lane.bytes -= envelope.payload.len();
                self.counts.dead[reason as usize] += 1;
                aftermath.dead.push((envelope, reason));
                self.admit(number, aftermath);
                return true;
            }
        }
        false
    }

    /// Take nothing any more; what is queued dies, who waits for room is refused.
    pub fn close(&mut self, reason: Reason, aftermath: &mut Aftermath) -> Vec<Arc<Ask>> {
        self.closed = true;
        self.callbacks.clear();
        let mut refused = Vec::new();
        for lane in &mut self.lanes {
            while let Some(envelope) = lane.pop() {
                self.counts.dead[reason as usize] += 1;
                aftermath.dead.push((envelope, reason));
            }
            for envelope in std::mem::take(&mut lane.waiting) {
                refused.extend(envelope.ask.clone());
            }
            lane.queue.shrink_to_fit();
        }
        refused
    }

    /// Messages whose senders wait for room.
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }
}
