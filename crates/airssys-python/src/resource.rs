//! A guest's resource in Python's hands.

use std::sync::{Arc, Mutex, Weak};

use airssys_host::instance::{Abandoned, Call, Instance};
use airssys_host::value::Type;
use pyo3::exceptions::{PyAttributeError, PyReferenceError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyWeakrefMethods, PyWeakrefReference};
use wasmtime::component::ResourceAny;

use crate::instance::PyInstance;

/// A handle to a resource that a guest implements.
///
/// Methods are attributes (`counter.increment(1)`); leaving a `with` block, or `drop()`, drops the resource in the
/// guest, and using it afterwards raises `ValueError`.
#[pyclass(frozen, name = "Resource", module = "airssys._core")]
pub struct GuestResource {
    any: Mutex<Option<ResourceAny>>,
    owned: bool,
    interface: Option<Arc<str>>,
    name: Arc<str>,
    instance: Weak<Instance>,
    owner: Py<PyWeakrefReference>,
}

impl GuestResource {
    pub fn new(
        any: ResourceAny,
        ty: &Type,
        instance: Weak<Instance>,
        owner: Py<PyWeakrefReference>,
    ) -> Self {
        let (resource, owned) = match ty {
            Type::Borrow(resource) => (Some(resource), false),
            Type::Own(resource) => (Some(resource), true),
            _ => (None, true),
        };
        let named = resource.and_then(|resource| resource.name.as_ref());
        Self {
            any: Mutex::new(Some(any)),
            owned,
            interface: named.and_then(|name| name.interface.clone()),
            name: named.map_or_else(|| "resource".into(), |name| name.name.clone()),
            instance,
            owner,
        }
    }

    fn gone(&self) -> PyErr {
        PyValueError::new_err(format!(
            "this {} was dropped or given away; it cannot be used any more",
            self.name
        ))
    }

    /// The handle for one call; given away for good if `owned`.
    pub fn lend(&self, owned: bool, instance: Option<&Weak<Instance>>) -> PyResult<ResourceAny> {
        if !instance.is_some_and(|instance| instance.ptr_eq(&self.instance)) {
            return Err(PyValueError::new_err(format!(
                "this {} belongs to another instance",
                self.name
            )));
        }
        let mut any = self.any.lock().expect("no code under this lock panics");
        let found = if owned { any.take() } else { *any };
        found.ok_or_else(|| self.gone())
    }

    /// Take back what was given away by a call that did not begin.
    pub fn restore(&self, any: ResourceAny) {
        *self.any.lock().expect("no code under this lock panics") = Some(any);
    }

    fn owner<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInstance>> {
        let owner = self.owner.bind(py).upgrade().ok_or_else(|| {
            PyReferenceError::new_err(format!(
                "the instance that this {} belongs to is gone; keep it",
                self.name
            ))
        })?;
        owner.cast_into::<PyInstance>().map_err(PyErr::from)
    }
}

#[pymethods]
impl GuestResource {
    /// Drop the resource; its destructor runs in the guest. A second time does nothing.
    #[pyo3(name = "drop")]
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let Some(any) = self
            .any
            .lock()
            .expect("no code under this lock panics")
            .take()
        else {
            return Ok(());
        };
        let owner = self.owner(py)?;
        owner
            .get()
            .run(py, "drop", |live| Call::drop_resource(live, any))
            .map(drop)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*error))]
    fn __exit__(&self, py: Python<'_>, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        match (self.release(py), error.get_item(0)) {
            // The block's own exception is the one to be seen.
            (Err(_), Ok(raised)) if !raised.is_none() => Ok(()),
            (result, _) => result,
        }
    }

    fn __getattr__(slf: &Bound<'_, Self>, name: &str) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let method = format!("[method]{}.{}", this.name, name.replace('_', "-"));
        let path = this.interface.as_ref().map_or_else(
            || method.clone(),
            |interface| format!("{interface}#{method}"),
        );
        let owner = this.owner(py)?;
        let function = owner.get_item(path).map_err(|_| {
            PyAttributeError::new_err(format!(
                "the resource '{}' has no method '{name}'",
                this.name
            ))
        })?;
        let partial = py.import("functools")?.getattr("partial")?;
        Ok(partial.call1((function, slf))?.unbind())
    }

    fn __repr__(&self) -> String {
        let state = if self
            .any
            .lock()
            .expect("no code under this lock panics")
            .is_some()
        {
            ""
        } else {
            ", dropped"
        };
        format!("<{} resource{state}>", self.name)
    }
}

impl Drop for GuestResource {
    fn drop(&mut self) {
        // Forgotten without `with` or `drop()`: the guest's destructor runs with the next call of the instance.
        if let (true, Ok(any)) = (self.owned, self.any.get_mut())
            && let (Some(any), Some(instance)) = (any.take(), self.instance.upgrade())
        {
            instance.drop_later(Abandoned::Resource(any));
        }
    }
}
