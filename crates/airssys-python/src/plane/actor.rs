//! `ComponentActor`: the handle of one actor made of a component.

use std::sync::Arc;

use airssys_host::plane::{Answer, Ask, Cell, Failure, Request, Successor, Target, Waiter};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet};

use super::convert::{self, Awaited, ready};
use super::plane::{Inner, blueprint};
use super::port::{EdgeEnds, PyPort};
use super::rights::MessageRights;
use super::service::PyService;
use super::{seen, succession, waiting};
use crate::component::PyComponent;
use crate::limits::PyLimits;
use crate::route::PyLineStatistics;
use crate::wasi::PyWasi;

#[pyclass(frozen, module = "airssys._core")]
pub struct ComponentActor {
    inner: Arc<Inner>,
    cell: Arc<Cell>,
    target: Target,
}

impl ComponentActor {
    pub fn new(inner: Arc<Inner>, cell: Arc<Cell>) -> Self {
        let target = Target::Actor(cell.clone());
        Self {
            inner,
            cell,
            target,
        }
    }

    fn address_text(&self) -> &Arc<str> {
        &self.cell.address.text
    }

    /// Begin to wait for the answer (or for room), on this thread as far as it goes without waiting.
    fn begin(
        &self,
        py: Python<'_>,
        awaited: Awaited,
        payload: &Bound<'_, PyAny>,
        timeout: f64,
        priority: u8,
        ttl: Option<f64>,
        sender: Option<&str>,
        trace: Option<&str>,
    ) -> PyResult<Result<Arc<Ask>, Failure>> {
        let payload = convert::payload(payload)?;
        let options = convert::options(py, priority, ttl, trace)?;
        let timeout = convert::nanos(timeout)?;
        let source = convert::source(sender);
        let shared = self.inner.plane.shared();
        let claimed = !self.inner.virtual_time && awaited == Awaited::Reply && self.cell.claim();
        let begun = if awaited == Awaited::Reply {
            shared.ask(
                &self.target,
                source,
                payload,
                options,
                timeout,
                Waiter::Nobody,
            )
        } else {
            shared.send(
                &self.target,
                source,
                payload,
                options,
                timeout,
                Waiter::Nobody,
            )
        };
        if claimed {
            self.cell.run_claimed();
        }
        Ok(begun)
    }

    fn future(
        &self,
        py: Python<'_>,
        awaited: Awaited,
        begun: Result<Arc<Ask>, Failure>,
    ) -> PyResult<Py<PyAny>> {
        let bridge = self.inner.bridge(py)?;
        match begun {
            Ok(ask) => bridge.get().future(py, self.address_text(), awaited, &ask),
            Err(failure) => {
                let error = self.inner.exception(py, self.address_text(), &failure);
                bridge.get().failed(py, &error)
            }
        }
    }

    fn command(
        &self,
        py: Python<'_>,
        begin: impl FnOnce(&Arc<Cell>) -> Arc<Ask>,
    ) -> PyResult<Py<PyAny>> {
        ready(py)?;
        // The loop first: a command without anybody to tell would be lost.
        self.inner.bridge(py)?;
        let ask = begin(&self.cell);
        self.future(py, Awaited::Command, Ok(ask))
    }
}

#[pymethods]
impl ComponentActor {
    #[getter]
    fn address(&self) -> &str {
        self.address_text()
    }

    #[getter]
    fn deployment(&self) -> &str {
        &self.cell.address.deployment
    }

    #[getter]
    fn key(&self) -> &str {
        &self.cell.address.key
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.cell.stage().name()
    }

    #[getter]
    fn incarnation(&self) -> u64 {
        self.cell.incarnation()
    }

    #[getter]
    fn queued(&self) -> usize {
        self.cell.queued()
    }

