//! `Instance` and `Function`.

use std::ops::Deref;
use std::sync::Arc;

use airssys_host::error::Error;
use airssys_host::instance::{Call, Instance, Lease, Live, Usage};
use airssys_host::value::Value;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyWeakrefReference};

use crate::awaiting::{Awaitable, Conclude};
use crate::errors::{About, host_function_failed, raise, unknown_export};
use crate::handles::Lent;
use crate::imports::Imports;
use crate::runtime;

/// One store with its memory.
#[pyclass(frozen, weakref, name = "Instance", module = "airssys._core")]
pub struct PyInstance {
    shared: Arc<Shared>,
}

/// What everything that runs an instance shares.
pub struct Shared {
    pub instance: Arc<Instance>,
    pub imports: Arc<Imports>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Sources may run in tasks, which would wait for ever for a guest that is gone. Where Python cannot run any
        // more they have ended.
        Python::try_attach(|py| self.imports.abandon(py));
    }
}

impl Shared {
    /// Give the store back or say why it is gone, and make an exception of an error.
    ///
    /// # Errors
    /// The exception of an error.
    pub fn settle(
        &self,
        py: Python<'_>,
        call: &str,
        lease: Lease<impl Deref<Target = Instance>>,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
    ) -> PyResult<Option<Value>> {
        self.imports.handles.release_sources(py);
        match result {
            Ok(value) => {
                if let Some(live) = live {
                    if !self.imports.described.component.resources.is_empty() {
                        self.imports.collect_dropped(py, &live.link);
                    }
                    lease.give_back(live);
                }
                Ok(value)
            }
            Err(error) => {
                let error = explain(py, &self.imports, call, error);
                self.imports.abandon(py);
                lease.poison(format!("an earlier call ended with {}", error.value(py)));
                Err(error)
            }
        }
    }
}

/// The exception for what a call of this component came to.
pub fn explain(py: Python<'_>, imports: &Imports, call: &str, error: Error) -> PyErr {
    let about = About {
        component: &imports.described.component.contents.digest,
        call,
    };
    match (&error, imports.take_failure()) {
        (Error::HostFunction, Some((whose, cause))) => {
            host_function_failed(py, whose, cause, about)
        }
        _ => raise(py, error, about),
    }
}

impl PyInstance {
    /// The instance that a call of [`Call::fresh`] made.
    pub fn conclude(
        py: Python<'_>,
        imports: Arc<Imports>,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
    ) -> PyResult<Py<Self>> {
        if let Err(error) = result {
            return Err(explain(py, &imports, "instantiate", error));
        }
        let Some(live) = live else {
            return Err(explain(
                py,
                &imports,
                "instantiate",
                Error::Internal("an instance is missing its store".into()),
            ));
        };
        let instance = Instance::new(live);
        let shared = Arc::new(Shared {
            instance: instance.clone(),
            imports: imports.clone(),
        });
        imports.handles.read_by(&shared);
        let made = Bound::new(py, Self { shared })?;
        imports
            .handles
            .belong_to(&instance, PyWeakrefReference::new(made.as_any())?.unbind());
        Ok(made.unbind())
    }

    /// Run something that is not an export's call.
    pub fn run(
        &self,
        py: Python<'_>,
        call: &str,
        begin: impl FnOnce(Box<Live>) -> Call,
    ) -> PyResult<Option<Value>> {
        let shared = &self.shared;
        let explained = |error| explain(py, &shared.imports, call, error);
        runtime::ready().map_err(explained)?;
        let (live, lease) = Instance::take(&*shared.instance).map_err(explained)?;
        let (live, result) = crate::blocking::run(py, begin(live), &shared.imports)?;
        shared.settle(py, call, lease, live, result)
    }
}

#[pymethods]
impl PyInstance {
    /// An exported function: `add`, or `demo:calc/ops#add` for an interface's.
    fn __getitem__(&self, py: Python<'_>, path: &str) -> PyResult<PyFunction> {
        let component = &self.shared.imports.described.component;
        match component.export(path) {
            Ok(export) => Ok(PyFunction {
                shared: self.shared.clone(),
                export,
            }),
            Err(_) => {
                let known: Vec<_> = component
                    .exports
                    .iter()
                    .map(airssys_host::component::Function::path)
                    .collect();
                Err(unknown_export(py, path, &known))
            }
        }
    }

