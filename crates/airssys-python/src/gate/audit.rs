//! The audit log: writing, reading, verifying.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airssys_host::gate::audit::{
    AuditLog as HostLog, Checkpoint, Entry, Filter, Options, Pruned, Reader, Retention, hex,
    plan_pruning, public_key, verify,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::convert::bytes_of;
use super::errors::audit_error;
use super::subject::Subject;

/// The writing side of a log.
#[pyclass(frozen, module = "airssys._core")]
pub struct AuditLog {
    pub inner: Arc<HostLog>,
}

fn seconds(value: f64, name: &str) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name} is a number of seconds, not {value}")))
}

#[pymethods]
impl AuditLog {
    #[new]
    #[pyo3(signature = (directory, *, key=None, segment_bytes=16 << 20, group=16_384,
        flush_interval=0.05, checkpoint=None, acknowledge_truncation=false, masks=Vec::new()))]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        key: Option<Vec<u8>>,
        segment_bytes: usize,
        group: u64,
        flush_interval: f64,
        checkpoint: Option<Vec<u8>>,
        acknowledge_truncation: bool,
        masks: Vec<String>,
    ) -> PyResult<AuditLog> {
        let flush_interval = seconds(flush_interval, "flush_interval")?;
        let opened = py.detach(|| {
            let checkpoint = checkpoint.as_deref().map(Checkpoint::parse).transpose()?;
            let options = Options {
                key,
                segment_bytes,
                group,
                flush_interval,
                checkpoint,
                acknowledge_truncation,
                masks,
            };
            HostLog::open(&directory, options)
        });
        let inner = Arc::new(opened.map_err(|error| audit_error(py, &error))?);
        Ok(AuditLog { inner })
    }

    #[pyo3(signature = (subject, operation, target, decision, *, rule="", detail=None, must_audit=false))]
    fn record(
        &self,
        py: Python<'_>,
        subject: Option<&Bound<'_, Subject>>,
        operation: &str,
        target: &Bound<'_, PyAny>,
        decision: &str,
        rule: &str,
        detail: Option<&str>,
        must_audit: bool,
    ) -> PyResult<u64> {
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let operation = operation
            .split_once('.')
            .filter(|(first, rest)| plain(first) && plain(rest));
        let (Some(operation), true) = (operation, plain(decision)) else {
            return Err(PyValueError::new_err(
                "operation is two words joined by a dot, decision one word, of letters, digits, - and _",
            ));
        };
        let target = bytes_of(target)?;
        let entry = Entry {
            subject: subject.map(|subject| &*subject.get().inner),
            operation,
            target: &target,
            requested: None,
            decision,
            rule,
            enforcement: "",
            detail,
            approved_by: None,
            alarm: false,
            coalesce: false,
        };
        py.detach(|| {
            let appended = self.inner.append(&entry)?;
            let wait_for = if must_audit {
                Some(appended.sequence)
            } else {
                appended.wait_for
            };
            wait_for.map_or(Ok(()), |sequence| self.inner.wait_durable(sequence))?;
            Ok(appended.sequence)
        })
        .map_err(|error| audit_error(py, &error))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.inner.flush())
            .map_err(|error| audit_error(py, &error))
    }

    fn checkpoint<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let checkpoint = py
            .detach(|| self.inner.checkpoint())
            .map_err(|error| audit_error(py, &error))?;
        Ok(PyBytes::new(py, &checkpoint.to_line()))
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn set_masks(&self, masks: Vec<String>) {
        self.inner.set_masks(&masks);
    }

    #[pyo3(signature = (*, bytes=None, since=None))]
    fn prune<'py>(
        &self,
        py: Python<'py>,
        bytes: Option<u64>,
        since: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let pruned = py
            .detach(|| self.inner.prune(Retention { bytes, since }))
            .map_err(|error| audit_error(py, &error))?;
        pruned.map(|pruned| described(py, &pruned)).transpose()
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.close())
            .map_err(|error| audit_error(py, &error))
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.inner.position().0
    }

    #[getter]
    fn head(&self) -> String {
        hex(&self.inner.position().1)
    }

    #[getter]
    fn durable(&self) -> u64 {
        self.inner.durable()
    }

    #[getter]
    fn directory(&self) -> PathBuf {
        self.inner.directory().to_owned()
    }

    /// What opening the log found and repaired.
    #[getter]
    fn recovered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let opened = &self.inner.opened;
        let found = PyDict::new(py);
        found.set_item("ending", opened.ending.name())?;
        found.set_item("records", opened.records)?;
        found.set_item(
            "quarantined",
            opened.quarantined.as_ref().map(|(path, _)| path.clone()),
        )?;
        found.set_item(
            "quarantined_bytes",
            opened.quarantined.as_ref().map_or(0, |(_, bytes)| *bytes),
        )?;
        found.set_item("coalesced_recovered", opened.coalesced_recovered)?;
        found.set_item("truncation_acknowledged", opened.truncation_acknowledged)?;
        Ok(found)
    }
}

