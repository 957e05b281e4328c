//! Between the plane's values and Python's.

use std::sync::Arc;

use airssys_host::error::Error;
use airssys_host::plane::{
    Answer, Ending, Event, Failure, LogLine, Options, Outcome, Reason, Source,
};
use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView, PyString, PyTuple};

use crate::errors::{About, raise};

/// Bytes of any object that has a buffer.
pub fn payload(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    let view = PyMemoryView::from(object)?.call_method0("tobytes")?;
    Ok(Bytes::copy_from_slice(view.cast::<PyBytes>()?.as_bytes()))
}

/// Nanoseconds of `seconds`.
pub fn nanos(seconds: f64) -> PyResult<u64> {
    let time = std::time::Duration::try_from_secs_f64(seconds)
        .map_err(|error| PyValueError::new_err(format!("{seconds} seconds: {error}")))?;
    Ok(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds are told to a microsecond at least"
)]
pub fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

pub fn source(sender: Option<&str>) -> Source {
    match sender {
        None | Some("") => Source::Host,
        Some(sender) => Source::Actor(sender.into()),
    }
}

pub fn options(
    py: Python<'_>,
    priority: u8,
    ttl: Option<f64>,
    trace: Option<&str>,
) -> PyResult<Options> {
    if priority > 3 {
        return Err(PyValueError::new_err(format!(
            "a priority is 0 (low), 1 (normal), 2 (high) or 3 (critical), not {priority}"
        )));
    }
    Ok(Options {
        priority,
        time_to_live: ttl.map(nanos).transpose()?,
        trace: trace.map(Arc::from),
        callers: crate::callers::present(py)?,
    })
}

/// The stable name of a failure.
fn code(failure: &Failure) -> &'static str {
    match failure {
        Failure::NoActor => "no-actor",
        Failure::Stopped => "stopped",
        Failure::MailboxFull => "mailbox-full",
        Failure::Timeout => "timeout",
        Failure::NotPermitted(_) => "not-permitted",
        Failure::WaitCycle(_) => "wait-cycle",
        Failure::CodecMismatch { .. } => "codec-mismatch",
        Failure::InvalidPayload(_) => "invalid-payload",
        Failure::TooLarge { .. } => "too-large",
        Failure::Cancelled => "cancelled",
        Failure::Failed(_) => "failed",
        Failure::Refused(_) => "refused",
        Failure::Dropped(_) => "dropped",
        Failure::TooMany => "too-many",
        Failure::NotAnActor => "not-an-actor",
        Failure::UnknownToken => "unknown-token",
        Failure::InvalidAddress(_) => "invalid-address",
        Failure::NameTaken => "name-taken",
        Failure::NoExport(_) => "no-export",
        Failure::State(_) => "state",
        Failure::StartFailed(_) => "start-failed",
        Failure::Killed => "killed",
        Failure::Closed => "closed",
    }
}

/// The same error once more: errors of the engine are told to several.
fn again(error: &Error) -> Error {
    match error {
        Error::Trap(trap) => Error::Trap(trap.clone()),
        Error::Limit(limit) => Error::Limit(limit.clone()),
        Error::Exit(status) => Error::Exit(*status),
        Error::PoolExhausted => Error::PoolExhausted,
        Error::ShutDown => Error::ShutDown,
        Error::Link(text) => Error::Link(text.clone()),
        other => Error::Internal(other.to_string()),
    }
}

/// The exception for how an incarnation ended, where the engine said it.
fn exception_of<'py>(py: Python<'py>, address: &str, ending: &Ending) -> Bound<'py, PyAny> {
    ending.error.as_ref().map_or_else(
        || py.None().into_bound(py),
        |error| {
            let about = About {
                component: address,
                call: ending.function,
            };
            raise(py, again(error), about)
                .into_value(py)
                .into_bound(py)
                .into_any()
        },
    )
}

/// Make the exception for a failure of something done to `address`.
pub fn exception(py: Python<'_>, make: &Py<PyAny>, address: &str, failure: &Failure) -> PyErr {
    exception_named(py, make, address, code(failure), failure)
}

/// The same under another name: the one of a timeout depends on what was waited for.
pub fn exception_named(
    py: Python<'_>,
    make: &Py<PyAny>,
    address: &str,
    code: &str,
    failure: &Failure,
) -> PyErr {
    let made = || -> PyResult<PyErr> {
        let context = PyDict::new(py);
        context.set_item("address", address)?;
        match failure {
            Failure::NotPermitted(rule) => context.set_item("rule", rule)?,
            Failure::WaitCycle(cycle) => {
                let cycle: Vec<&str> = cycle.iter().map(|address| &**address).collect();
                context.set_item("cycle", cycle)?;
            }
            Failure::CodecMismatch { sent, accepted } => {
                context.set_item("sent", sent)?;
                context.set_item("accepted", accepted)?;
            }
            Failure::TooLarge { size, limit } => {
                context.set_item("size", size)?;
                context.set_item("limit", limit)?;
            }
            Failure::Failed(reason)
            | Failure::Refused(reason)
            | Failure::InvalidPayload(reason) => {
                context.set_item("reason", reason)?;
            }
            Failure::Dropped(reason) => context.set_item("reason", reason.name())?,
            Failure::NoExport(export) => context.set_item("export", export)?,
            Failure::State(state) => context.set_item("state", state)?,
            Failure::StartFailed(ending) => {
                context.set_item("kind", ending.kind.name())?;
                context.set_item("function", ending.function)?;
                context.set_item("cause", exception_of(py, address, ending))?;
            }
            _ => {}
        }
        let message = format!("'{address}': {failure}");
        let error = make.call1(py, (code, message, context))?;
        Ok(PyErr::from_value(error.into_bound(py)))
    };
    let error = made().unwrap_or_else(|error| error);
    if let Failure::StartFailed(ending) = failure
        && let Some(cause) = &ending.error
    {
        let about = About {
            component: address,
            call: ending.function,
        };
        error.set_cause(py, Some(raise(py, again(cause), about)));
    }
    error
}

