//! `Route`, `Line` and `LineStatistics`: calls of deployments.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airssys_host::error::Error;
use airssys_host::gate::callers::Callers;
use airssys_host::instance::{Call, Live};
use airssys_host::route::{Copies, Lifetime, Line, Passage, Route, Statistics, Terms};
use airssys_host::value::Value;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::awaiting::{Awaitable, Conclude};
use crate::callers;
use crate::component::{Described, PyComponent};
use crate::errors::{About, raise, unknown_export};
use crate::guest_log::PyGuestLog;
use crate::handles::Lent;
use crate::imports::Imports;
use crate::instance::explain;
use crate::limits::PyLimits;
use crate::objects::Numbers;
use crate::plane::service::PyService;
use crate::recording::PyRecording;
use crate::runtime::{self, Inside};
use crate::storage::PyStorageNamespace;
use crate::trial::{self, PyTrial};
use crate::wasi::PyWasi;

/// What a call of a line needs of Python.
pub struct Companion {
    described: Arc<Described>,
    functions: Vec<Py<PyAny>>,
    /// One for all calls, where that cannot be told from one for each: nothing is imported.
    shared: Option<Arc<Imports>>,
    /// Of what the line's guests hold.
    numbers: Arc<Numbers>,
    /// By export, what is in its signature that means something to one instance alone.
    bound: Vec<Option<String>>,
}

impl Companion {
    pub fn imports(&self, py: Python<'_>) -> Arc<Imports> {
        match &self.shared {
            Some(imports) => imports.clone(),
            None => Imports::numbered(
                self.described.clone(),
                self.functions
                    .iter()
                    .map(|each| each.clone_ref(py))
                    .collect(),
                self.numbers.clone(),
            ),
        }
    }
}

pub fn companion(line: &Line) -> &Companion {
    line.companion
        .downcast_ref()
        .expect("every line of a PyRoute was made by PyLine")
}

/// The counters of one revision.
#[pyclass(frozen, name = "LineStatistics", module = "airssys._core")]
pub struct PyLineStatistics {
    pub statistics: Arc<Statistics>,
}

#[pymethods]
impl PyLineStatistics {
    #[new]
    fn new() -> Self {
        Self {
            statistics: Arc::default(),
        }
    }

    /// Let go of what quantiles are computed from. They stay as they are until there are calls again.
    fn go_cold(&self) {
        self.statistics.go_cold();
    }

    /// Nanoseconds that the share `share` of the calls did not exceed; 0 where no calls are known.
    fn quantile(&self, share: f64) -> u64 {
        self.statistics.quantile(share)
    }

    /// Hold the actors of this revision once more than `most_traps` of them have trapped, where none of the `live`
    /// revision does from now on.
    fn guard(&self, live: &Self, most_traps: usize) {
        self.statistics
            .guard
            .begin(most_traps, live.statistics.clone());
    }

    /// Let them go on, however often they trap.
    fn unguard(&self) {
        self.statistics.guard.end();
    }

    /// Whether they handle nothing any more.
    #[getter]
    fn stopped(&self) -> bool {
        self.statistics.guard.is_stopped()
    }

    /// The counters now, by name; times in seconds.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let now = self.statistics.snapshot();
        let seconds = |nanos| Duration::from_nanos(nanos).as_secs_f64();
        let answer = PyDict::new(py);
        answer.set_item("calls", now.calls)?;
        answer.set_item(
            "failures",
            now.traps + now.limits + now.cancelled + now.other_failures,
        )?;
        answer.set_item("traps", now.traps)?;
        answer.set_item("limits", now.limits)?;
        answer.set_item("cancelled", now.cancelled)?;
        answer.set_item("other_failures", now.other_failures)?;
        answer.set_item("cpu_seconds", seconds(now.cpu_nanos))?;
        answer.set_item("host_calls", now.host_calls)?;
        answer.set_item("bytes_in", now.bytes_in)?;
        answer.set_item("bytes_out", now.bytes_out)?;
        answer.set_item("memory_peak", now.memory_peak)?;
        answer.set_item("p50", seconds(now.p50_nanos))?;
        answer.set_item("p99", seconds(now.p99_nanos))?;
        Ok(answer)
    }
}

