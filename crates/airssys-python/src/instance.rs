//! `Instance` and `Function`.

use std::ops::Deref;
use std::sync::Arc;

use airssys_host::error::Error;
use airssys_host::instance::{Call, Instance, Lease, Live, Usage};
use airssys_host::value::Value;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyWeakrefReference};

use crate::awaiting::{Awaitable, Conclude};
use crate::callers;
use crate::errors::{About, host_function_failed, raise, unknown_export};
use crate::handles::Lent;
use crate::imports::Imports;
use crate::runtime::{self, Inside};

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
        self.imports.abandon();
    }
}

/// A call's hold on the instance. Dropped without an end the call was abandoned: its store is gone, and what its
/// guest held with it.
pub struct Hold<I: Deref<Target = Instance>, M: Deref<Target = Imports>> {
    lease: Option<Lease<I>>,
    imports: M,
}

impl<I: Deref<Target = Instance>, M: Deref<Target = Imports>> Hold<I, M> {
    /// Take the store for a call.
    ///
    /// # Errors
    /// As [`Instance::take`].
    pub fn take(instance: I, imports: M) -> Result<(Box<Live>, Self), Error> {
        let (live, lease) = Instance::take(instance)?;
        let lease = Some(lease);
        Ok((live, Self { lease, imports }))
    }

    /// Give the store back or say why it is gone, and make an exception of an error.
    ///
    /// # Errors
    /// The exception.
    pub fn settle(
        mut self,
        py: Python<'_>,
        call: &str,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
    ) -> PyResult<Option<Value>> {
        match result {
            Ok(value) => {
                self.imports.handles.release_sources(py);
                if let Some(live) = live {
                    self.imports.collect_dropped(py, &live.link);
                    if let Some(lease) = self.lease.take() {
                        lease.give_back(live);
                    }
                }
                Ok(value)
            }
            Err(error) => {
                let error = explain(py, &self.imports, call, error);
                if let Some(lease) = self.lease.take() {
                    lease.poison(format!("an earlier call ended with {}", error.value(py)));
                }
                self.imports.abandon();
                Err(error)
            }
        }
    }
}

impl<I: Deref<Target = Instance>, M: Deref<Target = Imports>> Drop for Hold<I, M> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            drop(lease);
            self.imports.abandon();
        }
    }
}

/// The exception for what a call of this component came to.
pub fn explain(py: Python<'_>, imports: &Imports, call: &str, error: Error) -> PyErr {
    let about = About {
        component: &imports.described.component.contents.digest,
        call,
    };
    // Only the call that failed takes what it failed with: another may be told at the same time that the instance
    // is busy.
    if let Error::HostFunction = error
        && let Some((whose, cause)) = imports.take_failure()
    {
        return host_function_failed(py, whose, cause, about);
    }
    raise(py, error, about)
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
        let (live, hold) = Hold::take(&*shared.instance, &*shared.imports).map_err(explained)?;
        let _inside = Inside::new(py);
        let (live, result) = crate::blocking::run(py, begin(live), &shared.imports)?;
        hold.settle(py, call, live, result)
    }
}

#[pymethods]
impl PyInstance {
    /// An exported function: `add`, or `demo:calc/ops#add` for an interface's.
    fn __getitem__(slf: &Bound<'_, Self>, path: &str) -> PyResult<PyFunction> {
        let shared = &slf.get().shared;
        let component = &shared.imports.described.component;
        match component.export(path) {
            Ok(export) => Ok(PyFunction {
                shared: shared.clone(),
                owner: slf.clone().unbind(),
                export,
            }),
            Err(_) => {
                let known: Vec<_> = component
                    .exports
                    .iter()
                    .map(airssys_host::component::Function::path)
                    .collect();
                Err(unknown_export(slf.py(), path, &known))
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
        self.shared
            .instance
            .close()
            .map_err(|error| explain(py, &self.shared.imports, "close", error))?;
        self.shared.imports.abandon();
        Ok(())
    }

    /// Functions and awaitables share what this owns, and hold this.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.shared.imports.traverse(&visit)
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
    owner: Py<PyInstance>,
    export: usize,
}

impl Shared {
    fn path(&self, export: usize) -> String {
        self.imports.described.component.exports[export].path()
    }

    #[cold]
    fn explain(&self, py: Python<'_>, export: usize, error: Error) -> PyErr {
        explain(py, &self.imports, &self.path(export), error)
    }

    fn arguments(
        &self,
        py: Python<'_>,
        export: usize,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(Vec<Value>, Lent)> {
        let imports = &self.imports;
        let signature = imports.described.export(py, export)?;
        imports
            .handles
            .converting(|| signature.arguments(args, kwargs, &*imports.handles))
    }

    /// Give the store back and convert the result, or raise.
    fn conclude(
        &self,
        py: Python<'_>,
        export: usize,
        hold: Hold<impl Deref<Target = Instance>, impl Deref<Target = Imports>>,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
    ) -> PyResult<Py<PyAny>> {
        let value = if result.is_ok() {
            hold.settle(py, "", live, result)?
        } else {
            hold.settle(py, &self.path(export), live, result)?
        };
        let imports = &self.imports;
        Ok(imports
            .described
            .export(py, export)?
            .result(py, value, &*imports.handles)?
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
        let (shared, export) = (&*self.shared, self.export);
        let explain = |error| shared.explain(py, export, error);
        runtime::ready().map_err(explain)?;
        let (arguments, mut lent) = shared.arguments(py, export, args, kwargs)?;
        let (live, hold) = Hold::take(&*shared.instance, &*shared.imports).map_err(explain)?;
        lent.begun();
        live.act_for(callers::present(py)?.as_ref());
        let call = Call::export(live, export, arguments);
        let _inside = Inside::new(py);
        let (live, result) = crate::blocking::run(py, call, &shared.imports)?;
        drop(lent);
        shared.conclude(py, export, hold, live, result)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn call_async(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Awaitable> {
        let (shared, export) = (self.shared.clone(), self.export);
        let (arguments, mut lent) = shared.arguments(py, export, args, kwargs)?;
        let callers = callers::present(py)?;
        Ok(Awaitable::new(
            shared.imports.clone(),
            Some(self.owner.clone_ref(py)),
            Box::new(move |py| {
                let explain = |error| shared.explain(py, export, error);
                runtime::ready().map_err(explain)?;
                let (live, hold) =
                    Hold::take(shared.instance.clone(), shared.imports.clone()).map_err(explain)?;
                lent.begun();
                live.act_for(callers.as_ref());
                let call = Call::export(live, export, arguments);
                let conclude: Conclude = Box::new(move |py, live, result| {
                    drop(lent);
                    shared.conclude(py, export, hold, live, result)
                });
                Ok((call, conclude))
            }),
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)
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
        self.shared.path(self.export)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Function {}>", self.signature(py)?))
    }
}
