//! The clock of a plane: what its guests see as time, and what its timers go by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::instance::now_nanos;

/// Real time, or time that moves when told.
#[derive(Debug)]
pub struct Clock {
    /// Monotonic nanoseconds, where time is virtual.
    set: Option<AtomicU64>,
}

/// What a virtual wall clock shows at its beginning: 2026-01-01T00:00:00Z.
const EPOCH: u64 = 1_767_225_600 * 1_000_000_000;

impl Clock {
    #[must_use]
    pub fn new(virtual_time: bool) -> Self {
        Self {
            set: virtual_time.then(AtomicU64::default),
        }
    }

    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.set.is_some()
    }

    /// Monotonic nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        match &self.set {
            Some(time) => time.load(Ordering::Acquire),
            None => now_nanos(),
        }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn wall(&self) -> u64 {
        match &self.set {
            Some(time) => EPOCH + time.load(Ordering::Acquire),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    /// Move virtual time on; never back.
    pub(super) fn set(&self, to: u64) {
        if let Some(time) = &self.set {
            time.fetch_max(to, Ordering::AcqRel);
        }
    }
}
