//! Where the values of secrets come from, as Python gives it: a mapping, or a function that is asked.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use airssys_host::wasi::secrets::{Secret, Source, Value, is_name};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;

/// Values that do not change.
pub struct Fixed(HashMap<String, Arc<Secret>>);

impl Fixed {
    /// Keep what `names` need of a mapping of names to bytes.
    ///
    /// # Errors
    /// `ValueError`: One is not there, or cannot be a secret.
    pub fn of(mapping: &Bound<'_, PyDict>, names: &[&str]) -> PyResult<Self> {
        let mut values = HashMap::new();
        for name in names {
            let Some(value) = mapping.get_item(name)? else {
                return Err(PyValueError::new_err(format!(
                    "environment or config has a place for the secret {name}, and secrets has none of this \
                     name; add it, or take ${{secret:{name}}} out"
                )));
            };
            let value = Secret::new(value.extract::<PyBackedBytes>()?.to_vec())
                .map_err(|reason| PyValueError::new_err(format!("secret {name}: {reason}")))?;
            values.insert((*name).to_owned(), Arc::new(value));
        }
        Ok(Self(values))
    }
}

impl Source for Fixed {
    fn value(&self, name: &str) -> Pin<Box<dyn Future<Output = Value> + Send + '_>> {
        let value = self.0.get(name).cloned();
        Box::pin(std::future::ready(
            value.ok_or_else(|| "there is none of this name".to_owned()),
        ))
    }
}

/// A function that returns the value of a secret by its name, as bytes, or `None` once it has told why not.
pub struct Asked(Option<Arc<Py<PyAny>>>);

impl Asked {
    pub fn new(function: Py<PyAny>) -> Self {
        Self(Some(Arc::new(function)))
    }
}

impl Source for Asked {
    fn value(&self, name: &str) -> Pin<Box<dyn Future<Output = Value> + Send + '_>> {
        let function = self.0.clone();
        let name = name.to_owned();
        Box::pin(async move {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let ask = move || {
                let asked = Python::try_attach(|py| {
                    let value = function
                        .as_ref()
                        .expect("it is only taken when this is dropped")
                        .call1(py, (&name,))
                        .and_then(|value| Ok(value.extract::<Option<PyBackedBytes>>(py)?))
                        .map_err(|error| error.to_string())?;
                    // Here, since its last reference may be this one.
                    drop(function);
                    let value = value.ok_or_else(|| "it could not be had".to_owned())?;
                    Secret::new(value.to_vec()).map(Arc::new)
                });
                // Nobody waits any more where the call has ended.
                let _ = answer
                    .send(asked.unwrap_or_else(|| Err("the interpreter is ending".to_owned())));
            };
            on_a_thread(ask).map_err(|error| error.to_string())?;
            answered
                .await
                .unwrap_or_else(|_| Err("the function did not return".to_owned()))
        })
    }
}

/// A store may end on a fiber, where no Python may run; so the function goes elsewhere.
impl Drop for Asked {
    fn drop(&mut self) {
        let function = self.0.take();
        // Without a thread, or an interpreter, its memory goes with the process.
        let _ = on_a_thread(move || {
            Python::try_attach(|_| drop(function));
        });
    }
}

/// A thread of its own: it waits for the interpreter, and what it runs may wait for anything, even for other
/// guests, which the threads of the runtime must not.
fn on_a_thread(run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("airssys-secret".to_owned())
        .spawn(run)
        .map(drop)
}

/// Refuse what cannot be a secret.
///
/// # Errors
/// `ValueError`: Says why, without saying the value.
#[pyfunction]
pub fn check_secret(name: &str, value: PyBackedBytes) -> PyResult<()> {
    let checked = if is_name(name) {
        Secret::new(value.to_vec()).map(drop)
    } else {
        Err("a name has 1 to 64 letters, digits, `-`, `_` and `.`".to_owned())
    };
    checked.map_err(|reason| PyValueError::new_err(format!("secret {name}: {reason}")))
}
