//! Somebody outside who has a say on each message: the actor's side of the exchange.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cell, locked};

impl Cell {
    /// Whether somebody outside is asked before each message, and told after it.
    pub fn hook_messages(&self, on: bool) {
        self.hooked.store(on, Ordering::Relaxed);
    }

    pub(in crate::plane) fn is_hooked(&self) -> bool {
        self.hooked.load(Ordering::Relaxed)
    }

    /// Whoever is asked about turn `token` of a message lets it go on, or says why not.
    pub fn hook_done(self: &Arc<Self>, token: u64, refusal: Option<String>) {
        *locked(&self.hook_answer) = Some((token, refusal));
        self.wake();
    }

    pub(in crate::plane) fn take_hook_answer(&self, token: u64) -> Option<Option<String>> {
        let mut answer = locked(&self.hook_answer);
        // One of an earlier turn came too late.
        match answer.take() {
            Some((answered, refusal)) if answered == token => Some(refusal),
            _ => None,
        }
    }
}
