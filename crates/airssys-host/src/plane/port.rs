//! A receiver outside the plane: it takes messages in batches and gives their slots back when it has handled them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::address::Address;
use super::ask::{Ask, Desk, Outcome};
use super::events::Event;
use super::failure::{Failure, Reason};
use super::mailbox::Envelope;
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
    /// Asks that were handed out, by the number of their message.
    asks: BTreeMap<u64, Arc<Ask>>,
    accepted: u64,
    refused: u64,
    waits_for: Option<Target>,
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

    /// Take a slot for a message and hand it over.
    pub(super) fn offer(&self, envelope: Arc<Envelope>) -> Result<(), Failure> {
        let first = {
            let mut slots = self.slots();
            if self.is_closed() {
                return Err(Failure::Stopped);
            }
            let size = envelope.payload.len();
            if slots.messages == 0 || slots.bytes < size {
                slots.refused += 1;
                return Err(Failure::MailboxFull);
            }
            slots.messages -= 1;
            slots.bytes -= size;
            slots.accepted += 1;
            if let Some(ask) = envelope.reply() {
                if slots.asks.len() >= 2 * self.capacity {
                    slots.asks.retain(|_, ask| !ask.is_done());
                }
                let ask = ask.clone();
                slots.asks.insert(envelope.id, ask);
            }
            slots.outbox.push_back(envelope);
            slots.outbox.len() == 1
        };
        if first {
            self.sink.ready();
        }
        Ok(())
    }

    /// The oldest messages, at most `most`; and whether there are more. What expired on the way dies.
    pub fn take(&self, most: usize) -> (Vec<Arc<Envelope>>, bool) {
        let now = self.shared.clock.now();
        let mut batch = Vec::new();
        let mut dead = Vec::new();
        let more = {
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
            !slots.outbox.is_empty()
        };
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
        let mut slots = self.slots();
        slots.messages = (slots.messages + messages).min(self.capacity);
        slots.bytes = (slots.bytes + bytes).min(self.capacity_bytes);
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
        let (outbox, asks) = {
            let mut slots = self.slots();
            slots.waits_for = None;
            (
                std::mem::take(&mut slots.outbox),
                std::mem::take(&mut slots.asks),
            )
        };
        let target = Target::Port(self.clone());
        self.shared.topics.forget(&target);
        self.shared.remove(&target);
        for envelope in outbox {
            self.bury(envelope, Reason::Stopped);
        }
        for ask in asks.into_values() {
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
