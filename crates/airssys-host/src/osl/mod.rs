//! The operating-system layer: files and processes on behalf of someone.
//!
//! Nothing is checked by name and then used by name. A name is resolved to an object once; the object's
//! real path is decided; the very same object is used.

pub mod confine;
pub mod file;
pub mod mutate;
pub mod resolve;
pub mod spawn;

use std::io;

use crate::gate::authority::Decided;

/// Why an operation did not take place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OslError {
    /// The gate refused it, or asks for approval.
    #[error("{path}: {}", .decided.reason)]
    Refused { path: String, decided: Box<Decided> },
    #[error("{path}: {kind} was expected; {found} is there")]
    WrongType {
        path: String,
        kind: &'static str,
        found: &'static str,
    },
    #[error(
        "{path} has {links} hard links: what else it is called is not known; allow hard links to use it"
    )]
    HardLink { path: String, links: u64 },
    #[error("{path} is a symbolic link to nothing; create what it points to, or remove it")]
    DanglingLink { path: String },
    #[error("{path} was moved while it was being resolved; try again")]
    Moved { path: String },
    #[error(
        "confinement of the child is not available: {0}; allow a lesser one expressly to go on"
    )]
    Unconfined(String),
    #[error("{path}: {source}")]
    Os { path: String, source: io::Error },
}

impl OslError {
    fn os(path: &[u8], source: impl Into<io::Error>) -> OslError {
        OslError::Os {
            path: String::from_utf8_lossy(path).into_owned(),
            source: source.into(),
        }
    }
}
