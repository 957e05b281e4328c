//! `Ingress`: HTTP to deployments. Rules are made and documented in Python.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airssys_host::ingress::{
    Handling, Ingress, IngressLimits, KeySource, Listen, PathRule, Rule, RuleError, Rules,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{About, raise};
use crate::host_calls::PyHostCalls;
use crate::route::PyRoute;
use crate::runtime;

/// One rule: host, whether the path is exact, path, how it is handled (`http`, `functions`, or `function` with its
/// name), where the key is (`header` or `cookie`, and its name), and the route.
type Given = (
    Option<String>,
    bool,
    String,
    String,
    Option<String>,
    Option<(String, String)>,
    Py<PyRoute>,
);

fn rule(given: Given) -> PyResult<Rule> {
    let (host, exact, path, handling, function, key, route) = given;
    let invalid = |message: String| PyValueError::new_err(message);
    let handling = match (handling.as_str(), function) {
        ("http", None) => Handling::Http,
        ("functions", None) => Handling::Functions,
        ("function", Some(name)) => Handling::Function(name),
        (other, _) => return Err(invalid(format!("'{other}' is no way to handle requests"))),
    };
    let key = key.map(|(kind, name)| match kind.as_str() {
        "header" => name
            .parse()
            .map(KeySource::Header)
            .map_err(|_| invalid(format!("'{name}' is no name of a header"))),
        _ => Ok(KeySource::Cookie(name)),
    });
    let route = route.get();
    Ok(Rule {
        host,
        path: if exact {
            PathRule::Exact(path)
        } else {
            PathRule::Prefix(path)
        },
        handling,
        key: key.transpose()?,
        route: route.route.clone(),
        name: route.name.as_str().into(),
    })
}

fn rules(given: Vec<Given>) -> PyResult<Rules> {
    let rules = given.into_iter().map(rule).collect::<PyResult<Vec<_>>>()?;
    Rules::new(rules).map_err(|error: RuleError| PyValueError::new_err(error.to_string()))
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Listens for HTTP requests and answers them by deployments.
#[pyclass(frozen, name = "Ingress", module = "airssys._core")]
pub struct PyIngress {
    ingress: Arc<Ingress>,
}

#[pymethods]
impl PyIngress {
    /// Listen on `host:port` or `unix:/path`.
    #[new]
    #[pyo3(signature = (
        listen, given, host_calls, *, connections, requests, waiting, patience, header_bytes, headers, body_bytes,
        header_time, silence, request_time
    ))]
    fn new(
        py: Python<'_>,
        listen: &str,
        given: Vec<Given>,
        host_calls: &PyHostCalls,
        connections: usize,
        requests: usize,
        waiting: usize,
        patience: f64,
        header_bytes: usize,
        headers: usize,
        body_bytes: u64,
        header_time: f64,
        silence: f64,
        request_time: f64,
    ) -> PyResult<Self> {
        let listen = match listen.strip_prefix("unix:") {
            Some(path) => Listen::Unix(PathBuf::from(path)),
            None => Listen::Tcp(listen.to_owned()),
        };
        let limits = IngressLimits {
            connections,
            requests,
            waiting,
            patience: seconds(patience)?,
            header_bytes,
            headers,
            body_bytes,
            header_time: seconds(header_time)?,
            silence: seconds(silence)?,
            request_time: seconds(request_time)?,
        };
        let rules = rules(given)?;
        let answering = Some(host_calls.answering());
        let runtime = runtime::ready().map_err(|error| raise(py, error, About::default()))?;
        let ingress = py.detach(|| Ingress::start(runtime, &listen, rules, limits, answering))?;
        Ok(Self {
            ingress: Arc::new(ingress),
        })
    }

    /// Where it listens.
    #[getter]
    fn address(&self) -> &str {
        self.ingress.address()
    }

    /// Counts by name.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, count) in self.ingress.statistics().named() {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }

    /// Go by other rules from the next request on.
    fn set_rules(&self, given: Vec<Given>) -> PyResult<()> {
        self.ingress.set_rules(rules(given)?);
        Ok(())
    }

    /// Take no connection any more, and block until the last has ended; after `drain` seconds it is ended.
    fn close(&self, py: Python<'_>, drain: f64) -> PyResult<()> {
        let drain = seconds(drain)?;
        // Where the runtime is gone, so are its connections.
        let Ok(runtime) = runtime::ready() else {
            return Ok(());
        };
        let ingress = self.ingress.clone();
        py.detach(|| {
            // Not by `block_on`: a thread that calls guests is in the runtime's context for its life.
            let (done, waits) = std::sync::mpsc::channel();
            runtime.spawn(async move {
                ingress.close(drain).await;
                // Whoever waits may have gone.
                let _ = done.send(());
            });
            // Nothing is sent where the runtime ends first.
            let _ = waits.recv();
        });
        Ok(())
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyIngress>()
}
