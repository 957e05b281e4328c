//! Drives a call on the thread of its caller.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use airssys_host::error::Error;
use airssys_host::instance::{Call, Live, Progress, is_shut_down};
use airssys_host::value::Value;
use pyo3::prelude::*;

use crate::imports::{Answer, Caller, Imports};

/// How long a wait goes on before signals are looked at.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Wakes one thread.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// This thread's waker; a wake meant for an earlier call of the thread costs one idle poll.
fn with_waker<R>(use_it: impl FnOnce(&Arc<Unpark>, &Waker) -> R) -> R {
    thread_local!(static WAKER: OnceCell<(Arc<Unpark>, Waker)> = const { OnceCell::new() });
    WAKER.with(|cell| {
        let (unpark, waker) = cell.get_or_init(|| {
            let unpark = Arc::new(Unpark {
                thread: std::thread::current(),
                woken: AtomicBool::new(false),
            });
            (unpark.clone(), Waker::from(unpark))
        });
        use_it(unpark, waker)
    })
}

/// What a call came to: its store unless that is lost, and the result.
pub type Ended = (Option<Box<Live>>, Result<Option<Value>, Error>);

enum Detached {
    Ended(Ended),
    HostFunctions,
    CheckSignals,
}

/// Run `call` to its end. Python functions that the guest calls run here, attached, never on the guest's stack.
///
/// # Errors
/// What a signal handler raises (the call is dropped then), or a host function's exception that is not an
/// `Exception`. A host function's `Exception` makes the call end with [`Error::HostFunction`] and is left in
/// `imports`.
pub fn run(py: Python<'_>, mut call: Call, imports: &Arc<Imports>) -> PyResult<Ended> {
    with_waker(|unpark, waker| {
        let mut context = Context::from_waker(waker);
        let mut progress = call.slice(&mut context, false);
        loop {
            match progress {
                Progress::Done(live, result) => {
                    crate::turns::offer(py);
                    return Ok((live, result));
                }
                Progress::HostFunctions => {
                    while let Some(request) = call.link().take_request() {
                        let id = request.id;
                        let reply =
                            match imports.invoke(py, Caller::Thread, call.link(), request)? {
                                Answer::Reply(reply) => reply,
                                Answer::Apart => continue,
                                Answer::Awaitable(awaitable, origin) => imports.finish(
                                    py,
                                    origin,
                                    crate::imports::run_to_end(py, awaitable.bind(py), &call),
                                )?,
                            };
                        call.link().reply(id, reply);
                    }
                    progress = call.slice(&mut context, false);
                }
                Progress::Suspended => match py.detach(|| wait(&mut call, unpark, waker)) {
                    Detached::Ended((live, result)) => return Ok((live, result)),
                    Detached::HostFunctions => progress = Progress::HostFunctions,
                    Detached::CheckSignals => {
                        py.check_signals()?;
                        progress = Progress::Suspended;
                    }
                },
            }
        }
    })
}

/// Go on without the interpreter until the call ends, wants Python, or signals should be looked at.
fn wait(call: &mut Call, unpark: &Unpark, waker: &Waker) -> Detached {
    let mut context = Context::from_waker(waker);
    let look = Instant::now() + SIGNAL_CHECK;
    loop {
        match call.slice(&mut context, true) {
            Progress::Done(live, result) => return Detached::Ended((live, result)),
            Progress::HostFunctions => return Detached::HostFunctions,
            Progress::Suspended => {}
        }
        while !unpark.woken.swap(false, Ordering::AcqRel) {
            let left = call.time_left();
            if left.is_zero() {
                return Detached::Ended((None, Err(call.overdue())));
            }
            if is_shut_down() {
                return Detached::Ended((None, Err(Error::ShutDown)));
            }
            let now = Instant::now();
            if now >= look {
                return Detached::CheckSignals;
            }
            std::thread::park_timeout(left.min(look - now));
        }
        if Instant::now() >= look {
            // The next slice follows at once: this thread was woken.
            unpark.woken.store(true, Ordering::Release);
            return Detached::CheckSignals;
        }
    }
}
