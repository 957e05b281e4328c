//! `Storage`, `StorageNamespace`, `StorageWatcher`: the storage of components, for Python.

mod errors;
mod operation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airssys_host::gate::rule_gate::RuleGate;
use airssys_host::storage::shared::{Offer, Offers};
use airssys_host::storage::{
    Durability, FileOptions, Namespace, Operation as Part, Quota, Storage, Watcher, wall_clock,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyTuple;

use operation::{Operation, Output};

use crate::gate::{Gate, Subject};
use crate::plane::service::PyService;

/// An open storage.
#[pyclass(frozen, name = "Storage", module = "airssys._core")]
pub struct PyStorage {
    storage: Arc<Storage>,
}

#[pymethods]
impl PyStorage {
    /// `path` is None for one in memory; `relaxed` the seconds within which writes become durable, or None.
    #[new]
    #[pyo3(signature = (path, *, relaxed, cache))]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        relaxed: Option<f64>,
        cache: usize,
    ) -> PyResult<Self> {
        let durability = match relaxed {
            None => Durability::Durable,
            Some(seconds) => Durability::Relaxed(
                Duration::try_from_secs_f64(seconds)
                    .map_err(|error| PyValueError::new_err(error.to_string()))?,
            ),
        };
        let opened = py.detach(|| match path {
            None => Ok(Storage::in_memory(wall_clock())),
            Some(path) => Storage::open(&path, durability, FileOptions { cache }, wall_clock()),
        });
        let storage = Arc::new(opened.map_err(|error| errors::raise(py, &error))?);
        Ok(Self { storage })
    }

    /// The file, or `memory`.
    #[getter]
    fn place(&self) -> PathBuf {
        self.storage.place().to_owned()
    }

    /// Transactions that wrote, where writes wait for the disk.
    #[getter]
    fn transactions(&self) -> u64 {
        self.storage.transactions()
    }

    #[pyo3(signature = (name, *, bytes, keys, key, value))]
    fn namespace(
        &self,
        py: Python<'_>,
        name: &str,
        bytes: u64,
        keys: u64,
        key: u64,
        value: u64,
    ) -> PyResult<Py<PyStorageNamespace>> {
        let quota = Quota {
            bytes,
            keys,
            key,
            value,
        };
        let namespace = self
            .storage
            .namespace(name, quota)
            .map_err(|error| errors::raise(py, &error))?;
        let service = PyService(Arc::new(namespace.clone()));
        let initial =
            PyClassInitializer::from(service).add_subclass(PyStorageNamespace { namespace });
        Py::new(py, initial)
    }

    /// Names of the namespaces that hold anything.
    fn namespaces(&self) -> Operation {
        let storage = self.storage.clone();
        Operation::now(move |_| storage.namespaces().map(Output::Names))
    }

    /// Write a copy to a new file: entries and digest.
    fn backup(&self, path: PathBuf) -> Operation {
        let storage = self.storage.clone();
        Operation::now(move |stopped| storage.backup(&path, stopped).map(Output::Copied))
    }

    /// Copy everything into an empty storage and compare: entries and digest.
    fn copy_to(&self, target: &Self) -> Operation {
        let (storage, target) = (self.storage.clone(), target.storage.clone());
        Operation::now(move |stopped| storage.copy_to(&target, stopped).map(Output::Copied))
    }

    /// Make durable what was acknowledged before it was.
    fn flush(&self) -> Operation {
        let storage = self.storage.clone();
        Operation::now(move |_| storage.flush().map(|()| Output::Nothing))
    }

    /// Take no operation any more; what was acknowledged is durable then.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.storage.close())
            .map_err(|error| errors::raise(py, &error))
    }
}

/// One namespace, with what it may hold; as a host service it gives instances their storage.
#[pyclass(frozen, extends = PyService, name = "StorageNamespace", module = "airssys._core")]
pub struct PyStorageNamespace {
    pub namespace: Namespace,
}

#[pymethods]
impl PyStorageNamespace {
    #[getter]
    fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Bytes, keys, bytes of a key, bytes of a value.
    #[getter]
    fn quota(&self) -> (u64, u64, u64, u64) {
        let quota = self.namespace.quota();
        (quota.bytes, quota.keys, quota.key, quota.value)
    }

    /// Value, version and time of expiry (milliseconds since 1970, or None); or None.
    fn get(&self, key: String) -> Operation {
        let namespace = self.namespace.clone();
        Operation::now(move |_| namespace.get(&key).map(Output::Entry))
    }

