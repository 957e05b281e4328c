//! `Recording`: calls of a deployment that are kept, and made again on another revision.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use airssys_host::route::{Recording, Replayed, replay};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::errors::{About, raise};
use crate::route::PyLine;
use crate::runtime;
use crate::storage::PyStorageNamespace;
use crate::trial::share;

/// How often a wait looks for signals.
const LOOK: Duration = Duration::from_millis(50);

/// Calls that are kept: the latest, within bounds.
#[pyclass(frozen, name = "Recording", module = "airssys._core")]
pub struct PyRecording {
    pub recording: Arc<Recording>,
}

type Told = (u64, u64, u64, u64, Vec<(String, String, String, String)>);

#[pymethods]
impl PyRecording {
    #[new]
    #[pyo3(signature = (share_of, *, calls, bytes))]
    fn new(share_of: f64, calls: usize, bytes: usize) -> PyResult<Self> {
        Ok(Self {
            recording: Recording::new(share(share_of)?, calls, bytes),
        })
    }

    /// Calls, their bytes, and calls that could not be kept.
    #[getter]
    fn holds(&self) -> (u64, u64, u64) {
        let holds = self.recording.holds();
        (holds.calls, holds.bytes, holds.left_out)
    }

    /// Make the calls again on two lines without effects, but those of functions that are `ignored`, for so many
    /// seconds at most. Blocks. The calls that were
    /// answered alike, otherwise, by both otherwise than when they were kept, and not at all; and of the first that
    /// were answered otherwise the function, its arguments, and both answers.
    #[pyo3(signature = (control, copy, *, storage, ignored, seconds))]
    fn replay(
        &self,
        py: Python<'_>,
        control: &PyLine,
        copy: &PyLine,
        storage: Option<&Bound<'_, PyStorageNamespace>>,
        ignored: Vec<String>,
        seconds: f64,
    ) -> PyResult<Told> {
        let most = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let runtime = runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        let (recording, control, copy) = (
            self.recording.clone(),
            control.line.clone(),
            copy.line.clone(),
        );
        let storage = storage.map(|storage| storage.get().namespace.clone());
        let (send, mut receive) = channel();
        let task = runtime.spawn(async move {
            let until = tokio::time::Instant::now() + most;
            let replayed = replay(
                &recording,
                &control,
                &copy,
                storage.as_ref(),
                &ignored,
                until,
            )
            .await;
            // Whoever waited may have been interrupted.
            let _ = send.send(replayed);
        });
        loop {
            let came;
            (receive, came) = py.detach(move || {
                let came = receive.recv_timeout(LOOK);
                (receive, came)
            });
            match came {
                Ok(replayed) => return Ok(told(replayed)),
                Err(RecvTimeoutError::Timeout) => {
                    py.check_signals().inspect_err(|_| task.abort())?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("the host shut down meanwhile"));
                }
            }
        }
    }
}

fn told(replayed: Replayed) -> Told {
    let Replayed {
        same,
        different,
        unrepeatable,
        left_out,
        first,
    } = replayed;
    let first = first
        .into_iter()
        .map(|each| (each.function, each.arguments, each.expected, each.got))
        .collect();
    (same, different, unrepeatable, left_out, first)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRecording>()
}
