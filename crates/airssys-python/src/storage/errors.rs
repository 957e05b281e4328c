//! The exceptions of `airssys.wasm.storage_errors` for what storage refused.

use airssys_host::storage::StorageError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// The exception for `error`.
pub fn raise(py: Python<'_>, error: &StorageError) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let context = PyDict::new(py);
        let kind = match error {
            StorageError::Invalid(_) | StorageError::NotANumber { .. } => "invalid",
            StorageError::Exceeded {
                limit,
                configured,
                needed,
            } => {
                context.set_item("limit", limit)?;
                context.set_item("configured", configured)?;
                context.set_item("needed", needed)?;
                "exceeded"
            }
            StorageError::Damaged { path, reason } => {
                context.set_item("path", path)?;
                context.set_item("reason", reason)?;
                "damaged"
            }
            StorageError::InUse { path } => {
                context.set_item("path", path)?;
                "in-use"
            }
            StorageError::TooNew { path, found, known } => {
                context.set_item("path", path)?;
                context.set_item("found", found)?;
                context.set_item("known", known)?;
                "too-new"
            }
            StorageError::Full { path, reason } => {
                context.set_item("path", path)?;
                context.set_item("reason", reason)?;
                "full"
            }
            StorageError::Io { path, reason } => {
                context.set_item("path", path)?;
                context.set_item("reason", reason)?;
                "failed"
            }
            StorageError::Closed => "closed",
            _ => "failed",
        };
        let made = py
            .import("airssys.wasm.storage_errors")?
            .getattr("storage_error")?
            .call1((kind, PyString::new(py, &error.to_string()), context))?;
        Ok(PyErr::from_value(made))
    };
    make().unwrap_or_else(|error| error)
}
