//! From the plane's threads to an event loop: outcomes, messages for ports, and events enter one queue, and the loop
//! drains it in batches. The threads never attach to the interpreter.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use airssys_host::plane::{Ask, Event, Foreign, Observer, Outcome, Port, PortSink, Source};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::convert::{self, Awaited};
use super::port::PyPort;
use crate::callers::Callers;

/// Messages or events handed to Python at once.
const BATCH: usize = 256;
/// Times that a delivery looks whether its consequences are there already.
const ROUNDS: usize = 4;
/// Dead letters and log lines that wait for the loop; more are only counted.
const WAITING: usize = 10_000;

/// How the loop learns that the queue has something.
pub enum Signal {
    Descriptor(OwnedFd),
    /// In virtual time: whoever runs the plane drains the queue too.
    Hook(Arc<Hook>),
}

/// Called, once until [`Hook::rest`], when a plane in virtual time has something to do.
#[derive(Default)]
pub struct Hook {
    callable: Mutex<Option<Py<PyAny>>>,
    called: AtomicBool,
}

impl Hook {
    pub fn set(&self, callable: Option<Py<PyAny>>) {
        *self
            .callable
            .lock()
            .expect("no code under this lock panics") = callable;
    }

    pub fn rest(&self) {
        self.called.store(false, Ordering::Release);
    }

    pub fn call(&self) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        Python::attach(|py| {
            let callable = self
                .callable
                .lock()
                .expect("no code under this lock panics")
                .as_ref()
                .map(|callable| callable.clone_ref(py));
            if let Some(callable) = callable
                && let Err(error) = callable.call0(py)
            {
                error.write_unraisable(py, Some(callable.bind(py)));
            }
        });
    }
}

#[derive(Default)]
struct Queue {
    outcomes: Vec<(u64, Outcome)>,
    ports: VecDeque<(Arc<Port>, u64)>,
    events: VecDeque<Event>,
    dead_and_log: usize,
    lost_dead: u64,
    lost_log: u64,
    signalled: bool,
}

/// The half that threads hold.
pub struct Post {
    queue: Mutex<Queue>,
    signal: Signal,
    pub lost: AtomicU64,
}

impl Post {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no code under this lock panics")
    }

    fn put(&self, put: impl FnOnce(&mut Queue)) {
        let signal = {
            let mut queue = self.queue();
            put(&mut queue);
            !std::mem::replace(&mut queue.signalled, true)
        };
        if signal {
            match &self.signal {
                // A full counter means that the loop has not looked yet, and it will.
                Signal::Descriptor(descriptor) => {
                    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
                }
                Signal::Hook(hook) => hook.call(),
            }
        }
    }

    /// A delivery is over: what came since then wakes the loop again.
    fn drained(&self) {
        let left = {
            let mut queue = self.queue();
            queue.signalled = false;
            !(queue.outcomes.is_empty() && queue.ports.is_empty() && queue.events.is_empty())
        };
        if left {
            self.put(|_| {});
        }
    }
}

impl Foreign for Post {
    fn done(&self, token: u64, outcome: Outcome) {
        self.put(|queue| queue.outcomes.push((token, outcome)));
    }
}