    /// What the instance has used so far: calls, CPU seconds, host calls, bytes of memory now and at most.
    fn usage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Usage {
            calls,
            cpu_nanos,
            host_calls,
            memory,
            memory_peak,
        } = self
            .shared
            .instance
            .with(|live| live.usage())
            .map_err(|error| explain(py, &self.shared.imports, "usage", error))?;
        let usage = PyDict::new(py);
        usage.set_item("calls", calls)?;
        usage.set_item(
            "cpu_seconds",
            std::time::Duration::from_nanos(cpu_nanos).as_secs_f64(),
        )?;
        usage.set_item("host_calls", host_calls)?;
        usage.set_item("memory", memory)?;
        usage.set_item("memory_peak", memory_peak)?;
        Ok(usage)
    }

    /// Free the store. A later call raises `InstancePoisoned`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let imports = &self.shared.imports;
        self.shared
            .instance
            .close()
            .map_err(|error| explain(py, imports, "close", error))?;
        imports.abandon(py);
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*error))]
    fn __exit__(&self, py: Python<'_>, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        match (self.close(py), error.get_item(0)) {
            // The block's own exception is the one to be seen.
            (Err(_), Ok(raised)) if !raised.is_none() => Ok(()),
            (result, _) => result,
        }
    }

    fn __repr__(&self) -> String {
        let state = match self.shared.instance.with(|_| ()) {
            Ok(()) => "idle".to_owned(),
            Err(error) => error.to_string(),
        };
        format!(
            "<Instance of {}: {state}>",
            self.shared.imports.described.component.contents.digest
        )
    }
}

/// An exported function of one instance.
#[pyclass(frozen, name = "Function", module = "airssys._core")]
pub struct PyFunction {
    shared: Arc<Shared>,
    export: usize,
}

impl PyFunction {
    fn path(&self) -> String {
        self.shared.imports.described.component.exports[self.export].path()
    }

    #[cold]
    fn explain(&self, py: Python<'_>, error: Error) -> PyErr {
        explain(py, &self.shared.imports, &self.path(), error)
    }

    fn arguments(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(Vec<Value>, Lent)> {
        let imports = &self.shared.imports;
        let signature = imports.described.export(py, self.export)?;
        imports
            .handles
            .converting(|| signature.arguments(args, kwargs, &imports.handles))
    }

    /// Give the store back and convert the result, or raise.
    fn conclude(
        &self,
        py: Python<'_>,
        lease: Lease<impl Deref<Target = Instance>>,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
        lent: Lent,
    ) -> PyResult<Py<PyAny>> {
        self.shared.imports.handles.end(lent);
        let value = if result.is_ok() {
            self.shared.settle(py, "", lease, live, result)?
        } else {
            self.shared.settle(py, &self.path(), lease, live, result)?
        };
        let imports = &self.shared.imports;
        Ok(imports
            .described
            .export(py, self.export)?
            .result(py, value, &imports.handles)?
            .unbind())
    }
}

#[pymethods]
impl PyFunction {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        runtime::ready().map_err(|error| self.explain(py, error))?;
        let (arguments, lent) = self.arguments(py, args, kwargs)?;
        let (live, lease) = match Instance::take(&*self.shared.instance) {
            Ok(taken) => taken,
            Err(error) => {
                self.shared.imports.handles.end(lent);
                return Err(self.explain(py, error));
            }
        };
        let call = Call::export(live, self.export, arguments);
        let (live, result) = crate::blocking::run(py, call, &self.shared.imports)?;
        self.conclude(py, lease, live, result, lent)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn call_async(
        slf: Bound<'_, Self>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Awaitable> {
        let py = slf.py();
        let this = slf.get();
        let (arguments, lent) = this.arguments(py, args, kwargs)?;
        let imports = this.shared.imports.clone();
        let function = slf.clone().unbind();
        Ok(Awaitable::new(
            imports,
            Box::new(move |py| {
                let this = function.get();
                runtime::ready().map_err(|error| this.explain(py, error))?;
                let (live, lease) = match Instance::take(this.shared.instance.clone()) {
                    Ok(taken) => taken,
                    Err(error) => {
                        this.shared.imports.handles.end(lent);
                        return Err(this.explain(py, error));
                    }
                };
                let call = Call::export(live, this.export, arguments);
                let conclude: Conclude = Box::new(move |py, live, result| {
                    function.get().conclude(py, lease, live, result, lent)
                });
                Ok((call, conclude))
            }),
        ))
    }

    /// What the function takes and gives, as in WIT.
    #[getter]
    fn signature(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self
            .shared
            .imports
            .described
            .export(py, self.export)?
            .text())
    }

    #[getter]
    fn __name__(&self) -> String {
        self.path()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Function {}>", self.signature(py)?))
    }
}