fn described<'py>(py: Python<'py>, pruned: &Pruned) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("segments", pruned.segments)?;
    result.set_item("bytes", pruned.bytes)?;
    result.set_item("first", pruned.first)?;
    result.set_item("through", pruned.through)?;
    Ok(result)
}

/// What a pruning would remove; `None` when that is nothing.
#[pyfunction]
#[pyo3(signature = (directory, *, bytes=None, since=None))]
pub fn audit_plan_pruning<'py>(
    py: Python<'py>,
    directory: PathBuf,
    bytes: Option<u64>,
    since: Option<f64>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let pruned = py
        .detach(|| plan_pruning(&directory, Retention { bytes, since }))
        .map_err(|error| audit_error(py, &error))?;
    (pruned.segments > 0)
        .then(|| described(py, &pruned))
        .transpose()
}

/// Searching and following a log, also from another process.
#[pyclass(frozen, module = "airssys._core")]
pub struct AuditReader {
    inner: Mutex<Reader>,
}

#[pymethods]
impl AuditReader {
    #[new]
    #[pyo3(signature = (directory, *, after=0, principal=None, operation=None, target=None,
        decision=None, rule=None, since=None, until=None))]
    fn new(
        directory: PathBuf,
        after: u64,
        principal: Option<String>,
        operation: Option<String>,
        target: Option<String>,
        decision: Option<String>,
        rule: Option<String>,
        since: Option<f64>,
        until: Option<f64>,
    ) -> AuditReader {
        let filter = Filter {
            after,
            principal,
            operation,
            target,
            decision,
            rule,
            since,
            until,
        };
        AuditReader {
            inner: Mutex::new(Reader::new(&directory, filter)),
        }
    }

    #[pyo3(signature = (limit=1000, timeout=0.0))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
        timeout: f64,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let mut remaining = seconds(timeout, "timeout")?;
        loop {
            // In slices, so that Ctrl-C ends a wait.
            let slice = remaining.min(Duration::from_millis(50));
            let lines = py
                .detach(|| {
                    self.inner
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .read(limit, slice)
                })
                .map_err(|error| audit_error(py, &error))?;
            remaining -= slice;
            if !lines.is_empty() || remaining.is_zero() {
                return Ok(lines.iter().map(|line| PyBytes::new(py, line)).collect());
            }
            py.check_signals()?;
        }
    }
}

/// Check a whole log.
#[pyfunction]
#[pyo3(signature = (directory, *, public_key=None, checkpoint=None))]
pub fn audit_verify<'py>(
    py: Python<'py>,
    directory: PathBuf,
    public_key: Option<Vec<u8>>,
    checkpoint: Option<Vec<u8>>,
) -> PyResult<Bound<'py, PyDict>> {
    let report = py
        .detach(|| {
            let checkpoint = checkpoint.as_deref().map(Checkpoint::parse).transpose()?;
            verify(&directory, public_key.as_deref(), checkpoint)
        })
        .map_err(|error| audit_error(py, &error))?;
    let result = PyDict::new(py);
    result.set_item("records", report.records)?;
    result.set_item("coalesced", report.coalesced)?;
    result.set_item("first", report.first)?;
    result.set_item("last", report.last)?;
    result.set_item("head", report.head)?;
    result.set_item("segments", report.segments)?;
    result.set_item("checkpoints", report.checkpoints)?;
    result.set_item("pruned_through", report.pruned_through)?;
    result.set_item("acknowledged", report.acknowledged)?;
    Ok(result)
}

/// The public half of an audit key.
#[pyfunction]
pub fn audit_public_key<'py>(py: Python<'py>, seed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let key = public_key(seed).map_err(|error| audit_error(py, &error))?;
    Ok(PyBytes::new(py, &key))
}
