//! The awaitable of a call: its first slice runs inline; what suspends goes on in the background, and Python
//! functions that the guest calls run in the awaiting task.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use airssys_host::error::Error;
use airssys_host::instance::{Call, Live, Progress};
use airssys_host::value::Value;
use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::bridge::LoopBridge;
use crate::deadline::Deadline;
use crate::imports::{Answer, Caller, Imports, Origin};
use crate::instance::PyInstance;
use crate::runtime::{self, Inside};

/// Makes a Python value of what a call came to. Kept apart so that functions, instantiation and deployments share
/// the awaitable.
pub type Conclude = Box<
    dyn FnOnce(Python<'_>, Option<Box<Live>>, Result<Option<Value>, Error>) -> PyResult<Py<PyAny>>
        + Send,
>;

/// What begins when the awaitable is first awaited.
pub type Begin = Box<dyn FnOnce(Python<'_>) -> PyResult<(Call, Conclude)> + Send>;

/// Where the background leaves a call: the call, unless it ended.
type Parked = Arc<Mutex<Option<Background>>>;

enum Background {
    Ended(Option<Box<Live>>, Result<Option<Value>, Error>),
    HostFunctions(Call),
}

enum State {
    New(Begin),
    /// Taken out while a step runs.
    Stepping,
    Background(Away, Conclude),
    /// A host function's awaitable is being driven in this task.
    HostFunction(Call, Hosted, Conclude),
    Ended,
}

/// A call that the background drives. Dropped, the call is with its store, here or there at its next wait.
struct Away {
    parked: Parked,
    task: AbortHandle,
    /// Of the future that tells when the background stops.
    iterator: Py<PyAny>,
    bridge: Py<LoopBridge>,
    token: u64,
}

impl Drop for Away {
    fn drop(&mut self) {
        self.task.abort();
        self.bridge.get().forget(self.token);
    }
}

/// A host function that awaits.
struct Hosted {
    iterator: Py<PyAny>,
    request: u64,
    origin: Origin,
    deadline: Py<Deadline>,
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.deadline.get().abandon();
    }
}

/// `await function.call_async(...)`.
#[pyclass(frozen, module = "airssys._core")]
pub struct Awaitable {
    state: Mutex<State>,
    imports: Arc<Imports>,
    /// The instance that the call is of, where Python has one: what owns `imports`.
    owner: Option<Py<PyInstance>>,
    awaited: AtomicBool,
}

/// What a step gives to whoever drives the awaitable.
enum Step {
    Yield(Py<PyAny>),
    Return(Py<PyAny>),
}

impl Awaitable {
    pub fn new(imports: Arc<Imports>, owner: Option<Py<PyInstance>>, begin: Begin) -> Self {
        Self {
            state: Mutex::new(State::New(begin)),
            imports,
            owner,
            awaited: AtomicBool::new(false),
        }
    }

    fn take(&self) -> State {
        std::mem::replace(
            &mut *self.state.lock().expect("no code under this lock panics"),
            State::Stepping,
        )
    }

    fn put(&self, state: State) {
        *self.state.lock().expect("no code under this lock panics") = state;
    }

    fn step(&self, py: Python<'_>, thrown: Option<PyErr>) -> PyResult<Py<PyAny>> {
        let _inside = Inside::new(py);
        let result = match self.take() {
            State::New(begin) => match thrown {
                Some(error) => Err(error),
                None => begin(py).and_then(|(call, conclude)| self.advance(py, call, conclude)),
            },
            State::Background(away, conclude) => self.step_background(py, thrown, away, conclude),
            State::HostFunction(call, hosted, conclude) => {
                self.step_host_function(py, thrown, call, hosted, conclude)
            }
            State::Stepping => {
                return Err(PyRuntimeError::new_err(
                    "this call is already being awaited",
                ));
            }
            State::Ended => Err(PyRuntimeError::new_err(
                "this call was awaited already; call again for another",
            )),
        };
        match result {
            Ok(Step::Yield(object)) => Ok(object),
            Ok(Step::Return(value)) => {
                self.put(State::Ended);
                Err(PyStopIteration::new_err((value,)))
            }
            Err(error) => {
                self.put(State::Ended);
                Err(error)
            }
        }
    }

    /// Run slices on this thread until the call ends or has to wait.
    fn advance(&self, py: Python<'_>, mut call: Call, conclude: Conclude) -> PyResult<Step> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match call.slice(&mut context, false) {
                Progress::Done(live, result) => {
                    crate::turns::offer(py);
                    return conclude(py, live, result).map(Step::Return);
                }
                Progress::Suspended => return self.to_background(py, call, conclude),
                Progress::HostFunctions => {
                    let Some(request) = call.link().take_request() else {
                        continue;
                    };
                    let id = request.id;
                    match self
                        .imports
                        .invoke(py, Caller::Loop, call.link(), request)?
                    {
                        Answer::Reply(reply) => call.link().reply(id, reply),
                        Answer::Apart => {}
                        Answer::Awaitable(awaitable, origin) => {
                            let iterator = awaitable.call_method0(py, "__await__")?;
                            match drive(py, &iterator, None) {
                                Drive::Yielded(object) => {
                                    let hosted = Hosted {
                                        iterator,
                                        request: id,
                                        origin,
                                        deadline: Deadline::start(py, &call)?,
                                    };
                                    self.put(State::HostFunction(call, hosted, conclude));
                                    return Ok(Step::Yield(object));
                                }
                                Drive::Finished(outcome) => {
                                    call.link()
                                        .reply(id, self.imports.finish(py, origin, outcome)?);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn step_host_function(
        &self,
        py: Python<'_>,
        thrown: Option<PyErr>,
        call: Call,
        hosted: Hosted,
        conclude: Conclude,
    ) -> PyResult<Step> {
        match drive(py, &hosted.iterator, thrown) {
            Drive::Yielded(object) => {
                self.put(State::HostFunction(call, hosted, conclude));
                Ok(Step::Yield(object))
            }
            Drive::Finished(outcome) => {
                let deadline = hosted.deadline.get();
                deadline.stop(py)?;
                if deadline.expired() {
                    let ours = deadline.absorb(py)?;
                    if let (false, Err(cancelled)) = (ours, outcome) {
                        return Err(cancelled);
                    }
                    let error = call.overdue();
                    drop(call);
                    return conclude(py, None, Err(error)).map(Step::Return);
                }
                let reply = self.imports.finish(py, hosted.origin, outcome)?;
                call.link().reply(hosted.request, reply);
                self.advance(py, call, conclude)
            }
        }
    }

    fn to_background(&self, py: Python<'_>, call: Call, conclude: Conclude) -> PyResult<Step> {
        let runtime = runtime::ready()
            .map_err(|error| crate::errors::raise(py, error, crate::errors::About::default()))?;
        let (bridge, event_loop) = LoopBridge::running(py)?;
        let (token, future, mailbag) = bridge.get().expect(&event_loop)?;
        let parked: Parked = Arc::default();
        let target = parked.clone();
        let task = runtime.spawn(async move {
            let outcome = in_background(call).await;
            *target.lock().expect("no code under this lock panics") = Some(outcome);
            mailbag.finish(token);
        });
        let away = Away {
            parked,
            task: task.abort_handle(),
            iterator: future.call_method0(py, "__await__")?,
            bridge,
            token,
        };
        match drive(py, &away.iterator, None) {
            Drive::Yielded(object) => {
                self.put(State::Background(away, conclude));
                Ok(Step::Yield(object))
            }
            Drive::Finished(_) => Err(PyRuntimeError::new_err(
                "a new future of the event loop is already done",
            )),
        }
    }

    fn step_background(
        &self,
        py: Python<'_>,
        thrown: Option<PyErr>,
        away: Away,
        conclude: Conclude,
    ) -> PyResult<Step> {
        match drive(py, &away.iterator, thrown) {
            Drive::Yielded(object) => {
                self.put(State::Background(away, conclude));
                Ok(Step::Yield(object))
            }
            Drive::Finished(Err(error)) => Err(error),
            Drive::Finished(Ok(_)) => {
                let outcome = away
                    .parked
                    .lock()
                    .expect("no code under this lock panics")
                    .take();
                match outcome {
                    Some(Background::Ended(live, result)) => {
                        conclude(py, live, result).map(Step::Return)
                    }
                    Some(Background::HostFunctions(call)) => self.advance(py, call, conclude),
                    None => Err(PyRuntimeError::new_err(
                        "the call's future was completed by something else",
                    )),
                }
            }
        }
    }
}

/// Drive a call on the runtime until it ends, wants Python, or its time is over.
async fn in_background(call: Call) -> Background {
    let mut deadline = pin!(tokio::time::sleep(call.time_left()));
    let mut call = Some(call);
    std::future::poll_fn(move |context| {
        let mut running = call.take().expect("polled after its end");
        match running.slice(context, true) {
            Progress::Done(live, result) => return Poll::Ready(Background::Ended(live, result)),
            Progress::HostFunctions => return Poll::Ready(Background::HostFunctions(running)),
            Progress::Suspended => {}
        }
        if running.link().pauses().is_some() {
            // The wait for a person does not count, so the end may have moved.
            let until = tokio::time::Instant::now() + running.time_left();
            deadline.as_mut().reset(until);
        }
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Background::Ended(None, Err(running.overdue())));
        }
        call = Some(running);
        Poll::Pending
    })
    .await
}

enum Drive {
    Yielded(Py<PyAny>),
    Finished(PyResult<Py<PyAny>>),
}

/// One step of a Python iterator that stands for an await.
fn drive(py: Python<'_>, iterator: &Py<PyAny>, thrown: Option<PyErr>) -> Drive {
    let stepped = match thrown {
        None => iterator.call_method0(py, "__next__"),
        Some(error) => iterator.call_method1(py, "throw", (error.into_value(py),)),
    };
    match stepped {
        Ok(object) => Drive::Yielded(object),
        Err(error) => match error.value(py).cast::<PyStopIteration>() {
            Ok(stop) => Drive::Finished(stop.getattr("value").map(Bound::unbind)),
            Err(_) => Drive::Finished(Err(error)),
        },
    }
}

#[pymethods]
impl Awaitable {
    fn __await__(slf: Py<Self>) -> PyResult<Py<Self>> {
        if slf.get().awaited.swap(true, Ordering::AcqRel) {
            return Err(PyRuntimeError::new_err(
                "this call was awaited already; call again for another",
            ));
        }
        Ok(slf)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py, None)
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py, None)
    }

    #[pyo3(signature = (error, value = None, _traceback = None))]
    fn throw(
        &self,
        py: Python<'_>,
        error: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let thrown = PyErr::from_value(value.unwrap_or(error));
        self.step(py, Some(thrown))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let state = self.take();
        self.put(State::Ended);
        if let State::HostFunction(_call, hosted, _conclude) = state {
            hosted.deadline.get().stop(py)?;
            match drive(py, &hosted.iterator, Some(PyGeneratorExit::new_err(()))) {
                Drive::Yielded(_) => {
                    return Err(PyRuntimeError::new_err(
                        "a host function ignored GeneratorExit",
                    ));
                }
                Drive::Finished(_) => {}
            }
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        match self.state.try_lock().as_deref() {
            Ok(State::Background(away, _)) => {
                visit.call(&away.iterator)?;
                visit.call(&away.bridge)
            }
            Ok(State::HostFunction(_, hosted, _)) => {
                visit.call(&hosted.iterator)?;
                visit.call(&hosted.deadline)
            }
            _ => Ok(()),
        }
    }
}
