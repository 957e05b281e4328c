//! A Python actor as components see it.

use std::sync::Arc;

use airssys_host::plane::{Answer, Failure, Port};
use pyo3::prelude::*;

use super::bridge::Bridge;
use super::convert;

/// An address whose messages are handed to Python.
#[pyclass(frozen, name = "Port", module = "airssys._core")]
pub struct PyPort {
    pub port: Arc<Port>,
    pub number: u64,
    pub bridge: Py<Bridge>,
    pub errors: Py<PyAny>,
}

#[pymethods]
impl PyPort {
    #[getter]
    fn address(&self) -> &str {
        &self.port.address.text
    }

    /// Give the slots of handled messages back; `size` is the sum of their payloads' bytes.
    fn credit(&self, messages: usize, size: usize) {
        self.port.credit(messages, size);
    }

    /// Answer an ask. False if its asker does not wait any more.
    #[pyo3(signature = (token, payload))]
    fn reply(&self, token: u64, payload: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let payload = payload.map(convert::payload).transpose()?;
        if let Some(payload) = &payload {
            airssys_host::plane::codec::read(payload)
                .map_err(|reason| pyo3::exceptions::PyValueError::new_err(reason.to_owned()))?;
        }
        Ok(self.port.reply(token, Ok(Answer::Payload(payload))))
    }

    /// Refuse an ask.
    fn refuse(&self, token: u64, message: String) -> bool {
        self.port.reply(token, Err(Failure::Refused(message)))
    }

    /// Tell an asker that its request will not be answered: the actor failed, or dropped it for `reason`.
    #[pyo3(signature = (token, message, reason="failed"))]
    fn fail(&self, token: u64, message: String, reason: &str) -> PyResult<bool> {
        let failure = match reason {
            "failed" => Failure::Failed(message),
            "stopped" => Failure::Stopped,
            "rejected" => Failure::Refused(message),
            other => Failure::Dropped(convert::reason(other)?),
        };
        Ok(self.port.reply(token, Err(failure)))
    }

    fn subscribe(&self, py: Python<'_>, pattern: &str) -> PyResult<()> {
        self.port.subscribe(pattern).map_err(|failure| {
            convert::exception(py, &self.errors, &self.port.address.text, &failure)
        })
    }

    fn unsubscribe(&self, pattern: &str) -> bool {
        self.port.unsubscribe(pattern)
    }

    /// Messages accepted and refused so far, and free slots.
    fn counts(&self) -> (u64, u64, usize) {
        self.port.counts()
    }

    /// Take nothing any more. Open asks fail, the address is free.
    fn close(&self) {
        self.port.close();
        self.bridge.get().remove_port(self.number);
    }
}

/// Takes back that a port's owner waits.
#[pyclass(frozen, module = "airssys._core")]
pub struct EdgeEnds {
    pub port: Py<PyPort>,
}

#[pymethods]
impl EdgeEnds {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        self.port.get().port.set_waits_for(None);
    }
}
