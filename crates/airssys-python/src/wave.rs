//! Calls and results as text (WAVE), for the command line.

use std::sync::Arc;

use airssys_host::error::Error;
use airssys_host::value::wave;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::component::PyComponent;
use crate::errors::{About, raise, unknown_export};
use crate::handles::InstanceHandles;

fn failed(py: Python<'_>, component: &PyComponent, error: Error) -> PyErr {
    match error {
        Error::Text(reason) => PyValueError::new_err(reason),
        Error::UnknownExport { name } => unknown_export(py, &name, &component.exports()),
        error => raise(py, error, About::default()),
    }
}

/// Read `add(2, 3)`: the path of the function and its arguments.
#[pyfunction]
fn parse_call<'py>(
    py: Python<'py>,
    component: &PyComponent,
    text: &str,
) -> PyResult<(String, Bound<'py, PyTuple>)> {
    let described = &component.described;
    let (export, values) = wave::parse_call(&described.component, text)
        .map_err(|error| failed(py, component, error))?;
    let handles = InstanceHandles::new(described.clone(), Arc::default());
    let arguments = described
        .export(py, export)?
        .host_arguments(py, values, &handles)?;
    Ok((described.component.exports[export].path(), arguments))
}

/// Write what the function `path` returned, or the error that it returned, as text; `None` without a result.
#[pyfunction]
#[pyo3(signature = (component, path, value, *, error))]
fn print_result(
    py: Python<'_>,
    component: &PyComponent,
    path: &str,
    value: Bound<'_, PyAny>,
    error: bool,
) -> PyResult<Option<String>> {
    let described = &component.described;
    let export = described
        .component
        .export(path)
        .map_err(|error| failed(py, component, error))?;
    if let Some(ty) = &described.component.exports[export].ty.result
        && ty.carries_streams()
    {
        let text = format!("a {ty} has no text");
        return Err(failed(py, component, Error::Text(text)));
    }
    let handles = Arc::new(InstanceHandles::new(described.clone(), Arc::default()));
    let outcome = if error {
        Err(PyErr::from_value(
            py.import("airssys.wasm.values")?
                .call_method1("WitError", (value,))?,
        ))
    } else {
        Ok(value)
    };
    let signature = described.export(py, export)?;
    let (value, _undone) = handles.converting(|| signature.host_result(py, outcome, &*handles))?;
    let (Some(value), Some(ty)) = (value, &described.component.exports[export].ty.result) else {
        return Ok(None);
    };
    wave::print(&described.component.native.engine, ty, value)
        .map(Some)
        .map_err(|error| failed(py, component, error))
}

/// Write text that stands for a result of the function `path` as `print_result` does.
#[pyfunction]
fn normal_result(
    py: Python<'_>,
    component: &PyComponent,
    path: &str,
    text: &str,
) -> PyResult<Option<String>> {
    let native = &component.described.component;
    let export = native
        .export(path)
        .map_err(|error| failed(py, component, error))?;
    wave::normalise(native, export, text).map_err(|error| failed(py, component, error))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_call, module)?)?;
    module.add_function(wrap_pyfunction!(normal_result, module)?)?;
    module.add_function(wrap_pyfunction!(print_result, module)?)
}
