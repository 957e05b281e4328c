//! The one place that decides an access.
//!
//! Everything that reaches outside a guest (or acts for someone in Python) describes itself as an
//! [`Access`] and asks a [`Gate`]. A gate is bound to one principal; governed code never learns which
//! kind of gate stands behind the trait, so richer rules need no change in it.

pub mod address;
mod allow_list;
pub mod audit;
pub mod authority;
pub mod callers;
pub mod condition;
mod effects;
pub mod index;
pub mod kind;
pub mod matcher;
pub mod network;
pub mod pattern;
mod pausing;
pub mod reserved;
pub mod rule_gate;
pub mod rules;
pub mod subject;
pub mod target;

use std::ffi::OsStr;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use self::callers::Acting;
use self::kind::{AccessBits, Kind};
use self::rule_gate::RuleGate;
use self::subject::Subject;

pub use effects::WITHOUT_EFFECTS;
pub use pausing::Pausing;
pub use reserved::Looked;

pub use allow_list::{AllowList, Allowed, Counts, Pattern, PatternError};

/// What is done to a file or directory, in the order of [`Kind::accesses`].
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

/// What is done to the keys of a storage. The discriminants are the bits of [`kind::Kind::Storage`]'s accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StorageAccess {
    Read,
    Write,
    Delete,
    List,
}

/// One access, about the very object that will be used if it is allowed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Access<'a> {
    /// `path` is absolute and resolved: no symbolic link, no `..`, the object actually opened.
    File {
        path: &'a Path,
        access: FileAccess,
        at: At<'a>,
        /// What speaks against it whatever is granted.
        bar: Option<Bar>,
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
        /// What speaks against it whatever is granted.
        bar: Option<Bar>,
    },
    /// An environment variable.
    Environment {
        name: &'a str,
    },
    /// A key of the configuration.
    Config {
        key: &'a str,
    },
    /// The secret `name` in the header of an HTTP request to this place; `host` is as for [`Access::Http`].
    Secret {
        name: &'a str,
        scheme: &'a str,
        host: &'a str,
        port: u16,
        header: &'a str,
    },
    /// What has no target and is given unless a rule denies it: clocks, random numbers, the log.
    Given {
        kind: Kind,
    },
    /// `target` is `self`, or another namespace that is shared, then `/` and the key, or the beginning of the keys
    /// that are listed.
    Storage {
        access: StorageAccess,
        target: &'a str,
        /// What is written is seen by the instance alone, and thrown away.
        apart: bool,
    },
    /// `target` is a deployment, or for the last two a topic.
    Message {
        access: MessageAccess,
        target: &'a str,
    },
    /// In the words of rules: what a host function needs, or a guest asks for ahead of the access itself.
    Stated {
        kind: Kind,
        access: &'a str,
        text: &'a str,
        /// In the words of whoever asks; empty for nothing.
        reason: &'a str,
    },
    /// What the guest wrote is no target; never allowed, asked so that it is on record.
    NoTarget {
        kind: Kind,
        access: &'a str,
        text: &'a str,
        reason: &'static str,
    },
}

/// Where the target of a file access stands, for telling whether it belongs to the host itself.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// This very object, which is open.
    Object(BorrowedFd<'a>),
    /// The same, with what was found out about it since.
    Looked(BorrowedFd<'a>, &'a Looked),
    /// An entry of this directory, which need not exist yet.
    Entry(BorrowedFd<'a>, &'a OsStr),
}

/// A refusal that no rule can lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    pub rule: &'static str,
    pub reason: &'static str,
}

/// The target belongs to the host.
pub const RESERVED: Bar = Bar {
    rule: "reserved-object",
    reason: "the target belongs to the host itself; no grant reaches it",
};

/// The target has names that nobody can list, and whose rules are not seen through this one.
pub const HARD_LINK: Bar = Bar {
    rule: "hard-link",
    reason: "the file has other names (hard links), whose rules are not seen through this one; allow \
             hard links to use it",
};

/// The guest was given the directory to read.
pub const READ_ONLY: Bar = Bar {
    rule: "read-only-mount",
    reason: "the mounted directory was given to read only",
};

