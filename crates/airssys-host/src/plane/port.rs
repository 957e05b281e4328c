//! A receiver outside the plane: it takes messages in batches and gives their slots back when it has handled them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::address::Address;
use super::ask::{Answer, Ask, Desk, Kind, Outcome};
use super::events::Event;
use super::failure::{Failure, Reason};
use super::mailbox::{Envelope, WAITING};
use super::shared::Shared;
use super::target::Target;

/// Told that a port has messages, once until they are taken. Called on any thread; must not wait.
pub trait PortSink: Send + Sync + 'static {
    fn ready(&self);
}

struct Slots {
    messages: usize,
    bytes: usize,
    outbox: VecDeque<Arc<Envelope>>,
    /// Messages whose senders wait for room.
    waiting: VecDeque<Arc<Envelope>>,
    /// Asks that were handed out, by the number of their message.
    asks: BTreeMap<u64, Arc<Ask>>,
    accepted: u64,
    refused: u64,
    waits_for: Option<Target>,
}

impl Slots {
    fn has_room(&self, size: usize) -> bool {
        self.messages > 0 && self.bytes >= size
    }

    /// Take a slot for a message. True if nobody was told yet that there are some.
    fn accept(&mut self, envelope: Arc<Envelope>, capacity: usize) -> bool {
        self.messages -= 1;
        self.bytes -= envelope.payload.len();
        self.accepted += 1;
        if let Some(ask) = envelope.reply() {
            if self.asks.len() >= 2 * capacity {
                self.asks.retain(|_, ask| !ask.is_done());
            }
            let ask = ask.clone();
            self.asks.insert(envelope.id, ask);
        }
        self.outbox.push_back(envelope);
        self.outbox.len() == 1
    }

    /// Let those in who wait for room: who is to be told so, and whether the receiver is.
    fn admit(&mut self, capacity: usize) -> (Vec<Arc<Ask>>, bool) {
        let mut admitted = Vec::new();
        let mut first = false;
        while let Some(next) = self.waiting.front() {
            if next.ask.as_ref().is_some_and(|ask| ask.is_done()) {
                self.waiting.pop_front(); // gave up waiting; was never accepted
                continue;
            }
            if !self.has_room(next.payload.len()) {
                break;
            }
            let envelope = self.waiting.pop_front().expect("looked at above");
            admitted.extend(envelope.ask.clone().filter(|ask| ask.kind == Kind::Room));
            first |= self.accept(envelope, capacity);
        }
        (admitted, first)
    }
}

pub struct Port {
    pub address: Address,
    pub accepts: Vec<u64>,
    pub message_size: usize,
    capacity: usize,
    capacity_bytes: usize,
    pub(super) desk: Arc<Desk>,
    pub(super) shared: Arc<Shared>,
    ids: AtomicU64,
    closed: AtomicBool,
    slots: Mutex<Slots>,
    sink: Arc<dyn PortSink>,
}

/// The bounds of a port.
#[derive(Clone, Debug)]
pub struct PortSpec {
    pub capacity: usize,
    pub bytes: usize,
    pub message_size: usize,
    pub accepts: Vec<u64>,
}

