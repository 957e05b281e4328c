//! The Python module `airssys._core`: conversions and awaitables over `airssys-host`. No decision lives here.

mod apart;
mod authoring;
mod awaiting;
mod blocking;
mod bridge;
mod callers;
mod capacity;
mod component;
pub mod convert;
mod deadline;
mod errors;
mod gate;
mod guest_log;
mod handles;
mod host_calls;
mod imports;
mod incoming;
mod ingress;
mod instance;
mod limits;
mod objects;
mod plane;
mod quota;
mod recording;
mod resource;
mod route;
mod runtime;
mod secrets;
mod source;
mod storage;
mod toml;
mod trial;
mod turns;
mod wasi;
mod wave;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Calls and bodies come and go at a rate at which the allocator shows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What was built, and from what.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("wasmtime", wasmtime_version())?;
    info.set_item(
        "target",
        format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    )?;
    info.set_item(
        "profile",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    )?;
    Ok(info)
}

/// The engine's version, from the lock file that this was built with.
fn wasmtime_version() -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.contains("name = \"wasmtime\"\n"));
    entry
        .and_then(|entry| entry.split("version = \"").nth(1))
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown")
}

/// The compiling child's whole work: standard input to standard output. Returns the exit code.
#[pyfunction]
fn _compile_child(py: Python<'_>, profile: &str) -> PyResult<i32> {
    use airssys_host::engine::{Profile, compile};
    let profile = if profile == "concurrent" {
        Profile::Concurrent
    } else {
        Profile::Plain
    };
    py.detach(|| compile::child(profile))
        .map_err(|error| errors::raise(py, error, errors::About::default()))
}

/// Say how a compiling child is started.
#[pyfunction]
fn _set_compile_worker(program: std::path::PathBuf, arguments: Vec<String>) {
    airssys_host::engine::compile::set_worker(airssys_host::engine::compile::Worker {
        program,
        arguments,
    });
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    runtime::register(module)?;
    capacity::register(module)?;
    quota::register(module)?;
    recording::register(module)?;
    route::register(module)?;
    trial::register(module)?;
    ingress::register(module)?;
    wave::register(module)?;
    authoring::register(module)?;
    module.add_function(wrap_pyfunction!(build_info, module)?)?;
    module.add_function(wrap_pyfunction!(_compile_child, module)?)?;
    module.add_function(wrap_pyfunction!(_set_compile_worker, module)?)?;
    module.add_class::<callers::Callers>()?;
    module.add_class::<component::PyEngine>()?;
    module.add_class::<component::PyComponent>()?;
    module.add_class::<instance::PyInstance>()?;
    module.add_class::<instance::PyFunction>()?;
    module.add_class::<awaiting::Awaitable>()?;
    module.add_class::<deadline::KillWatch>()?;
    module.add_class::<turns::ShortTurns>()?;
    module.add_class::<resource::GuestResource>()?;
    module.add_class::<host_calls::PyHostCalls>()?;
    module.add_class::<incoming::PyIncoming>()?;
    module.add_class::<guest_log::PyGuestLog>()?;
    module.add_class::<limits::PyLimits>()?;
    module.add_class::<wasi::PyWasi>()?;
    module.add_function(wrap_pyfunction!(secrets::check_secret, module)?)?;
    storage::register(module)?;
    plane::register(module)?;
    toml::register(module)?;
    gate::register(module)
}
