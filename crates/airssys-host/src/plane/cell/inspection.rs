//! What an actor looks like from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Cell, locked};
use crate::instance::Usage;
use crate::plane::ask::Health;
use crate::plane::events::Stage;
use crate::plane::failure::Ending;
use crate::plane::mailbox::{Counts, LANES};
use crate::plane::target::Target;

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

impl Cell {
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
