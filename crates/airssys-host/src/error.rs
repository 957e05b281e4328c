//! Every failure of the native core.

use crate::limits::{Limit, LimitExceeded};

/// What went wrong. What a guest did wrong (`Trap`, `Limit`, `Exit`) is told apart from what the host or the
/// caller did wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the engine cannot run on this machine: {0}")]
    Engine(String),
    #[error("no room for another instance")]
    PoolExhausted,

    #[error("not WebAssembly: the file begins with {beginning:02x?}")]
    NotWasm { beginning: Vec<u8> },
    #[error("a core module, not a component")]
    CoreModule,
    #[error("too large: {found} {what}, at most {most}")]
    TooLarge {
        what: &'static str,
        found: u64,
        most: u64,
    },
    #[error("not a valid component: {0}")]
    Invalid(String),
    #[error("compiling was stopped: {0}")]
    CompileStopped(String),
    #[error("nothing provides the import {name}")]
    UnknownImport { name: String, known: Vec<String> },
    #[error("no such export: {name}")]
    UnknownExport { name: String },
    /// What a person typed cannot be read, or a value has no text.
    #[error("{0}")]
    Text(String),
    #[error("cannot link: {0}")]
    Link(String),

    #[error("the instance is running another call")]
    Busy,
    #[error("the instance cannot be used any more: {0}")]
    Poisoned(String),
    #[error("every instance is in use and {waiting} calls wait for one")]
    Overloaded { waiting: usize },
    /// The deployment is held, removed, or its host is closed.
    #[error("the deployment takes no calls")]
    RouteClosed,
    #[error("a revision is being tried beside the live one already")]
    TrialRunning,
    #[error("the trial is over")]
    TrialOver,
    #[error(
        "the call was ended because its revision was replaced and the drain deadline has passed"
    )]
    Drained,
    #[error("the host is shut down")]
    ShutDown,
    #[error("the host was started in another process, before a fork")]
    Forked,

    #[error("{0}")]
    Trap(Trap),
    #[error("{0}")]
    Limit(LimitExceeded),
    /// The guest ended itself by `wasi:cli/exit`.
    #[error("the guest exited with status {0}")]
    Exit(i32),
    /// A host function failed; the caller knows how.
    #[error("a host function failed")]
    HostFunction,

    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Internal(String),
}

/// A guest trapped.
#[derive(Clone, Debug)]
pub struct Trap {
    /// The engine's name for the reason, in words.
    pub reason: String,
    /// A line per frame, innermost first, names demangled.
    pub backtrace: String,
    pub coredump: Option<Vec<u8>>,
}

impl std::fmt::Display for Trap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Carried by a `wasmtime::Error` through the guest when a host function failed.
#[derive(Debug)]
pub struct HostFunctionFailed;

impl std::fmt::Display for HostFunctionFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a host function failed")
    }
}

impl std::error::Error for HostFunctionFailed {}

impl Error {
    /// Tell what an error that came out of a guest call is.
    #[must_use]
    pub fn from_call(error: &wasmtime::Error, limits: &crate::limits::Limits) -> Self {
        if let Some(limit) = error.downcast_ref::<LimitExceeded>() {
            return Self::Limit(limit.clone());
        }
        if error.downcast_ref::<HostFunctionFailed>().is_some() {
            return Self::HostFunction;
        }
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return Self::Exit(exit.0);
        }
        if let Some(wasmtime_wasi::ResourceTableError::Full) =
            error.downcast_ref::<wasmtime_wasi::ResourceTableError>()
        {
            return Self::limit(Limit::OpenHandles, limits.open_handles);
        }
        if error
            .downcast_ref::<wasmtime::PoolConcurrencyLimitError>()
            .is_some()
        {
            return Self::PoolExhausted;
        }
        let backtrace = error
            .downcast_ref::<wasmtime::WasmBacktrace>()
            .map_or_else(String::new, backtrace_text);
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::StackOverflow) => {
                Self::limit(Limit::Stack, crate::limits::STACK_BYTES)
            }
            Some(trap) => Self::Trap(Trap {
                reason: trap.to_string(),
                backtrace,
                coredump: None,
            }),
            None => {
                let text = format!("{}", error.root_cause());
                if text.starts_with("resource limit exceeded: instance count") {
                    return Self::limit(Limit::CoreInstances, limits.core_instances);
                }
                if text.starts_with("resource limit exceeded: memory count") {
                    return Self::limit(Limit::Memories, limits.memories);
                }
                if text.starts_with("resource limit exceeded: table count") {
                    return Self::limit(Limit::Tables, limits.tables);
                }
                if text.contains("allocated for hostcalls") {
                    return Self::limit(Limit::HostCallBytes, limits.host_call_bytes);
                }
                if text.contains("resource table has no free keys")
                    || text.contains("handle limit exceeded")
                {
                    return Self::limit(Limit::OpenHandles, limits.open_handles);
                }
                Self::Trap(Trap {
                    reason: text,
                    backtrace,
                    coredump: None,
                })
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
    fn limit(limit: Limit, configured: usize) -> Self {
        Self::Limit(LimitExceeded {
            limit,
            configured: configured as f64,
            owner: None,
        })
    }
}

fn backtrace_text(backtrace: &wasmtime::WasmBacktrace) -> String {
    let mut text = String::new();
    for frame in backtrace.frames() {
        let module = frame.module().name().unwrap_or("guest");
        let name = frame.func_name().map_or_else(
            || format!("function {}", frame.func_index()),
            rustc_demangle_or_same,
        );
        text.push_str(&format!("  at {name} ({module}"));
        if let Some(offset) = frame.module_offset() {
            text.push_str(&format!("+{offset:#x}"));
        }
        text.push(')');
        if let Some(symbol) = frame.symbols().first()
            && let (Some(file), Some(line)) = (symbol.file(), symbol.line())
        {
            text.push_str(&format!(" {file}:{line}"));
        }
        text.push('\n');
    }
    text
}

fn rustc_demangle_or_same(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
