//! What came in through an ingress, and what became of it.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number, written by every request.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one ingress since it began to listen.
        #[derive(Debug, Default)]
        pub struct IngressStatistics {
            $($(#[$doc])* pub $name: Count,)*
        }

        impl IngressStatistics {
            /// Every count by its name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

counts! {
    /// Connections now, and those that came.
    connections,
    connections_accepted,
    /// Connections that were closed at once, because there were too many.
    connections_refused,
    /// Connections that ended in an error: garbage, a stall, a head that is too large, a client that went away.
    connections_failed,
    /// Requests that are answered now.
    active,
    /// Requests whose head arrived.
    requests,
    /// By the class of the answer's status.
    informational,
    successful,
    redirected,
    client_errors,
    server_errors,
    /// Requests refused because too many were answered and too many waited.
    overloaded,
    /// Requests that no rule is for.
    unmatched,
    /// Requests whose client went away, or kept it waiting for too long, before the answer was complete.
    abandoned,
    /// Calls that ran out of time while the component waited for the client.
    stalled,
    /// Answers that were cut off because the component failed in the middle of one.
    cut_off,
}

impl IngressStatistics {
    /// Count an answer.
    pub fn answered(&self, status: http::StatusCode) {
        let count = match status.as_u16() / 100 {
            1 => &self.informational,
            2 => &self.successful,
            3 => &self.redirected,
            4 => &self.client_errors,
            _ => &self.server_errors,
        };
        count.add();
    }
}
