//! What one instance may use, and the limiter that holds it to that.

use std::fmt;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::wasi::HttpLimits;

/// The name of a limit, as operators know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    Memory,
    TableElements,
    CoreInstances,
    Memories,
    Tables,
    Stack,
    CallTimeout,
    CpuPerCall,
    HostCallBytes,
    OpenHandles,
}

impl Limit {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::TableElements => "table_elements",
            Self::CoreInstances => "core_instances",
            Self::Memories => "memories",
            Self::Tables => "tables",
            Self::Stack => "stack",
            Self::CallTimeout => "call_timeout",
            Self::CpuPerCall => "cpu_per_call",
            Self::HostCallBytes => "host_call_bytes",
            Self::OpenHandles => "open_handles",
        }
    }
}

/// A guest reached one of its limits. Travels inside a `wasmtime::Error`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitExceeded {
    pub limit: Limit,
    /// In the limit's own unit: bytes, seconds, or a count.
    pub configured: f64,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "limit exceeded: {} (configured: {})",
            self.limit.name(),
            self.configured
        )
    }
}

impl std::error::Error for LimitExceeded {}

/// Bytes of native stack a guest may use; one figure for the whole process because it is compiled into the
/// engine's configuration.
pub const STACK_BYTES: usize = 1 << 20;

/// The limits of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of linear memory, over all memories of the instance.
    pub memory: u64,
    /// Elements over all tables of the instance.
    pub table_elements: u64,
    pub core_instances: usize,
    pub memories: usize,
    pub tables: usize,
    /// Wall clock of one call, waiting included.
    pub call_timeout: Duration,
    /// Processor time of one call.
    pub cpu_per_call: Duration,
    /// Bytes that one call of a host function may lift out of the guest.
    pub host_call_bytes: usize,
    /// Handles the guest may hold at a time: files, sockets, streams, host resources.
    pub open_handles: usize,
    /// How large HTTP requests and responses may be. Beyond that the guest sees an error, and goes on.
    pub http: HttpLimits,
    /// Keep a core dump of a trap; not a bound, but decided where bounds are.
    pub coredump: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            table_elements: 100_000,
            core_instances: 64,
            memories: 8,
            tables: 32,
            call_timeout: Duration::from_secs(30),
            cpu_per_call: Duration::from_secs(10),
            host_call_bytes: 128 << 20,
            open_handles: 256,
            http: HttpLimits::default(),
            coredump: false,
        }
    }
}

/// Refuses growth beyond [`Limits`] with a typed error, and counts what is held.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    memory: u64,
    memory_peak: u64,
    table_elements: u64,
}

#[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
fn exceeded(limit: Limit, configured: u64) -> wasmtime::Error {
    wasmtime::Error::from(LimitExceeded {
        limit,
        configured: configured as f64,
    })
}

impl Limiter {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory: 0,
            memory_peak: 0,
            table_elements: 0,
        }
    }

    /// Bytes of linear memory held now.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The most bytes of linear memory held so far.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // the guest's own bound: an ordinary failed `memory.grow`
        }
        let total = self.memory.saturating_sub(current as u64) + desired as u64;
        if total > self.limits.memory {
            return Err(exceeded(Limit::Memory, self.limits.memory));
        }
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_sub(current as u64) + desired as u64;
        if total > self.limits.table_elements {
            return Err(exceeded(Limit::TableElements, self.limits.table_elements));
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.core_instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}
