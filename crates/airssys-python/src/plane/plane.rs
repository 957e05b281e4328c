//! `Plane`: actors made of components, and the ways between them and Python.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use airssys_host::limits::Limits;
use airssys_host::plane::{
    Blueprint, Bounds, Failure, MakeWasi, Overflow, Plane, PlaneSpec, PortSpec, Setting, Target,
};
use airssys_host::services::Service;
use airssys_host::wasi::{Builder, Output};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyTuple};

use super::actor::ComponentActor;
use super::bridge::{Bridge, Doorbell, Hook};
use super::convert::{self, ready};
use super::port::PyPort;
use super::rights::MessageRights;
use super::service::PyService;
use crate::component::{Described, PyComponent};
use crate::errors::{About, raise};
use crate::limits::PyLimits;
use crate::route::PyLineStatistics;
use crate::wasi::PyWasi;

static PLANES: Mutex<Vec<Weak<Plane>>> = Mutex::new(Vec::new());

/// End every plane: the interpreter is about to end.
pub fn close_all() {
    let planes = std::mem::take(&mut *PLANES.lock().expect("no code under this lock panics"));
    for plane in planes.iter().filter_map(Weak::upgrade) {
        plane.close();
    }
}

/// What handles to actors share.
pub struct Inner {
    pub plane: Arc<Plane>,
    pub errors: Py<PyAny>,
    pub virtual_time: bool,
    bridges: Mutex<Vec<Py<Bridge>>>,
    hook: Arc<Hook>,
    next_port: AtomicU64,
}

impl Inner {
    /// The bridge to the running loop, made if there is none.
    pub fn bridge(&self, py: Python<'_>) -> PyResult<Py<Bridge>> {
        static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let get = GET.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("asyncio")?.getattr("_get_running_loop")?.unbind())
        })?;
        let event_loop = get.bind(py).call0()?;
        if event_loop.is_none() {
            return Err(convert::no_loop());
        }
        let mut bridges = self.bridges.lock().expect("no code under this lock panics");
        if let Some(found) = bridges
            .iter()
            .find(|bridge| bridge.get().belongs_to(&event_loop) && !bridge.get().is_closed())
        {
            return Ok(found.clone_ref(py));
        }
        bridges.retain(|bridge| !bridge.get().is_closed());
        drop(bridges);
        let nothing = py.None();
        let bridge = Bridge::new(
            py,
            &event_loop,
            self.errors.clone_ref(py),
            (nothing.clone_ref(py), nothing),
            self.virtual_time.then_some(&self.hook),
        )?;
        self.bridges
            .lock()
            .expect("no code under this lock panics")
            .push(bridge.clone_ref(py));
        Ok(bridge)
    }

    pub fn exception(&self, py: Python<'_>, address: &str, failure: &Failure) -> PyErr {
        convert::exception(py, &self.errors, address, failure)
    }
}

/// The message plane of a host.
#[pyclass(frozen, name = "Plane", module = "airssys._core")]
pub struct PyPlane {
    inner: Arc<Inner>,
}

/// What an incarnation is made of, as Python gives it.
pub fn blueprint(
    py: Python<'_>,
    described: &Arc<Described>,
    limits: Option<&Bound<'_, PyLimits>>,
    wasi: Option<Py<PyWasi>>,
    services: Vec<Bound<'_, PyService>>,
    accepts: Vec<u64>,
    config: Option<Vec<(String, Bound<'_, PyAny>)>>,
    statistics: Option<&Bound<'_, PyLineStatistics>>,
) -> PyResult<Arc<Blueprint>> {
    let limits = limits.map_or_else(Limits::default, |limits| limits.get().limits.clone());
    let given = limits.clone();
    let make: MakeWasi = match wasi {
        Some(wasi) => Arc::new(move |_, outputs| Ok(wasi.get().actor_state(&given, outputs)?)),
        None => Arc::new(move |_, outputs| {
            let mut builder = Builder::new(Arc::new(airssys_host::gate::AllowList::default()));
            builder
                .handles(given.open_handles)
                .http_limits(given.http)
                .stdout(Output::Log(outputs.stdout))
                .stderr(Output::Log(outputs.stderr));
            Ok(builder.build()?)
        }),
    };
    let services: Vec<Arc<dyn Service>> = services
        .iter()
        .map(|service| service.get().0.clone())
        .collect();
    let config = config
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| Ok((name, setting(&value)?)))
        .collect::<PyResult<_>>()?;
    Blueprint::new(
        described.component.clone(),
        limits,
        make,
        services,
        config,
        accepts,
        statistics.map_or_else(Arc::default, |statistics| {
            statistics.get().statistics.clone()
        }),
    )
    .map_err(|error| raise(py, error, About::default()))
}

