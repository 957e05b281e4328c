//! Rules, decisions, the audit log, files and children of `airssys.osl`.

mod audit;
mod convert;
mod decision;
mod errors;
mod files;
mod gate;
mod inotify;
mod questions;
mod replacement;
mod spawn;
mod subject;

pub use gate::Gate;
use pyo3::prelude::*;
pub use questions::Questions;
pub use subject::Subject;

pub use self::errors::raise;

/// Add the classes and functions of the gate to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<audit::AuditLog>()?;
    module.add_class::<audit::AuditReader>()?;
    module.add_class::<decision::Decision>()?;
    module.add_class::<decision::Explanation>()?;
    module.add_class::<files::OpenedFile>()?;
    module.add_class::<gate::Gate>()?;
    module.add_class::<questions::Questions>()?;
    module.add_class::<replacement::Replacement>()?;
    module.add_class::<spawn::Child>()?;
    module.add_class::<subject::Subject>()?;
    module.add_function(wrap_pyfunction!(spawn::spawn_confined, module)?)?;
    module.add_function(wrap_pyfunction!(inotify::inotify_create, module)?)?;
    module.add_function(wrap_pyfunction!(inotify::inotify_add, module)?)?;
    module.add_function(wrap_pyfunction!(audit::audit_plan_pruning, module)?)?;
    module.add_function(wrap_pyfunction!(audit::audit_verify, module)?)?;
    module.add_function(wrap_pyfunction!(audit::audit_public_key, module)?)
}
