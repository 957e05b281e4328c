//! Python functions that guests import. They run on the thread or event loop of the caller, attached, never on a
//! guest's stack; the guest's store knows them by position only.

use std::sync::{Arc, Mutex};

use airssys_host::error::HostFunctionFailed;
use airssys_host::instance::{Call, Link, Reply, Request};
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::component::Described;
use crate::deadline::KillWatch;
use crate::handles::InstanceHandles;
use crate::objects::Numbers;

/// What a Python function gave.
pub enum Answer {
    Reply(Reply),
    /// Something to be awaited for the result, and the import it is for.
    Awaitable(Py<PyAny>, usize),
}

/// The functions and handles of one instance.
pub struct Imports {
    pub described: Arc<Described>,
    pub handles: Arc<InstanceHandles>,
    /// By position in the component's imports.
    functions: Vec<Py<PyAny>>,
    /// The exception of the host function that made the present call fail.
    failure: Mutex<Option<PyErr>>,
}

/// Await in a blocking call: on an event loop of its own, for as long as the call may go on.
pub fn run_to_end(
    py: Python<'_>,
    awaitable: &Bound<'_, PyAny>,
    call: &Call,
) -> PyResult<Py<PyAny>> {
    let seconds = call.time_left().as_secs_f64();
    Ok(py
        .import("airssys.wasm._awaiting")?
        .call_method1("run_to_end", (awaitable, seconds, KillWatch::of(call)))?
        .unbind())
}

impl Imports {
    pub fn new(described: Arc<Described>, functions: Vec<Py<PyAny>>) -> Arc<Self> {
        Self::numbered(described, functions, Arc::default())
    }

    /// For one call of many that take turns with instances: they share the numbers of what guests hold.
    pub fn numbered(
        described: Arc<Described>,
        functions: Vec<Py<PyAny>>,
        numbers: Arc<Numbers>,
    ) -> Arc<Self> {
        let handles = InstanceHandles::new(described.clone(), numbers);
        Arc::new(Self {
            described,
            handles: Arc::new(handles),
            functions,
            failure: Mutex::new(None),
        })
    }

    /// Call the function that `request`, taken from `link`, is for.
    ///
    /// # Errors
    /// An exception that is not an `Exception` (`KeyboardInterrupt`, `CancelledError`): the call is to be dropped.
    pub fn invoke(&self, py: Python<'_>, link: &Link, request: Request) -> PyResult<Answer> {
        self.handles.join(link);
        self.collect_dropped(py, link);
        let import = request.import;
        let called = self.call(py, request);
        if let Ok(result) = &called
            && is_awaitable(result)
        {
            return Ok(Answer::Awaitable(result.clone().unbind(), import));
        }
        self.finish(py, import, called.map(Bound::unbind))
            .map(Answer::Reply)
    }

    fn call<'py>(&self, py: Python<'py>, request: Request) -> PyResult<Bound<'py, PyAny>> {
        let signature = self.described.import(py, request.import)?;
        let arguments = signature.host_arguments(py, request.arguments, &*self.handles)?;
        self.functions[request.import].bind(py).call1(arguments)
    }

    /// Turn what a function returned or raised into the answer for the guest.
    ///
    /// # Errors
    /// As [`Imports::invoke`].
    pub fn finish(
        &self,
        py: Python<'_>,
        import: usize,
        outcome: PyResult<Py<PyAny>>,
    ) -> PyResult<Reply> {
        let signature = self.described.import(py, import)?;
        let outcome = outcome.map(|object| object.into_bound(py));
        let converted = self
            .handles
            .converting(|| signature.host_result(py, outcome, &*self.handles));
        match converted {
            Ok((value, mut given)) => {
                given.begun();
                Ok(Ok(value))
            }
            Err(error) if error.is_instance_of::<PyException>(py) => {
                let path = self.described.component.imports[import].path();
                error.value(py).call_method1(
                    "add_note",
                    (format!("in the host function for the import '{path}'"),),
                )?;
                *self.failure.lock().expect("no code under this lock panics") = Some(error);
                Ok(Err(HostFunctionFailed))
            }
            Err(error) => Err(error),
        }
    }

    /// The exception behind [`airssys_host::error::Error::HostFunction`].
    pub fn take_failure(&self) -> Option<PyErr> {
        self.failure
            .lock()
            .expect("no code under this lock panics")
            .take()
    }

    /// Show what is held here to the garbage collector; for the one object of Python that owns this.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.functions
            .iter()
            .try_for_each(|function| visit.call(function))?;
        self.handles.traverse(visit)
    }

    /// Drop the Python objects of host resources that the guest dropped.
    pub fn collect_dropped(&self, py: Python<'_>, link: &Link) {
        if self.described.component.resources.is_empty() {
            return;
        }
        for (_, representation) in link.take_dropped() {
            drop(
                self.handles
                    .take(representation)
                    .map(|object| object.into_bound(py)),
            );
        }
    }
}

fn is_awaitable(result: &Bound<'_, PyAny>) -> bool {
    // The attribute would be looked up by making and dropping an `AttributeError` for every plain result.
    // SAFETY: the type is alive as long as its object; since 3.10 any type may be asked for its slots.
    let slot = unsafe { pyo3::ffi::PyType_GetSlot(result.get_type_ptr(), pyo3::ffi::Py_am_await) };
    !slot.is_null()
}
