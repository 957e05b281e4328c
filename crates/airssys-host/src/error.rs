//! Every failure of the native core.

/// A limit of one instance, by the name the operator knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    Memory,
    TableElements,
    Instances,
    Memories,
    Tables,
    Stack,
    CallTimeout,
    CpuPerCall,
    HostCallBytes,
    OpenHandles,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A guest trapped; its instance is poisoned.
    #[error("{reason}")]
    Trap { reason: String, backtrace: String },
    /// A guest hit one of its limits; its instance is poisoned.
    #[error("limit exceeded: {limit:?} (configured: {configured})")]
    Limit { limit: Limit, configured: u64 },
}
