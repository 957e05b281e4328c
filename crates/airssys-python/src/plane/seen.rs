//! What is seen of an actor from outside, as dictionaries.

use std::sync::Arc;

use airssys_host::plane::{Cell, Reason};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::convert;
use super::plane::strings;

/// All there is to see, without the actor's help.
pub fn inspection<'py>(py: Python<'py>, cell: &Arc<Cell>) -> PyResult<Bound<'py, PyDict>> {
    let seen = cell.inspect();
    let found = PyDict::new(py);
    found.set_item("address", &*cell.address.text)?;
    found.set_item("state", seen.stage.name())?;
    found.set_item("incarnation", seen.incarnation)?;
    let queued = PyDict::new(py);
    for (lane, count) in ["low", "normal", "high", "critical"]
        .iter()
        .zip(seen.queued)
    {
        queued.set_item(lane, count)?;
    }
    found.set_item("queued", queued)?;
    found.set_item("queued_bytes", seen.queued_bytes)?;
    found.set_item("waiting_senders", seen.waiting_senders)?;
    found.set_item("in_flight", u64::from(seen.current.is_some()))?;
    let current = match &seen.current {
        None => None,
        Some((id, sender, since)) => {
            let current = PyDict::new(py);
            current.set_item("id", id)?;
            current.set_item("sender", sender)?;
            current.set_item("since", convert::seconds(*since))?;
            Some(current)
        }
    };
    found.set_item("current", current)?;
    found.set_item("waiting_for", seen.waits_for.as_deref())?;
    let counts = seen.counts;
    found.set_item("accepted", counts.accepted)?;
    found.set_item("handled", counts.handled)?;
    found.set_item("dead", counts.dead.iter().sum::<u64>())?;
    let reasons = PyDict::new(py);
    for (reason, count) in Reason::ALL.iter().zip(counts.dead) {
        if count > 0 {
            reasons.set_item(reason.name(), count)?;
        }
    }
    found.set_item("dead_by_reason", reasons)?;
    found.set_item("refused_sends", counts.refused)?;
    found.set_item("asked", seen.asked)?;
    found.set_item("answered", seen.answered)?;
    found.set_item("failed", seen.failed)?;
    found.set_item("expired", seen.expired)?;
    found.set_item("cancelled", seen.cancelled)?;
    found.set_item("pending", seen.pending)?;
    found.set_item("late", seen.late)?;
    found.set_item("timers", seen.timers)?;
    found.set_item("timers_missed", seen.timers_missed)?;
    found.set_item("subscriptions", strings(py, &seen.subscriptions)?)?;
    found.set_item("memory", seen.usage.memory)?;
    found.set_item("memory_peak", seen.usage.memory_peak)?;
    found.set_item("cpu_seconds", convert::seconds(seen.usage.cpu_nanos))?;
    found.set_item("calls", seen.usage.calls)?;
    let failure = seen.last_failure.map(|ending| ending.to_string());
    found.set_item("last_failure", failure)?;
    found.set_item("started_at", convert::seconds(seen.started_at))?;
    found.set_item("suspended", seen.suspended)?;
    found.set_item("health", (seen.health.status, seen.health.detail))?;
    Ok(found)
}

/// What the calls of the actor's revision came to.
pub fn statistics<'py>(py: Python<'py>, cell: &Arc<Cell>) -> PyResult<Bound<'py, PyDict>> {
    let snapshot = cell.blueprint().statistics.snapshot();
    let found = PyDict::new(py);
    found.set_item("calls", snapshot.calls)?;
    found.set_item("traps", snapshot.traps)?;
    found.set_item("limits", snapshot.limits)?;
    found.set_item("cancelled", snapshot.cancelled)?;
    found.set_item("other_failures", snapshot.other_failures)?;
    found.set_item("cpu_seconds", convert::seconds(snapshot.cpu_nanos))?;
    found.set_item("host_calls", snapshot.host_calls)?;
    found.set_item("bytes_in", snapshot.bytes_in)?;
    found.set_item("bytes_out", snapshot.bytes_out)?;
    found.set_item("memory_peak", snapshot.memory_peak)?;
    found.set_item("p50", convert::seconds(snapshot.p50_nanos))?;
    found.set_item("p99", convert::seconds(snapshot.p99_nanos))?;
    Ok(found)
}