impl Port {
    pub(super) fn new(
        shared: Arc<Shared>,
        address: Address,
        spec: PortSpec,
        sink: Arc<dyn PortSink>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            accepts: spec.accepts,
            message_size: spec.message_size,
            capacity: spec.capacity,
            capacity_bytes: spec.bytes,
            desk: Arc::default(),
            shared,
            ids: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            slots: Mutex::new(Slots {
                messages: spec.capacity,
                bytes: spec.bytes,
                outbox: VecDeque::new(),
                waiting: VecDeque::new(),
                asks: BTreeMap::new(),
                accepted: 0,
                refused: 0,
                waits_for: None,
            }),
            sink,
        })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().expect("no code under this lock panics")
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Take a slot for a message and hand it over, or let its sender wait for room if it `may_wait`. True if it
    /// was accepted.
    pub(super) fn offer(&self, envelope: Arc<Envelope>, may_wait: bool) -> Result<bool, Failure> {
        let first = {
            let mut slots = self.slots();
            if self.is_closed() {
                return Err(Failure::Stopped);
            }
            let size = envelope.payload.len();
            if !slots.waiting.is_empty() || !slots.has_room(size) {
                let line = self.capacity.max(WAITING);
                if may_wait && size <= self.capacity_bytes && slots.waiting.len() < line {
                    slots.waiting.push_back(envelope);
                    return Ok(false);
                }
                slots.refused += 1;
                return Err(Failure::MailboxFull);
            }
            slots.accept(envelope, self.capacity)
        };
        if first {
            self.sink.ready();
        }
        Ok(true)
    }

    /// Tell those who were let in, and the receiver.
    fn settle(&self, (admitted, first): (Vec<Arc<Ask>>, bool)) {
        for ask in admitted {
            ask.complete(Ok(Answer::Done));
        }
        if first {
            self.sink.ready();
        }
    }

    /// The oldest messages, at most `most`; and whether there are more. What expired on the way dies.
    pub fn take(&self, most: usize) -> (Vec<Arc<Envelope>>, bool) {
        let now = self.shared.clock.now();
        let mut batch = Vec::new();
        let mut dead = Vec::new();
        let (more, admitted) = {
            let mut slots = self.slots();
            while batch.len() < most {
                let Some(envelope) = slots.outbox.pop_front() else {
                    break;
                };
                let reason = match envelope.reply() {
                    _ if envelope.expires <= now => Some(Reason::Expired),
                    Some(ask) if ask.deadline <= now => Some(Reason::Expired),
                    Some(ask) if ask.is_done() => Some(Reason::Cancelled),
                    _ => None,
                };
                match reason {
                    None => batch.push(envelope),
                    Some(reason) => {
                        slots.messages += 1;
                        slots.bytes += envelope.payload.len();
                        slots.asks.remove(&envelope.id);
                        dead.push((envelope, reason));
                    }
                }
            }
            // The slots of what died are free.
            let (admitted, _) = slots.admit(self.capacity);
            (!slots.outbox.is_empty(), admitted)
        };
        self.settle((admitted, false)); // whoever takes learns of more from what this returns
        for (envelope, reason) in dead {
            self.bury(envelope, reason);
        }
        (batch, more)
    }

    fn bury(&self, envelope: Arc<Envelope>, reason: Reason) {
        if let Some(ask) = &envelope.ask {
            ask.complete(Err(match reason {
                Reason::Stopped => Failure::Stopped,
                reason => Failure::Dropped(reason),
            }));
        }
        self.shared.tell(Event::Dead {
            address: self.address.text.clone(),
            incarnation: 0,
            reason,
            envelope,
            error: None,
        });
    }

    /// Give slots back for messages that were handled.
    pub fn credit(&self, messages: usize, bytes: usize) {
        let admitted = {
            let mut slots = self.slots();
            slots.messages = (slots.messages + messages).min(self.capacity);
            slots.bytes = (slots.bytes + bytes).min(self.capacity_bytes);
            slots.admit(self.capacity)
        };
        self.settle(admitted);
    }

    /// Answer the ask of message `token`. False if there is none, or its asker does not wait any more.
    pub fn reply(&self, token: u64, outcome: Outcome) -> bool {
        let ask = self.slots().asks.remove(&token);
        ask.is_some_and(|ask| ask.complete(outcome))
    }

    /// Subscribe to topics, without a right: the host's own code decides what it listens to.
    ///
    /// # Errors
    /// [`Failure::InvalidAddress`] when the pattern cannot be read.
    pub fn subscribe(self: &Arc<Self>, pattern: &str) -> Result<(), Failure> {
        let parsed = super::pattern::Pattern::topic(pattern).map_err(Failure::InvalidAddress)?;
        self.shared
            .topics
            .subscribe(Target::Port(self.clone()), pattern, parsed, None);
        Ok(())
    }

    #[must_use]
    pub fn unsubscribe(self: &Arc<Self>, pattern: &str) -> bool {
        self.shared
            .topics
            .unsubscribe(&Target::Port(self.clone()), pattern)
    }

    /// Say that the port's owner waits for `target`, or for nobody.
    pub fn set_waits_for(&self, target: Option<Target>) {
        self.slots().waits_for = target;
    }

    pub(super) fn waits_for(&self) -> Option<Target> {
        self.slots().waits_for.clone()
    }

    /// Take nothing any more. Open asks fail, what was not handed over dies.
    pub fn close(self: &Arc<Self>) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (outbox, waiting, asks) = {
            let mut slots = self.slots();
            slots.waits_for = None;
            (
                std::mem::take(&mut slots.outbox),
                std::mem::take(&mut slots.waiting),
                std::mem::take(&mut slots.asks),
            )
        };
        let target = Target::Port(self.clone());
        self.shared.topics.forget(&target);
        self.shared.remove(&target);
        for envelope in outbox {
            self.bury(envelope, Reason::Stopped);
        }
        let waiting = waiting
            .into_iter()
            .filter_map(|envelope| envelope.ask.clone());
        for ask in asks.into_values().chain(waiting) {
            ask.complete(Err(Failure::Stopped));
        }
    }

    /// Messages accepted and refused, and slots that are free.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, usize) {
        let slots = self.slots();
        (slots.accepted, slots.refused, slots.messages)
    }
}
