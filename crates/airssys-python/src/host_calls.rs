//! Python functions for guests whose calls come from outside: they run on the event loop of the host, to which the
//! threads that drive guests hand over what is asked. Those never attach to the interpreter.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use airssys_host::error::HostFunctionFailed;
use airssys_host::ingress::{Answering, Answers};
use airssys_host::instance::{Link, Live};
use airssys_host::route::Line;
use pyo3::prelude::*;

use crate::imports::{Answer, Caller, Imports};
use crate::route::companion;

/// What happened to a call.
enum Event {
    Asked(Arc<Session>, Arc<Link>),
    Over(Arc<Session>),
}

/// What the loop has to look at, and what wakes it.
struct Queue {
    events: Mutex<Vec<Event>>,
    wake: OwnedFd,
}

impl Queue {
    fn put(&self, event: Event) {
        let mut events = self.events.lock().expect("no code under this lock panics");
        events.push(event);
        if events.len() == 1 {
            // A full counter means that the loop has not looked yet, and it will.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }
}

/// One call that asked for something.
struct Session {
    line: Arc<Line>,
    /// Made by the loop.
    imports: Mutex<Option<Arc<Imports>>>,
    /// The instance stays, and what it holds with it.
    kept: AtomicBool,
}

impl Session {
    fn imports(&self) -> Option<Arc<Imports>> {
        let imports = self.imports.lock();
        imports.expect("no code under this lock panics").clone()
    }

    /// Answer what the guest behind `link` asks.
    fn answer(&self, py: Python<'_>, link: &Arc<Link>) -> PyResult<()> {
        let imports = self.imports().unwrap_or_else(|| {
            let made = companion(&self.line).imports(py);
            let mut imports = self.imports.lock().expect("no code under this lock panics");
            imports.insert(made).clone()
        });
        while let Some(request) = link.take_request() {
            let id = request.id;
            match imports.invoke(py, Caller::Loop, link, request) {
                Ok(Answer::Reply(reply)) => link.reply(id, reply),
                Ok(Answer::Apart) => {}
                Ok(Answer::Awaitable(awaitable, origin)) => {
                    imports.start(py, &awaitable, link, id, origin)?;
                }
                Err(error) => {
                    link.reply(id, Err(HostFunctionFailed));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The call is over: let go of what it had of Python, and tell what went wrong there.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let Some(imports) = self.imports() else {
            return Ok(());
        };
        if let Some((whose, error)) = imports.take_failure() {
            py.import("airssys.wasm.ingress")?
                .call_method1("host_function_failed", (whose, error.into_value(py)))?;
        }
        if !self.kept.load(Ordering::Acquire) {
            imports.abandon();
        }
        Ok(())
    }
}

/// The end of a session that the driver holds.
struct Asking {
    session: Arc<Session>,
    queue: Arc<Queue>,
}

impl Answers for Asking {
    fn asked(&self, link: &Arc<Link>) {
        self.queue
            .put(Event::Asked(self.session.clone(), link.clone()));
    }

    fn ended(&self, live: Option<&Live>) {
        if let (Some(live), Some(imports)) = (live, self.session.imports()) {
            imports.handles.leave_with(live);
            self.session.kept.store(true, Ordering::Release);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.queue.put(Event::Over(self.session.clone()));
    }
}

struct OnLoop(Arc<Queue>);

impl Answering for OnLoop {
    fn begin(&self, line: &Arc<Line>) -> Box<dyn Answers> {
        let session = Arc::new(Session {
            line: line.clone(),
            imports: Mutex::new(None),
            kept: AtomicBool::new(false),
        });
        Box::new(Asking {
            session,
            queue: self.0.clone(),
        })
    }
}

/// What guests of calls from outside ask of Python, until an event loop answers it.
#[pyclass(frozen, name = "HostCalls", module = "airssys._core")]
pub struct PyHostCalls {
    queue: Arc<Queue>,
}

impl PyHostCalls {
    pub fn answering(&self) -> Arc<dyn Answering> {
        Arc::new(OnLoop(self.queue.clone()))
    }
}

#[pymethods]
impl PyHostCalls {
    #[new]
    fn new() -> PyResult<Self> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let wake = rustix::event::eventfd(0, flags).map_err(std::io::Error::from)?;
        Ok(Self {
            queue: Arc::new(Queue {
                events: Mutex::default(),
                wake,
            }),
        })
    }

    /// Readable when there is something to answer.
    fn fileno(&self) -> i32 {
        self.queue.wake.as_raw_fd()
    }

    /// Answer what was asked; called by the loop when the descriptor is readable.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        // Nothing to read is fine: an earlier drain took it all.
        let _ = rustix::io::read(&self.queue.wake, &mut [0; 8]);
        let events = {
            let mut events = self.queue.events.lock();
            std::mem::take(
                events
                    .as_deref_mut()
                    .expect("no code under this lock panics"),
            )
        };
        let mut failure = Ok(());
        for event in events {
            let answered = match event {
                Event::Asked(session, link) => session.answer(py, &link),
                Event::Over(session) => session.finish(py),
            };
            // The others are answered first.
            failure = failure.and(answered);
        }
        failure
    }
}
