//! Streams and futures of guests in Python's hands: `airssys.wasm.streams` makes iterators and awaitables of these.

use std::sync::Arc;

use airssys_host::instance::{Abandoned, Call, End, Front, Incoming, Instance};
use airssys_host::value::{Type, Value};
use pyo3::exceptions::{PyStopAsyncIteration, PyTypeError};
use pyo3::prelude::*;

use crate::awaiting::{Awaitable, Conclude};
use crate::convert::Carried;
use crate::instance::{Shared, explain};
use crate::runtime;

/// The host's end of a guest's stream or future.
#[pyclass(frozen, name = "Incoming", module = "airssys._core")]
pub struct PyIncoming {
    incoming: Arc<Incoming>,
    carried: Arc<Carried>,
    shared: Arc<Shared>,
}

impl PyIncoming {
    pub fn new(
        value: Value,
        carried: &Arc<Carried>,
        shared: Arc<Shared>,
        link: Arc<airssys_host::instance::Link>,
    ) -> PyResult<Self> {
        let (end, element) = match (value, &carried.ty) {
            (Value::Stream(any), Type::Stream(element)) => (End::Stream(*any), element),
            (Value::Future(any), Type::Future(element)) => (End::Future(*any), element),
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "a guest gave something else than the {} that its type says",
                    carried.ty
                )));
            }
        };
        Ok(Self {
            incoming: Incoming::new(end, element.clone(), link),
            carried: carried.clone(),
            shared,
        })
    }

    /// The stream or future itself, to be given back to the guest it came from. `None` if it is another instance's.
    ///
    /// # Errors
    /// `TypeError` if it was read from, given away or closed, or has another type.
    pub fn give_back(
        &self,
        shared: &Arc<Shared>,
        carried: &Carried,
    ) -> PyResult<Option<(Arc<Incoming>, Value)>> {
        if !Arc::ptr_eq(&self.shared, shared) {
            return Ok(None);
        }
        if self.carried.ty.to_string() != carried.ty.to_string() {
            return Err(PyTypeError::new_err(format!(
                "expected {}, got a {} of the guest",
                carried.ty, self.carried.ty
            )));
        }
        match self.incoming.give_up() {
            Some(End::Stream(any)) => {
                Ok(Some((self.incoming.clone(), Value::Stream(Box::new(any)))))
            }
            Some(End::Future(any)) => {
                Ok(Some((self.incoming.clone(), Value::Future(Box::new(any)))))
            }
            None => Err(PyTypeError::new_err(format!(
                "this {} was read from, closed or given away; it cannot be given back to its own instance",
                carried.ty
            ))),
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

    fn begin(
        slf: Bound<'_, Self>,
        call: impl FnOnce(&Self, Box<airssys_host::instance::Live>) -> Call + Send + 'static,
    ) -> Awaitable {
        let this = slf.get();
        let imports = this.shared.imports.clone();
        let object = slf.unbind();
        Awaitable::new(
            imports,
            Box::new(move |py| {
                let this = object.get();
                let explained = |error| explain(py, &this.shared.imports, &this.reading(), error);
                runtime::ready().map_err(explained)?;
                let (live, lease) =
                    Instance::take(this.shared.instance.clone()).map_err(explained)?;
                let call = call(this, live);
                let conclude: Conclude = Box::new(move |py, live, result| {
                    let this = object.get();
                    this.shared
                        .settle(py, &this.reading(), lease, live, result)?;
                    Ok(py.None())
                });
                Ok((call, conclude))
            }),
        )
    }

    fn run(
        &self,
        py: Python<'_>,
        call: impl FnOnce(Box<airssys_host::instance::Live>) -> Call,
    ) -> PyResult<()> {
        let shared = &self.shared;
        let explained = |error| explain(py, &shared.imports, &self.reading(), error);
        runtime::ready().map_err(explained)?;
        let (live, lease) = Instance::take(&*shared.instance).map_err(explained)?;
        let (live, result) = crate::blocking::run(py, call(live), &shared.imports)?;
        shared
            .settle(py, &self.reading(), lease, live, result)
            .map(drop)
    }
}

#[pymethods]
impl PyIncoming {
    /// Take what the guest wrote and nobody took: an item, or `...` if there is none. Raises `StopAsyncIteration` at
    /// the end.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.incoming.take() {
            Front::Item(value) => self
                .carried
                .object(py, value, &self.shared.imports.handles)
                .map(Bound::unbind),
            Front::Nothing => Ok(py.Ellipsis()),
            Front::End => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    /// Run the instance until there is something to take, or the read is interrupted.
    fn read(slf: Bound<'_, Self>) -> Awaitable {
        Self::begin(slf, |this, live| Call::read(live, this.incoming.clone()))
    }

    /// The same, blocking.
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

    /// Run the instance until the guest has learnt what was closed.
    fn settle(slf: Bound<'_, Self>) -> Awaitable {
        Self::begin(slf, |_, live| Call::settle(live))
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

impl Drop for PyIncoming {
    fn drop(&mut self) {
        self.forget();
    }
}
