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

/// Describe WIT as JSON: that of a folder, or of a component or WIT text.
#[pyfunction]
#[pyo3(signature = (*, folder = None, content = None, world = None))]
fn describe_wit(
    py: Python<'_>,
    folder: Option<PathBuf>,
    content: Option<Vec<u8>>,
    world: Option<&str>,
) -> PyResult<String> {
    let content = content.unwrap_or_default();
    let wit = match &folder {
        Some(folder) => authoring::Wit::Folder(folder),
        None => authoring::Wit::Content(&content),
    };
    py.detach(|| authoring::describe(wit, world))
        .map_err(PyValueError::new_err)
}

/// Make the header and the source of a world for C.
#[pyfunction]
#[pyo3(signature = (wit, world = None))]
fn c_bindings<'py>(
    py: Python<'py>,
    wit: PathBuf,
    world: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let files = py
        .detach(|| authoring::c_bindings(&wit, world))
        .map_err(PyValueError::new_err)?;
    let answer = PyDict::new(py);
    for (name, content) in files {
        answer.set_item(name, PyBytes::new(py, &content))?;
    }
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
    module.add_function(wrap_pyfunction!(describe_wit, module)?)?;
    module.add_function(wrap_pyfunction!(c_bindings, module)?)?;
    module.add_function(wrap_pyfunction!(componentise, module)?)
}
