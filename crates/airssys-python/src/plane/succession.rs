//! What one incarnation leaves to the next, and why it ends, as Python says it.

use airssys_host::plane::{HandOver, Inheritance, ShutdownReason};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::convert;

pub fn shutdown_reason(reason: &str) -> PyResult<ShutdownReason> {
    match reason {
        "stopped" => Ok(ShutdownReason::Stopped),
        "host-shutdown" => Ok(ShutdownReason::HostShutdown),
        "replaced" => Ok(ShutdownReason::Replaced),
        other => Err(PyValueError::new_err(format!(
            "reason is 'stopped', 'host-shutdown' or 'replaced', not {other:?}"
        ))),
    }
}

pub fn inheritance(
    snapshot: Option<&Bound<'_, PyAny>>,
    version: Option<String>,
) -> PyResult<Option<Inheritance>> {
    let Some(snapshot) = snapshot else {
        return Ok(None);
    };
    Ok(Some(Inheritance {
        snapshot: convert::payload(snapshot)?,
        version,
    }))
}

/// How the state goes over to another revision.
pub fn hand_over(
    how: &str,
    version: Option<String>,
    given: Option<&Bound<'_, PyAny>>,
) -> PyResult<HandOver> {
    Ok(match (how, version, given) {
        ("nothing", None, None) => HandOver::Nothing,
        ("restore", None, None) => HandOver::Restore,
        ("migrate", Some(version), None) => HandOver::Migrate(version),
        ("given", version, Some(given)) => HandOver::Given(Inheritance {
            snapshot: convert::payload(given)?,
            version,
        }),
        (other, ..) => {
            return Err(PyValueError::new_err(format!(
                "hand_over is 'nothing', 'restore', 'migrate' with a version, or 'given' with a snapshot, \
                     not {other:?}"
            )));
        }
    })
}
