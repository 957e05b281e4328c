//! For whom Python code acts: a context variable, set around what is run for a guest and read where guests are
//! called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airssys_host::gate::callers::Callers as HostCallers;
use airssys_host::gate::subject::Subject as HostSubject;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::gate::Subject;

/// Whether a chain ever came to Python: the variable need not be looked at before.
static EVER: AtomicBool = AtomicBool::new(false);

/// A chain of callers, the original one first.
#[pyclass(frozen, module = "airssys._core")]
pub struct Callers {
    pub chain: Arc<HostCallers>,
    /// Who called last. It stands in the chain where it came in first.
    last: Arc<HostSubject>,
    /// The number of the gate's authority that decides for it; 0 where that is not known.
    authority: u64,
}

impl Callers {
    /// The chain of a message from `address`.
    pub fn of_sender(chain: Arc<HostCallers>, address: &str) -> Self {
        let (deployment, _) = address.split_once('#').unwrap_or((address, ""));
        let mut named = chain.named().iter();
        let last = named.find(|subject| subject.name == deployment).cloned();
        Self::new(chain, last)
    }

    /// The same, of someone for whom the authority of this number decides.
    pub fn of(self, authority: u64) -> Self {
        Self { authority, ..self }
    }

    pub fn new(chain: Arc<HostCallers>, last: Option<Arc<HostSubject>>) -> Self {
        EVER.store(true, Ordering::Release);
        let last = last.unwrap_or_else(|| {
            let named = chain.named();
            Arc::clone(&named[named.len() - 1])
        });
        Self {
            chain,
            last,
            authority: 0,
        }
    }
}

#[pymethods]
impl Callers {
    /// The chain for whoever `subject` calls: its own callers, then itself.
    #[new]
    fn made_of(subject: &Bound<'_, Subject>) -> Self {
        let subject = &subject.get().inner;
        Self::new(HostCallers::with(None, subject), Some(subject.clone()))
    }

    /// Names of principals; "… more" for those in the middle of a chain that grew too long.
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.chain.names().collect::<Vec<_>>())
    }

    /// Who called last, acting for those before it.
    #[getter]
    fn subject(&self) -> Subject {
        Subject {
            inner: Arc::new(self.last.called_by(&self.chain)),
        }
    }

    /// The number of the gate that decides for who called last; 0 where it is not known.
    #[getter]
    const fn gate(&self) -> u64 {
        self.authority
    }

    fn __repr__(&self) -> String {
        let names: Vec<_> = self.chain.names().collect();
        format!("<Callers {}>", names.join(" -> "))
    }
}

fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    VARIABLE
        .get_or_try_init(py, || {
            Ok(py.import("airssys._callers")?.getattr("callers")?.unbind())
        })
        .map(|variable| variable.bind(py))
}

/// For whom the Python code that runs now acts.
///
/// # Errors
/// The context variable cannot be read.
pub fn present(py: Python<'_>) -> PyResult<Option<Arc<HostCallers>>> {
    if !EVER.load(Ordering::Acquire) {
        return Ok(None);
    }
    let callers = variable(py)?.call_method0("get")?;
    if callers.is_none() {
        return Ok(None);
    }
    Ok(Some(callers.cast::<Callers>()?.get().chain.clone()))
}

/// Run `function` for `callers`.
///
/// # Errors
/// What `function` raised.
pub fn during<'py, R>(
    py: Python<'py>,
    callers: Py<Callers>,
    function: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let variable = variable(py)?;
    let token = variable.call_method1("set", (callers,))?;
    let result = function();
    variable.call_method1("reset", (token,))?;
    result
}
