//! Python functions that guests import. They run on the thread or event loop of the caller, attached, never on a
//! guest's stack; the guest's store knows them by position only.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use airssys_host::error::HostFunctionFailed;
use airssys_host::instance::{Reply, Request, Wanted};
use airssys_host::value::Value;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::component::Described;
use crate::handles::InstanceHandles;
use crate::source::Next;

/// What Python had for a guest.
pub enum Answer {
    Reply(Reply),
    /// Something to be awaited for the result, and what it is the result of.
    Awaitable(Py<PyAny>, Origin),
}

/// What a guest waits for.
#[derive(Clone, Copy)]
pub enum Origin {
    /// The function of an import.
    Function(usize),
    /// The next item of a source.
    Source(u32),
}

/// The functions and handles of one instance.
pub struct Imports {
    pub described: Arc<Described>,
    pub handles: InstanceHandles,
    /// By position in the component's imports.
    functions: Vec<Py<PyAny>>,
    /// The exception of Python that made the present call fail, and whose it is.
    failure: Mutex<Option<(&'static str, PyErr)>>,
}

/// Await in a blocking call: on an event loop of its own.
pub fn run_to_end(
    py: Python<'_>,
    awaitable: &Bound<'_, PyAny>,
    time_left: Duration,
) -> PyResult<Py<PyAny>> {
    Ok(py
        .import("airssys.wasm._awaiting")?
        .call_method1("run_to_end", (awaitable, time_left.as_secs_f64()))?
        .unbind())
}

impl Imports {
    pub fn new(described: Arc<Described>, functions: Vec<Py<PyAny>>) -> Arc<Self> {
        let handles = InstanceHandles::new(described.clone());
        Arc::new(Self {
            described,
            handles,
            functions,
            failure: Mutex::new(None),
        })
    }

    /// Call the function, or fetch the item, that `request` is for.
    ///
    /// # Errors
    /// An exception that is not an `Exception` (`KeyboardInterrupt`, `CancelledError`): the call is to be dropped.
    pub fn invoke(&self, py: Python<'_>, request: Request) -> PyResult<Answer> {
        let (import, arguments) = match request.wanted {
            Wanted::Call { import, arguments } => (import, arguments),
            Wanted::Item { source } => return self.fetch(py, source),
        };
        let called = self.call(py, import, arguments);
        let origin = Origin::Function(import);
        if let Ok(result) = &called
            && is_awaitable(result)?
            && (!self.described.import(py, import)?.gives_a_future()
                || is_coroutine_function(self.functions[import].bind(py))?)
        {
            return Ok(Answer::Awaitable(result.clone().unbind(), origin));
        }
        self.finish(py, origin, called.map(Bound::unbind))
            .map(Answer::Reply)
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        import: usize,
        arguments: Vec<Value>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let signature = self.described.import(py, import)?;
        let arguments = signature.host_arguments(py, arguments, &self.handles)?;
        self.functions[import].bind(py).call1(arguments)
    }

    fn fetch(&self, py: Python<'_>, number: u32) -> PyResult<Answer> {
        let origin = Origin::Source(number);
        let Some(source) = self.handles.source(number) else {
            return Ok(Answer::Reply(Ok(None)));
        };
        let came = match source.fetch(py) {
            Ok(Next::Item(item)) => return Ok(Answer::Reply(Ok(item))),
            Ok(Next::Awaitable(awaitable)) => return Ok(Answer::Awaitable(awaitable, origin)),
            Ok(Next::Came(came)) => came,
            Err(error) => Err(error),
        };
        self.finish(py, origin, came).map(Answer::Reply)
    }

    /// Turn what a function or a source gave or raised into the answer for the guest.
    ///
    /// # Errors
    /// As [`Imports::invoke`].
    pub fn finish(
        &self,
        py: Python<'_>,
        origin: Origin,
        outcome: PyResult<Py<PyAny>>,
    ) -> PyResult<Reply> {
        let converted = self.handles.converting(|| match origin {
            Origin::Function(import) => {
                let signature = self.described.import(py, import)?;
                let outcome = outcome.map(|object| object.into_bound(py));
                signature.host_result(py, outcome, &self.handles)
            }
            Origin::Source(number) => match self.handles.source(number) {
                Some(source) => source.finish(py, outcome, &self.handles),
                None => Ok(None),
            },
        });
        match converted {
            Ok((value, _)) => Ok(Ok(value)),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                let whose = match origin {
                    Origin::Function(import) => {
                        let path = self.described.component.imports[import].path();
                        error.value(py).call_method1(
                            "add_note",
                            (format!("in the host function for the import '{path}'"),),
                        )?;
                        "a host function"
                    }
                    Origin::Source(_) => "a stream or future of the host",
                };
                *self.failure.lock().expect("no code under this lock panics") =
                    Some((whose, error));
                Ok(Err(HostFunctionFailed))
            }
            Err(error) => Err(error),
        }
    }

    /// The exception behind [`airssys_host::error::Error::HostFunction`].
    pub fn take_failure(&self) -> Option<(&'static str, PyErr)> {
        self.failure
            .lock()
            .expect("no code under this lock panics")
            .take()
    }

    /// Drop the Python objects of host resources that the guest dropped.
    pub fn collect_dropped(&self, py: Python<'_>, link: &airssys_host::instance::Link) {
        for (_, representation) in link.take_dropped() {
            drop(
                self.handles
                    .take(representation)
                    .map(|object| object.into_bound(py)),
            );
        }
    }
}

/// Whether what the function returns is to be awaited for its result, rather than be the result: a future.
fn is_coroutine_function(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    function
        .py()
        .import("inspect")?
        .call_method1("iscoroutinefunction", (function,))?
        .extract()
}

fn is_awaitable(result: &Bound<'_, PyAny>) -> PyResult<bool> {
    if result.is_none() {
        return Ok(false);
    }
    result
        .get_type()
        .hasattr(pyo3::intern!(result.py(), "__await__"))
}
