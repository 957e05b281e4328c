//! A rate, kept by tokens that are taken without a lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;
/// So that a second's tokens times a second in nanoseconds are a `u64`.
const MOST: u64 = 1_000_000_000;
/// Nothing was ever filled in.
const NEVER: u64 = u64::MAX;

/// Lets at most `rate × (t + 1)` through in any `t` seconds.
///
/// It is filled only when it is found empty, with what came in since it was filled last, half a second's worth at
/// most: so most takes neither look at a clock nor wait for each other.
#[derive(Debug)]
pub struct Bucket {
    per_second: u64,
    left: AtomicI64,
    filled: AtomicU64,
}

impl Bucket {
    /// A rate of at least 1 a second.
    #[must_use]
    pub fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.clamp(1, MOST),
            left: AtomicI64::new(0),
            filled: AtomicU64::new(NEVER),
        }
    }

    #[must_use]
    pub fn per_second(&self) -> u64 {
        self.per_second
    }

    /// Take a token. `now` tells the time in nanoseconds, and is asked only where the bucket is empty.
    pub fn take(&self, now: impl FnOnce() -> u64) -> bool {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return true;
        }
        self.left.fetch_add(1, Ordering::Relaxed);
        self.fill_and_take(now())
    }

    /// Give back a token that was taken for nothing.
    pub fn give_back(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    fn fill_and_take(&self, now: u64) -> bool {
        loop {
            let filled = self.filled.load(Ordering::Acquire);
            let room = (self.per_second / 2).max(1);
            let (tokens, until) = if filled == NEVER {
                (room, now)
            } else {
                let passed = now.saturating_sub(filled).min(SECOND);
                let came = passed * self.per_second / SECOND;
                if came > room {
                    (room, now)
                } else {
                    // What is less than a token stays for the next time.
                    (came, filled + (came * SECOND).div_ceil(self.per_second))
                }
            };
            if tokens > 0
                && self
                    .filled
                    .compare_exchange(filled, until, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                let tokens = i64::try_from(tokens).expect("a rate is at most a billion");
                self.left.fetch_add(tokens, Ordering::AcqRel);
            }
            if self.left.fetch_sub(1, Ordering::AcqRel) > 0 {
                return true;
            }
            self.left.fetch_add(1, Ordering::Relaxed);
            // Another thread filled it meanwhile, and others still were faster.
            if tokens == 0 {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// How many of `attempts` one after another succeed at `now`.
    fn taken(bucket: &Bucket, attempts: usize, now: u64) -> usize {
        (0..attempts).filter(|_| bucket.take(|| now)).count()
    }

    #[test]
    fn lets_half_a_second_through_at_once_and_then_what_comes_in() {
        let bucket = Bucket::new(1000);
        assert_eq!(taken(&bucket, 2000, 5), 500);
        assert_eq!(taken(&bucket, 2000, 5 + SECOND / 10), 100);
        assert_eq!(taken(&bucket, 2000, 5 + 100 * SECOND), 500);
    }

    #[test]
    fn parts_of_a_token_are_not_lost() {
        let bucket = Bucket::new(3);
        assert_eq!(taken(&bucket, 10, 0), 1);
        // In steps of a tenth of a second three tokens come in each second.
        let through: usize = (1..=100)
            .map(|step| taken(&bucket, 10, step * SECOND / 10))
            .sum();
        // The last one may be due a nanosecond later.
        assert!((29..=30).contains(&through), "{through}");
    }

    #[test]
    fn no_stretch_of_time_lets_more_through_than_said() {
        let (rate, mut now) = (500_u64, 0_u64);
        let bucket = Bucket::new(rate);
        let mut times: Vec<u64> = Vec::new();
        let mut state = 12_345_u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Bursts and pauses.
            now += if state >> 60 == 0 {
                (state >> 33) % SECOND
            } else {
                (state >> 33) % 1_000_000
            };
            if bucket.take(|| now) {
                times.push(now);
            }
        }
        assert!(times.len() > 1000);
        for (index, start) in times.iter().enumerate() {
            for span in [SECOND / 4, SECOND, 3 * SECOND] {
                let end = times.partition_point(|time| *time <= start + span);
                let most = rate * (span + SECOND) / SECOND + 1;
                assert!((end - index) as u64 <= most, "{} in {span}", end - index);
            }
        }
    }

    #[test]
    fn many_threads_get_exactly_what_there_is() {
        let (bucket, through) = (Bucket::new(10_000), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| through.fetch_add(taken(&bucket, 10_000, 7), Ordering::Relaxed));
            }
        });
        assert_eq!(through.into_inner(), 5000);
    }
}
