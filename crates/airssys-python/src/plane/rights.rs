//! Whom a component may send to.

use std::sync::Arc;

use airssys_host::gate::rule_gate::RuleGate;
use airssys_host::gate::{AllowList, Allowed, Gate as HostGate, MessageAccess};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::gate::{Gate, Questions, Subject};

enum Rights {
    Listed(Arc<AllowList>),
    Ruled(Arc<RuleGate>),
}

/// Rights to messages. Nothing is allowed that is not listed, or granted by a rule.
#[pyclass(frozen, module = "airssys._core")]
pub struct MessageRights(Rights);

fn allowed(
    send: Vec<String>,
    ask: Vec<String>,
    broadcast: Vec<String>,
    publish: Vec<String>,
    subscribe: Vec<String>,
) -> PyResult<Allowed> {
    let mut allowed = Allowed::default();
    for (access, patterns) in [
        (MessageAccess::Send, send),
        (MessageAccess::Ask, ask),
        (MessageAccess::Broadcast, broadcast),
        (MessageAccess::Publish, publish),
        (MessageAccess::Subscribe, subscribe),
    ] {
        for pattern in patterns {
            allowed
                .message(access, &pattern)
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
    }
    Ok(allowed)
}

#[pymethods]
impl MessageRights {
    #[new]
    #[pyo3(signature = (*, send=Vec::new(), ask=Vec::new(), broadcast=Vec::new(), publish=Vec::new(), subscribe=Vec::new()))]
    fn new(
        send: Vec<String>,
        ask: Vec<String>,
        broadcast: Vec<String>,
        publish: Vec<String>,
        subscribe: Vec<String>,
    ) -> PyResult<Self> {
        let allowed = allowed(send, ask, broadcast, publish, subscribe)?;
        Ok(Self(Rights::Listed(Arc::new(AllowList::new(allowed)))))
    }

    /// Rights that `subject` has by the rules of `gate`.
    #[staticmethod]
    #[pyo3(signature = (gate, subject, questions=None))]
    fn by_rules(
        gate: &Bound<'_, Gate>,
        subject: &Bound<'_, Subject>,
        questions: Option<&Bound<'_, Questions>>,
    ) -> Self {
        Self(Rights::Ruled(Arc::new(RuleGate::new(
            gate.get().inner.clone(),
            subject.get().inner.clone(),
            questions.map(|questions| questions.get().approver()),
        ))))
    }

    /// Put another list in place of the present one; what it no longer holds ends at once.
    #[pyo3(signature = (*, send=Vec::new(), ask=Vec::new(), broadcast=Vec::new(), publish=Vec::new(), subscribe=Vec::new()))]
    fn replace(
        &self,
        send: Vec<String>,
        ask: Vec<String>,
        broadcast: Vec<String>,
        publish: Vec<String>,
        subscribe: Vec<String>,
    ) -> PyResult<()> {
        match &self.0 {
            Rights::Listed(list) => {
                list.replace(allowed(send, ask, broadcast, publish, subscribe)?);
                Ok(())
            }
            Rights::Ruled(_) => Err(PyValueError::new_err(
                "these rights come from the rules of a gate; load other rules there",
            )),
        }
    }
}

impl MessageRights {
    pub fn gate(&self) -> Arc<dyn HostGate> {
        match &self.0 {
            Rights::Listed(list) => list.clone(),
            Rights::Ruled(gate) => gate.clone(),
        }
    }

    /// The gate of `rights`, or one that allows nothing.
    pub fn gate_of(rights: Option<&Bound<'_, Self>>) -> Arc<dyn HostGate> {
        rights.map_or_else(
            || Arc::new(AllowList::default()) as Arc<dyn HostGate>,
            |rights| rights.get().gate(),
        )
    }
}