    /// Which of `handler`, `lifecycle` and `state` the component exports.
    #[getter]
    fn exports<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        PyFrozenSet::new(py, self.cell.blueprint().exports.names())
    }

    /// Put a message in the mailbox. Never waits.
    #[pyo3(signature = (payload, *, priority=1, ttl=None, sender=None, trace=None))]
    fn tell(
        &self,
        py: Python<'_>,
        payload: &Bound<'_, PyAny>,
        priority: u8,
        ttl: Option<f64>,
        sender: Option<&str>,
        trace: Option<&str>,
    ) -> PyResult<()> {
        ready(py)?;
        let payload = convert::payload(payload)?;
        let options = convert::options(py, priority, ttl, trace)?;
        self.inner
            .plane
            .shared()
            .send_now(&self.target, convert::source(sender), payload, options, 0)
            .map_err(|failure| self.inner.exception(py, self.address_text(), &failure))
    }

    /// Put a message in the mailbox as soon as there is room.
    #[pyo3(signature = (payload, timeout, *, priority=1, ttl=None, sender=None, trace=None))]
    fn send(
        &self,
        py: Python<'_>,
        payload: &Bound<'_, PyAny>,
        timeout: f64,
        priority: u8,
        ttl: Option<f64>,
        sender: Option<&str>,
        trace: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        ready(py)?;
        self.inner.bridge(py)?;
        let begun = self.begin(
            py,
            Awaited::Room,
            payload,
            timeout,
            priority,
            ttl,
            sender,
            trace,
        )?;
        self.future(py, Awaited::Room, begun)
    }

    /// Ask; the future has the answer.
    #[pyo3(signature = (payload, timeout, *, priority=1, sender=None, trace=None, waiting=None))]
    fn ask(
        &self,
        py: Python<'_>,
        payload: &Bound<'_, PyAny>,
        timeout: f64,
        priority: u8,
        sender: Option<&str>,
        trace: Option<&str>,
        waiting: Option<&Bound<'_, PyPort>>,
    ) -> PyResult<Py<PyAny>> {
        ready(py)?;
        self.inner.bridge(py)?;
        if let Some(waiting) = waiting {
            let owner = Target::Port(waiting.get().port.clone());
            waiting.get().port.set_waits_for(Some(self.target.clone()));
            if let Some(cycle) = self.inner.plane.shared().cycle(&owner, &self.target) {
                waiting.get().port.set_waits_for(None);
                return self.future(py, Awaited::Reply, Err(Failure::WaitCycle(cycle)));
            }
        }
        let begun = self.begin(
            py,
            Awaited::Reply,
            payload,
            timeout,
            priority,
            None,
            sender,
            trace,
        )?;
        let future = self.future(py, Awaited::Reply, begun)?;
        if let Some(waiting) = waiting {
            let ended = Py::new(
                py,
                EdgeEnds {
                    port: waiting.clone().unbind(),
                },
            )?;
            future.call_method1(py, "add_done_callback", (ended,))?;
        }
        Ok(future)
    }

    /// Ask and block this thread until the answer is there.
    #[pyo3(signature = (payload, timeout, *, priority=1, sender=None, trace=None))]
    fn ask_blocking<'py>(
        &self,
        py: Python<'py>,
        payload: &Bound<'py, PyAny>,
        timeout: f64,
        priority: u8,
        sender: Option<&str>,
        trace: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        ready(py)?;
        let begun = self.begin(
            py,
            Awaited::Reply,
            payload,
            timeout,
            priority,
            None,
            sender,
            trace,
        )?;
        let ask =
            begun.map_err(|failure| self.inner.exception(py, self.address_text(), &failure))?;
        let outcome = waiting::outcome(py, &self.inner, &ask)?;
        convert::result(
            py,
            &self.inner.errors,
            self.address_text(),
            Awaited::Reply,
            &outcome,
        )
    }

    /// Begin an incarnation, from a snapshot; one of another `version` is migrated first.
    #[pyo3(signature = (restore=None, version=None))]
    fn start(
        &self,
        py: Python<'_>,
        restore: Option<&Bound<'_, PyAny>>,
        version: Option<String>,
    ) -> PyResult<Py<PyAny>> {
        let inherits = succession::inheritance(restore, version)?;
        self.command(py, |cell| {
            // Whoever restarts it waits for that: as far as it goes without waiting it runs here, like an ask.
            let claimed = !self.inner.virtual_time && cell.incarnation() > 0 && cell.claim();
            let begun = cell.start(inherits, Waiter::Nobody);
            if claimed {
                cell.run_claimed();
            }
            begun
        })
    }

    /// Get another revision's instance ready beside the present one.
    #[pyo3(signature = (component, hand_over, *, version=None, given=None, limits=None, wasi=None,
        services=Vec::new(), accepts=Vec::new(), config=None, statistics=None, timeout=5.0, shutdown=5.0))]
    fn prepare(
        &self,
        py: Python<'_>,
        component: &Bound<'_, PyComponent>,
        hand_over: &str,
        version: Option<String>,
        given: Option<&Bound<'_, PyAny>>,
        limits: Option<&Bound<'_, PyLimits>>,
        wasi: Option<Py<PyWasi>>,
        services: Vec<Bound<'_, PyService>>,
        accepts: Vec<u64>,
        config: Option<Vec<(String, Bound<'_, PyAny>)>>,
        statistics: Option<&Bound<'_, PyLineStatistics>>,
        timeout: f64,
        shutdown: f64,
    ) -> PyResult<Py<PyAny>> {
        let hand_over = succession::hand_over(hand_over, version, given)?;
        let described = component.get().described.clone();
        let successor = Arc::new(Successor {
            blueprint: blueprint(
                py, &described, limits, wasi, services, accepts, config, statistics,
            )?,
            hand_over,
            shutdown: convert::nanos(shutdown)?,
        });
        let timeout = convert::nanos(timeout)?;
        self.command(py, |cell| cell.prepare(successor, timeout, Waiter::Nobody))
    }

    /// Let the instance that is ready take over, or drop it.
    fn decide(&self, py: Python<'_>, takes: bool) -> PyResult<Py<PyAny>> {
        self.command(py, |cell| cell.decide(takes, Waiter::Nobody))
    }

    /// What the component said of itself at its first start; `None` before, and where it has nothing to say.
    #[getter]
    fn about<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let blueprint = self.cell.blueprint();
        blueprint
            .metadata()
            .map(|metadata| convert::answer(py, &Answer::Metadata(metadata.clone())))
            .transpose()
    }

    /// The codecs that are taken now; none means every known one.
    #[getter]
    fn accepts(&self) -> Vec<u64> {
        self.cell.blueprint().accepts().to_vec()
    }

    /// Drop the instance and begin another incarnation.
    #[pyo3(signature = (restore=None))]
    fn restart(&self, py: Python<'_>, restore: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let inherits = succession::inheritance(restore, None)?;
        self.command(py, |cell| cell.restart(inherits, Waiter::Nobody))
    }

    /// End the actor in order.
    #[pyo3(signature = (*, drain=false, timeout=5.0, reason="stopped"))]
    fn stop(&self, py: Python<'_>, drain: bool, timeout: f64, reason: &str) -> PyResult<Py<PyAny>> {
        let timeout = convert::nanos(timeout)?;
        let reason = succession::shutdown_reason(reason)?;
        self.command(py, |cell| cell.stop(drain, timeout, reason, Waiter::Nobody))
    }

    /// End the incarnation in order; the mailbox stays for the next one.
    #[pyo3(signature = (*, timeout=5.0, reason="replaced"))]
    fn retire(&self, py: Python<'_>, timeout: f64, reason: &str) -> PyResult<Py<PyAny>> {
        let timeout = convert::nanos(timeout)?;
        let reason = succession::shutdown_reason(reason)?;
        self.command(py, |cell| cell.retire(timeout, reason, Waiter::Nobody))
    }

    /// Whether an incarnation that ends in order leaves its state, for `parting`.
    fn keep_state(&self, keep: bool) {
        self.cell.keep_state(keep);
    }

    /// The state that the last incarnation left, once.
    fn parting<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let state = self.cell.take_parting()?;
        Some(PyBytes::new(py, &state))
    }

    /// Drop the instance at once; the mailbox stays.
    fn kill(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.command(py, |cell| cell.kill(Waiter::Nobody))
    }

    /// Drop the instance because its supervisor holds it for failed; the mailbox stays.
    #[pyo3(signature = (message="its supervisor says so"))]
    fn fail(&self, py: Python<'_>, message: &str) -> PyResult<Py<PyAny>> {
        self.command(py, |cell| cell.fail(message.to_owned(), Waiter::Nobody))
    }

    /// Give an actor up that has no instance.
    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        ready(py)?;
        self.cell
            .discard()
            .map_err(|failure| self.inner.exception(py, self.address_text(), &failure))
    }

    fn suspend(&self) {
        self.cell.suspend();
    }

    fn resume(&self) {
        self.cell.resume();
    }

    /// Say what the next incarnation is made of.
    #[pyo3(signature = (component, *, limits=None, wasi=None, services=Vec::new(), accepts=Vec::new(), config=None,
        statistics=None))]
    fn upgrade(
        &self,
        py: Python<'_>,
        component: &Bound<'_, PyComponent>,
        limits: Option<&Bound<'_, PyLimits>>,
        wasi: Option<Py<PyWasi>>,
        services: Vec<Bound<'_, PyService>>,
        accepts: Vec<u64>,
        config: Option<Vec<(String, Bound<'_, PyAny>)>>,
        statistics: Option<&Bound<'_, PyLineStatistics>>,
    ) -> PyResult<()> {
        let described = component.get().described.clone();
        let blueprint = blueprint(
            py, &described, limits, wasi, services, accepts, config, statistics,
        )?;
        self.cell.upgrade(blueprint);
        Ok(())
    }

    /// Give other rights, at once.
    #[pyo3(signature = (gate))]
    fn regrant(&self, gate: Option<&Bound<'_, MessageRights>>) {
        self.cell.regrant(MessageRights::gate_of(gate));
    }

    /// Subscribe it to topics on behalf of the host.
    fn subscribe(&self, py: Python<'_>, pattern: &str) -> PyResult<()> {
        self.cell
            .subscribe(pattern)
            .map_err(|failure| self.inner.exception(py, self.address_text(), &failure))
    }

    fn unsubscribe(&self, pattern: &str) -> bool {
        self.cell.unsubscribe(pattern)
    }

    /// Whether `message` events ask about each message.
    fn hook_messages(&self, on: bool) {
        self.cell.hook_messages(on);
    }

    /// Answer a `message` event.
    #[pyo3(signature = (token, refusal=None))]
    fn hook_done(&self, token: u64, refusal: Option<String>) {
        self.cell.hook_done(token, refusal);
    }

    fn health(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyAny>> {
        let timeout = convert::nanos(timeout)?;
        self.command(py, |cell| {
            cell.request(Request::Health, timeout, Waiter::Nobody)
        })
    }

    fn metadata(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyAny>> {
        let timeout = convert::nanos(timeout)?;
        self.command(py, |cell| {
            cell.request(Request::Metadata, timeout, Waiter::Nobody)
        })
    }

    fn snapshot(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyAny>> {
        let timeout = convert::nanos(timeout)?;
        self.command(py, |cell| {
            cell.request(Request::Snapshot, timeout, Waiter::Nobody)
        })
    }

    fn migrate(
        &self,
        py: Python<'_>,
        version: String,
        snapshot: &Bound<'_, PyAny>,
        timeout: f64,
    ) -> PyResult<Py<PyAny>> {
        let timeout = convert::nanos(timeout)?;
        let snapshot = convert::payload(snapshot)?;
        self.command(py, |cell| {
            cell.request(Request::Migrate(version, snapshot), timeout, Waiter::Nobody)
        })
    }

    /// Look at the actor without its help.
    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        seen::inspection(py, &self.cell)
    }

    /// What the calls of the actor's revision came to: the sum over the actors that share it.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        seen::statistics(py, &self.cell)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| Arc::ptr_eq(&self.cell, &other.get().cell))
    }

    fn __hash__(&self) -> usize {
        Arc::as_ptr(&self.cell) as usize
    }

    fn __repr__(&self) -> String {
        format!(
            "<ComponentActor {:?}: {}>",
            self.address_text(),
            self.cell.stage().name()
        )
    }
}