/// A revision while it takes calls.
#[pyclass(frozen, name = "Line", module = "airssys._core")]
pub struct PyLine {
    pub line: Arc<Line>,
}

#[pymethods]
impl PyLine {
    /// `instances` is 0 for an instance per call. `functions` are in the order of `Component.required`.
    #[new]
    #[pyo3(signature = (component, *, number, limits, wasi, functions, instances, waiting, statistics, services, log = None))]
    fn new(
        component: &PyComponent,
        number: u64,
        limits: &PyLimits,
        wasi: Py<PyWasi>,
        functions: Vec<Py<PyAny>>,
        instances: usize,
        waiting: usize,
        statistics: &PyLineStatistics,
        services: Vec<Bound<'_, PyService>>,
        log: Option<(PyRef<'_, PyGuestLog>, &str)>,
    ) -> Self {
        let described = component.described.clone();
        let lifetime = if instances == 0 {
            Lifetime::Call
        } else {
            Lifetime::Pooled { instances, waiting }
        };
        let nothing_imported =
            described.component.imports.is_empty() && described.component.resources.is_empty();
        let shared = nothing_imported.then(|| Imports::new(described.clone(), Vec::new()));
        let native = described.component.clone();
        let bound = (0..native.exports.len())
            .map(|export| native.bound_to_instance(export))
            .collect();
        let given = limits.limits.clone();
        let services: Vec<_> = services
            .iter()
            .map(|service| service.get().0.clone())
            .collect();
        let writer = log.map(|(log, deployment)| log.writer(deployment, number));
        let line = Line::new(
            number,
            native,
            limits.limits.clone(),
            lifetime,
            statistics.statistics.clone(),
            Box::new(move || Ok(wasi.get().state(&given, &services, writer.as_ref())?)),
            Box::new(Companion {
                described,
                functions,
                shared,
                numbers: Arc::default(),
                bound,
            }),
        );
        Self { line }
    }

    /// Instantiate once: proof that the component links and starts. Kept for the first call where instances are.
    fn warm(&self, py: Python<'_>) -> PyResult<()> {
        let line = &self.line;
        crate::component::link(py, &line.component)?;
        let imports = companion(line).imports(py);
        let failed = |error| explain(py, &imports, "instantiate", error);
        runtime::ready().map_err(failed)?;
        let call = line.instantiate().map_err(failed)?;
        let _inside = Inside::new(py);
        let (live, result) = crate::blocking::run(py, call, &imports)?;
        result.map_err(failed)?;
        if let Some(live) = live {
            imports.handles.leave_with(&live);
            line.warm(live);
        }
        Ok(())
    }

    #[getter]
    fn number(&self) -> u64 {
        self.line.number
    }

    /// Calls that have begun and not ended.
    #[getter]
    fn in_flight(&self) -> usize {
        self.line.in_flight()
    }

    /// Instances that are kept for further calls.
    #[getter]
    fn instances(&self) -> usize {
        self.line.instances()
    }

    /// Bytes of linear memory of those instances.
    #[getter]
    fn memory(&self) -> u64 {
        self.line.memory()
    }

    /// End the calls that still run after so many seconds, unless they have ended by then.
    fn kill_after(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let after = duration(seconds)?;
        let line = Arc::downgrade(&self.line);
        let runtime = runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        runtime.spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(line) = line.upgrade() {
                line.kill();
            }
        });
        Ok(())
    }

    /// End the calls that still run.
    fn kill(&self) {
        self.line.kill();
    }

    /// Block until no call is in flight, or so many seconds have passed; returns whether none is.
    fn wait_drained(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let most = duration(seconds)?;
        Ok(py.detach(|| self.line.wait_drained(most)))
    }
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
}

/// What takes the calls of one deployment.
#[pyclass(frozen, name = "Route", module = "airssys._core")]
pub struct PyRoute {
    pub route: Arc<Route>,
    /// The deployment's name, for messages.
    pub name: String,
}

#[pymethods]
impl PyRoute {
    #[new]
    fn new(name: String) -> Self {
        Self {
            route: Arc::default(),
            name,
        }
    }

    /// Let `line` take every call from now on.
    fn switch(&self, py: Python<'_>, line: &PyLine) -> PyResult<()> {
        self.route
            .switch(line.line.clone())
            .map(drop)
            .map_err(|error| self.refused(py, error, ""))
    }

