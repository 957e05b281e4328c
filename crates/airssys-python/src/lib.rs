//! The module `airssys._core`: conversions and delegation; no decision lives here.

mod gate;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    gate::register(module)
}
