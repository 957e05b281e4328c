//! Streams and futures of guests in Python's hands: `airssys.wasm.streams` makes iterators and awaitables of these.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use airssys_host::instance::{Abandoned, Call, End, Front, Incoming, Link, Live, Progress};
use airssys_host::value::{Type, Value};
use pyo3::exceptions::{PyStopAsyncIteration, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::awaiting::{Awaitable, Conclude};
use crate::bridge::{LoopBridge, Mailbag};
use crate::convert::Carried;
use crate::instance::{Hold, PyInstance, Shared, explain};
use crate::runtime;

/// The host's end of a guest's stream or future.
#[pyclass(frozen, name = "Incoming", module = "airssys._core")]
pub struct PyIncoming {
    incoming: Arc<Incoming>,
    carried: Arc<Carried>,
    shared: Arc<Shared>,
    /// What owns `shared`.
    owner: Py<PyInstance>,
}

impl PyIncoming {
    pub fn new(
        value: Value,
        carried: &Arc<Carried>,
        (shared, owner): (Arc<Shared>, Py<PyInstance>),
        link: Arc<Link>,
    ) -> PyResult<Self> {
        let incoming = match (value, &carried.ty) {
            (Value::Incoming(incoming), _) => incoming,
            (Value::Stream(any), Type::Stream(element)) => {
                Incoming::new(End::Stream(*any), element.clone(), link)
            }
            (Value::Future(any), Type::Future(element)) => {
                Incoming::new(End::Future(*any), element.clone(), link)
            }
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "a guest gave something else than the {} that its type says",
                    carried.ty
                )));
            }
        };
        Ok(Self {
            incoming,
            carried: carried.clone(),
            shared,
            owner,
        })
    }

    /// The stream or future itself, to be given back to the guest it came from. `None` if it is another instance's,
    /// of another type, or was read from: it crosses item by item then.
    pub fn give_back(
        &self,
        shared: &Arc<Shared>,
        carried: &Carried,
    ) -> Option<(Arc<Incoming>, End)> {
        if Arc::ptr_eq(&self.shared, shared)
            && self.carried.ty.to_string() == carried.ty.to_string()
        {
            self.incoming
                .give_up()
                .map(|end| (self.incoming.clone(), end))
        } else {
            None
        }
    }

    fn reading(&self) -> String {
        format!("read of {}", self.carried.ty)
    }

    fn forget(&self) -> bool {
        let (open, end) = self.incoming.close();
        if let Some(end) = end {
            self.shared.instance.drop_later(Abandoned::End(end));
        }
        open
    }

    /// Run the first slice of a call of the instance. What is left of it is to be awaited.
    fn begin(
        &self,
        py: Python<'_>,
        begin: impl FnOnce(Box<Live>) -> Call,
    ) -> PyResult<Option<Awaitable>> {
        let shared = &self.shared;
        let explained = |error| explain(py, &shared.imports, &self.reading(), error);
        runtime::ready().map_err(explained)?;
        let (live, hold) =
            Hold::take(shared.instance.clone(), shared.imports.clone()).map_err(explained)?;
        let mut call = begin(live);
        let reading = self.reading();
        if let Progress::Done(live, result) =
            call.slice(&mut Context::from_waker(Waker::noop()), false)
        {
            hold.settle(py, &reading, live, result)?;
            return Ok(None);
        }
        let conclude: Conclude = Box::new(move |py, live, result| {
            hold.settle(py, &reading, live, result)?;
            Ok(py.None())
        });
        Ok(Some(Awaitable::new(
            shared.imports.clone(),
            Some(self.owner.clone_ref(py)),
            Box::new(move |_| Ok((call, conclude))),
        )))
    }

    fn run(&self, py: Python<'_>, call: impl FnOnce(Box<Live>) -> Call) -> PyResult<()> {
        self.owner.get().run(py, &self.reading(), call).map(drop)
    }
}

#[pymethods]
impl PyIncoming {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)
    }

    /// Take what the guest wrote and nobody took: an item, or `...` if there is none. Raises `StopAsyncIteration` at
    /// the end.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.incoming.take() {
            Front::Item(value) => self
                .carried
                .object(py, value, &*self.shared.imports.handles)
                .map(Bound::unbind),
            Front::Nothing => Ok(py.Ellipsis()),
            Front::End => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    /// Run the instance until there is something to take, or the read is interrupted: one slice at once, and the rest
    /// when the result is awaited, unless there is none.
    fn read(&self, py: Python<'_>) -> PyResult<Option<Awaitable>> {
        self.begin(py, |live| Call::read(live, self.incoming.clone()))
    }

    /// A future of the running event loop that is done when whoever runs the instance has brought something, or
    /// nobody runs it.
    fn arrival(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (bridge, event_loop) = LoopBridge::running(py)?;
        let (token, future, mailbag) = bridge.get().expect(&event_loop)?;
        let waker = Waker::from(Arc::new(Arrival { mailbag, token }));
        self.incoming.watch(waker.clone());
        self.shared.instance.watch(waker);
        Ok(future)
    }

    /// The same as `read`, blocking.
    fn read_blocking(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |live| Call::read(live, self.incoming.clone()))
    }

    /// Let the read that is under way end without an item, as soon as the guest waits.
    fn interrupt(&self) {
        self.incoming.interrupt();
    }

    /// Read no more. True if there is a guest that could still write, and has not learnt of it.
    fn close(&self) -> bool {
        self.forget()
    }

    /// Run the instance until the guest has learnt what was closed; as `read`.
    fn settle(&self, py: Python<'_>) -> PyResult<Option<Awaitable>> {
        self.begin(py, Call::settle)
    }

    /// The same, blocking.
    fn settle_blocking(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, Call::settle)
    }

    /// The type, as in WIT.
    #[getter]
    fn wit(&self) -> String {
        self.carried.ty.to_string()
    }
}

/// Reports to an event loop.
struct Arrival {
    mailbag: Arc<Mailbag>,
    token: u64,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.mailbag.finish(self.token);
    }
}

impl Drop for PyIncoming {
    fn drop(&mut self) {
        self.forget();
    }
}