impl Observer for Post {
    fn happened(&self, event: Event) {
        // Each of these would wake the loop for nothing.
        if matches!(event, Event::Stage { .. }) {
            return;
        }
        self.put(|queue| {
            let bounded = matches!(event, Event::Dead { .. } | Event::Log(_));
            if bounded && queue.dead_and_log == WAITING {
                if matches!(event, Event::Log(_)) {
                    queue.lost_log += 1;
                } else {
                    queue.lost_dead += 1;
                }
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            queue.dead_and_log += usize::from(bounded);
            queue.events.push_back(event);
        });
    }
}

/// Tells the loop that a port has messages.
pub struct Doorbell {
    pub post: Arc<Post>,
    pub port: std::sync::OnceLock<std::sync::Weak<Port>>,
    pub number: u64,
}

impl PortSink for Doorbell {
    fn ready(&self) {
        if let Some(port) = self.port.get().and_then(std::sync::Weak::upgrade) {
            self.post
                .put(|queue| queue.ports.push_back((port, self.number)));
        }
    }
}

struct Expected {
    future: Py<PyAny>,
    address: Arc<str>,
    awaited: Awaited,
}

#[derive(Default)]
struct Expectations {
    next: u64,
    futures: HashMap<u64, Expected>,
}

/// How much of what waited a delivery handed over.
enum Delivered {
    Nothing,
    All,
    /// As much as goes at once; others of the loop have their turn before the rest.
    Full,
}

/// One per plane and event loop.
#[pyclass(frozen, module = "airssys._core")]
pub struct Bridge {
    pub post: Arc<Post>,
    event_loop: Py<PyAny>,
    errors: Py<PyAny>,
    callbacks: Mutex<(Py<PyAny>, Py<PyAny>)>,
    expectations: Mutex<Expectations>,
    ports: Mutex<HashMap<u64, Py<PyPort>>>,
    closed: AtomicBool,
}

impl Bridge {
    /// A bridge to `event_loop`, which calls `drain` when there is something.
    pub fn new(
        py: Python<'_>,
        event_loop: &Bound<'_, PyAny>,
        errors: Py<PyAny>,
        callbacks: (Py<PyAny>, Py<PyAny>),
        hook: Option<&Arc<Hook>>,
    ) -> PyResult<Py<Self>> {
        let signal = match hook {
            Some(hook) => Signal::Hook(hook.clone()),
            None => Signal::Descriptor(
                rustix::event::eventfd(
                    0,
                    rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK,
                )
                .map_err(std::io::Error::from)?,
            ),
        };
        let number = match &signal {
            Signal::Descriptor(descriptor) => Some(descriptor.as_raw_fd()),
            Signal::Hook(_) => None,
        };
        let bridge = Py::new(
            py,
            Self {
                post: Arc::new(Post {
                    queue: Mutex::default(),
                    signal,
                    lost: AtomicU64::new(0),
                }),
                event_loop: event_loop.clone().unbind(),
                errors,
                callbacks: Mutex::new(callbacks),
                expectations: Mutex::default(),
                ports: Mutex::default(),
                closed: AtomicBool::new(false),
            },
        )?;
        if let Some(number) = number {
            event_loop.call_method1("add_reader", (number, bridge.getattr(py, "drain")?))?;
        }
        Ok(bridge)
    }

