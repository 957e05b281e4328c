//! A thread of Python that waits for an outcome.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use airssys_host::plane::{Ask, Foreign, Outcome};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::plane::Inner;

/// How long a wait goes on before signals are looked at.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Waiting {
    outcome: Mutex<Option<Outcome>>,
    there: Condvar,
}

impl Waiting {
    fn take(&self) -> Option<Outcome> {
        self.outcome
            .lock()
            .expect("no code under this lock panics")
            .take()
    }

    /// The outcome, unless signals are to be looked at first.
    fn wait(&self) -> Option<Outcome> {
        let look = Instant::now() + SIGNAL_CHECK;
        let mut found = self.outcome.lock().expect("no code under this lock panics");
        loop {
            if found.is_some() {
                return found.take();
            }
            let left = look.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            found = self
                .there
                .wait_timeout(found, left)
                .expect("no code under this lock panics")
                .0;
        }
    }
}

impl Foreign for Waiting {
    fn done(&self, _token: u64, outcome: Outcome) {
        *self.outcome.lock().expect("no code under this lock panics") = Some(outcome);
        self.there.notify_all();
    }
}

/// What `ask` comes to. Signals end the wait, and with it the ask.
pub fn outcome(py: Python<'_>, inner: &Inner, ask: &Arc<Ask>) -> PyResult<Outcome> {
    let waiting = Arc::new(Waiting::default());
    let mut outcome = ask.take_or_tell(waiting.clone(), 0);
    if outcome.is_none() && inner.virtual_time {
        inner.plane.run();
        outcome = waiting.take();
        if outcome.is_none() {
            ask.cancel();
            return Err(PyValueError::new_err(
                "in virtual time a blocking ask has no answer unless it comes without time passing; \
                 await ask() and let the loop's clock move",
            ));
        }
    }
    loop {
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        outcome = py.detach(|| waiting.wait());
        if outcome.is_none()
            && let Err(error) = py.check_signals()
        {
            ask.cancel();
            return Err(error);
        }
    }
}
