//! Time that does not count against a call: its guest waits for a person.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::now_nanos;

/// What stopped the clock of one store's calls; shared by whoever waits and whoever keeps the clock.
#[derive(Debug, Default)]
pub struct Pauses {
    /// The number of the call in the upper half, of its waits in the lower one.
    waits: AtomicU64,
    /// When the first of the present waits began.
    since: AtomicU64,
    /// How long the waits of this call that are over took, in nanoseconds.
    past: AtomicU64,
}

const CALL: u64 = 1 << 32;
const WAITS: u64 = CALL - 1;

impl Pauses {
    /// A call begins; what an earlier one left waiting does not stop its clock.
    pub(super) fn begin_call(&self) {
        let waits = self.waits.load(Ordering::Relaxed);
        self.waits
            .store((waits & !WAITS).wrapping_add(CALL), Ordering::Relaxed);
        self.past.store(0, Ordering::Relaxed);
    }

    /// Whether the clock stands.
    pub fn is_paused(&self) -> bool {
        self.waits.load(Ordering::Acquire) & WAITS != 0
    }

    /// Nanoseconds for which the clock of the present call stood.
    pub fn nanos(&self) -> u64 {
        let past = self.past.load(Ordering::Acquire);
        if self.is_paused() {
            past + now_nanos().saturating_sub(self.since.load(Ordering::Acquire))
        } else {
            past
        }
    }

    /// Await `answer` with the clock stopped.
    pub async fn during<T>(self: Arc<Self>, answer: impl Future<Output = T>) -> T {
        let answer = pin!(answer);
        let _pause = Pause::begin(self);
        answer.await
    }
}

/// Stops the clock of a call until it is dropped.
struct Pause {
    pauses: Arc<Pauses>,
    call: u64,
}

impl Pause {
    fn begin(pauses: Arc<Pauses>) -> Self {
        // Before the count, so that nobody who sees the one misses the other.
        if !pauses.is_paused() {
            pauses.since.store(now_nanos(), Ordering::Release);
        }
        let before = pauses.waits.fetch_add(1, Ordering::AcqRel);
        Self {
            pauses,
            call: before & !WAITS,
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        let pauses = &self.pauses;
        let ours = |waits| (waits & !WAITS == self.call).then(|| waits - 1);
        let ended = pauses
            .waits
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, ours);
        if ended.is_ok_and(|before| before & WAITS == 1) {
            let since = pauses.since.load(Ordering::Acquire);
            let nanos = now_nanos().saturating_sub(since);
            pauses.past.fetch_add(nanos, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, pending, ready};
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    fn begun<'a>(
        pauses: &Arc<Pauses>,
        answer: impl Future<Output = ()> + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let mut waiting: Pin<Box<dyn Future<Output = ()> + Send + 'a>> =
            Box::pin(Arc::clone(pauses).during(answer));
        let _ = waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        waiting
    }

    #[test]
    fn the_clock_stands_while_anybody_waits() {
        let pauses = Arc::<Pauses>::default();
        let first = begun(&pauses, pending());
        let second = begun(&pauses, pending());
        drop(first);
        assert!(pauses.is_paused());
        drop(second);
        assert!(!pauses.is_paused());
        let stood = pauses.nanos();
        assert!(stood > 0);
        let answered: Ready<()> = ready(());
        drop(begun(&pauses, answered));
        assert!(pauses.nanos() > stood);
    }

    #[test]
    fn a_wait_that_an_earlier_call_left_behind_does_not_stop_the_clock_of_the_next() {
        let pauses = Arc::<Pauses>::default();
        let left = begun(&pauses, pending());
        pauses.begin_call();
        assert!(!pauses.is_paused());
        let own = begun(&pauses, pending());
        drop(left);
        assert!(pauses.is_paused());
        drop(own);
        assert!(!pauses.is_paused());
    }
}
