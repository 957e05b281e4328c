//! The classes of `airssys.wasm.values`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Names in the module of the classes.
const MODULE: &str = "airssys.wasm.values";

/// The classes that every component shares.
pub struct Classes {
    pub ok: Py<PyType>,
    pub err: Py<PyType>,
    pub some: Py<PyType>,
    pub guest_error: Py<PyType>,
    pub wit_error: Py<PyType>,
    pub mapping: Py<PyType>,
    pub guest_stream: Py<PyType>,
    pub guest_future: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

impl Classes {
    pub fn get(py: Python<'_>) -> PyResult<&'static Self> {
        CLASSES.get_or_try_init(py, || {
            let module = py.import(MODULE)?;
            let class =
                |name: &str| Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind());
            let streams = |name: &str| {
                let class = py.import("airssys.wasm.streams")?.getattr(name)?;
                Ok::<_, PyErr>(class.cast_into::<PyType>()?.unbind())
            };
            Ok(Self {
                ok: class("Ok")?,
                err: class("Err")?,
                some: class("Some")?,
                guest_error: class("GuestError")?,
                wit_error: class("WitError")?,
                mapping: py
                    .import("collections.abc")?
                    .getattr("Mapping")?
                    .cast_into::<PyType>()?
                    .unbind(),
                guest_stream: streams("GuestStream")?,
                guest_future: streams("GuestFuture")?,
            })
        })
    }
}

/// Calls a function of the module.
pub(super) fn make<'py>(
    py: Python<'py>,
    factory: &str,
    args: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import(MODULE)?.getattr(factory)?.call1(args)
}