/// A setting by the type of its value; what has no type of its own travels as JSON.
fn setting(value: &Bound<'_, PyAny>) -> PyResult<Setting> {
    if value.is_instance_of::<PyBool>() {
        Ok(Setting::Boolean(value.extract()?))
    } else if value.is_instance_of::<PyInt>() {
        Ok(Setting::Integer(value.extract()?))
    } else if value.is_instance_of::<PyFloat>() {
        Ok(Setting::Number(value.extract()?))
    } else if let Ok(text) = value.extract() {
        Ok(Setting::Text(text))
    } else {
        let json = value.py().import("json")?.call_method1("dumps", (value,))?;
        Ok(Setting::Json(json.extract()?))
    }
}

#[pymethods]
impl PyPlane {
    #[new]
    #[pyo3(signature = (errors, *, threads=2, r#virtual=false, log_ring=1000))]
    fn new(
        py: Python<'_>,
        errors: Py<PyAny>,
        threads: usize,
        r#virtual: bool,
        log_ring: usize,
    ) -> PyResult<Self> {
        let runtime =
            crate::runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        let plane = Arc::new(Plane::new(PlaneSpec {
            threads,
            virtual_time: r#virtual,
            log_ring,
            runtime: Some(runtime.clone()),
        }));
        let hook = Arc::new(Hook::default());
        if r#virtual {
            let hook = hook.clone();
            plane.on_ready(Some(Arc::new(move || hook.call())));
        }
        let mut planes = PLANES.lock().expect("no code under this lock panics");
        planes.retain(|plane| plane.strong_count() > 0);
        planes.push(Arc::downgrade(&plane));
        drop(planes);
        Ok(Self {
            inner: Arc::new(Inner {
                plane,
                errors,
                virtual_time: r#virtual,
                bridges: Mutex::default(),
                hook,
                next_port: AtomicU64::new(1),
            }),
        })
    }

    /// Seconds of the plane's monotonic clock.
    #[getter]
    fn now(&self) -> f64 {
        convert::seconds(self.inner.plane.shared().clock.now())
    }

    /// Deliver events and messages for ports to the running loop.
    fn connect(
        &self,
        py: Python<'_>,
        on_messages: Py<PyAny>,
        on_events: Py<PyAny>,
    ) -> PyResult<Py<Bridge>> {
        ready(py)?;
        let bridge = self.inner.bridge(py)?;
        bridge.get().set_callbacks((on_messages, on_events));
        self.inner
            .plane
            .shared()
            .set_observer(Some(bridge.get().post.clone()));
        Ok(bridge)
    }

    #[pyo3(signature = (address, component, *, limits=None, wasi=None, services=Vec::new(), gate=None,
        accepts=Vec::new(), config=None, capacity=1000, capacity_bytes=4 << 20, overflow="fail",
        message_size=1 << 20, statistics=None))]
    fn spawn(
        &self,
        py: Python<'_>,
        address: &str,
        component: &Bound<'_, PyComponent>,
        limits: Option<&Bound<'_, PyLimits>>,
        wasi: Option<Py<PyWasi>>,
        services: Vec<Bound<'_, PyService>>,
        gate: Option<&Bound<'_, MessageRights>>,
        accepts: Vec<u64>,
        config: Option<Vec<(String, Bound<'_, PyAny>)>>,
        capacity: usize,
        capacity_bytes: usize,
        overflow: &str,
        message_size: usize,
        statistics: Option<&Bound<'_, PyLineStatistics>>,
    ) -> PyResult<ComponentActor> {
        ready(py)?;
        let overflow = Overflow::parse(overflow).ok_or_else(|| {
            PyValueError::new_err(format!(
                "overflow is 'fail', 'wait', 'drop-oldest' or 'drop-newest', not {overflow:?}"
            ))
        })?;
        let described = component.get().described.clone();
        let blueprint = blueprint(
            py, &described, limits, wasi, services, accepts, config, statistics,
        )?;
        let bounds = Bounds {
            capacity,
            bytes: capacity_bytes,
            overflow,
            message_size,
        };
        let cell = self
            .inner
            .plane
            .spawn(address, blueprint, bounds, MessageRights::gate_of(gate))
            .map_err(|failure| self.inner.exception(py, address, &failure))?;
        Ok(ComponentActor::new(self.inner.clone(), cell))
    }

    /// Make a Python actor reachable for components.
    #[pyo3(signature = (address, bridge, *, capacity=1000, capacity_bytes=4 << 20, accepts=Vec::new(), message_size=1 << 20))]
    fn port(
        &self,
        py: Python<'_>,
        address: &str,
        bridge: Py<Bridge>,
        capacity: usize,
        capacity_bytes: usize,
        accepts: Vec<u64>,
        message_size: usize,
    ) -> PyResult<Py<PyPort>> {
        ready(py)?;
        let number = self.inner.next_port.fetch_add(1, Ordering::Relaxed);
        let doorbell = Arc::new(Doorbell {
            post: bridge.get().post.clone(),
            port: OnceLock::new(),
            number,
        });
        let spec = PortSpec {
            capacity,
            bytes: capacity_bytes,
            message_size,
            accepts,
        };
        let port = self
            .inner
            .plane
            .port(address, spec, doorbell.clone())
            .map_err(|failure| self.inner.exception(py, address, &failure))?;
        // Nobody rang before: the address became known a moment ago, and this thread is the loop's.
        let _ = doorbell.port.set(Arc::downgrade(&port));
        let made = Py::new(
            py,
            PyPort {
                port,
                number,
                bridge: bridge.clone_ref(py),
                errors: self.inner.errors.clone_ref(py),
            },
        )?;
        bridge.get().add_port(number, made.clone_ref(py));
        Ok(made)
    }

    /// The actor at an address; `None` if there is none, or it is a port.
    fn find(&self, address: &str) -> Option<ComponentActor> {
        match self.inner.plane.shared().find(address)? {
            Target::Actor(cell) => Some(ComponentActor::new(self.inner.clone(), cell)),
            Target::Port(_) => None,
        }
    }

    /// The actors made of components, by address.
    fn actors(&self) -> Vec<ComponentActor> {
        let all = self.inner.plane.shared().targets();
        all.into_iter()
            .filter_map(|target| match target {
                Target::Actor(cell) => Some(ComponentActor::new(self.inner.clone(), cell)),
                Target::Port(_) => None,
            })
            .collect()
    }

    /// Publish; how many subscribers accepted and refused.
    #[pyo3(signature = (topic, payload, *, sender=None, trace=None))]
    fn publish(
        &self,
        py: Python<'_>,
        topic: &str,
        payload: &Bound<'_, PyAny>,
        sender: Option<&str>,
        trace: Option<&str>,
    ) -> PyResult<(u64, u64)> {
        ready(py)?;
        let options = convert::options(py, 1, None, trace)?;
        let publisher = sender.unwrap_or("").into();
        let payload = convert::payload(payload)?;
        self.inner
            .plane
            .shared()
            .publish(topic, &publisher, &payload, &options)
            .map_err(|failure| self.inner.exception(py, topic, &failure))
    }

    /// Publish to the components among the subscribers, in the first of the forms that each accepts.
    #[pyo3(signature = (topic, forms, *, priority=1, sender=None, trace=None))]
    fn publish_inside(
        &self,
        py: Python<'_>,
        topic: &str,
        forms: Vec<Bound<'_, PyAny>>,
        priority: u8,
        sender: Option<&str>,
        trace: Option<&str>,
    ) -> PyResult<(u64, u64)> {
        ready(py)?;
        let options = convert::options(py, priority, None, trace)?;
        let publisher = sender.unwrap_or("").into();
        let forms = forms
            .iter()
            .map(convert::payload)
            .collect::<PyResult<Vec<_>>>()?;
        self.inner
            .plane
            .shared()
            .publish_inside(topic, &publisher, &forms, &options)
            .map_err(|failure| self.inner.exception(py, topic, &failure))
    }

    /// What each of the components that would receive a topic accepts.
    fn accepted_inside(&self, topic: &str) -> Vec<Vec<u64>> {
        self.inner.plane.shared().accepted_inside(topic)
    }

    /// Lines of a deployment's guests after number `since`.
    #[pyo3(signature = (deployment, since=0))]
    fn logs<'py>(
        &self,
        py: Python<'py>,
        deployment: &str,
        since: u64,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.inner
            .plane
            .logs(deployment, since)
            .iter()
            .map(|line| convert::log_tuple(py, line))
            .collect()
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statistics = self.inner.plane.statistics();
        let found = PyDict::new(py);
        found.set_item("actors", statistics.actors)?;
        found.set_item("ports", statistics.ports)?;
        found.set_item("timers", statistics.timers)?;
        found.set_item("slices", statistics.slices)?;
        let bridges = self
            .inner
            .bridges
            .lock()
            .expect("no code under this lock panics");
        let lost: u64 = bridges
            .iter()
            .map(|bridge| bridge.get().post.lost.load(Ordering::Relaxed))
            .sum();
        found.set_item("lost_events", lost)?;
        Ok(found)
    }

    /// End everything.
    fn close(&self, py: Python<'_>) {
        let plane = self.inner.plane.clone();
        py.detach(|| plane.close());
    }

    /// Run until nobody has anything to do at the present time, and deliver what came of it; virtual time only.
    fn run(&self, py: Python<'_>) -> PyResult<u64> {
        self.need_virtual()?;
        let mut turns = 0;
        loop {
            self.inner.hook.rest();
            let taken = self.inner.plane.run();
            turns += taken;
            let bridges: Vec<Py<Bridge>> = self
                .inner
                .bridges
                .lock()
                .expect("no code under this lock panics")
                .iter()
                .map(|bridge| bridge.clone_ref(py))
                .collect();
            let mut delivered = false;
            for bridge in bridges {
                if !bridge.get().is_closed() {
                    delivered |= bridge.get().deliver(py)?;
                }
            }
            if taken == 0 && !delivered {
                return Ok(turns);
            }
        }
    }

    /// When the next timer is due, in plane time.
    fn next_timer(&self) -> Option<f64> {
        self.inner.plane.next_timer().map(convert::seconds)
    }

    /// Move virtual time on, never back.
    fn advance(&self, to: f64) -> PyResult<()> {
        self.need_virtual()?;
        self.inner.plane.advance(convert::nanos(to)?);
        Ok(())
    }

    /// Be told when `run` has something to do.
    fn on_ready(&self, wake: Option<Py<PyAny>>) -> PyResult<()> {
        self.need_virtual()?;
        self.inner.hook.set(wake);
        Ok(())
    }

    fn __repr__(&self) -> String {
        let statistics = self.inner.plane.statistics();
        format!(
            "<Plane: {} actors, {} ports>",
            statistics.actors, statistics.ports
        )
    }
}

impl PyPlane {
    fn need_virtual(&self) -> PyResult<()> {
        if self.inner.virtual_time {
            Ok(())
        } else {
            Err(PyValueError::new_err(
                "this plane runs on threads in real time; make it with virtual=True",
            ))
        }
    }
}

/// A list of strings.
pub fn strings<'py>(py: Python<'py>, texts: &[Arc<str>]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, texts.iter().map(|text| &**text))
}
