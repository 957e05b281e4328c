//! Turns of the interpreter between threads that call guests and one that does something else.
//!
//! A thread that wants the interpreter while another has it waits 5 ms before it may insist. A deployment takes its
//! turn after each look at the disk, so beside callers that never wait it would spend its time in that queue. While
//! somebody has asked for short turns, callers let go of the interpreter between two calls now and then, for long
//! enough that another thread takes it.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use airssys_host::instance::now_nanos;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// How long a thread goes on before it offers the interpreter again.
const TURN_NANOS: u64 = 200_000;
/// For how long it does. Threads wake up within some 50 us, which is also what the shortest sleep takes.
const OFFER: Duration = Duration::from_micros(1);

/// Called by threads that have just called a guest.
#[inline]
pub fn offer(py: Python<'_>) {
    if ASKED.load(Ordering::Relaxed) > 0 {
        offer_now(py);
    }
}

#[cold]
fn offer_now(py: Python<'_>) {
    thread_local!(static OFFERED: Cell<u64> = const { Cell::new(0) });
    let now = now_nanos();
    if now.saturating_sub(OFFERED.get()) >= TURN_NANOS {
        py.detach(|| std::thread::sleep(OFFER));
        OFFERED.set(now_nanos());
    }
}

/// While one is entered, callers of guests take short turns.
#[pyclass(frozen, name = "ShortTurns", module = "airssys._core")]
pub struct ShortTurns;

#[pymethods]
impl ShortTurns {
    #[new]
    fn new() -> Self {
        Self
    }

    fn __enter__(&self) {
        ASKED.fetch_add(1, Ordering::Relaxed);
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        ASKED
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |asked| {
                asked.checked_sub(1)
            })
            .map(drop)
            .map_err(|_| PyRuntimeError::new_err("left more often than entered"))
    }
}