    /// A page of `(key, value, version, expiry)`, and the cursor.
    #[pyo3(signature = (prefix, after, limit, values))]
    fn page(&self, prefix: String, after: Option<String>, limit: usize, values: bool) -> Operation {
        let namespace = self.namespace.clone();
        Operation::now(move |_| {
            namespace
                .page(&prefix, after.as_deref(), limit, values)
                .map(Output::Page)
        })
    }

    /// Keys and bytes.
    fn usage(&self) -> Operation {
        let namespace = self.namespace.clone();
        Operation::now(move |_| namespace.usage().map(Output::Usage))
    }

    /// Do all of `("set", key, value, milliseconds | None)`, `("delete", key)`, `("check", key, version | None)`,
    /// `("add", key, delta)`, or none: `(True, version, existed, sum)`, `(False, position)`.
    fn apply(&self, parts: Vec<Bound<'_, PyTuple>>) -> PyResult<Operation> {
        let parts = parts.iter().map(part).collect::<PyResult<Vec<_>>>()?;
        let namespace = self.namespace.clone();
        Ok(Operation::later(move || {
            let applied = namespace.apply(parts);
            async move { applied.await.map(Output::Outcome) }
        }))
    }

    /// Delete everything.
    fn clear(&self) -> Operation {
        let namespace = self.namespace.clone();
        Operation::now(move |_| namespace.clear().map(|()| Output::Nothing))
    }

    fn watch(&self, py: Python<'_>, prefix: &str, capacity: usize) -> PyResult<PyStorageWatcher> {
        let watcher = self
            .namespace
            .watch(prefix, capacity)
            .map_err(|error| errors::raise(py, &error))?;
        Ok(PyStorageWatcher {
            watcher: Arc::new(watcher),
        })
    }
}

/// What deployments share with each other; as a host service it lets instances open it.
#[pyclass(frozen, extends = PyService, name = "StorageOffers", module = "airssys._core")]
pub struct PyStorageOffers {
    offers: Offers,
}

#[pymethods]
impl PyStorageOffers {
    #[new]
    fn new() -> PyClassInitializer<Self> {
        let offers = Offers::default();
        let service = PyService(Arc::new(offers.clone()));
        PyClassInitializer::from(service).add_subclass(Self { offers })
    }

    /// A deployment's namespace may be opened by others as far as the rules let `subject` share it.
    fn offer(
        &self,
        name: &str,
        namespace: &Bound<'_, PyStorageNamespace>,
        gate: &Bound<'_, Gate>,
        subject: &Bound<'_, Subject>,
    ) {
        let gate = RuleGate::new(gate.get().inner.clone(), subject.get().inner.clone(), None);
        let offer = Offer {
            namespace: namespace.get().namespace.clone(),
            gate: Arc::new(gate),
        };
        self.offers.offer(name, offer);
    }

    /// What is open of the deployment's namespace ends at its next operation.
    fn withdraw(&self, name: &str) {
        self.offers.withdraw(name);
    }
}

fn part(given: &Bound<'_, PyTuple>) -> PyResult<Part> {
    let kind: PyBackedStr = given.get_item(0)?.extract()?;
    let key: String = given.get_item(1)?.extract()?;
    match &*kind {
        "set" => Ok(Part::Set {
            key,
            value: given.get_item(2)?.extract::<PyBackedBytes>()?.to_vec(),
            time_to_live: given.get_item(3)?.extract()?,
        }),
        "delete" => Ok(Part::Delete { key }),
        "check" => Ok(Part::Check {
            key,
            version: given.get_item(2)?.extract()?,
        }),
        "add" => Ok(Part::Add {
            key,
            delta: given.get_item(2)?.extract()?,
        }),
        other => Err(PyValueError::new_err(format!(
            "no part of a batch is called '{other}'"
        ))),
    }
}

/// Somebody who is told of changes.
#[pyclass(frozen, name = "StorageWatcher", module = "airssys._core")]
pub struct PyStorageWatcher {
    watcher: Arc<Watcher>,
}

#[pymethods]
impl PyStorageWatcher {
    /// The next events, at least one: `(key, change, version)`, or `(missed,)`. Empty once the storage is closed.
    fn next(&self, most: usize) -> Operation {
        let watcher = self.watcher.clone();
        Operation::later(move || async move { Ok(Output::Events(watcher.next(most).await)) })
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyStorage>()?;
    module.add_class::<PyStorageNamespace>()?;
    module.add_class::<PyStorageOffers>()?;
    module.add_class::<PyStorageWatcher>()?;
    module.add_class::<Operation>()
}
