//! How many connections a guest has, and may have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::limits::{Limit, Limits};

/// The sockets, and HTTP requests under way, of one guest.
#[derive(Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    limits: OnceLock<Arc<Limits>>,
}

impl Connections {
    /// Hold the guest to `limits`; to none before.
    pub fn bound(&self, limits: &Arc<Limits>) {
        self.limits.get_or_init(|| limits.clone());
    }

    /// One more connection, or `None` if the guest has as many as it may.
    pub fn open(self: &Arc<Self>) -> Option<Connection> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let connection = Connection(self.clone());
        match self.limits.get() {
            Some(limits) if before >= limits.connections => {
                if let Some(account) = &limits.account {
                    account.refuse(Limit::Connections, limits.connections as u64);
                }
                None
            }
            _ => Some(connection),
        }
    }
}

/// A connection that counts until it is dropped.
pub(crate) struct Connection(Arc<Connections>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
