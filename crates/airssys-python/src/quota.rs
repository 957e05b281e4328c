//! `Account`: what deployments, namespaces and hosts use and may use.

use std::sync::Arc;
use std::time::Duration;

use airssys_host::quota::{Account, Ceilings, Happened, Notice, UNBOUNDED};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// What a deployment, a namespace or a host uses, and its ceilings. What it uses, those above it use too.
#[pyclass(frozen, name = "Account", module = "airssys._core")]
pub struct PyAccount {
    pub account: Arc<Account>,
}

#[pymethods]
impl PyAccount {
    /// The account of a host; without `parent`, the notices of all below it wait here.
    #[new]
    #[pyo3(signature = (owner, parent=None))]
    fn new(owner: &str, parent: Option<&Self>) -> Self {
        let none = Ceilings::default();
        Self {
            account: match parent {
                None => Account::host(&none),
                Some(parent) => Account::below(&parent.account, owner, &none),
            },
        }
    }

    /// Set the ceilings, all of them. What is in use stays, also where it is more.
    #[pyo3(signature = (*, memory=None, instances=None, calls_per_second=None, log_lines_per_second=None))]
    fn set(
        &self,
        memory: Option<u64>,
        instances: Option<u64>,
        calls_per_second: Option<u64>,
        log_lines_per_second: Option<u64>,
    ) {
        self.account.set(&Ceilings {
            memory,
            instances,
            calls_per_second,
            log_lines_per_second,
        });
    }

    #[getter]
    fn owner(&self) -> &str {
        self.account.owner()
    }

    /// The amounts in use, their peaks, and how often which limit was hit.
    fn usage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let account = &self.account;
        let usage = PyDict::new(py);
        for (name, gauge) in [
            ("memory", account.memory()),
            ("instances", account.instances()),
        ] {
            usage.set_item(name, gauge.now())?;
            usage.set_item(format!("{name}_peak"), gauge.peak())?;
            let most = gauge.most();
            usage.set_item(format!("{name}_most"), (most != UNBOUNDED).then_some(most))?;
        }
        usage.set_item("calls_per_second", account.calls_per_second())?;
        usage.set_item("log_lines_lost", account.log_lines_lost())?;
        let hits = PyDict::new(py);
        for (limit, times) in account.hits() {
            hits.set_item(limit.name(), times)?;
        }
        usage.set_item("hits", hits)?;
        Ok(usage)
    }

    /// Wait for notices, at most so many seconds, and return them with the number of those that were lost; None once
    /// closed. Each is `(what, limit, configured, owner, by, times)`.
    fn notices<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
    ) -> PyResult<Option<(Bound<'py, PyList>, u64)>> {
        let most = Duration::try_from_secs_f64(seconds)
            .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
        let queue = self.account.notices().clone();
        let Some((notices, lost)) = py.detach(move || queue.take(most)) else {
            return Ok(None);
        };
        let notices = notices.iter().map(|notice: &Notice| {
            let what = match notice.happened {
                Happened::Near => "near",
                Happened::Reached => "reached",
            };
            (
                what,
                notice.limit.name(),
                notice.configured,
                &*notice.owner,
                &*notice.by,
                notice.times,
            )
        });
        Ok(Some((PyList::new(py, notices.collect::<Vec<_>>())?, lost)))
    }

    /// Let whoever waits for notices go.
    fn close(&self) {
        self.account.notices().close();
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyAccount>()
}
