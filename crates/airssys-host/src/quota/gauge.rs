//! An amount that grows and shrinks under a ceiling.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// No ceiling.
pub const UNBOUNDED: u64 = u64::MAX;

/// An amount in use now, its peak, and the most it may be.
#[derive(Debug)]
pub struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
    most: AtomicU64,
    /// Four fifths of `most`.
    near: AtomicU64,
    /// The crossing of `near` was told.
    told: AtomicBool,
}

impl Gauge {
    #[must_use]
    pub fn new(most: u64) -> Self {
        let gauge = Self {
            now: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            most: AtomicU64::new(most),
            near: AtomicU64::new(0),
            told: AtomicBool::new(false),
        };
        gauge.set_most(most);
        gauge
    }

    /// Set the ceiling. What is in use stays, also where it is more.
    pub fn set_most(&self, most: u64) {
        let near = if most == UNBOUNDED {
            UNBOUNDED
        } else {
            most - most / 5
        };
        self.near.store(near, Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
    }

    #[must_use]
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Add `amount` if it fits; returns what is in use then. The growth counts once [`Gauge::note`] is told of it.
    pub fn grow(&self, amount: u64) -> Option<u64> {
        let now = self.now.fetch_add(amount, Ordering::Relaxed) + amount;
        if now > self.most() {
            self.now.fetch_sub(amount, Ordering::Relaxed);
            return None;
        }
        Some(now)
    }

    /// Note that so much is in use. Returns whether four fifths of the ceiling are, for the first time since they
    /// were not.
    pub fn note(&self, now: u64) -> bool {
        if now > self.peak() {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
        now >= self.near.load(Ordering::Relaxed) && !self.told.swap(true, Ordering::Relaxed)
    }

    pub fn shrink(&self, amount: u64) {
        let now = self.now.fetch_sub(amount, Ordering::Relaxed) - amount;
        // Well below only, so that an amount that swings around the mark is told once.
        if self.told.load(Ordering::Relaxed) && now < self.near.load(Ordering::Relaxed) / 8 * 7 {
            self.told.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_ceiling_and_no_further() {
        let gauge = Gauge::new(100);
        assert_eq!(gauge.grow(79), Some(79));
        assert_eq!(gauge.grow(22), None);
        assert_eq!(gauge.grow(21), Some(100));
        assert_eq!(gauge.grow(1), None);
        gauge.note(100);
        gauge.shrink(100);
        assert_eq!((gauge.now(), gauge.peak()), (0, 100));
    }

    #[test]
    fn a_crossing_is_told_once() {
        let gauge = Gauge::new(100);
        let grow = |amount| gauge.note(gauge.grow(amount).unwrap());
        assert!(!grow(79));
        assert!(grow(1));
        gauge.shrink(1);
        assert!(!grow(1));
        gauge.shrink(20);
        assert!(grow(20));
    }

    #[test]
    fn an_amount_without_ceiling_is_counted() {
        let gauge = Gauge::new(UNBOUNDED);
        assert!(!gauge.note(gauge.grow(1 << 60).unwrap()));
        assert_eq!(gauge.peak(), 1 << 60);
    }
}
