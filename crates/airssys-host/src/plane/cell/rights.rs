//! What an actor may do: the gate in force, how fast it may send, and the topics that it hears.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cell, locked};
use crate::gate::Gate;
use crate::plane::failure::Failure;
use crate::plane::pattern::Pattern;
use crate::plane::target::Target;
use crate::quota::Bucket;

pub(super) struct Rights {
    pub(super) gate: Arc<dyn Gate>,
}

impl Cell {
    /// Other rights, at once.
    pub fn regrant(self: &Arc<Self>, gate: Arc<dyn Gate>) {
        self.shared
            .topics
            .regrant(&Target::Actor(self.clone()), &gate);
        self.rights.store(Arc::new(Rights { gate }));
        self.rights_number.fetch_add(1, Ordering::AcqRel);
    }

    /// The gate in force, and the number of the grant.
    pub(in crate::plane) fn rights(&self) -> (Arc<dyn Gate>, u64) {
        let number = self.rights_number.load(Ordering::Acquire);
        (self.rights.load().gate.clone(), number)
    }

    pub(in crate::plane) fn rights_number(&self) -> u64 {
        self.rights_number.load(Ordering::Acquire)
    }

    /// How fast it may send from now on.
    pub(in crate::plane) fn pace(&self, per_second: Option<u64>) -> Option<Arc<Bucket>> {
        let mut pace = locked(&self.pace);
        if pace.as_ref().map(|pace| pace.per_second()) != per_second {
            *pace = per_second.map(|rate| Arc::new(Bucket::new(rate)));
        }
        pace.clone()
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
}
