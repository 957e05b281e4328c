//! Turns of the interpreter between threads that call guests and one that does something else.
//!
//! A thread that wants the interpreter while another has it waits 5 ms before it may insist, and begins to wait anew
//! whenever the other lets go of it for a moment that is too short to wake up in. A deployment gives its turn away at
//! each of some forty looks at the disk, so beside callers that never wait it would spend its time in that queue.
//! While somebody has asked for short turns, callers therefore leave every other millisecond to others: all of them
//! the same one, so that who asked goes through many steps without having to wait or to be woken for each. Who takes
//! longer, since it compiles or waits for a disk, gets every eighth. Threads that call no guest offer nothing; for
//! their sake the interpreter's own interval, after which one may insist, is short meanwhile.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use airssys_host::instance::now_nanos;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

static ASKED: AtomicUsize = AtomicUsize::new(0);
/// When somebody last did.
static ASKED_AT: AtomicU64 = AtomicU64::new(0);

/// The interpreter's interval as it was, in the bits of a float; 0 while it is that.
static USUAL: AtomicU64 = AtomicU64::new(0);

const TURN_NANOS: u64 = 1_000_000;
/// The interval meanwhile.
const SHORT_SECONDS: f64 = 100e-6;
/// For how long others get every other turn.
const SOON_NANOS: u64 = 50_000_000;

/// Called by threads that have just called a guest.
#[inline]
pub fn offer(py: Python<'_>) {
    if ASKED.load(Ordering::Relaxed) > 0 {
        offer_now(py);
    }
}

#[cold]
fn offer_now(py: Python<'_>) {
    let now = now_nanos();
    let waited = now.saturating_sub(ASKED_AT.load(Ordering::Relaxed));
    let every = if waited < SOON_NANOS { 2 } else { 8 };
    if (now / TURN_NANOS).is_multiple_of(every) {
        let rest = TURN_NANOS - now % TURN_NANOS;
        py.detach(|| std::thread::sleep(Duration::from_nanos(rest)));
    }
}
/// While one is entered, callers of guests take short turns, and so does everybody else.
#[pyclass(frozen, name = "ShortTurns", module = "airssys._core")]
pub struct ShortTurns;

#[pymethods]
impl ShortTurns {
    #[new]
    fn new() -> Self {
        Self
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        ASKED_AT.store(now_nanos(), Ordering::Relaxed);
        // The interpreter is held throughout, so nobody else is in here at the same time.
        if ASKED.load(Ordering::Relaxed) == 0 {
            let usual: f64 = interval(py, "getswitchinterval", ())?;
            if usual > SHORT_SECONDS {
                interval::<Option<f64>>(py, "setswitchinterval", (SHORT_SECONDS,))?;
                USUAL.store(usual.to_bits(), Ordering::Relaxed);
            }
        }
        ASKED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        let left = ASKED
            .load(Ordering::Relaxed)
            .checked_sub(1)
            .ok_or_else(|| PyRuntimeError::new_err("left more often than entered"))?;
        ASKED.store(left, Ordering::Relaxed);
        let usual = f64::from_bits(USUAL.load(Ordering::Relaxed));
        if left == 0 && usual > 0.0 {
            USUAL.store(0, Ordering::Relaxed);
            let now: f64 = interval(py, "getswitchinterval", ())?;
            // Whoever has set another one since wants that one.
            if (now - SHORT_SECONDS).abs() < 1e-6 {
                interval::<Option<f64>>(py, "setswitchinterval", (usual,))?;
            }
        }
        Ok(())
    }
}

fn interval<'py, T>(
    py: Python<'py>,
    function: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    py.import("sys")?
        .call_method1(function, arguments)?
        .extract()
}
