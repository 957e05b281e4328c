//! `Engine` and `Component`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use airssys_host::component::{Component, Loading, Phase, to_binary};
use airssys_host::engine::cache::Cache;
use airssys_host::engine::static_limits::StaticLimits;
use airssys_host::engine::{Profile, rearm_signal_handlers};
use airssys_host::instance::Call;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::awaiting::Awaitable;
use crate::convert::Signature;
use crate::errors::{About, raise};
use crate::imports::Imports;
use crate::instance::PyInstance;
use crate::limits::PyLimits;
use crate::runtime::{self, Inside};
use crate::wasi::PyWasi;

/// A component with the conversions of its functions, made when each is first used.
pub struct Described {
    pub component: Arc<Component>,
    exports: Vec<PyOnceLock<Signature>>,
    imports: Vec<PyOnceLock<Signature>>,
}

impl Described {
    fn new(component: Component) -> Self {
        let empty = |count: usize| (0..count).map(|_| PyOnceLock::new()).collect();
        let (exports, imports) = (
            empty(component.exports.len()),
            empty(component.imports.len()),
        );
        Self {
            component: Arc::new(component),
            exports,
            imports,
        }
    }

    pub fn export(&self, py: Python<'_>, position: usize) -> PyResult<&Signature> {
        let function = &self.component.exports[position];
        self.exports[position]
            .get_or_try_init(py, || Signature::new(py, &function.path(), &function.ty))
    }

    pub fn import(&self, py: Python<'_>, position: usize) -> PyResult<&Signature> {
        let function = &self.component.imports[position];
        self.imports[position]
            .get_or_try_init(py, || Signature::new(py, &function.path(), &function.ty))
    }
}

/// Loads components; the engines behind it belong to the process.
#[pyclass(frozen, name = "Engine", module = "airssys._core")]
pub struct PyEngine {
    cache: Option<Cache>,
}

const SIGNAL_CHECK: Duration = Duration::from_millis(50);

#[pymethods]
impl PyEngine {
    #[new]
    fn new(py: Python<'_>, cache: Option<PathBuf>) -> PyResult<Self> {
        runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        let cache = cache.map(|directory| Cache::open(&directory)).transpose();
        Ok(Self {
            cache: cache.map_err(|error| raise(py, error, About::default()))?,
        })
    }

    /// Compile a component, or find its compiled code in the cache. The interpreter is free meanwhile.
    #[pyo3(signature = (source, *, in_process, static_limits, progress, report, given_up))]
    fn load(
        &self,
        py: Python<'_>,
        source: PyBackedBytes,
        in_process: bool,
        static_limits: Option<&Bound<'_, PyDict>>,
        progress: Py<PyAny>,
        report: Py<PyAny>,
        given_up: Option<Py<PyAny>>,
    ) -> PyResult<PyComponent> {
        runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        let limits = static_limits_of(static_limits)?;
        let raised: Mutex<Option<PyErr>> = Mutex::new(None);
        let keep = |error: PyErr| {
            raised
                .lock()
                .expect("no code under this lock panics")
                .get_or_insert(error);
        };
        let mut looked = Instant::now();
        let loaded = py.detach(|| {
            let binary = to_binary(&source, None)?;
            Component::load(
                &binary,
                Loading {
                    limits,
                    cache: self.cache.as_ref(),
                    in_process,
                    progress: &mut |phase| {
                        let name = match phase {
                            Phase::Checking => "checking",
                            Phase::LookingUp => "looking up",
                            Phase::Compiling => "compiling",
                            Phase::Storing => "storing",
                        };
                        Python::attach(|py| {
                            progress.call1(py, (name,)).map(drop).unwrap_or_else(keep)
                        });
                    },
                    interrupted: &mut || {
                        if looked.elapsed() < SIGNAL_CHECK {
                            return false;
                        }
                        looked = Instant::now();
                        Python::attach(|py| {
                            py.check_signals()?;
                            match &given_up {
                                Some(given_up) => given_up.call0(py)?.is_truthy(py),
                                None => Ok(false),
                            }
                        })
                        .unwrap_or_else(|error| {
                            keep(error);
                            true
                        })
                    },
                    report: &mut |text| {
                        Python::attach(|py| {
                            report.call1(py, (text,)).map(drop).unwrap_or_else(keep)
                        });
                    },
                },
            )
        });
        if let Some(error) = raised.into_inner().expect("no code under this lock panics") {
            return Err(error);
        }
        let component = loaded.map_err(|error| raise(py, error, About::default()))?;
        Ok(PyComponent {
            described: Arc::new(Described::new(component)),
        })
    }
}

fn static_limits_of(given: Option<&Bound<'_, PyDict>>) -> PyResult<StaticLimits> {
    let mut limits = StaticLimits::default();
    let Some(given) = given else {
        return Ok(limits);
    };
    for (name, value) in given {
        let value: u64 = value.extract()?;
        match name.extract::<String>()?.as_str() {
            "bytes" => limits.bytes = value,
            "functions" => limits.functions = value,
            "imports" => limits.imports = value,
            "exports" => limits.exports = value,
            "types" => limits.types = value,
            "memories" => limits.memories = value,
            "tables" => limits.tables = value,
            "data_bytes" => limits.data_bytes = value,
            "modules" => limits.modules = value,
            "nesting" => limits.nesting = value,
            other => {
                return Err(pyo3::exceptions::PyTypeError::new_err(format!(
                    "no static limit is called '{other}'"
                )));
            }
        }
    }
    Ok(limits)
}