    /// Take no call any more.
    fn close(&self) {
        self.route.close();
    }

    /// Take no call until the next switch.
    fn hold(&self) {
        self.route.hold();
    }

    /// Keep calls in `recording` from now on, whatever line is live; none where it is None.
    #[pyo3(signature = (recording))]
    fn record(&self, recording: Option<&PyRecording>) {
        self.route
            .record(recording.map(|recording| recording.recording.clone()));
    }

    /// Let `candidate` take a share of the calls beside the live line. A call that takes more nanoseconds than one
    /// of `slow` is bad of that signal. After more traps than `most_traps` it takes none any more.
    #[pyo3(signature = (candidate, weight, *, salt, slow = Vec::new(), most_traps = None))]
    fn split(
        &self,
        py: Python<'_>,
        candidate: &PyLine,
        weight: f64,
        salt: &[u8],
        slow: Vec<u64>,
        most_traps: Option<u64>,
    ) -> PyResult<PyTrial> {
        let terms = Terms {
            salt,
            slow: &slow,
            most_traps,
        };
        self.route
            .split(candidate.line.clone(), trial::share(weight)?, terms)
            .map(|trial| PyTrial::new(trial, self.name.clone()))
            .map_err(|error| trial::refused(py, error, &self.name))
    }

    /// Copy a share of the calls to two lines without effects: `control` of the live revision, and `copy` of the
    /// candidate, which takes none itself. They run over what is in `storage`, if they store anything.
    #[pyo3(signature = (candidate, share, *, control, copy, storage, salt, slow = Vec::new()))]
    fn shadow(
        &self,
        py: Python<'_>,
        candidate: &PyLine,
        share: f64,
        control: &PyLine,
        copy: &PyLine,
        storage: Option<&Bound<'_, PyStorageNamespace>>,
        salt: &[u8],
        slow: Vec<u64>,
    ) -> PyResult<PyTrial> {
        let terms = Terms {
            salt,
            slow: &slow,
            most_traps: None,
        };
        let storage = storage.map(|storage| storage.get().namespace.clone());
        let copies = Copies::new(control.line.clone(), copy.line.clone(), storage);
        self.route
            .shadow(candidate.line.clone(), trial::share(share)?, terms, copies)
            .map(|trial| PyTrial::new(trial, self.name.clone()))
            .map_err(|error| trial::refused(py, error, &self.name))
    }

    /// Call an export of the live revision and block until it has answered. Where a revision is tried beside it,
    /// `key` decides which of the two takes the call; chance, without one.
    #[pyo3(signature = (path, args, kwargs = None, key = None))]
    fn call(
        &self,
        py: Python<'_>,
        path: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        key: Option<&[u8]>,
    ) -> PyResult<Py<PyAny>> {
        let (mut begun, arguments) = self.begin(py, path, args, kwargs, key)?;
        let call = begun.start(py, arguments)?;
        let _inside = Inside::new(py);
        let (live, result) = crate::blocking::run(py, call, &begun.imports)?;
        begun.conclude(py, live, result)
    }

    /// Call an export of the revision that is live now; the guest runs when the result is awaited.
    #[pyo3(signature = (path, args, kwargs = None, key = None))]
    fn call_async(
        &self,
        py: Python<'_>,
        path: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        key: Option<&[u8]>,
    ) -> PyResult<Awaitable> {
        let (begun, arguments) = self.begin(py, path, args, kwargs, key)?;
        let imports = begun.imports.clone();
        let begun = Mutex::new(begun);
        Ok(Awaitable::new(
            imports,
            None,
            Box::new(move |py| {
                let mut begun = begun.into_inner().unwrap_or_else(PoisonError::into_inner);
                let call = begun.start(py, arguments)?;
                let begun = Mutex::new(begun);
                let conclude: Conclude = Box::new(move |py, live, result| {
                    begun
                        .into_inner()
                        .unwrap_or_else(PoisonError::into_inner)
                        .conclude(py, live, result)
                });
                Ok((call, conclude))
            }),
        ))
    }
}

