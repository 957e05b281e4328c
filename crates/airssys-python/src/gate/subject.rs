//! Who acts.

use std::sync::Arc;

use airssys_host::gate::callers::Callers as HostCallers;
use airssys_host::gate::subject::{Budget, Enforcement, Subject as HostSubject};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::convert::attributes_of;
use crate::callers::Callers;

/// A principal in the situation in which it acts.
#[pyclass(frozen, module = "airssys._core")]
pub struct Subject {
    pub inner: Arc<HostSubject>,
}

#[pymethods]
impl Subject {
    #[new]
    #[pyo3(signature = (name, *, roles=Vec::new(), namespace=None, id=None, attributes=None,
        enforcement="enforce", observe_until=None, deployment=None, revision=None, caller=None, callers=None,
        trace_id=None, session=None, audit_rate=None, audit_burst=1000, guest=false))]
    fn new(
        name: String,
        roles: Vec<String>,
        namespace: Option<String>,
        id: Option<String>,
        attributes: Option<&Bound<'_, PyAny>>,
        enforcement: &str,
        observe_until: Option<f64>,
        deployment: Option<String>,
        revision: Option<u64>,
        caller: Option<&Bound<'_, Subject>>,
        callers: Option<&Bound<'_, Callers>>,
        trace_id: Option<String>,
        session: Option<String>,
        audit_rate: Option<f64>,
        audit_burst: u32,
        guest: bool,
    ) -> PyResult<Subject> {
        if name.is_empty() || id.as_ref().is_some_and(String::is_empty) {
            return Err(PyValueError::new_err("name and id must not be empty"));
        }
        let enforcement = match (enforcement, observe_until) {
            ("enforce", _) => Enforcement::Enforce,
            ("learn", _) => Enforcement::Learn,
            ("observe", Some(until)) => Enforcement::Observe { until },
            ("observe", None) => {
                return Err(PyValueError::new_err(
                    "enforcement 'observe' needs observe_until, when it ends",
                ));
            }
            (other, _) => {
                return Err(PyValueError::new_err(format!(
                    "enforcement is 'enforce', 'observe' or 'learn', not {other:?}"
                )));
            }
        };
        if audit_rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(PyValueError::new_err(
                "audit_rate is a positive number of records a second",
            ));
        }
        let mut subject = HostSubject::named(name);
        if let Some(id) = id {
            subject.id = id;
        }
        subject.roles = roles;
        subject.namespace = namespace;
        subject.attributes = attributes_of(attributes)?;
        subject.enforcement = enforcement;
        subject.deployment = deployment;
        subject.revision = revision;
        subject.callers = match (callers, caller) {
            (Some(_), Some(_)) => {
                return Err(PyValueError::new_err(
                    "give caller, who called, or callers, the whole chain; not both",
                ));
            }
            (Some(callers), None) => Some(callers.get().chain.clone()),
            (None, caller) => caller.map(|caller| HostCallers::with(None, &caller.get().inner)),
        };
        subject.trace = trace_id;
        subject.session = session;
        subject.guest = guest;
        subject.budget = audit_rate.map(|rate| Arc::new(Budget::new(rate, f64::from(audit_burst))));
        Ok(Subject {
            inner: Arc::new(subject),
        })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    #[getter]
    fn roles(&self) -> Vec<&str> {
        self.inner.roles.iter().map(String::as_str).collect()
    }

    #[getter]
    fn namespace(&self) -> Option<&str> {
        self.inner.namespace.as_deref()
    }

    #[getter]
    fn id(&self) -> &str {
        &self.inner.id
    }

    #[getter]
    fn enforcement(&self) -> &'static str {
        self.inner.enforcement.now().name()
    }

    #[getter]
    fn deployment(&self) -> Option<&str> {
        self.inner.deployment.as_deref()
    }

    #[getter]
    fn revision(&self) -> Option<u64> {
        self.inner.revision
    }

    /// Names of those for whom it acts, the original caller first.
    #[getter]
    fn callers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let names = self
            .inner
            .callers
            .iter()
            .flat_map(|callers| callers.names());
        PyTuple::new(py, names.collect::<Vec<_>>())
    }

    #[getter]
    fn trace_id(&self) -> Option<&str> {
        self.inner.trace.as_deref()
    }

    #[getter]
    fn session(&self) -> Option<&str> {
        self.inner.session.as_deref()
    }

    /// The same subject with these attributes added or replaced.
    fn with_attributes(&self, attributes: &Bound<'_, PyAny>) -> PyResult<Subject> {
        let mut subject = self.inner.again();
        subject.attributes.extend(attributes_of(Some(attributes))?);
        Ok(Subject {
            inner: Arc::new(subject),
        })
    }

    /// The same subject in another trace.
    #[pyo3(signature = (trace_id))]
    fn with_trace(&self, trace_id: Option<String>) -> Subject {
        let mut subject = self.inner.again();
        subject.trace = trace_id;
        Subject {
            inner: Arc::new(subject),
        }
    }

    /// The same subject as Python code that acts for a component, which asks for nothing and is granted nothing:
    /// the policy decides.
    fn as_code(&self) -> Subject {
        let mut subject = self.inner.again();
        subject.guest = false;
        Subject {
            inner: Arc::new(subject),
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "Subject({:?}, roles={:?})",
            self.inner.name, self.inner.roles
        )
    }
}
