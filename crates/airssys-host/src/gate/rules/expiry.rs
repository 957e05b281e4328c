//! The end of a rule's time.

use std::time::{Duration, Instant};

use super::super::condition::unix_seconds;

/// When a rule ends: by the wall clock or by the time that has passed, whichever is first.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    wall: f64,
    monotonic: Instant,
}

impl Expiry {
    pub(super) fn at(wall: f64) -> Result<Expiry, String> {
        let remaining = (wall - unix_seconds()).max(0.0);
        Duration::try_from_secs_f64(remaining)
            .ok()
            .and_then(|remaining| Instant::now().checked_add(remaining))
            .map(|monotonic| Expiry { wall, monotonic })
            .ok_or_else(|| "`expires` is seconds since 1970".to_owned())
    }

    pub fn is_over(&self) -> bool {
        self.remaining().is_none()
    }

    /// The time until the end, `None` when it is over.
    pub fn remaining(&self) -> Option<Duration> {
        let by_wall = Duration::try_from_secs_f64(self.wall - unix_seconds()).ok()?;
        let by_monotonic = self.monotonic.checked_duration_since(Instant::now())?;
        Some(by_wall.min(by_monotonic)).filter(|remaining| !remaining.is_zero())
    }
}