impl PyRoute {
    fn begin(
        &self,
        py: Python<'_>,
        path: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        key: Option<&[u8]>,
    ) -> PyResult<(Begun, Vec<Value>)> {
        runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        let passage = self
            .route
            .enter(key)
            .map_err(|error| self.refused(py, error, path))?;
        let companion = companion(passage.line());
        let component = &companion.described.component;
        let Ok(export) = component.export(path) else {
            let known: Vec<_> = component
                .exports
                .iter()
                .map(airssys_host::component::Function::path)
                .collect();
            return Err(unknown_export(py, path, &known));
        };
        if let Some(bound) = &companion.bound[export] {
            return Err(PyTypeError::new_err(format!(
                "the function '{path}' of deployment '{}' handles {bound}, which no call \
                 of a deployment can hold on to: each may meet another instance; make an instance of your own: \
                 Engine().load(…).instantiate()",
                self.name
            )));
        }
        let imports = companion.imports(py);
        let signature = imports.described.export(py, export)?;
        let (arguments, lent) = imports
            .handles
            .converting(|| signature.arguments(args, kwargs, &*imports.handles))?;
        Ok((
            Begun {
                passage,
                imports,
                export,
                lent,
                callers: callers::present(py)?,
            },
            arguments,
        ))
    }

    #[cold]
    fn refused(&self, py: Python<'_>, error: Error, path: &str) -> PyErr {
        let live = self.route.live();
        match error {
            Error::RouteClosed => host_error(
                py,
                "HostClosed",
                &format!("deployment '{}' takes no calls", self.name),
                "its host is closed, or it was removed",
            ),
            error => raise(
                py,
                error,
                About {
                    component: live
                        .as_ref()
                        .map_or("", |line| &line.component.contents.digest),
                    call: path,
                },
            ),
        }
    }
}

/// A call that entered the route.
struct Begun {
    passage: Passage,
    imports: Arc<Imports>,
    export: usize,
    lent: Lent,
    callers: Option<Arc<Callers>>,
}

impl Begun {
    fn start(&mut self, py: Python<'_>, arguments: Vec<Value>) -> PyResult<Call> {
        let call = self
            .passage
            .begin(self.export, arguments, self.callers.take())
            .map_err(|error| self.explain(py, error))?;
        self.lent.begun();
        Ok(call)
    }

    fn conclude(
        self,
        py: Python<'_>,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
    ) -> PyResult<Py<PyAny>> {
        let Self {
            passage,
            imports,
            export,
            lent,
            callers: _,
        } = self;
        if let Some(live) = &live {
            imports.handles.leave_with(live);
            imports.collect_dropped(py, &live.link);
        }
        drop(lent);
        passage.conclude(live, &result);
        match result {
            Ok(value) => Ok(imports
                .described
                .export(py, export)?
                .result(py, value, &*imports.handles)?
                .unbind()),
            Err(error) => {
                let error = explained(py, &imports, export, error);
                imports.abandon();
                Err(error)
            }
        }
    }

    #[cold]
    fn explain(&self, py: Python<'_>, error: Error) -> PyErr {
        explained(py, &self.imports, self.export, error)
    }
}

#[cold]
fn explained(py: Python<'_>, imports: &Imports, export: usize, error: Error) -> PyErr {
    let path = imports.described.component.exports[export].path();
    match error {
        Error::Overloaded { waiting } => host_error(
            py,
            "DeploymentOverloaded",
            &format!(
                "the call '{path}' found every instance in use and {waiting} calls waiting for one"
            ),
            "raise `instances`, or call less at once",
        ),
        Error::Drained => host_error(
            py,
            "CallDrained",
            &format!(
                "the call '{path}' was ended: its revision was replaced and the drain deadline has passed"
            ),
            "raise `drain` where calls take that long",
        ),
        error => explain(py, imports, &path, error),
    }
}

/// Make an exception of a class in `airssys.wasm.host_errors`.
pub fn host_error(py: Python<'_>, class: &str, summary: &str, hint: &str) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let class = py.import("airssys.wasm.host_errors")?.getattr(class)?;
        let keywords = PyDict::new(py);
        keywords.set_item("hint", hint)?;
        Ok(PyErr::from_value(class.call((summary,), Some(&keywords))?))
    };
    make().unwrap_or_else(|error| error)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLineStatistics>()?;
    module.add_class::<PyLine>()?;
    module.add_class::<PyRoute>()
}
