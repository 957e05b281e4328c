//! What the calls of one revision came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::guard::Guard;
use super::histogram::Histogram;
use super::trial::Fault;
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
    latency: Latency,
    /// Of its actors, where it has any.
    pub guard: Guard,
}

/// How long calls took. The totals of a revision are kept as long as its host is open, this only while it is warm.
#[derive(Debug)]
struct Latency {
    histogram: ArcSwapOption<Histogram>,
    /// The quantiles when the last histogram was let go.
    p50_nanos: AtomicU64,
    p99_nanos: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            histogram: ArcSwapOption::from_pointee(Histogram::default()),
            p50_nanos: AtomicU64::new(0),
            p99_nanos: AtomicU64::new(0),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Trap,
    Limit,
    /// The caller went away, or the drain deadline passed.
    Cancelled,
    /// A host function failed, or the host did, or a script.
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

    /// What it says about the revision.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Answered | Self::Cancelled => Fault::None,
            Self::Limit | Self::Other => Fault::Error,
            Self::Trap => Fault::Trap,
        }
    }
}

/// What one call used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub wall_nanos: u64,
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
        if let Some(histogram) = &*self.latency.histogram.load() {
            histogram.record(used.wall_nanos);
        }
    }

    /// Count bytes that a call took or gave beside its arguments and its result.
    pub fn moved(&self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    /// Record how long calls take, again if the revision was cold.
    pub fn go_warm(&self) {
        if self.latency.histogram.load().is_none() {
            self.latency.histogram.store(Some(Arc::default()));
        }
    }

    /// Let the histogram go; its quantiles stay, until there are calls again.
    pub fn go_cold(&self) {
        let (p50, p99) = self.quantiles();
        self.latency.p50_nanos.store(p50, Ordering::Relaxed);
        self.latency.p99_nanos.store(p99, Ordering::Relaxed);
        self.latency.histogram.store(None);
    }

    /// Nanoseconds that the share `share` of the calls did not exceed; 0 where no calls are known.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let histogram = self.latency.histogram.load();
        histogram
            .as_ref()
            .map_or(0, |histogram| histogram.quantile(share))
    }

    fn quantiles(&self) -> (u64, u64) {
        match &*self.latency.histogram.load() {
            Some(histogram) if !histogram.is_empty() => {
                (histogram.quantile(0.50), histogram.quantile(0.99))
            }
            _ => (
                self.latency.p50_nanos.load(Ordering::Relaxed),
                self.latency.p99_nanos.load(Ordering::Relaxed),
            ),
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
        let calls = |milliseconds: u64| {
            let wall_nanos = milliseconds * 1_000_000;
            let used = Used {
                wall_nanos,
                ..Used::default()
            };
            statistics.record(Outcome::Answered, &used);
        };
        (1..=100).for_each(calls);
        let warm = statistics.snapshot();
        assert!(warm.p50_nanos >= 50_000_000 && warm.p99_nanos >= 99_000_000);
        let held = Arc::downgrade(&statistics.latency.histogram.load_full().expect("warm"));
        statistics.go_cold();
        assert!(held.upgrade().is_none());
        assert_eq!(statistics.snapshot(), warm);
        calls(1);
        statistics.go_cold();
        let cold = statistics.snapshot();
        assert_eq!((cold.calls, cold.p99_nanos), (101, warm.p99_nanos));
        statistics.go_warm();
        assert_eq!(statistics.snapshot(), cold);
        calls(1);
        assert!(statistics.snapshot().p99_nanos < 2_000_000);
    }
}
