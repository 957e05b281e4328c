//! Host services as Python hands them on: opaque, made by the services themselves.

use std::sync::Arc;

use airssys_host::services::Service;
use pyo3::prelude::*;

/// Gives each new instance its part of a host service.
#[pyclass(frozen, subclass, name = "Service", module = "airssys._core")]
pub struct PyService(pub Arc<dyn Service>);