    pub fn belongs_to(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        self.event_loop.is(event_loop)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub fn set_callbacks(&self, callbacks: (Py<PyAny>, Py<PyAny>)) {
        *self
            .callbacks
            .lock()
            .expect("no code under this lock panics") = callbacks;
    }

    pub fn add_port(&self, number: u64, port: Py<PyPort>) {
        self.ports
            .lock()
            .expect("no code under this lock panics")
            .insert(number, port);
    }

    pub fn remove_port(&self, number: u64) {
        // Dropped outside the lock: it may be the last reference.
        let _removed = self
            .ports
            .lock()
            .expect("no code under this lock panics")
            .remove(&number);
    }

    /// A future of this bridge's loop for what `ask` comes to. Cancelling it cancels the ask.
    pub fn future(
        &self,
        py: Python<'_>,
        address: &Arc<str>,
        awaited: Awaited,
        ask: &Arc<Ask>,
    ) -> PyResult<Py<PyAny>> {
        let future = self.event_loop.bind(py).call_method0("create_future")?;
        let token = {
            let mut expectations = self
                .expectations
                .lock()
                .expect("no code under this lock panics");
            expectations.next += 1;
            expectations.next
        };
        match ask.take_or_tell(self.post.clone(), token) {
            Some(outcome) => self.finish(py, &future, address, awaited, &outcome)?,
            None => {
                // The loop's own thread is here, so nothing is drained before the future is known.
                self.expectations
                    .lock()
                    .expect("no code under this lock panics")
                    .futures
                    .insert(
                        token,
                        Expected {
                            future: future.clone().unbind(),
                            address: address.clone(),
                            awaited,
                        },
                    );
                if awaited != Awaited::Command {
                    let cancel = Py::new(py, Cancel { ask: ask.clone() })?;
                    future.call_method1("add_done_callback", (cancel,))?;
                }
            }
        }
        Ok(future.unbind())
    }

    /// A future that is done already, with a failure.
    pub fn failed(&self, py: Python<'_>, error: &PyErr) -> PyResult<Py<PyAny>> {
        let future = self.event_loop.bind(py).call_method0("create_future")?;
        future.call_method1("set_exception", (error.value(py),))?;
        Ok(future.unbind())
    }

    fn finish(
        &self,
        py: Python<'_>,
        future: &Bound<'_, PyAny>,
        address: &str,
        awaited: Awaited,
        outcome: &Outcome,
    ) -> PyResult<()> {
        match convert::result(py, &self.errors, address, awaited, outcome) {
            Ok(value) => future.call_method1("set_result", (value,))?,
            Err(error) => future.call_method1("set_exception", (error.value(py),))?,
        };
        Ok(())
    }

    fn messages<'py>(
        &self,
        py: Python<'py>,
        queue: VecDeque<(Arc<Port>, u64)>,
    ) -> PyResult<Bound<'py, PyList>> {
        let batch = PyList::empty(py);
        let mut again = Vec::new();
        for (port, number) in queue {
            let room = BATCH.saturating_sub(batch.len());
            if room == 0 {
                again.push((port, number));
                continue;
            }
            let owner = self
                .ports
                .lock()
                .expect("no code under this lock panics")
                .get(&number)
                .map(|owner| owner.clone_ref(py));
            let (taken, more) = port.take(room);
            if more {
                again.push((port, number));
            }
            let Some(owner) = owner else { continue };
            for envelope in taken {
                let topic = match &envelope.source {
                    Source::Topic { topic, .. } => Some(&**topic),
                    _ => None,
                };
                let (kind, deadline) = match (&envelope.ask, topic) {
                    (_, Some(_)) => (2, 0.0),
                    (Some(ask), None) if envelope.wants_reply() => {
                        (1, convert::seconds(ask.deadline))
                    }
                    _ => (0, 0.0),
                };
                batch.append((
                    &owner,
                    PyString::new(py, envelope.source.address()),
                    PyBytes::new(py, &envelope.payload),
                    kind,
                    envelope.id,
                    deadline,
                    envelope.trace.as_deref(),
                    topic,
                    envelope.priority,
                    envelope
                        .callers
                        .clone()
                        .map(|chain| Callers::of_sender(chain, envelope.source.address())),
                ))?;
            }
        }
        if !again.is_empty() {
            self.post.put(|queue| queue.ports.extend(again));
        }
        Ok(batch)
    }

    /// Hand over what there is. True if there was something.
    ///
    /// What Python does with it may at once have consequences, as when the supervisor of an actor that failed starts it
    /// again: those are handed over too, before the loop looks at its descriptors again.
    pub fn deliver(&self, py: Python<'_>) -> PyResult<bool> {
        let rounds = match self.post.signal {
            Signal::Descriptor(_) => ROUNDS,
            // Whoever runs the plane calls again.
            Signal::Hook(_) => 1,
        };
        let mut something = false;
        let mut raised = Ok(());
        for _ in 0..rounds {
            match self.deliver_batch(py) {
                Ok(Delivered::Nothing) => break,
                Ok(Delivered::All) => something = true,
                Ok(Delivered::Full) => {
                    something = true;
                    break;
                }
                Err(error) => {
                    raised = Err(error);
                    break;
                }
            }
        }
        self.post.drained();
        raised.map(|()| something)
    }

