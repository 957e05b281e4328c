//! The message plane, seen from Python.

mod actor;
mod bridge;
mod convert;
mod plane;
mod port;
mod rights;
mod seen;
pub mod service;
mod succession;
mod waiting;

use pyo3::prelude::*;

pub use plane::close_all;

/// Add the classes of the message plane to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<plane::PyPlane>()?;
    module.add_class::<actor::ComponentActor>()?;
    module.add_class::<bridge::Bridge>()?;
    module.add_class::<port::PyPort>()?;
    module.add_class::<rights::MessageRights>()?;
    module.add_class::<service::PyService>()
}
