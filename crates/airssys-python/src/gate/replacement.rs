//! Atomic replacement of a file.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use airssys_host::gate::authority::{Authority, Circumstances};
use airssys_host::gate::condition::Attributes;
use airssys_host::gate::subject::Subject as HostSubject;
use airssys_host::osl::file::Acting;
use airssys_host::osl::mutate::Replacement as HostReplacement;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::convert::fs_text;
use super::decision::Decision;
use super::errors::osl_error;
use super::gate::Gate;
use super::subject::Subject;

/// A new file that takes the place of an old one in one step, or not at all.
#[pyclass(frozen, module = "airssys._core")]
pub struct Replacement {
    inner: Mutex<HostReplacement>,
    authority: Arc<Authority>,
    subject: Arc<HostSubject>,
    attributes: Attributes,
    decision: Py<Decision>,
}

impl Replacement {
    pub fn new(
        py: Python<'_>,
        gate: &Gate,
        subject: &Subject,
        attributes: Attributes,
        inner: HostReplacement,
    ) -> PyResult<Replacement> {
        let decision = Decision::new(inner.decided.clone(), inner.path.clone());
        Ok(Replacement {
            authority: Arc::clone(&gate.inner),
            subject: Arc::clone(&subject.inner),
            attributes,
            decision: Py::new(py, decision)?,
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HostReplacement> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Replacement {
    #[getter]
    fn fd(&self) -> i32 {
        self.lock().descriptor.as_raw_fd()
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        fs_text(py, &self.lock().path)
    }

    #[getter]
    fn decision(&self, py: Python<'_>) -> Py<Decision> {
        self.decision.clone_ref(py)
    }

    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let acting = Acting {
            authority: &self.authority,
            subject: &self.subject,
            attributes: &self.attributes,
            with: Circumstances::default(),
            hard_links: true,
        };
        py.detach(|| self.lock().commit(&acting))
            .map_err(|error| osl_error(py, error))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.lock().abort())
            .map_err(|error| osl_error(py, error))
    }
}
