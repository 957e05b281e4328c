//! Whoever can receive messages: a component actor, or something outside the plane behind a port.

use std::sync::Arc;

use super::ask::Desk;
use super::cell::Cell;
use super::failure::Failure;
use super::mailbox::Envelope;
use super::port::Port;

#[derive(Clone)]
pub enum Target {
    Actor(Arc<Cell>),
    Port(Arc<Port>),
}

impl Target {
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Actor(own), Self::Actor(other)) => Arc::ptr_eq(own, other),
            (Self::Port(own), Self::Port(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    #[must_use]
    pub fn address(&self) -> &Arc<str> {
        match self {
            Self::Actor(cell) => &cell.address.text,
            Self::Port(port) => &port.address.text,
        }
    }

    #[must_use]
    pub fn deployment(&self) -> &Arc<str> {
        match self {
            Self::Actor(cell) => &cell.address.deployment,
            Self::Port(port) => &port.address.deployment,
        }
    }

    /// Whether it takes nothing any more.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Actor(cell) => cell.is_closed(),
            Self::Port(port) => port.is_closed(),
        }
    }

    /// Look at what it accepts and how large a payload may be.
    pub(super) fn with_terms<R>(&self, look: impl FnOnce(&[u64], usize) -> R) -> R {
        match self {
            Self::Actor(cell) => {
                cell.with_blueprint(|blueprint| look(blueprint.accepts(), cell.message_size))
            }
            Self::Port(port) => look(&port.accepts, port.message_size),
        }
    }

    pub(super) fn desk(&self) -> &Arc<Desk> {
        match self {
            Self::Actor(cell) => &cell.desk,
            Self::Port(port) => &port.desk,
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        match self {
            Self::Actor(cell) => cell.next_id(),
            Self::Port(port) => port.next_id(),
        }
    }

    /// True if it was accepted, false if its sender waits for room.
    pub(super) fn offer(&self, envelope: Arc<Envelope>, may_wait: bool) -> Result<bool, Failure> {
        match self {
            Self::Actor(cell) => cell.offer(envelope, may_wait),
            Self::Port(port) => port.offer(envelope, may_wait),
        }
    }

    /// Whether an ask on a full mailbox waits for room.
    pub(super) fn asks_wait(&self) -> bool {
        match self {
            Self::Actor(cell) => cell.asks_wait,
            Self::Port(_) => false,
        }
    }

    /// Whom it waits for.
    pub(super) fn waits_for(&self) -> Option<Self> {
        match self {
            Self::Actor(cell) => cell.waits_for(),
            Self::Port(port) => port.waits_for(),
        }
    }
}