/// The path does not stay beneath the directory that the guest holds.
pub const OUTSIDE: Bar = Bar {
    rule: "outside-mount",
    reason: "the path leads out of the directory that was given",
};

/// `filesystem.read /data/a`: the words of rules and of the audit log.
impl fmt::Display for Access<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::File { path, access, .. } => {
                write!(formatter, "filesystem.{} {}", access.name(), path.display())
            }
            Access::Connect {
                transport,
                address,
                name,
            } => {
                write!(formatter, "network.connect {} ", transport.name())?;
                match name {
                    Some(name) => write!(formatter, "{name} at {address}"),
                    None => write!(formatter, "{address}"),
                }
            }
            Access::Listen { transport, address } => {
                write!(formatter, "network.listen {} {address}", transport.name())
            }
            Access::Resolve { name } => write!(formatter, "network.resolve {name}"),
            Access::Http {
                method,
                scheme,
                host,
                port,
                path,
                ..
            } => write!(formatter, "http.{method} {scheme}://{host}:{port}{path}"),
            Access::Environment { name } => write!(formatter, "environment.read {name}"),
            Access::Config { key } => write!(formatter, "config.read {key}"),
            Access::Secret {
                name,
                scheme,
                host,
                port,
                header,
            } => write!(
                formatter,
                "secret.use {name}@{scheme}://{host}:{port}/{header}"
            ),
            Access::Given { kind } => write!(formatter, "{}.use", kind.name()),
            Access::Message { access, target } => {
                write!(formatter, "messaging.{} {target}", access.name())
            }
            Access::Storage { access, target, .. } => {
                write!(formatter, "storage.{} {target}", access.name())
            }
            Access::Stated {
                kind, access, text, ..
            } => write!(formatter, "{}.{access} {text}", kind.name()),
            Access::NoTarget {
                kind, access, text, ..
            } => write!(formatter, "{}.{access} {text:?}", kind.name()),
        }
    }
}

impl FileAccess {
    /// The name of the access in rules.
    pub const fn name(self) -> &'static str {
        Kind::Filesystem.accesses()[self as usize]
    }

    pub const fn bit(self) -> AccessBits {
        1 << self as u8
    }

    /// Whether it changes something.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Create | Self::Delete)
    }
}

impl StorageAccess {
    /// The name of the access in rules.
    pub const fn name(self) -> &'static str {
        Kind::Storage.accesses()[self as usize]
    }
}

impl MessageAccess {
    /// The name of the access in rules.
    pub const fn name(self) -> &'static str {
        Kind::Messaging.accesses()[self as usize]
    }
}

impl Transport {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
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

    /// The present generation together with the number of a chain of callers. Generations repeat after 16 million
    /// changes of rights.
    pub fn mark(&self, callers: u64) -> u64 {
        const CALLERS: u32 = 40;
        self.current() << CALLERS | callers & ((1 << CALLERS) - 1)
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
    /// says otherwise only a [globally routable](address::is_global) address is allowed. An access with a
    /// [`Bar`] is refused, and so is what [`Access::NoTarget`] tells of.
    fn decide(&self, access: &Access<'_>) -> Decision;

    fn generation(&self) -> &Generation;

    /// What a decision rests on beside the access: another number after a change of rights, and while the
    /// principal acts for others. Whatever stays open is decided again when it is not what it was.
    fn mark(&self) -> u64;

    /// The same gate for one instance, of which `acting` tells for whom it acts; `None` where that makes no
    /// difference.
    fn of_instance(&self, acting: &Arc<Acting>) -> Option<Arc<dyn Gate>>;

    /// The rules behind it, where there are any.
    fn rules(&self) -> Option<&RuleGate>;

    /// Whose accesses it decides, where it knows.
    fn principal(&self) -> Option<&Arc<Subject>>;

    /// Whether it ever answers [`Decision::Ask`].
    fn may_ask(&self) -> bool {
        false
    }

    /// How long the guest should wait before it goes on, because it fills the log faster than it may. Told
    /// once.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

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
    fn decide_tree(&self, path: &Path, access: FileAccess, at: At<'_>) -> Decision {
        let _ = (access, at);
        Decision::Deny(Denial {
            rule: format!("no rule covers everything beneath {}", path.display()),
        })
    }
}
