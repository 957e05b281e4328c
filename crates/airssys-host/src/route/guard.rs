//! Keeps the actors of a revision that is tried from handling more after they have trapped too often.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::statistics::Statistics;

/// Holds the actors of a revision by itself: whoever decides about the trial may be slow to hear of it. What they are
/// sent waits in their mailboxes until they have gone over to another revision, or it is let go on.
#[derive(Debug, Default)]
pub struct Guard {
    stopped: AtomicBool,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    terms: Option<Terms>,
    trapped: HashSet<Arc<str>>,
    /// Of the actors that are held.
    waiting: Vec<Waker>,
}

#[derive(Debug)]
struct Terms {
    most_traps: usize,
    live: Arc<Statistics>,
    /// What `live` had when the trial began.
    live_traps: u64,
}

impl Guard {
    /// Hold the actors of this revision once more than `most_traps` of them have trapped, where none of the `live`
    /// revision does from now on.
    pub fn begin(&self, most_traps: usize, live: Arc<Statistics>) {
        let live_traps = live.snapshot().traps;
        let mut watch = self.lock();
        watch.terms = Some(Terms {
            most_traps,
            live,
            live_traps,
        });
        watch.trapped.clear();
    }

    /// Let them go on, however often they trap.
    pub fn end(&self) {
        let waiting = {
            let mut watch = self.lock();
            *watch = Watch {
                waiting: std::mem::take(&mut watch.waiting),
                ..Watch::default()
            };
            self.stopped.store(false, Ordering::Release);
            std::mem::take(&mut watch.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether they handle nothing any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// An actor of this revision has trapped.
    pub(crate) fn trapped(&self, actor: &Arc<str>) {
        let mut watch = self.lock();
        let Watch { terms, trapped, .. } = &mut *watch;
        let Some(terms) = terms else { return };
        trapped.insert(actor.clone());
        if trapped.len() > terms.most_traps && terms.live.snapshot().traps == terms.live_traps {
            self.stopped.store(true, Ordering::Release);
        }
    }

    /// Whether an actor must not handle anything now; then it is woken once it may.
    pub(crate) fn holds(&self, actor: &Waker) -> bool {
        if !self.is_stopped() {
            return false;
        }
        let mut watch = self.lock();
        // It may have been let go since.
        let held = self.is_stopped();
        if held && !watch.waiting.iter().any(|known| known.will_wake(actor)) {
            watch.waiting.push(actor.clone());
        }
        held
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::super::statistics::{Outcome, Used};
    use super::*;

    fn actor(key: &str) -> Arc<str> {
        key.into()
    }

    #[test]
    fn more_actors_that_trapped_than_are_let_pass_stop_it_each_counted_once() {
        let guard = Guard::default();
        guard.trapped(&actor("before the trial"));
        guard.begin(1, Arc::default());
        for _ in 0..3 {
            guard.trapped(&actor("a"));
        }
        assert!(!guard.holds(Waker::noop()));
        guard.trapped(&actor("b"));
        assert!(guard.holds(Waker::noop()));
        guard.end();
        assert!(!guard.holds(Waker::noop()));
        guard.trapped(&actor("c"));
        assert!(!guard.is_stopped(), "the trial is over");
    }

    #[test]
    fn who_was_held_is_woken_once_when_it_may_go_on() {
        struct Woken(AtomicUsize);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(woken.clone());
        let guard = Guard::default();
        guard.begin(0, Arc::default());
        guard.trapped(&actor("a"));
        assert!(guard.holds(&waker) && guard.holds(&waker));
        guard.end();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        guard.end();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn traps_of_the_live_revision_let_those_of_the_new_one_pass() {
        let live = Arc::new(Statistics::default());
        live.record(Outcome::Trap, &Used::default());
        let guard = Guard::default();
        guard.begin(0, live.clone());
        live.record(Outcome::Trap, &Used::default());
        guard.trapped(&actor("a"));
        assert!(!guard.is_stopped());
        guard.begin(0, live);
        guard.trapped(&actor("a"));
        assert!(
            guard.is_stopped(),
            "what trapped before the trial says nothing"
        );
    }
}
