//! Python that runs in tasks of its own while a guest waits for it, and hands over what came when it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use airssys_host::instance::Link;
use pyo3::prelude::*;

use crate::imports::{Imports, Origin};

/// The tasks of one instance, by the request that each is to answer.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<u64, Py<PyAny>>>);

impl Tasks {
    /// Begin a task that awaits `awaitable` and answers the request.
    ///
    /// # Errors
    /// `RuntimeError` without a running event loop.
    pub fn start(
        &self,
        py: Python<'_>,
        awaitable: &Py<PyAny>,
        delivery: Py<Delivery>,
    ) -> PyResult<()> {
        let id = delivery.get().id;
        let task = py
            .import("airssys.wasm._apart")?
            .call_method1("run_apart", (awaitable, delivery))?;
        self.locked().insert(id, task.unbind());
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Py<PyAny>>> {
        self.0.lock().expect("no code under this lock panics")
    }

    pub fn is_idle(&self) -> bool {
        self.locked().is_empty()
    }

    /// Cancel them all: nobody waits any more.
    pub fn cancel(&self, py: Python<'_>) {
        let tasks = std::mem::take(&mut *self.locked());
        for task in tasks.into_values() {
            // The loop may be closed, and its tasks with it.
            let _ = task.call_method0(py, "cancel");
        }
    }
}

/// Answers one request of a guest, on the event loop's thread.
#[pyclass(frozen, module = "airssys._core")]
pub struct Delivery {
    pub imports: Arc<Imports>,
    pub link: Arc<Link>,
    pub id: u64,
    pub origin: Origin,
}

#[pymethods]
impl Delivery {
    fn __call__(
        &self,
        py: Python<'_>,
        result: Py<PyAny>,
        error: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        drop(self.imports.tasks.locked().remove(&self.id));
        let outcome = match error {
            None => Ok(result),
            Some(error) => Err(PyErr::from_value(error)),
        };
        let reply = self.imports.finish(py, self.origin, outcome)?;
        self.link.reply(self.id, reply);
        Ok(())
    }
}
