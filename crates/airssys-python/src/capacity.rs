//! How many guests this process could carry, for `airssys doctor`.

use airssys_host::engine::Profile;
use airssys_host::engine::address_space::{max_map_count, slots};
use pyo3::prelude::*;

/// The kernel's bound on memory mappings, and the instances that the pool would have were it made now (0: no pool).
#[pyfunction]
fn capacity() -> (i64, u32) {
    (max_map_count(), slots(Profile::Plain))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(capacity, module)?)
}