/// A compiled component.
#[pyclass(frozen, name = "Component", module = "airssys._core")]
pub struct PyComponent {
    pub described: Arc<Described>,
}

#[pymethods]
impl PyComponent {
    #[getter]
    fn digest(&self) -> &str {
        &self.described.component.contents.digest
    }

    #[getter]
    fn size(&self) -> usize {
        self.described.component.size
    }

    #[getter]
    fn memory_required(&self) -> u64 {
        self.described.component.contents.initial_memory
    }

    #[getter]
    fn profile(&self) -> &'static str {
        match self.described.component.native.profile {
            Profile::Plain => "plain",
            Profile::Concurrent => "concurrent",
        }
    }

    #[getter]
    fn from_cache(&self) -> bool {
        self.described.component.from_cache
    }

    /// Names of the interfaces and functions that the component imports.
    #[getter]
    fn imports(&self) -> Vec<String> {
        self.described.component.import_names.clone()
    }

    /// Paths of the functions that whoever instantiates must provide: `(interface or None, name)`.
    #[getter]
    fn required(&self) -> Vec<(Option<String>, String)> {
        let functions = &self.described.component.imports;
        functions
            .iter()
            .map(|function| {
                (
                    function.interface.as_deref().map(Into::into),
                    function.name.to_string(),
                )
            })
            .collect()
    }

    /// Paths of the exported functions.
    #[getter]
    pub fn exports(&self) -> Vec<String> {
        self.described
            .component
            .exports
            .iter()
            .map(airssys_host::component::Function::path)
            .collect()
    }

    /// What the exported function `path` takes and gives, as in WIT.
    fn signature(&self, py: Python<'_>, path: &str) -> PyResult<String> {
        let position = self
            .described
            .component
            .export(path)
            .map_err(|_| crate::errors::unknown_export(py, path, &self.exports()))?;
        Ok(self.described.export(py, position)?.text().to_owned())
    }

    /// The functions that the component exports, or that whoever instantiates must provide, by path: what they take
    /// and give by structure, whatever types are called. `None` where that is too long to be of use.
    fn shapes(&self, imported: bool) -> Vec<(String, Option<String>)> {
        let component = &self.described.component;
        let functions = if imported {
            &component.imports
        } else {
            &component.exports
        };
        functions
            .iter()
            .map(|function| (function.path(), function.ty.shape()))
            .collect()
    }

    /// The classes of the named types that the component's functions use: `demo:calc/ops#order`.
    fn types<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        for position in 0..self.described.component.imports.len() {
            self.described.import(py, position)?.classes(&found)?;
        }
        for position in 0..self.described.component.exports.len() {
            self.described.export(py, position)?.classes(&found)?;
        }
        Ok(found)
    }

    fn wit(&self) -> &str {
        &self.described.component.contents.wit
    }

    #[pyo3(signature = (limits, wasi, functions))]
    fn instantiate(
        &self,
        py: Python<'_>,
        limits: &PyLimits,
        wasi: &PyWasi,
        functions: Vec<Py<PyAny>>,
    ) -> PyResult<Py<PyInstance>> {
        let (call, imports) = self.prepare(py, limits, wasi, functions)?;
        let _inside = Inside::new(py);
        let (live, result) = crate::blocking::run(py, call, &imports)?;
        PyInstance::conclude(py, imports, live, result)
    }

    #[pyo3(signature = (limits, wasi, functions))]
    fn instantiate_async(
        &self,
        py: Python<'_>,
        limits: &PyLimits,
        wasi: &PyWasi,
        functions: Vec<Py<PyAny>>,
    ) -> PyResult<Awaitable> {
        let (call, imports) = self.prepare(py, limits, wasi, functions)?;
        let for_conclusion = imports.clone();
        Ok(Awaitable::new(
            imports,
            None,
            Box::new(move |_| {
                let conclude: crate::awaiting::Conclude = Box::new(move |py, live, result| {
                    PyInstance::conclude(py, for_conclusion, live, result).map(Py::into_any)
                });
                Ok((call, conclude))
            }),
        ))
    }
}

/// Link a component, unless it is, without the interpreter.
pub fn link(py: Python<'_>, component: &Component) -> PyResult<()> {
    if component.is_linked() {
        return Ok(());
    }
    py.detach(|| component.link())
        .map_err(|error| raise(py, error, About::default()))
}

impl PyComponent {
    fn prepare(
        &self,
        py: Python<'_>,
        limits: &PyLimits,
        wasi: &PyWasi,
        mut functions: Vec<Py<PyAny>>,
    ) -> PyResult<(Call, Arc<Imports>)> {
        runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        rearm_signal_handlers();
        let component = self.described.component.clone();
        link(py, &component)?;
        let state = wasi.state(&limits.limits, &[], None)?;
        let call = Call::fresh(component, state, limits.limits.clone(), None);
        // Behind the functions that the guest knows by position: what lives as long as the instance.
        functions.extend(wasi.approver(py));
        let imports = Imports::new(self.described.clone(), functions);
        imports.handles.ask_by(call.link().clone());
        Ok((call, imports))
    }
}
