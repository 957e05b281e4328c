//! How much memory the instances of a revision hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A sum of bytes over instances.
#[derive(Debug, Default)]
pub struct Memory {
    total: Arc<AtomicU64>,
}

impl Memory {
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The share of one more instance.
    #[must_use]
    pub fn share(&self) -> Held {
        Held {
            total: self.total.clone(),
            bytes: 0,
        }
    }
}

/// The share of one instance. It lives and goes with the instance.
#[derive(Debug)]
pub struct Held {
    total: Arc<AtomicU64>,
    bytes: u64,
}

impl Held {
    pub fn set(&mut self, bytes: u64) {
        // Wraps where the share shrinks, as it is meant to.
        self.total
            .fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
