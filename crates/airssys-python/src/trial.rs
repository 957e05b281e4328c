//! `Trial` and `Stage`: a revision that is tried beside the live one.

use std::os::fd::AsRawFd;

use airssys_host::error::Error;
use airssys_host::route::{StageCounts, Trial, Weight};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{About, raise};
use crate::route::host_error;

/// A candidate beside the live revision of a route.
#[pyclass(frozen, name = "Trial", module = "airssys._core")]
pub struct PyTrial {
    trial: Trial,
    /// The deployment's name, for messages.
    name: String,
}

impl PyTrial {
    pub const fn new(trial: Trial, name: String) -> Self {
        Self { trial, name }
    }
}

#[pymethods]
impl PyTrial {
    /// Let the candidate take another share of the calls.
    fn set_weight(&self, py: Python<'_>, weight: f64) -> PyResult<()> {
        self.trial
            .set_weight(share(weight)?)
            .map_err(|error| refused(py, error, &self.name))
    }

    /// What was counted in each stage so far.
    fn stages(&self) -> Vec<PyStage> {
        self.trial.stages().into_iter().map(PyStage).collect()
    }

    /// The descriptor that becomes readable at a bad call.
    fn watch(&self) -> i32 {
        self.trial.watch().as_raw_fd()
    }

    /// Whether the candidate takes no call any more, because it trapped.
    #[getter]
    fn stopped(&self) -> bool {
        self.trial.is_stopped()
    }

    /// Calls whose copies were compared, and calls that were to be copied and were not; nothing of a split.
    #[getter]
    fn copied(&self) -> Option<(u64, u64)> {
        let copied = self.trial.copied()?;
        Some((copied.compared, copied.left_out))
    }

    /// End it, with the candidate live or without it.
    fn finish(&self, py: Python<'_>, promote: bool) -> PyResult<()> {
        let finished = py.detach(|| self.trial.finish(promote));
        finished
            .map(drop)
            .map_err(|error| refused(py, error, &self.name))
    }
}

/// What was counted while the weight stayed the same.
#[pyclass(frozen, name = "Stage", module = "airssys._core")]
pub struct PyStage(StageCounts);

#[pymethods]
impl PyStage {
    #[getter]
    const fn weight(&self) -> f64 {
        self.0.weight
    }

    /// Calls that ended, of the live revision and of the candidate.
    #[getter]
    const fn calls(&self) -> (u64, u64) {
        self.0.calls
    }

    /// By signal, the calls that were bad of it, of both.
    #[getter]
    fn bad<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let bad = PyDict::new(py);
        for (signal, counts) in &self.0.bad {
            bad.set_item(signal, *counts)?;
        }
        Ok(bad)
    }

    fn __repr__(&self) -> String {
        let StageCounts { weight, calls, bad } = &self.0;
        format!("<Stage weight={weight} calls={calls:?} bad={bad:?}>")
    }
}

/// A weight that was given.
///
/// # Errors
/// `ValueError` where it is none.
pub fn share(weight: f64) -> PyResult<Weight> {
    Weight::new(weight).ok_or_else(|| {
        PyValueError::new_err(format!(
            "a weight is a share of the calls, from 0.0 to 1.0; got {weight}"
        ))
    })
}

#[cold]
pub fn refused(py: Python<'_>, error: Error, name: &str) -> PyErr {
    match error {
        Error::TrialRunning => host_error(
            py,
            "TrialRunning",
            &format!("deployment '{name}' tries a revision already"),
            "finish that first, or wait for it",
        ),
        Error::TrialOver => host_error(
            py,
            "TrialOver",
            &format!("the trial of deployment '{name}' is over"),
            "it was finished, or another revision was made live",
        ),
        Error::RouteClosed => host_error(
            py,
            "HostClosed",
            &format!("deployment '{name}' takes no calls"),
            "its host is closed, or it was removed",
        ),
        error => raise(py, error, About::default()),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTrial>()?;
    module.add_class::<PyStage>()
}
