//! What the calls of one revision came to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::histogram::Histogram;
use crate::error::Error;

/// Counters of one revision; written by every call, read at any time.
#[derive(Debug, Default)]
pub struct Statistics {
    calls: AtomicU64,
    traps: AtomicU64,
    limits: AtomicU64,
    cancelled: AtomicU64,
    other_failures: AtomicU64,
    cpu_nanos: AtomicU64,
    host_calls: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    memory_peak: AtomicU64,
    latency: Mutex<Latency>,
}

/// How long calls took. The totals of a revision are kept as long as its host is open, this only while it is warm.
#[derive(Debug, Default)]
struct Latency {
    histogram: Option<Arc<Histogram>>,
    /// The quantiles when the last histogram was let go.
    p50_nanos: u64,
    p99_nanos: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Trap,
    Limit,
    /// The caller went away, or the drain deadline passed.
    Cancelled,
    /// A host function failed, or the host did.
    Other,
}

impl Outcome {
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Trap(_) | Error::Exit(_) => Self::Trap,
            Error::Limit(_) => Self::Limit,
            Error::ShutDown | Error::Drained => Self::Cancelled,
            _ => Self::Other,
        }
    }
}

/// What one call used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub cpu_nanos: u64,
    pub host_calls: u64,
    /// Bytes of strings and lists of numbers in the arguments.
    pub bytes_in: u64,
    /// Bytes of strings and lists of numbers in the result.
    pub bytes_out: u64,
    /// The most bytes of linear memory that the instance held.
    pub memory_peak: u64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls that ended, however they did.
    pub calls: u64,
    pub traps: u64,
    pub limits: u64,
    pub cancelled: u64,
    pub other_failures: u64,
    pub cpu_nanos: u64,
    pub host_calls: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub memory_peak: u64,
    pub p50_nanos: u64,
    pub p99_nanos: u64,
}

impl Statistics {
    /// Count a call that ended.
    pub fn record(&self, outcome: Outcome, used: &Used) {
        let add = |counter: &AtomicU64, amount: u64| {
            if amount > 0 {
                counter.fetch_add(amount, Ordering::Relaxed);
            }
        };
        add(&self.calls, 1);
        match outcome {
            Outcome::Answered => {}
            Outcome::Trap => add(&self.traps, 1),
            Outcome::Limit => add(&self.limits, 1),
            Outcome::Cancelled => add(&self.cancelled, 1),
            Outcome::Other => add(&self.other_failures, 1),
        }
        add(&self.cpu_nanos, used.cpu_nanos);
        add(&self.host_calls, used.host_calls);
        add(&self.bytes_in, used.bytes_in);
        add(&self.bytes_out, used.bytes_out);
        if used.memory_peak > self.memory_peak.load(Ordering::Relaxed) {
            self.memory_peak
                .fetch_max(used.memory_peak, Ordering::Relaxed);
        }
    }

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().expect("no code under this lock panics")
    }

    /// Where a line of the revision records how long its calls took.
    #[must_use]
    pub fn histogram(&self) -> Arc<Histogram> {
        self.latency()
            .histogram
            .get_or_insert_with(Arc::default)
            .clone()
    }

    /// Let the histogram go; its quantiles stay, until there are calls again.
    pub fn go_cold(&self) {
        let (p50_nanos, p99_nanos) = self.quantiles();
        *self.latency() = Latency {
            histogram: None,
            p50_nanos,
            p99_nanos,
        };
    }

    fn quantiles(&self) -> (u64, u64) {
        let latency = self.latency();
        match &latency.histogram {
            Some(histogram) if !histogram.is_empty() => {
                (histogram.quantile(0.50), histogram.quantile(0.99))
            }
            _ => (latency.p50_nanos, latency.p99_nanos),
        }
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (p50_nanos, p99_nanos) = self.quantiles();
        Snapshot {
            calls: read(&self.calls),
            traps: read(&self.traps),
            limits: read(&self.limits),
            cancelled: read(&self.cancelled),
            other_failures: read(&self.other_failures),
            cpu_nanos: read(&self.cpu_nanos),
            host_calls: read(&self.host_calls),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            memory_peak: read(&self.memory_peak),
            p50_nanos,
            p99_nanos,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_revision_keeps_its_totals_and_quantiles_but_not_its_histogram() {
        let statistics = Statistics::default();
        let line = statistics.histogram();
        for milliseconds in 1..=100 {
            statistics.record(Outcome::Answered, &Used::default());
            line.record(milliseconds * 1_000_000);
        }
        let warm = statistics.snapshot();
        assert!(warm.p50_nanos >= 50_000_000 && warm.p99_nanos >= 99_000_000);
        statistics.go_cold();
        let held = Arc::downgrade(&line);
        drop(line);
        assert!(held.upgrade().is_none());
        assert_eq!(statistics.snapshot(), warm);
        statistics.go_cold();
        assert_eq!(statistics.snapshot(), warm);
        let again = statistics.histogram();
        assert_eq!(statistics.snapshot(), warm);
        again.record(7);
        assert_eq!(statistics.snapshot().p99_nanos, 7);
    }
}
