//! A histogram that any number of threads write without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets for each power of two: a value is known to one part in 16.
const STEPS: usize = 16;
const STEP_BITS: u32 = STEPS.trailing_zeros();
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) * STEPS;

/// Counts of nanoseconds on a logarithmic scale.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
        }
    }
}

impl Histogram {
    pub fn record(&self, value: u64) {
        self.counts[bucket(value)].fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts
            .iter()
            .all(|count| count.load(Ordering::Relaxed) == 0)
    }

    /// The value that the share `q` of all recorded values does not exceed; 0 without values.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    pub fn quantile(&self, q: f64) -> u64 {
        let counts: Vec<u64> = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return 0;
        }
        let rank = ((total as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(index);
            }
        }
        u64::MAX
    }
}

fn bucket(value: u64) -> usize {
    let magnitude = 63 - (value | 1).leading_zeros();
    if magnitude < STEP_BITS {
        return usize::try_from(value).expect("below 16");
    }
    let shift = magnitude - STEP_BITS;
    let step = usize::try_from(value >> shift).expect("below 32") - STEPS;
    (shift as usize + 1) * STEPS + step
}

/// The largest value in a bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (shift, step) = (bucket / STEPS - 1, bucket % STEPS);
    let last = (1_u128 << shift) * (STEPS + step + 1) as u128 - 1;
    u64::try_from(last).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_to_one_part_in_sixteen() {
        for value in (0..4096)
            .chain((12..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]))
            .chain([u64::MAX])
        {
            let upper = upper_bound(bucket(value));
            assert!(upper >= value, "{value} above {upper}");
            assert!(upper - value <= value / 16, "{value} far below {upper}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=100 {
            histogram.record(value * 1000);
        }
        let p50 = histogram.quantile(0.5);
        let p99 = histogram.quantile(0.99);
        assert!((50_000..=53_200).contains(&p50), "{p50}");
        assert!((99_000..=105_200).contains(&p99), "{p99}");
    }
}
