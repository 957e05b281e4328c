//! The end of the wait for a host function that an event loop drives: the call's time is over, or its revision's.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Wake, Waker};

use airssys_host::instance::{Call, Kill};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bridge::{LoopBridge, Mailbag};

struct Told {
    mailbag: Arc<Mailbag>,
    token: u64,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.mailbag.finish(self.token);
    }
}

/// Has the running event loop call back once a kill is told. Until it is dropped.
struct Listening {
    /// Polled once; its waker is what counts.
    _told: Pin<Box<dyn Future<Output = ()> + Send>>,
    bridge: Py<LoopBridge>,
    future: Py<PyAny>,
    token: u64,
}

impl Listening {
    fn start(kill: Arc<Kill>, callback: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = callback.py();
        let (bridge, event_loop) = LoopBridge::running(py)?;
        let (token, future, mailbag) = bridge.get().expect(&event_loop)?;
        future.call_method1(py, "add_done_callback", (callback,))?;
        let waker = Waker::from(Arc::new(Told { mailbag, token }));
        let mut told: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { kill.told().await });
        if told
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            waker.wake();
        }
        Ok(Self {
            _told: told,
            bridge,
            future,
            token,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.bridge.get().forget(self.token);
    }
}

/// Ends the wait for a host function the way `asyncio.timeout` does: by cancelling the task and taking the
/// cancellation back.
#[pyclass(frozen, module = "airssys._core")]
pub struct Deadline {
    task: Option<Py<PyAny>>,
    /// Cancellations that the task had been asked for before.
    cancelling: usize,
    pending: Mutex<Pending>,
    stopped: AtomicBool,
    expired: AtomicBool,
}

#[derive(Default)]
struct Pending {
    timer: Option<Py<PyAny>>,
    listening: Option<Listening>,
}

#[pymethods]
impl Deadline {
    #[pyo3(signature = (*_future))]
    fn __call__(&self, py: Python<'_>, _future: &Bound<'_, PyTuple>) -> PyResult<()> {
        if self.stopped.load(Ordering::Acquire) || self.expired.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if let Some(task) = &self.task {
            task.call_method0(py, "cancel")?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.task)?;
        let Ok(pending) = self.pending.try_lock() else {
            return Ok(());
        };
        visit.call(&pending.timer)?;
        match &pending.listening {
            Some(listening) => {
                visit.call(&listening.bridge)?;
                visit.call(&listening.future)
            }
            None => Ok(()),
        }
    }
}

impl Deadline {
    /// Begin to watch a call that the current task drives.
    pub fn start(py: Python<'_>, call: &Call) -> PyResult<Py<Self>> {
        let asyncio = py.import("asyncio")?;
        let event_loop = asyncio.call_method0("get_running_loop")?;
        let task = asyncio.call_method0("current_task")?;
        let task = if task.is_none() {
            None
        } else {
            Some(task.unbind())
        };
        let cancelling = match &task {
            Some(task) => task.call_method0(py, "cancelling")?.extract(py)?,
            None => 0,
        };
        let deadline = Py::new(
            py,
            Self {
                task,
                cancelling,
                pending: Mutex::default(),
                stopped: false.into(),
                expired: false.into(),
            },
        )?;
        let seconds = call.time_left().as_secs_f64();
        let timer = event_loop.call_method1("call_later", (seconds, &deadline))?;
        let listening = match call.kill() {
            Some(kill) => Some(Listening::start(kill.clone(), deadline.bind(py))?),
            None => None,
        };
        *deadline.get().pending() = Pending {
            timer: Some(timer.unbind()),
            listening,
        };
        Ok(deadline)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no code under this lock panics")
    }

    /// The host function has ended.
    pub fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.abandon();
        let pending = std::mem::take(&mut *self.pending());
        if let Some(timer) = pending.timer {
            timer.call_method0(py, "cancel")?;
        }
        Ok(())
    }

    /// Nobody waits any more.
    pub fn abandon(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }

    /// Take the cancellation of the task back. False if somebody else asked for one meanwhile.
    pub fn absorb(&self, py: Python<'_>) -> PyResult<bool> {
        match &self.task {
            Some(task) => {
                let left: usize = task.call_method0(py, "uncancel")?.extract(py)?;
                Ok(left <= self.cancelling)
            }
            None => Ok(true),
        }
    }
}

/// What a blocking call asks to be told of while it drives a host function on an event loop of its own.
#[pyclass(frozen, module = "airssys._core")]
pub struct KillWatch {
    kill: Arc<Kill>,
    listening: Mutex<Option<Listening>>,
}

#[pymethods]
impl KillWatch {
    /// Call `callback` in the running event loop when the call is to end.
    fn start(&self, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let listening = Listening::start(self.kill.clone(), callback)?;
        *self
            .listening
            .lock()
            .expect("no code under this lock panics") = Some(listening);
        Ok(())
    }
}

impl KillWatch {
    pub fn of(call: &Call) -> Option<Self> {
        Some(Self {
            kill: call.kill()?.clone(),
            listening: Mutex::default(),
        })
    }
}
