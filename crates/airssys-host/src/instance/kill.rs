//! An end for calls that comes from outside of them.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Ends every call that it was given to, those that begin later too.
#[derive(Debug, Default)]
pub struct Kill {
    told: AtomicBool,
    notify: Notify,
}

impl Kill {
    /// End the calls.
    pub fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Resolves when the calls are to end.
    pub async fn told(&self) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_told() {
            notified.await;
        }
    }
}