    fn deliver_batch(&self, py: Python<'_>) -> PyResult<Delivered> {
        let (outcomes, ports, events, lost) = {
            let mut queue = self.post.queue();
            // Until all is handed over nobody needs to wake the loop.
            queue.signalled = true;
            let count = queue.events.len().min(BATCH);
            let events: Vec<Event> = queue.events.drain(..count).collect();
            let bounded = events
                .iter()
                .filter(|event| matches!(event, Event::Dead { .. } | Event::Log(_)))
                .count();
            queue.dead_and_log -= bounded;
            (
                std::mem::take(&mut queue.outcomes),
                std::mem::take(&mut queue.ports),
                events,
                (
                    std::mem::take(&mut queue.lost_dead),
                    std::mem::take(&mut queue.lost_log),
                ),
            )
        };
        if outcomes.is_empty() && ports.is_empty() && events.is_empty() && lost == (0, 0) {
            return Ok(Delivered::Nothing);
        }
        let mut full = events.len() == BATCH;
        let (on_messages, on_events) = {
            let callbacks = self
                .callbacks
                .lock()
                .expect("no code under this lock panics");
            (callbacks.0.clone_ref(py), callbacks.1.clone_ref(py))
        };
        let mut raised = Ok(());
        if !ports.is_empty() {
            let batch = self.messages(py, ports)?;
            full |= batch.len() >= BATCH;
            if !batch.is_empty() {
                raised = raised.and(on_messages.call1(py, (batch,)).map(drop));
            }
        }
        for (token, outcome) in outcomes {
            let expected = self
                .expectations
                .lock()
                .expect("no code under this lock panics")
                .futures
                .remove(&token);
            if let Some(expected) = expected {
                let future = expected.future.bind(py);
                if !future.call_method0("done")?.is_truthy()? {
                    self.finish(py, future, &expected.address, expected.awaited, &outcome)?;
                }
            }
        }
        if !events.is_empty() || lost != (0, 0) {
            let batch = PyList::empty(py);
            for event in &events {
                if let Some(event) = convert::event_tuple(py, event)? {
                    batch.append(event)?;
                }
            }
            if lost != (0, 0) {
                let details = PyDict::new(py);
                details.set_item("dead", lost.0)?;
                details.set_item("log", lost.1)?;
                batch.append(("lost", "", 0, details))?;
            }
            raised = raised.and(on_events.call1(py, (batch,)).map(drop));
        }
        raised.map(|()| {
            if full {
                Delivered::Full
            } else {
                Delivered::All
            }
        })
    }
}

#[pymethods]
impl Bridge {
    /// Called by the loop when the descriptor is readable.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        if let Signal::Descriptor(descriptor) = &self.post.signal {
            let mut counter = [0; 8];
            // Nothing to read is fine: an earlier drain took it all.
            let _ = rustix::io::read(descriptor, &mut counter);
        }
        self.deliver(py).map(drop)
    }

    /// Deliver nothing any more. What futures wait for is cancelled with them.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let waiting = std::mem::take(
            &mut self
                .expectations
                .lock()
                .expect("no code under this lock panics")
                .futures,
        );
        let event_loop = self.event_loop.bind(py);
        if event_loop.call_method0("is_closed")?.is_truthy()? {
            return Ok(());
        }
        if let Signal::Descriptor(descriptor) = &self.post.signal {
            event_loop.call_method1("remove_reader", (descriptor.as_raw_fd(),))?;
        }
        for expected in waiting.into_values() {
            expected.future.call_method0(py, "cancel")?;
        }
        Ok(())
    }
}

/// Cancels an ask whose future is done: a no-op unless the future was cancelled.
#[pyclass(frozen, module = "airssys._core")]
struct Cancel {
    ask: Arc<Ask>,
}

#[pymethods]
impl Cancel {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        self.ask.cancel();
    }
}
