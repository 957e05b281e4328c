//! The one place that decides an access.
//!
//! Everything that reaches outside a guest (or acts for someone in Python) describes itself as an
//! [`Access`] and asks a [`Gate`]. A gate is bound to one principal; governed code never learns which
//! kind of gate stands behind the trait, so richer rules need no change in it.

pub mod address;
mod allow_list;
pub mod audit;
pub mod authority;
pub mod condition;
pub mod index;
pub mod kind;
pub mod matcher;
pub mod network;
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

pub use allow_list::{AllowList, Allowed, Counts, Pattern, PatternError};

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

/// What is done with a message. The discriminants are the bits of [`kind::Kind::Messaging`]'s accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageAccess {
    Send,
    Ask,
    Broadcast,
    Publish,
    Subscribe,
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
    /// `target` is a deployment, or for the last two a topic.
    Message {
        access: MessageAccess,
        target: &'a str,
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
    /// Decide one access.
    ///
    /// For [`Access::Connect`] with a `name` the gate also judges what the name resolved to: unless a rule
    /// says otherwise only a [globally routable](address::is_global) address is allowed.
    fn decide(&self, access: &Access<'_>) -> Decision;

    fn generation(&self) -> &Generation;

    /// Decide whether an HTTP request to `host`, allowed as such, may go to `address`.
    ///
    /// A right to HTTP is no right to [`Access::Connect`], so this is asked instead of it. Unless a gate
    /// says otherwise a name may only mean [globally routable](address::is_global) addresses; a `host`
    /// that is an IP address was allowed as such.
    fn decide_http_address(&self, host: &str, address: SocketAddr) -> Decision {
        if host.parse::<std::net::IpAddr>().is_ok() || address::is_global(address.ip()) {
            Decision::Allow
        } else {
            Decision::Deny(Denial {
                rule: format!("{host} resolves to {address}, which is not globally routable"),
            })
        }
    }

    /// Decide `access` to everything that lies, or may come to lie, beneath the directory `path`.
    ///
    /// Asked before a directory is renamed, since that moves what is in it out of the reach of rules
    /// written for its old path. Refused unless a gate says otherwise.
    fn decide_tree(&self, path: &Path, access: FileAccess) -> Decision {
        let _ = access;
        Decision::Deny(Denial {
            rule: format!("no rule covers everything beneath {}", path.display()),
        })
    }

    /// Decide `access` to a file in a writable mount that has other names (hard links) than `path`.
    ///
    /// Nobody can list these names, and rules for them are not seen through this one. Asked in addition to
    /// [`Gate::decide`], and not for files that the guest linked itself. Refused unless a gate says otherwise.
    fn decide_linked(&self, path: &Path, access: FileAccess) -> Decision {
        let _ = access;
        Decision::Deny(Denial {
            rule: format!("{} has other names (hard links)", path.display()),
        })
    }
}
