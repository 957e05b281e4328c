//! What one instance may use, and the limiter that holds it to that.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::quota::Account;
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
    Connections,
    MessagesPerSecond,
    LogLinesPerSecond,
    CallsPerSecond,
    Instances,
    Storage,
    StorageKeys,
    StorageKey,
    StorageValue,
}

impl Limit {
    /// Every limit, in the order of its number.
    pub const ALL: [Self; 19] = [
        Self::Memory,
        Self::TableElements,
        Self::CoreInstances,
        Self::Memories,
        Self::Tables,
        Self::Stack,
        Self::CallTimeout,
        Self::CpuPerCall,
        Self::HostCallBytes,
        Self::OpenHandles,
        Self::Connections,
        Self::MessagesPerSecond,
        Self::LogLinesPerSecond,
        Self::CallsPerSecond,
        Self::Instances,
        Self::Storage,
        Self::StorageKeys,
        Self::StorageKey,
        Self::StorageValue,
    ];

    /// The limit of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

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
            Self::Connections => "connections",
            Self::MessagesPerSecond => "messages_per_second",
            Self::LogLinesPerSecond => "log_lines_per_second",
            Self::CallsPerSecond => "calls_per_second",
            Self::Instances => "instances",
            Self::Storage => "storage",
            Self::StorageKeys => "storage_keys",
            Self::StorageKey => "storage_key",
            Self::StorageValue => "storage_value",
        }
    }
}

/// A guest reached one of its limits. Travels inside a `wasmtime::Error`.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitExceeded {
    pub limit: Limit,
    /// In the limit's own unit: bytes, seconds, or a count.
    pub configured: f64,
    /// Whose ceiling it is, `namespace image`; `None` for a limit of the instance itself.
    pub owner: Option<Arc<str>>,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "limit exceeded: {} (configured: {})",
            self.limit.name(),
            self.configured
        )?;
        match &self.owner {
            Some(owner) => write!(f, " of {owner}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LimitExceeded {}

/// Bytes of native stack a guest may use; one figure for the whole process because it is compiled into the
/// engine's configuration.
pub const STACK_BYTES: usize = 1 << 20;

/// The limits of one instance.
#[derive(Clone, Debug)]
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
    /// Sockets, and HTTP requests under way, that the guest may have at a time.
    pub connections: usize,
    /// Messages that an actor may send.
    pub messages_per_second: Option<u64>,
    /// Keep a core dump of a trap; not a bound, but decided where bounds are.
    pub coredump: bool,
    /// Where what the instance uses is counted, and bounded together with what others use.
    pub account: Option<Arc<Account>>,
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
            connections: 64,
            messages_per_second: None,
            coredump: false,
            account: None,
        }
    }
}

/// Refuses growth beyond [`Limits`] with a typed error, and counts what is held: here, and in the account.
#[derive(Debug)]
pub struct Limiter {
    limits: Arc<Limits>,
    memory: u64,
    memory_peak: u64,
    /// From here on the use of memory is told.
    memory_near: u64,
    /// The growth that was granted last, which the engine may not have carried out.
    memory_grown: u64,
    table_elements: u64,
}

#[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
fn exceeded(limit: Limit, configured: u64) -> wasmtime::Error {
    wasmtime::Error::from(LimitExceeded {
        limit,
        configured: configured as f64,
        owner: None,
    })
}

impl Limiter {
    /// For one more instance, which counts until this is dropped.
    ///
    /// # Errors
    /// The ceiling on instances that it exceeds.
    pub fn new(limits: Arc<Limits>) -> Result<Self, LimitExceeded> {
        if let Some(account) = &limits.account {
            account.add_instance()?;
        }
        Ok(Self {
            memory: 0,
            memory_peak: 0,
            memory_near: limits.memory - limits.memory / 5,
            memory_grown: 0,
            table_elements: 0,
            limits,
        })
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
            self.memory_grown = 0;
            return Ok(false); // the guest's own bound: an ordinary failed `memory.grow`
        }
        let total = self.memory.saturating_sub(current as u64) + desired as u64;
        if total > self.limits.memory {
            return Err(exceeded(Limit::Memory, self.limits.memory));
        }
        if let Some(account) = &self.limits.account {
            account.grow_memory(total - self.memory)?;
            if total >= self.memory_near && self.memory < self.memory_near {
                account.near(account, Limit::Memory, self.limits.memory);
            }
        }
        self.memory_grown = total - self.memory;
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        let grown = std::mem::take(&mut self.memory_grown);
        self.memory -= grown;
        if let Some(account) = &self.limits.account {
            account.shrink_memory(grown);
        }
        Ok(())
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

impl Drop for Limiter {
    fn drop(&mut self) {
        if let Some(account) = &self.limits.account {
            account.shrink_memory(self.memory);
            account.remove_instance();
        }
    }
}
