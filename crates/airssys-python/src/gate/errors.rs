//! What fails natively, as exceptions.

use airssys_host::gate::HARD_LINK;
use airssys_host::gate::audit::AuditError;
use airssys_host::gate::authority::{Answer, LoadError, RuleName};
use airssys_host::gate::rules::RuleError;
use airssys_host::osl::OslError;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use super::decision::Decision;

/// `airssys.errors.AirsSysError(message, code=code, **context)`.
pub fn raise(py: Python<'_>, code: &str, message: String, context: &Bound<'_, PyDict>) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let build = || -> PyResult<Bound<'_, PyAny>> {
        context.set_item("code", code)?;
        CLASS
            .import(py, "airssys.errors", "AirsSysError")?
            .call((message,), Some(context))
    };
    match build() {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

fn with<'py>(py: Python<'py>, items: &[(&str, Option<Py<PyAny>>)]) -> PyResult<Bound<'py, PyDict>> {
    let context = PyDict::new(py);
    for (name, value) in items {
        if let Some(value) = value {
            context.set_item(name, value)?;
        }
    }
    Ok(context)
}

fn raised(
    py: Python<'_>,
    code: &str,
    message: String,
    items: &[(&str, Option<Py<PyAny>>)],
) -> PyErr {
    match with(py, items) {
        Ok(context) => raise(py, code, message, &context),
        Err(error) => error,
    }
}

fn object<'py>(py: Python<'py>, value: impl IntoPyObject<'py>) -> Option<Py<PyAny>> {
    value.into_py_any(py).ok()
}

pub fn audit_error(py: Python<'_>, error: &AuditError) -> PyErr {
    let message = error.to_string();
    match error {
        AuditError::Full(_) => raised(py, "audit-full", message, &[]),
        AuditError::Closed => raised(py, "audit-closed", message, &[]),
        AuditError::Forked => raised(py, "audit-forked", message, &[]),
        AuditError::Failed(_) => raised(py, "audit-failed", message, &[]),
        AuditError::Locked(_) => raised(py, "audit-locked", message, &[]),
        AuditError::Truncated { checkpoint, last } => {
            let items = [
                ("checkpoint", object(py, *checkpoint)),
                ("last", object(py, *last)),
            ];
            raised(py, "audit-truncated", message, &items)
        }
        AuditError::Beheaded { first } => {
            let items = [("first", object(py, *first))];
            raised(py, "audit-truncated", message, &items)
        }
        AuditError::Corrupt {
            segment,
            offset,
            sequence,
            ..
        } => {
            let items = [
                ("segment", object(py, segment.as_path())),
                ("offset", object(py, *offset)),
                ("sequence", object(py, *sequence)),
            ];
            raised(py, "audit-corrupt", message, &items)
        }
        AuditError::Io(path, cause) => os_error(py, cause, &path.to_string_lossy()),
        AuditError::BadCheckpoint(_) => raised(py, "audit-checkpoint", message, &[]),
        _ => raised(py, "audit-key", message, &[]),
    }
}

pub fn rule_error(py: Python<'_>, error: &RuleError) -> PyErr {
    let items = [
        (
            "rule",
            error
                .rule
                .as_ref()
                .and_then(|rule| object(py, rule.as_str())),
        ),
        ("index", error.index.and_then(|index| object(py, index))),
        (
            "position",
            error
                .position
                .as_ref()
                .and_then(|position| object(py, position.as_str())),
        ),
        ("field", error.field.and_then(|field| object(py, field))),
    ];
    raised(py, "rule-invalid", error.to_string(), &items)
}

pub fn load_error(py: Python<'_>, error: &LoadError) -> PyErr {
    match error {
        LoadError::Rule(error) => rule_error(py, error),
        LoadError::Audit(error) => audit_error(py, error),
    }
}

/// An `OSError` of the kernel's number; Python picks the subclass.
pub fn os_error(py: Python<'_>, error: &std::io::Error, path: &str) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(format!("{path}: {error}"));
    };
    let text = py
        .import("os")
        .and_then(|os| os.call_method1("strerror", (number,)))
        .and_then(|text| text.extract::<String>())
        .unwrap_or_else(|_| error.to_string());
    PyOSError::new_err((number, text, path.to_owned()))
}

pub fn osl_error(py: Python<'_>, error: OslError) -> PyErr {
    let message = error.to_string();
    match error {
        OslError::Refused { path, decided } => {
            let code = match decided.answer {
                Answer::Ask => "approval-required",
                _ if decided.rule == RuleName::Fixed(HARD_LINK.rule) => HARD_LINK.rule,
                _ => "access-denied",
            };
            let decision = Decision::new(*decided, path.as_bytes().to_vec());
            raised(
                py,
                code,
                message,
                &[
                    ("decision", object(py, decision)),
                    ("path", object(py, path)),
                ],
            )
        }
        OslError::WrongType { path, kind, found } => {
            let code = if kind == "a directory" {
                "not-directory"
            } else {
                "not-regular"
            };
            raised(
                py,
                code,
                message,
                &[("path", object(py, path)), ("found", object(py, found))],
            )
        }
        OslError::DanglingLink { path } => {
            raised(py, "dangling-link", message, &[("path", object(py, path))])
        }
        OslError::Moved { path } => raised(py, "moved", message, &[("path", object(py, path))]),
        OslError::Unconfined(_) => raised(py, "confinement-unavailable", message, &[]),
        OslError::Os { path, source } => os_error(py, &source, &path),
        _ => raised(py, "error", message, &[]),
    }
}
