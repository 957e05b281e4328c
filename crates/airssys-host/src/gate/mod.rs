//! The one place that decides an access.
//!
//! Everything that reaches outside a guest (or acts for someone in Python) describes itself as an
//! [`Access`] and asks a [`Gate`]. A gate is bound to one principal; governed code never learns which
//! kind of gate stands behind the trait, so richer rules need no change in it.

pub mod address;
pub mod audit;
pub mod authority;
pub mod condition;
pub mod index;
pub mod kind;
pub mod matcher;
pub mod pattern;
pub mod reserved;
pub mod rule_gate;
pub mod rules;
pub mod subject;
pub mod target;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// What is done to a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileAccess {
    Read,
    Write,
    Create,
    Delete,
    List,
    Metadata,
    Execute,
}

/// The transport of a network access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
}

/// One access, about the very object that will be used if it is allowed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Access<'a> {
    /// `path` is absolute and resolved: no symbolic link, no `..`, the object actually opened.
    File {
        path: &'a Path,
        access: FileAccess,
    },
    /// `name` is what the guest resolved to get `address`, where it did.
    Connect {
        transport: Transport,
        address: SocketAddr,
        name: Option<&'a str>,
    },
    Listen {
        transport: Transport,
        address: SocketAddr,
    },
    Resolve {
        name: &'a str,
    },
    /// `host` is lower case without port or user information; `path` is normalised.
    Http {
        method: &'a str,
        scheme: &'a str,
        host: &'a str,
        port: u16,
        path: &'a str,
    },
}

/// Why an access was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The rule that decided, or why none did.
    pub rule: String,
}

/// What a gate answers.
#[must_use]
pub enum Decision {
    Allow,
    Deny(Denial),
    /// Wait for an approver, then resolve the target and ask the gate again if the answer was yes.
    Ask(Pin<Box<dyn Future<Output = bool> + Send>>),
}

/// Counts changes of rights. Whatever stays open (descriptor, stream, socket) remembers the generation it
/// was decided in and is decided again at its next operation when that moved on.
#[derive(Debug, Default)]
pub struct Generation {
    number: AtomicU64,
    changed: Notify,
}

impl Generation {
    /// The present generation. Costs one atomic load.
    pub fn current(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Begin a new generation and wake whoever waits in an operation that rests on an older one.
    pub fn advance(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Wait until the generation is no longer `seen`.
    pub async fn changed_since(&self, seen: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.current() != seen {
                return;
            }
            changed.await;
        }
    }
}

/// Decides the accesses of one principal and records each decision before the effect takes place.
pub trait Gate: Send + Sync + 'static {
    fn decide(&self, access: &Access<'_>) -> Decision;

    fn generation(&self) -> &Generation;
}
