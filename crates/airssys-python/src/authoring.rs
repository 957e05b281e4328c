//! What authors of components need of the core.

use std::path::PathBuf;

use airssys_host::authoring;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// Read a world of the package in a folder; its name, imports and exports.
#[pyfunction]
#[pyo3(signature = (wit, world = None))]
fn read_world<'py>(
    py: Python<'py>,
    wit: PathBuf,
    world: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let found = py
        .detach(|| authoring::read_world(&wit, world))
        .map_err(PyValueError::new_err)?;
    let answer = PyDict::new(py);
    answer.set_item("name", found.name)?;
    answer.set_item("imports", found.imports)?;
    answer.set_item("exports", found.exports)?;
    Ok(answer)
}

/// Make a component of a core module.
#[pyfunction]
#[pyo3(signature = (module, wit = None, world = None))]
fn componentise<'py>(
    py: Python<'py>,
    module: Vec<u8>,
    wit: Option<PathBuf>,
    world: Option<&str>,
) -> PyResult<Bound<'py, PyBytes>> {
    let component = py
        .detach(|| authoring::componentise(&module, wit.as_deref().map(|wit| (wit, world))))
        .map_err(PyValueError::new_err)?;
    Ok(PyBytes::new(py, &component))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_world, module)?)?;
    module.add_function(wrap_pyfunction!(componentise, module)?)
}
