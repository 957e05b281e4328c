//! `GuestLog`: what guests that are no actors log and print.

use std::sync::Arc;

use airssys_host::guest_log::{GuestLog, LogWriter};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// A bounded queue of lines, which a thread of Python empties.
#[pyclass(frozen, name = "GuestLog", module = "airssys._core")]
pub struct PyGuestLog {
    log: Arc<GuestLog>,
}

#[pymethods]
impl PyGuestLog {
    #[new]
    fn new(most: usize) -> Self {
        Self {
            log: Arc::new(GuestLog::new(most)),
        }
    }

    /// Block until there are lines, or the queue is closed; whether it is open.
    fn wait(&self, py: Python<'_>) -> bool {
        py.detach(|| self.log.wait())
    }

    /// The lines that wait, oldest first, as the fields of a `LogLine`.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let lines = PyList::empty(py);
        for line in self.log.take() {
            let fields = PyDict::new(py);
            for (name, value) in line.fields {
                fields.set_item(name, value)?;
            }
            let made = PyDict::new(py);
            made.set_item("at", std::time::Duration::from_nanos(line.at).as_secs_f64())?;
            made.set_item("level", line.level)?;
            made.set_item("message", line.message)?;
            made.set_item("fields", fields)?;
            made.set_item("stream", line.stream)?;
            made.set_item("deployment", &*line.deployment)?;
            made.set_item("revision", line.revision)?;
            made.set_item("lost", line.lost)?;
            lines.append(made)?;
        }
        Ok(lines)
    }

    /// Let whoever waits go.
    fn close(&self) {
        self.log.close();
    }
}

impl PyGuestLog {
    /// What writes the lines of a revision's instances.
    pub fn writer(&self, deployment: &str, revision: u64) -> LogWriter {
        LogWriter {
            log: self.log.clone(),
            deployment: deployment.into(),
            revision,
        }
    }
}
