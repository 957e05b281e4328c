//! Files opened after the gate allowed it.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use airssys_host::osl::file::Opened;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::convert::fs_text;
use super::decision::Decision;

/// A descriptor and what it is of. Closes on drop unless taken.
#[pyclass(frozen, module = "airssys._core")]
pub struct OpenedFile {
    descriptor: Mutex<Option<OwnedFd>>,
    path: Vec<u8>,
    device: u64,
    inode: u64,
    size: i64,
    mode: u32,
    links: u64,
    created: bool,
    generation: u64,
    interpreter: Option<Vec<u8>>,
    decision: Py<Decision>,
}

impl OpenedFile {
    pub fn new(py: Python<'_>, opened: Opened) -> PyResult<OpenedFile> {
        let generation = opened.decided.generation;
        Ok(OpenedFile {
            descriptor: Mutex::new(Some(opened.descriptor)),
            device: opened.stat.st_dev,
            inode: opened.stat.st_ino,
            size: opened.stat.st_size,
            mode: opened.stat.st_mode,
            links: opened.stat.st_nlink,
            created: opened.created,
            generation,
            interpreter: opened.interpreter,
            decision: Py::new(py, Decision::new(opened.decided, opened.path.clone()))?,
            path: opened.path,
        })
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<OwnedFd>> {
        self.descriptor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> PyErr {
    PyValueError::new_err("the descriptor was closed or taken")
}

#[pymethods]
impl OpenedFile {
    #[getter]
    fn fd(&self) -> PyResult<i32> {
        self.slot()
            .as_ref()
            .map(AsRawFd::as_raw_fd)
            .ok_or_else(gone)
    }

    /// Hand the descriptor over; the caller closes it.
    fn take(&self) -> PyResult<i32> {
        self.slot()
            .take()
            .map(IntoRawFd::into_raw_fd)
            .ok_or_else(gone)
    }

    fn close(&self) {
        drop(self.slot().take());
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        fs_text(py, &self.path)
    }

    #[getter]
    fn path_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.path)
    }

    #[getter]
    fn device(&self) -> u64 {
        self.device
    }

    #[getter]
    fn inode(&self) -> u64 {
        self.inode
    }

    #[getter]
    fn size(&self) -> i64 {
        self.size
    }

    #[getter]
    fn mode(&self) -> u32 {
        self.mode
    }

    #[getter]
    fn links(&self) -> u64 {
        self.links
    }

    #[getter]
    fn created(&self) -> bool {
        self.created
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.generation
    }

    #[getter]
    fn interpreter<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.interpreter
            .as_ref()
            .map(|line| fs_text(py, line))
            .transpose()
    }

    #[getter]
    fn decision(&self, py: Python<'_>) -> Py<Decision> {
        self.decision.clone_ref(py)
    }
}
