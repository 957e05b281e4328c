//! From tokio's threads to an event loop: finished calls enter a queue and an eventfd wakes the loop, which
//! drains the queue in batches. The threads never attach to the interpreter.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

/// The half that threads hold.
pub struct Mailbag {
    finished: Mutex<Vec<u64>>,
    wake: OwnedFd,
}

impl Mailbag {
    /// Report the call with this token.
    pub fn finish(&self, token: u64) {
        let mut finished = self
            .finished
            .lock()
            .expect("no code under this lock panics");
        finished.push(token);
        if finished.len() == 1 {
            // A full counter means that the loop has not looked yet, and it will.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// Weak, because each leads to its loop, and whoever waits for it holds it: a loop that was closed in the
    /// middle of calls can go, and they with it.
    futures: HashMap<u64, Py<PyWeakrefReference>>,
}

/// One per event loop.
#[pyclass(frozen, module = "airssys._core")]
pub struct LoopBridge {
    mailbag: Arc<Mailbag>,
    waiting: Mutex<Waiting>,
}

#[pymethods]
impl LoopBridge {
    /// Called by the loop when the eventfd is readable.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let mut counter = [0; 8];
        // Nothing to read is fine: an earlier drain took it all.
        let _ = rustix::io::read(&self.mailbag.wake, &mut counter);
        let finished = std::mem::take(
            &mut *self
                .mailbag
                .finished
                .lock()
                .expect("no code under this lock panics"),
        );
        for token in finished {
            let future = self
                .waiting
                .lock()
                .expect("no code under this lock panics")
                .futures
                .remove(&token);
            if let Some(future) = future.and_then(|future| future.bind(py).upgrade())
                && !future.call_method0("done")?.is_truthy()?
            {
                future.call_method1("set_result", (py.None(),))?;
            }
        }
        Ok(())
    }
}

impl LoopBridge {
    /// The bridge of the running event loop, and the loop.
    ///
    /// # Errors
    /// `RuntimeError` without a running loop.
    pub fn running(py: Python<'_>) -> PyResult<(Py<Self>, Bound<'_, PyAny>)> {
        static ASYNCIO: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static BRIDGES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let get_running_loop = ASYNCIO.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("asyncio")?.getattr("get_running_loop")?.unbind())
        })?;
        let event_loop = get_running_loop.bind(py).call0()?;
        let bridges = BRIDGES
            .get_or_try_init(py, || {
                Ok::<_, PyErr>(
                    py.import("weakref")?
                        .getattr("WeakKeyDictionary")?
                        .call0()?
                        .unbind(),
                )
            })?
            .bind(py);
        if let Ok(bridge) = bridges.get_item(&event_loop) {
            return Ok((
                bridge.cast_into::<Self>().map_err(PyErr::from)?.unbind(),
                event_loop,
            ));
        }
        let wake = rustix::event::eventfd(
            0,
            rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK,
        )
        .map_err(std::io::Error::from)?;
        let number = wake.as_raw_fd();
        let mailbag = Arc::new(Mailbag {
            finished: Mutex::default(),
            wake,
        });
        let bridge = Py::new(
            py,
            Self {
                mailbag,
                waiting: Mutex::default(),
            },
        )?;
        event_loop.call_method1("add_reader", (number, bridge.getattr(py, "drain")?))?;
        bridges.set_item(&event_loop, &bridge)?;
        Ok((bridge, event_loop))
    }

    /// A future of `event_loop`, to be held by whoever waits for it, that is done once the token is reported to
    /// the mailbag.
    pub fn expect(
        &self,
        event_loop: &Bound<'_, PyAny>,
    ) -> PyResult<(u64, Py<PyAny>, Arc<Mailbag>)> {
        let future = event_loop.call_method0("create_future")?;
        let weak = PyWeakrefReference::new(&future)?.unbind();
        let mut waiting = self.waiting.lock().expect("no code under this lock panics");
        waiting.next += 1;
        let token = waiting.next;
        waiting.futures.insert(token, weak);
        Ok((token, future.unbind(), self.mailbag.clone()))
    }

    /// Nobody waits for this token any more.
    pub fn forget(&self, token: u64) {
        self.waiting
            .lock()
            .expect("no code under this lock panics")
            .futures
            .remove(&token);
    }
}