/// What was waited for, in Python.
pub fn answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    Ok(match answer {
        Answer::Payload(Some(payload)) => PyBytes::new(py, payload).into_any(),
        Answer::Payload(None) | Answer::Done => py.None().into_bound(py),
        Answer::Ended(how) => PyString::new(py, how).into_any(),
        Answer::Health(health) => (health.status, &health.detail)
            .into_pyobject(py)?
            .into_any(),
        Answer::Metadata(metadata) => {
            let found = PyDict::new(py);
            found.set_item("name", &metadata.name)?;
            found.set_item("version", &metadata.version)?;
            found.set_item("description", &metadata.description)?;
            found.set_item("accepts", &metadata.accepts)?;
            found.into_any()
        }
    })
}

/// What a future waits for: what it is called when the time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    Reply,
    Room,
    Command,
}

impl Awaited {
    const fn timeout(self) -> &'static str {
        match self {
            Self::Reply => "ask-timeout",
            Self::Room => "send-timeout",
            Self::Command => "timeout",
        }
    }
}

/// The result or the exception of an outcome.
pub fn result<'py>(
    py: Python<'py>,
    make: &Py<PyAny>,
    address: &str,
    awaited: Awaited,
    outcome: &Outcome,
) -> Result<Bound<'py, PyAny>, PyErr> {
    match outcome {
        Ok(found) => answer(py, found),
        Err(failure @ Failure::Timeout) => Err(exception_named(
            py,
            make,
            address,
            awaited.timeout(),
            failure,
        )),
        Err(failure) => Err(exception(py, make, address, failure)),
    }
}

/// `(sequence, time, address, incarnation, level, stream, message, fields, trace)`.
pub fn log_tuple<'py>(py: Python<'py>, line: &LogLine) -> PyResult<Bound<'py, PyTuple>> {
    let fields = PyList::new(py, &line.fields)?;
    (
        line.sequence,
        seconds(line.time),
        &*line.address,
        line.incarnation,
        line.level,
        line.stream,
        &line.message,
        fields,
        line.trace.as_deref(),
    )
        .into_pyobject(py)
}

/// `(kind, address, incarnation, details)`; nothing of a stage, which Python looks up where it matters.
pub fn event_tuple<'py>(py: Python<'py>, event: &Event) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let details = PyDict::new(py);
    let (kind, address, incarnation) = match event {
        Event::Stage { .. } => return Ok(None),
        Event::Failed {
            address,
            incarnation,
            ending,
        } => {
            details.set_item("kind", ending.kind.name())?;
            details.set_item("message", &ending.message)?;
            details.set_item("function", ending.function)?;
            details.set_item("error", exception_of(py, address, ending))?;
            ("failed", address, *incarnation)
        }
        Event::Dead {
            address,
            incarnation,
            reason,
            envelope,
            error,
        } => {
            details.set_item("reason", reason.name())?;
            details.set_item("sender", envelope.source.address())?;
            details.set_item("payload", PyBytes::new(py, &envelope.payload))?;
            details.set_item("ask", envelope.wants_reply())?;
            details.set_item("error", error.as_deref())?;
            let topic = match &envelope.source {
                Source::Topic { topic, .. } => Some(&**topic),
                _ => None,
            };
            details.set_item("topic", topic)?;
            ("dead", address, *incarnation)
        }
        Event::Message {
            address,
            incarnation,
            token,
            envelope,
            outcome,
        } => {
            details.set_item("token", token)?;
            details.set_item("sender", envelope.source.address())?;
            details.set_item("payload", PyBytes::new(py, &envelope.payload))?;
            details.set_item("ask", envelope.wants_reply())?;
            let topic = match &envelope.source {
                Source::Topic { topic, .. } => Some(&**topic),
                _ => None,
            };
            details.set_item("topic", topic)?;
            details.set_item("outcome", *outcome)?;
            ("message", address, *incarnation)
        }
        Event::Log(line) => {
            details.set_item("sequence", line.sequence)?;
            details.set_item("level", line.level)?;
            details.set_item("stream", line.stream)?;
            details.set_item("message", &line.message)?;
            let fields = PyDict::new(py);
            for (name, value) in &line.fields {
                fields.set_item(name, value)?;
            }
            details.set_item("fields", fields)?;
            details.set_item("time", seconds(line.time))?;
            details.set_item("trace", line.trace.as_deref())?;
            details.set_item("lost", line.lost)?;
            ("log", &line.address, line.incarnation)
        }
    };
    (kind, &**address, incarnation, details)
        .into_pyobject(py)
        .map(Some)
}

pub fn reason(name: &str) -> PyResult<Reason> {
    Reason::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        PyValueError::new_err(format!(
            "{name:?} is no reason of dead letters; expected one of {}",
            known.join(", ")
        ))
    })
}

/// The interpreter's side of the threads is not there: after a fork, or at the end.
pub fn ready(py: Python<'_>) -> PyResult<()> {
    crate::runtime::ready()
        .map(drop)
        .map_err(|error| raise(py, error, About::default()))
}

pub fn no_loop() -> PyErr {
    PyRuntimeError::new_err(
        "no event loop runs in this thread; call from a coroutine, or use the blocking form",
    )
}
