//! The native engines: process singletons, made on first use.

pub mod address_space;
pub mod cache;
pub mod compile;
pub mod loading;
mod signals;
mod split;
pub mod static_limits;
mod ticker;

use std::sync::OnceLock;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::error::Error;
use crate::limits::STACK_BYTES;
pub use signals::rearm as rearm_signal_handlers;
pub(crate) use split::import_name;
pub(crate) use ticker::slice_begins;

/// Which engine a component runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// No component-model async: every WASI 0.2 component. Two to four times cheaper on every call.
    Plain,
    /// Async functions, streams and futures: WASI 0.3.
    Concurrent,
}

/// Where an instance's memories, tables and stacks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allocation {
    /// Slots prepared in advance; what nearly every component uses.
    Pool,
    /// Mapped when needed, for components that need more of something than a slot has.
    OnDemand,
}

/// Most memories, tables and core instances that one component in a slot may have.
pub const SLOT_MEMORIES: u32 = 4;
pub const SLOT_TABLES: u32 = 16;
pub const SLOT_CORE_INSTANCES: u32 = 48;

/// One engine of the process.
pub struct Native {
    pub engine: wasmtime::Engine,
    pub profile: Profile,
    pub allocation: Allocation,
    /// Instances that have a slot; 0 without a pool.
    pub slots: u32,
    /// What a compiled artefact must have been made for.
    pub compatibility: String,
}

static ENGINES: [OnceLock<Result<Native, String>>; 4] = [
    OnceLock::new(),
    OnceLock::new(),
    OnceLock::new(),
    OnceLock::new(),
];

impl Native {
    /// The engine of this profile and allocation.
    ///
    /// # Errors
    /// [`Error::Engine`] if the machine cannot carry it; the same at every later call.
    pub fn get(profile: Profile, allocation: Allocation) -> Result<&'static Self, Error> {
        let index = usize::from(profile == Profile::Concurrent) * 2
            + usize::from(allocation == Allocation::OnDemand);
        ENGINES[index]
            .get_or_init(|| Self::start(profile, allocation).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|message| Error::Engine(message.clone()))
    }

    fn start(profile: Profile, allocation: Allocation) -> wasmtime::Result<Self> {
        let mut config = base_config(profile);
        let mut slots = 0;
        if allocation == Allocation::Pool {
            slots = address_space::slots(profile);
            if slots > 0 {
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
                address_space::take(i64::from(slots) * address_space::MAPPINGS_PER_SLOT);
            }
        }
        signals::chain_before_engine();
        // Frames of the host in an error that a guest caused help nobody, and where RUST_BACKTRACE is set to unwind
        // them takes as long as all else that a trap costs. The guest's own backtrace is another.
        wasmtime::error::disable_backtrace();
        let engine = wasmtime::Engine::new(&config)?;
        signals::remember_engine_handlers();
        ticker::tick(&engine);
        let compatibility = compatibility(&engine);
        Ok(Self {
            engine,
            profile,
            allocation,
            slots,
            compatibility,
        })
    }
}

fn base_config(profile: Profile) -> Config {
    let concurrent = profile == Profile::Concurrent;
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(concurrent)
        .wasm_component_model_async(concurrent)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(STACK_BYTES + (1 << 20))
        .memory_init_cow(true)
        .coredump_on_trap(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(4))
        .total_memories(slots)
        .total_tables(slots.saturating_mul(2))
        // A store keeps its fiber stack once it was used, so fewer stacks than instances starve.
        .total_stacks(slots)
        .total_gc_heaps(0)
        .max_memories_per_component(SLOT_MEMORIES)
        .max_tables_per_component(SLOT_TABLES)
        .max_core_instances_per_component(SLOT_CORE_INSTANCES)
        .max_memories_per_module(SLOT_MEMORIES)
        .max_tables_per_module(SLOT_TABLES)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .table_elements(100_000)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(32 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// A digest of everything that decides whether an artefact may be loaded by `engine`.
fn compatibility(engine: &wasmtime::Engine) -> String {
    struct Collect(blake3::Hasher);
    impl std::hash::Hasher for Collect {
        fn finish(&self) -> u64 {
            unreachable!("only the written bytes are used")
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut collect = Collect(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut collect);
    collect.0.finalize().to_hex()[..32].to_owned()
}
