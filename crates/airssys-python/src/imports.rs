//! Python functions that guests import. They run on the thread or event loop of the caller, attached, never on a
//! guest's stack; the guest's store knows them by position only.

use std::sync::{Arc, Mutex};

use airssys_host::component::Component;
use airssys_host::error::HostFunctionFailed;
use airssys_host::instance::{Reply, Request};
use airssys_host::value::{Type, Value};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::convert::Types;

/// What a Python function gave.
pub enum Answer {
    Reply(Reply),
    /// Something to be awaited for the result, and the import it is for.
    Awaitable(Py<PyAny>, usize),
}

/// The functions provided to one instance.
pub struct Imports {
    pub component: Arc<Component>,
    pub types: Arc<Types>,
    /// By position in `component.imports`.
    functions: Vec<Py<PyAny>>,
    /// The exception of the host function that made the present call fail.
    failure: Mutex<Option<PyErr>>,
}

fn wit_error(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CLASS.get_or_try_init(py, || Ok(py.import("airssys.wasm.values")?.getattr("WitError")?.unbind())).map(|class| class.bind(py))
}

/// Await in a blocking call: on an event loop of its own.
pub fn run_to_end(py: Python<'_>, awaitable: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    Ok(py.import("airssys.wasm._awaiting")?.call_method1("run_to_end", (awaitable,))?.unbind())
}

impl Imports {
    pub fn new(component: Arc<Component>, types: Arc<Types>, functions: Vec<Py<PyAny>>) -> Self {
        Self { component, types, functions, failure: Mutex::new(None) }
    }

    /// Call the function that `request` is for.
    ///
    /// # Errors
    /// An exception that is not an `Exception` (`KeyboardInterrupt`, `CancelledError`): the call is to be dropped.
    pub fn invoke(&self, py: Python<'_>, request: Request) -> PyResult<Answer> {
        let import = request.import;
        let called = self.call(py, request);
        if let Ok(result) = &called
            && is_awaitable(result.bind(py))?
        {
            return Ok(Answer::Awaitable(result.clone_ref(py), import));
        }
        self.finish(py, import, called).map(Answer::Reply)
    }

    fn call(&self, py: Python<'_>, request: Request) -> PyResult<Py<PyAny>> {
        let ty = &self.component.imports[request.import].ty;
        let mut arguments = Vec::with_capacity(request.arguments.len());
        for (field, value) in ty.params.iter().zip(request.arguments) {
            arguments.push(self.types.from_value(py, &field.ty, value)?);
        }
        self.functions[request.import].call1(py, PyTuple::new(py, arguments)?)
    }

    /// Turn what a function returned or raised into the answer for the guest.
    ///
    /// # Errors
    /// As [`Imports::invoke`].
    pub fn finish(&self, py: Python<'_>, import: usize, outcome: PyResult<Py<PyAny>>) -> PyResult<Reply> {
        let function = &self.component.imports[import];
        let converted = match outcome {
            Ok(result) => self.returned(py, function.ty.result.as_ref(), result.bind(py)),
            Err(error) => self.raised(py, function.ty.result.as_ref(), error),
        };
        match converted {
            Ok(value) => Ok(Ok(value)),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                if let Ok(note) = error.value(py).getattr("add_note") {
                    note.call1((format!("in the host function for the import '{}'", function.path()),))?;
                }
                *self.failure.lock().expect("no code under this lock panics") = Some(error);
                Ok(Err(HostFunctionFailed))
            }
            Err(error) => Err(error),
        }
    }

    fn returned(&self, py: Python<'_>, ty: Option<&Type>, result: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
        match ty {
            None => Ok(None),
            Some(Type::Result(ty)) => {
                let ok = ty.ok.as_ref().map(|ty| self.types.to_value(py, ty, result, "result")).transpose()?;
                Ok(Some(Value::Result(Ok(ok.map(Box::new)))))
            }
            Some(ty) => self.types.to_value(py, ty, result, "result").map(Some),
        }
    }

    fn raised(&self, py: Python<'_>, ty: Option<&Type>, error: PyErr) -> PyResult<Option<Value>> {
        match ty {
            Some(Type::Result(ty)) if error.matches(py, wit_error(py)?)? => {
                let value = error.value(py).getattr("value")?;
                let err = ty.err.as_ref().map(|ty| self.types.to_value(py, ty, &value, "error")).transpose()?;
                Ok(Some(Value::Result(Err(err.map(Box::new)))))
            }
            _ => Err(error),
        }
    }

    /// The exception behind [`airssys_host::error::Error::HostFunction`].
    pub fn take_failure(&self) -> Option<PyErr> {
        self.failure.lock().expect("no code under this lock panics").take()
    }
}

fn is_awaitable(result: &Bound<'_, PyAny>) -> PyResult<bool> {
    if result.is_none() {
        return Ok(false);
    }
    result.get_type().hasattr("__await__")
}
