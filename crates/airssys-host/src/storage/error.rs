//! What can go wrong in the storage of components.

use std::path::PathBuf;

/// A refused or failed operation. Nothing of a refused write took effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A key, a prefix or a time that cannot be used.
    #[error("{0}")]
    Invalid(String),
    #[error("{limit} is {configured}, and this needs {needed}")]
    Exceeded {
        limit: &'static str,
        configured: u64,
        needed: u64,
    },
    /// The gate refused the access.
    #[error("not permitted: {0}")]
    Denied(String),
    #[error("the value of '{key}' is no integer")]
    NotANumber { key: String },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} is in use by another process or host", path.display())]
    InUse { path: PathBuf },
    #[error("{} was written in schema {found}; this version knows up to {known}", path.display())]
    TooNew {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    /// The device is full, or a quota or size limit of the system was hit.
    #[error("no room for {}: {reason}", path.display())]
    Full { path: PathBuf, reason: String },
    #[error("{}: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
    #[error("the storage is closed")]
    Closed,
}

impl StorageError {
    /// The error for what the system refused at `path`.
    #[must_use]
    pub fn from_io(path: &std::path::Path, error: &std::io::Error) -> Self {
        use rustix::io::Errno;
        let (path, reason) = (path.to_owned(), error.to_string());
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if matches!(errno, Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) {
            return Self::Full { path, reason };
        }
        match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged { path, reason }
            }
            _ => Self::Io { path, reason },
        }
    }
}
