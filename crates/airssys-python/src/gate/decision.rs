//! Decisions and explanations.

use airssys_host::gate::authority::{Answer, Decided, Explained};
use airssys_host::gate::rules::Effect;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::convert::fs_text;

/// A decision that is on record.
#[pyclass(frozen, module = "airssys._core")]
pub struct Decision {
    decided: Decided,
    target: Vec<u8>,
}

impl Decision {
    pub fn new(decided: Decided, target: Vec<u8>) -> Decision {
        Decision { decided, target }
    }
}

const fn effect(answer: Answer) -> &'static str {
    match answer {
        Answer::Allow => "allow",
        Answer::Deny => "deny",
        Answer::Ask => "ask",
    }
}

#[pymethods]
impl Decision {
    #[getter]
    fn allowed(&self) -> bool {
        self.decided.allowed()
    }

    #[getter]
    fn effect(&self) -> &'static str {
        effect(self.decided.answer)
    }

    #[getter]
    fn rule(&self) -> &str {
        self.decided.rule.as_str()
    }

    #[getter]
    fn reason(&self) -> &str {
        &self.decided.reason
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.decided.sequence
    }

    #[getter]
    fn observed(&self) -> bool {
        self.decided.observed
    }

    #[getter]
    fn alarm(&self) -> bool {
        self.decided.alarm
    }

    #[getter]
    fn delay(&self) -> f64 {
        self.decided.delay.as_secs_f64()
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.decided.generation
    }

    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        fs_text(py, &self.target)
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(pyo3::exceptions::PyTypeError::new_err(
            "a Decision has no truth value; look at .allowed or .effect",
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "Decision(effect='{}', rule={:?}, target={:?}, sequence={})",
            effect(self.decided.answer),
            self.decided.rule.as_str(),
            String::from_utf8_lossy(&self.target),
            self.decided.sequence,
        )
    }
}

/// What the rules say of an access, and which of them.
#[pyclass(frozen, module = "airssys._core")]
pub struct Explanation {
    explained: Explained,
    access: &'static str,
    target: Vec<u8>,
}

impl Explanation {
    pub fn new(explained: Explained, access: &'static str, target: Vec<u8>) -> Explanation {
        Explanation {
            explained,
            access,
            target,
        }
    }
}

#[pymethods]
impl Explanation {
    #[getter]
    fn effect(&self) -> &'static str {
        effect(self.explained.answer)
    }

    #[getter]
    fn rule(&self) -> &str {
        self.explained.rule.as_str()
    }

    #[getter]
    fn reason(&self) -> &str {
        &self.explained.reason
    }

    #[getter]
    fn position(&self) -> Option<&str> {
        self.explained.position.as_deref()
    }

    #[getter]
    fn access(&self) -> &'static str {
        self.access
    }

    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        fs_text(py, &self.target)
    }

    #[getter]
    fn matched(&self) -> Vec<(&str, &'static str, &'static str)> {
        self.explained
            .considered
            .iter()
            .map(|(id, effect, reason)| {
                let effect = match effect {
                    Effect::Allow => "allow",
                    Effect::Deny => "deny",
                    Effect::RequireApproval => "require-approval",
                };
                (&**id, effect, reason.text())
            })
            .collect()
    }
}
