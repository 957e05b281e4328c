//! A new generation whenever a rule in force expires.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::Authority;

/// One thread that looks at least once a second, because the wall clock may be set, as long as a rule in force is to
/// expire.
#[derive(Debug, Default)]
pub(super) struct ExpiryWatch {
    running: Mutex<bool>,
    changed: Condvar,
}

impl ExpiryWatch {
    /// Look at the rules that `authority` has now.
    pub fn look(self: &Arc<Self>, authority: &Arc<Authority>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if *running {
            self.changed.notify_one();
            return;
        }
        if authority.rules.load().next_expiry().is_none() {
            return;
        }
        let (own, authority) = (Arc::clone(self), Arc::downgrade(authority));
        let spawned = std::thread::Builder::new()
            .name("airssys-expiry".to_owned())
            .spawn(move || own.run(&authority));
        match spawned {
            Ok(_) => *running = true,
            // Without the thread rules still expire for new accesses; only what is open would not be looked at.
            Err(error) => tracing::error!(%error, "no thread for expiring rules"),
        }
    }

    fn run(&self, authority: &Weak<Authority>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(next) = authority
            .upgrade()
            .and_then(|authority| advanced(&authority))
        {
            let waited = self
                .changed
                .wait_timeout(running, next.min(Duration::from_secs(1)));
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *running = false;
    }
}

/// Begin a new generation if a rule expired; the time until the next does, if any is to.
fn advanced(authority: &Authority) -> Option<Duration> {
    let rules = authority.rules.load();
    // Asked first: what expires in between is seen, now or next time.
    let next = rules.next_expiry();
    if rules.expired() {
        authority.generation.advance();
    }
    next
}
