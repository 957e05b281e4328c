//! An operation on storage, to be waited for by a thread or by an event loop. It runs without the interpreter.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use airssys_host::storage::{Change, Copied, Entry, Event, Outcome, Page, StorageError, Usage};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use tokio::task::AbortHandle;

use super::errors::raise;
use crate::bridge::LoopBridge;
use crate::errors::About;
use crate::runtime;

/// How often a waiting thread looks for signals.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// What an operation came to.
pub enum Output {
    Nothing,
    Entry(Option<Entry>),
    Page(Page),
    Usage(Usage),
    Outcome(Outcome),
    Names(Vec<String>),
    Copied(Copied),
    Events(Vec<Event>),
}

pub type Answer = Result<Output, StorageError>;
type Later = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What doing an operation gives: the answer, or what it will come from.
pub enum Begun {
    Answer(Answer),
    Later(Later),
}

/// Tells a long operation that nobody waits for it any more.
pub type Stopped<'a> = &'a dyn Fn() -> bool;

/// Begins an operation; may block.
pub type Begin = Box<dyn FnOnce(Stopped<'_>) -> Begun + Send>;

/// One operation; waited for once.
#[pyclass(frozen, name = "StorageOperation", module = "airssys._core")]
pub struct Operation {
    begin: Mutex<Option<Begin>>,
    answer: Arc<Mutex<Option<Answer>>>,
    stop: Arc<AtomicBool>,
    /// What runs in the background, and the token by which its loop is told.
    task: Mutex<Option<(AbortHandle, Py<LoopBridge>, u64)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Operation {
    /// An operation that answers when it has begun.
    pub fn now(act: impl FnOnce(Stopped<'_>) -> Answer + Send + 'static) -> Self {
        Self::of(Box::new(|stopped| Begun::Answer(act(stopped))))
    }

    /// An operation whose answer comes later.
    pub fn later<F>(begin: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::of(Box::new(|_| Begun::Later(Box::pin(begin()))))
    }

    fn of(begin: Begin) -> Self {
        Self {
            begin: Mutex::new(Some(begin)),
            answer: Arc::default(),
            stop: Arc::default(),
            task: Mutex::default(),
        }
    }

    fn take(&self) -> PyResult<Begin> {
        locked(&self.begin)
            .take()
            .ok_or_else(|| PyRuntimeError::new_err("an operation on storage is waited for once"))
    }
}

#[pymethods]
impl Operation {
    /// Do it, and block until it is done. The interpreter is free meanwhile.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let runtime =
            runtime::ready().map_err(|error| crate::errors::raise(py, error, About::default()))?;
        let begin = self.take()?;
        let raised: Mutex<Option<PyErr>> = Mutex::new(None);
        let begun = py.detach(|| {
            let looked = Mutex::new(Instant::now());
            begin(&|| {
                let mut looked = locked(&looked);
                if looked.elapsed() < SIGNAL_CHECK {
                    return false;
                }
                *looked = Instant::now();
                match Python::attach(|py| py.check_signals()) {
                    Ok(()) => false,
                    Err(error) => {
                        locked(&raised).get_or_insert(error);
                        true
                    }
                }
            })
        });
        if let Some(error) = locked(&raised).take() {
            return Err(error);
        }
        let answer = match begun {
            Begun::Answer(answer) => answer,
            Begun::Later(later) => {
                let (send, mut receive) = sync_channel(1);
                let task = runtime.spawn(async move {
                    // Nobody listens where a signal has ended the wait.
                    let _ = send.send(later.await);
                });
                loop {
                    let waited = &mut receive;
                    match py.detach(move || waited.recv_timeout(SIGNAL_CHECK)) {
                        Ok(answer) => break answer,
                        Err(RecvTimeoutError::Disconnected) => break Err(StorageError::Closed),
                        Err(RecvTimeoutError::Timeout) => {
                            if let Err(error) = py.check_signals() {
                                task.abort();
                                return Err(error);
                            }
                        }
                    }
                }
            }
        };
        convert(py, answer)
    }

    /// Begin on the native threads; the future of the running event loop is done when `result` has the answer.
    fn start(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let runtime =
            runtime::ready().map_err(|error| crate::errors::raise(py, error, About::default()))?;
        let begin = self.take()?;
        let (bridge, event_loop) = LoopBridge::running(py)?;
        let (token, future, mailbag) = bridge.get().expect(&event_loop)?;
        let (target, stop) = (self.answer.clone(), self.stop.clone());
        let task = runtime.spawn(async move {
            let begun =
                tokio::task::spawn_blocking(move || begin(&|| stop.load(Ordering::Relaxed))).await;
            let answer = match begun {
                Ok(Begun::Answer(answer)) => answer,
                Ok(Begun::Later(later)) => later.await,
                Err(_) => Err(StorageError::Closed),
            };
            *locked(&target) = Some(answer);
            mailbag.finish(token);
        });
        *locked(&self.task) = Some((task.abort_handle(), bridge, token));
        Ok(future)
    }

    /// What a started operation came to.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let answer = locked(&self.answer).take();
        match answer {
            Some(answer) => convert(py, answer),
            None => Err(PyRuntimeError::new_err("the operation has not ended")),
        }
    }

    /// Nobody waits any more: a long operation ends soon; a write that has begun goes on.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some((task, bridge, token)) = locked(&self.task).take() {
            task.abort();
            bridge.get().forget(token);
        }
    }
}

type EntryRow<'py> = (Bound<'py, PyBytes>, u64, Option<u64>);

fn entry<'py>(py: Python<'py>, entry: &Entry) -> EntryRow<'py> {
    (PyBytes::new(py, &entry.value), entry.version, entry.expires)
}

fn convert(py: Python<'_>, answer: Answer) -> PyResult<Py<PyAny>> {
    let output = answer.map_err(|error| raise(py, &error))?;
    let object = match output {
        Output::Nothing => py.None().into_bound(py),
        Output::Entry(None) => py.None().into_bound(py),
        Output::Entry(Some(found)) => entry(py, &found).into_pyobject(py)?.into_any(),
        Output::Page(page) => {
            let entries = PyList::empty(py);
            for (key, found) in &page.entries {
                let (value, version, expires) = entry(py, found);
                entries.append((key, value, version, expires))?;
            }
            (entries, page.cursor).into_pyobject(py)?.into_any()
        }
        Output::Usage(usage) => (usage.keys, usage.bytes).into_pyobject(py)?.into_any(),
        Output::Outcome(Outcome::Conflict(position)) => {
            (false, position).into_pyobject(py)?.into_any()
        }
        Output::Outcome(Outcome::Done {
            version,
            existed,
            sum,
        }) => (true, version, existed, sum).into_pyobject(py)?.into_any(),
        Output::Names(names) => PyTuple::new(py, names)?.into_any(),
        Output::Copied(copied) => (copied.entries, copied.digest)
            .into_pyobject(py)?
            .into_any(),
        Output::Events(events) => {
            let told = PyList::empty(py);
            for event in events {
                match event {
                    Event::Missed(count) => told.append((count,))?,
                    Event::Changed {
                        key,
                        change,
                        version,
                    } => {
                        let change = match change {
                            Change::Set => "set",
                            Change::Deleted => "deleted",
                            Change::Expired => "expired",
                        };
                        told.append((key, change, version))?;
                    }
                }
            }
            told.into_any()
        }
    };
    Ok(object.unbind())
}
