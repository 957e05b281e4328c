//! The vocabulary of rights: kinds of access and what can be done in each.

/// The kind of an access. Rules, decisions and audit records all use these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Filesystem,
    Network,
    Http,
    Storage,
    Messaging,
    Process,
    Environment,
    Config,
    Secret,
    Clock,
    Random,
    Log,
    Custom,
}

/// One or several accesses of one kind, a bit each in the order of [`Kind::accesses`].
pub type AccessBits = u16;

/// The bit of an HTTP method that has no name of its own; only a rule for every access matches it.
pub const OTHER_METHOD: AccessBits = 1 << 15;

impl Kind {
    pub const ALL: [Kind; 13] = [
        Kind::Filesystem,
        Kind::Network,
        Kind::Http,
        Kind::Storage,
        Kind::Messaging,
        Kind::Process,
        Kind::Environment,
        Kind::Config,
        Kind::Secret,
        Kind::Clock,
        Kind::Random,
        Kind::Log,
        Kind::Custom,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Kind::Filesystem => "filesystem",
            Kind::Network => "network",
            Kind::Http => "http",
            Kind::Storage => "storage",
            Kind::Messaging => "messaging",
            Kind::Process => "process",
            Kind::Environment => "environment",
            Kind::Config => "config",
            Kind::Secret => "secret",
            Kind::Clock => "clock",
            Kind::Random => "random",
            Kind::Log => "log",
            Kind::Custom => "custom",
        }
    }

    pub fn parse(name: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The accesses of this kind by name; the position is the bit.
    pub const fn accesses(self) -> &'static [&'static str] {
        match self {
            Kind::Filesystem => &[
                "read", "write", "create", "delete", "list", "metadata", "execute",
            ],
            Kind::Network => &["connect", "listen", "resolve"],
            Kind::Http => &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"],
            Kind::Storage => &["read", "write", "delete", "list"],
            Kind::Messaging => &["send", "ask", "broadcast", "publish", "subscribe"],
            Kind::Process => &["spawn", "signal", "wait"],
            Kind::Environment | Kind::Config => &["read"],
            Kind::Secret | Kind::Clock | Kind::Random | Kind::Log | Kind::Custom => &["use"],
        }
    }

    /// The bit of an access named in a request.
    pub fn access_bit(self, name: &str) -> Option<AccessBits> {
        let known = self.accesses().iter().position(|access| *access == name);
        match known {
            Some(position) => Some(1 << position),
            None if self == Kind::Http && is_method_token(name) => Some(OTHER_METHOD),
            None => None,
        }
    }

    /// Whether the kind has no targets and is given unless a rule denies it.
    pub const fn given_by_default(self) -> bool {
        matches!(self, Kind::Clock | Kind::Random | Kind::Log)
    }

    /// Whether the original caller of a chain must hold the right too.
    pub fn guards_against_deputies(self, access: AccessBits) -> bool {
        const FILE_WRITES: AccessBits = (1 << 1) | (1 << 2) | (1 << 3);
        const STORAGE_WRITES: AccessBits = (1 << 1) | (1 << 2);
        match self {
            Kind::Process | Kind::Secret => true,
            Kind::Filesystem => access & FILE_WRITES != 0,
            Kind::Storage => access & STORAGE_WRITES != 0,
            _ => false,
        }
    }

    /// Whether `observe` and `learn` let an access of this kind pass that merely nobody granted.
    pub fn may_be_observed(self, access: AccessBits) -> bool {
        const SPAWN: AccessBits = 1;
        !(self == Kind::Secret || self == Kind::Process && access & SPAWN != 0)
    }
}

fn is_method_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}
