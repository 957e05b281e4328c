//! Python functions that guests import. They run on the thread or event loop of the caller, attached, never on a
//! guest's stack; the guest's store knows them by position only.

use std::sync::{Arc, Mutex};

use airssys_host::error::HostFunctionFailed;
use airssys_host::gate::callers::Callers as HostCallers;
use airssys_host::instance::{Call, Link, Reply, Request, Wanted};
use airssys_host::value::Value;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::apart::{Delivery, Tasks};
use crate::callers::{self, Callers};
use crate::component::Described;
use crate::deadline::KillWatch;
use crate::handles::InstanceHandles;
use crate::objects::Numbers;
use crate::source::Next;

/// What Python had for a guest.
pub enum Answer {
    Reply(Reply),
    /// Something to be awaited for the result, and what it is the result of.
    Awaitable(Py<PyAny>, Origin),
    /// Nothing yet: a task of its own will answer.
    Apart,
}

/// Who runs Python for a guest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A thread, which blocks.
    Thread,
    /// A task of an event loop.
    Loop,
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
    pub handles: Arc<InstanceHandles>,
    /// By position in the component's imports.
    functions: Vec<Py<PyAny>>,
    /// The exception of Python that made the present call fail, and whose it is.
    failure: Mutex<Option<(&'static str, PyErr)>>,
    /// Functions and awaitables that run while the guest waits for them.
    pub tasks: Tasks,
    /// For whom functions work, by the number of the chain for which the instance acts.
    served: Mutex<Option<(u64, Py<Callers>)>>,
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
            tasks: Tasks::default(),
            served: Mutex::default(),
        })
    }

    /// Call the function, or fetch the item, that `request`, taken from `link`, is for.
    ///
    /// # Errors
    /// An exception that is not an `Exception` (`KeyboardInterrupt`, `CancelledError`): the call is to be dropped.
    pub fn invoke(
        self: &Arc<Self>,
        py: Python<'_>,
        caller: Caller,
        link: &Arc<Link>,
        request: Request,
    ) -> PyResult<Answer> {
        self.handles.join(link);
        self.collect_dropped(py, link);
        let id = request.id;
        let (import, arguments) = match request.wanted {
            Wanted::Call { import, arguments } => (import, arguments),
            Wanted::Item { source } => return self.fetch(py, caller, link, id, source),
        };
        let callers = self.callers(py, link)?;
        let called = match &callers {
            Some(callers) => callers::during(py, callers.clone_ref(py), || {
                self.call(py, import, arguments)
            }),
            None => self.call(py, import, arguments),
        };
        let origin = Origin::Function(import);
        if let Ok(result) = &called
            && is_awaitable(result)
            && (!self.described.import(py, import)?.gives_a_future()
                || is_coroutine_function(self.functions[import].bind(py))?)
        {
            let awaitable = match callers {
                Some(callers) => py
                    .import("airssys.wasm._awaiting")?
                    .call_method1("served_for", (callers, result))?
                    .unbind(),
                None => result.clone().unbind(),
            };
            if caller == Caller::Loop && self.described.import(py, import)?.takes_streams() {
                // It may read what the guest writes meanwhile.
                return self.start(py, &awaitable, link, id, origin);
            }
            return Ok(Answer::Awaitable(awaitable, origin));
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
        let arguments = signature.host_arguments(py, arguments, &*self.handles)?;
        self.functions[import].bind(py).call1(arguments)
    }

    /// For whom a function works that the store behind `link` calls; nobody where no rules decide.
    fn callers(&self, py: Python<'_>, link: &Link) -> PyResult<Option<Py<Callers>>> {
        let Some(owner) = link.owner() else {
            return Ok(None);
        };
        let number = owner.acting.number();
        let mut served = self.served.lock().expect("no code under this lock panics");
        if let Some((known, callers)) = &*served
            && *known == number
        {
            return Ok(Some(callers.clone_ref(py)));
        }
        let chain = HostCallers::with(owner.acting.callers().as_ref(), &owner.principal);
        let callers = Callers::new(chain, Some(owner.principal.clone())).of(owner.authority);
        let callers = Py::new(py, callers)?;
        *served = Some((number, callers.clone_ref(py)));
        Ok(Some(callers))
    }

    fn delivery(
        self: &Arc<Self>,
        py: Python<'_>,
        link: &Arc<Link>,
        id: u64,
        origin: Origin,
    ) -> PyResult<Py<Delivery>> {
        let (imports, link) = (self.clone(), link.clone());
        Py::new(
            py,
            Delivery {
                imports,
                link,
                id,
                origin,
            },
        )
    }

    /// Await on the running event loop for the answer to request `id` of `link`.
    ///
    /// # Errors
    /// `RuntimeError` without a running event loop.
    pub fn start(
        self: &Arc<Self>,
        py: Python<'_>,
        awaitable: &Py<PyAny>,
        link: &Arc<Link>,
        id: u64,
        origin: Origin,
    ) -> PyResult<Answer> {
        let delivery = self.delivery(py, link, id, origin)?;
        self.tasks.start(py, awaitable, delivery)?;
        Ok(Answer::Apart)
    }

    fn fetch(
        self: &Arc<Self>,
        py: Python<'_>,
        caller: Caller,
        link: &Arc<Link>,
        id: u64,
        number: u32,
    ) -> PyResult<Answer> {
        let origin = Origin::Source(number);
        let Some(source) = self.handles.source(number) else {
            return Ok(Answer::Reply(Ok(None)));
        };
        let began = match (source.fetch(py), caller) {
            (Next::Item(item), _) => return Ok(Answer::Reply(Ok(item))),
            (Next::Came(came), _) => came,
            (Next::Awaitable(awaitable), Caller::Thread) => {
                return Ok(Answer::Awaitable(awaitable, origin));
            }
            (Next::Awaitable(awaitable), Caller::Loop) => {
                return self.start(py, &awaitable, link, id, origin);
            }
            (Next::Async, Caller::Thread) => Err(PyTypeError::new_err(
                "an async iterable reached a blocking call, which has no event loop that it could go on with; \
                 use `await function.call_async(...)`, or give a plain iterable",
            )),
            (Next::Async, Caller::Loop) => {
                let delivery = self.delivery(py, link, id, origin)?;
                match source.want(py, delivery) {
                    Ok(()) => return Ok(Answer::Apart),
                    Err(error) => Err(error),
                }
            }
        };
        self.finish(py, origin, began).map(Answer::Reply)
    }

    /// The store is gone: let go of what its guest held, and stop what runs for it.
    pub fn abandon(&self) {
        self.handles.clear();
        // Of a call that something else ended before it could be told.
        drop(self.take_failure());
        if self.tasks.is_idle() && !self.handles.has_sources() {
            return;
        }
        // Where Python cannot run any more, its tasks have ended.
        Python::try_attach(|py| {
            self.tasks.cancel(py);
            self.handles.release_all(py);
        });
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
                signature.host_result(py, outcome, &*self.handles)
            }
            Origin::Source(number) => match self.handles.source(number) {
                Some(source) => source.finish(py, outcome, &*self.handles),
                None => Ok(None),
            },
        });
        match converted {
            Ok((value, mut given)) => {
                given.begun();
                Ok(Ok(value))
            }
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

/// Whether what the function returns is to be awaited for its result, rather than be the result: a future.
fn is_coroutine_function(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    function
        .py()
        .import("inspect")?
        .call_method1("iscoroutinefunction", (function,))?
        .extract()
}

fn is_awaitable(result: &Bound<'_, PyAny>) -> bool {
    // The attribute would be looked up by making and dropping an `AttributeError` for every plain result.
    // SAFETY: the type is alive as long as its object; since 3.10 any type may be asked for its slots.
    let slot = unsafe { pyo3::ffi::PyType_GetSlot(result.get_type_ptr(), pyo3::ffi::Py_am_await) };
    !slot.is_null()
}
