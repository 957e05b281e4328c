//! What is asked of an incarnation between two messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Cell, locked};
use crate::instance::Usage;
use crate::plane::ask::{Ask, Health, Waiter};
use crate::plane::events::Stage;
use crate::plane::failure::Failure;
use crate::plane::succession::Successor;

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

impl Cell {
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

    pub(in crate::plane) fn note_usage(&self, usage: Usage) {
        locked(&self.life).usage = usage;
    }

    pub(in crate::plane) fn note_health(&self, health: &Health) {
        locked(&self.life).health = health.clone();
    }
}
