//! The threads behind the module: when they start, and how they end before the interpreter does.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use airssys_host::error::Error;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
static HANDLE: OnceLock<Handle> = OnceLock::new();
static FORKED: AtomicBool = AtomicBool::new(false);

const WORKERS: usize = 4;
const GRACE: Duration = Duration::from_secs(2);
/// For calls to leave once guests have stopped; one that is in a function of Python may take as long as it likes.
const LEAVING: Duration = Duration::from_millis(250);

/// Calls that want the interpreter once more. Changed by who holds it, so by one thread at a time.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A call that has not returned to Python yet. A thread that asks for the interpreter after its end is ended where it
/// stands by Python, which no frame of ours on its stack would survive: the end waits for those that are inside.
pub struct Inside<'py>(Python<'py>);

impl<'py> Inside<'py> {
    pub fn new(py: Python<'py>) -> Self {
        INSIDE.store(INSIDE.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(py)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        INSIDE.store(INSIDE.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }
}

fn handle() -> &'static Handle {
    HANDLE.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("airssys-io")
            .enable_all()
            .build()
            .expect("threads and a timer can be had when the first component is loaded");
        let handle = runtime.handle().clone();
        *RUNTIME.lock().expect("no code under this lock panics") = Some(runtime);
        handle
    })
}

/// Refuse after a fork and after the end; else make sure that this thread can be polled on.
///
/// # Errors
/// [`Error::Forked`] in a forked child, [`Error::ShutDown`] once the interpreter is ending.
pub fn ready() -> Result<&'static Handle, Error> {
    thread_local!(static ENTERED: Cell<bool> = const { Cell::new(false) });
    if FORKED.load(Ordering::Relaxed) {
        return Err(Error::Forked);
    }
    if airssys_host::instance::is_shut_down() {
        return Err(Error::ShutDown);
    }
    let handle = handle();
    ENTERED.with(|entered| {
        if !entered.replace(true) {
            // Timers and sockets of guests need the runtime's context on every thread that polls. Left for the
            // thread's life: entering at each call would cost as much as a short call.
            std::mem::forget(handle.enter());
        }
    });
    Ok(handle)
}

/// Called in a forked child: threads did not come along, so nothing works there.
#[pyfunction]
fn _after_fork() {
    FORKED.store(HANDLE.get().is_some(), Ordering::Relaxed);
}

/// Called before the interpreter ends: guests stop at their next tick, then the threads.
#[pyfunction]
fn _shut_down(py: Python<'_>) {
    if FORKED.load(Ordering::Relaxed) {
        return;
    }
    airssys_host::instance::shut_down();
    py.detach(|| {
        crate::plane::close_all();
        let runtime = RUNTIME
            .lock()
            .expect("no code under this lock panics")
            .take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(GRACE);
        }
        let until = Instant::now() + LEAVING;
        while INSIDE.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
    });
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_after_fork, module)?)?;
    module.add_function(wrap_pyfunction!(_shut_down, module)?)
}
