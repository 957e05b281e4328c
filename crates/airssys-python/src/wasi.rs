//! What an instance is given of WASI; parsed and documented in Python.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use airssys_host::gate::rule_gate::RuleGate;
use airssys_host::gate::{AllowList, Allowed, Gate as HostGate, Transport};
use airssys_host::guest_log::LogWriter;
use airssys_host::limits::Limits;
use airssys_host::plane::Outputs;
use airssys_host::services::Service;
use airssys_host::storage::Namespace;
use airssys_host::wasi::secrets::Secrets;
use airssys_host::wasi::{Builder, Capture, Input, Output, Settings, Tls, WasiState, tls_trusting};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use crate::gate::{Gate, Questions, Subject};
use crate::secrets::{Asked, Fixed};
use crate::storage::PyStorageNamespace;

/// Refused accesses kept for a look; older ones make room.
const DENIALS_KEPT: usize = 100;

enum Sink {
    Discard,
    Inherit,
    Capture(Capture),
}

impl Sink {
    fn parse(mode: &str, capacity: usize) -> PyResult<Self> {
        match mode {
            "discard" => Ok(Self::Discard),
            "inherit" => Ok(Self::Inherit),
            "capture" => Ok(Self::Capture(Capture::new(capacity))),
            other => Err(PyValueError::new_err(format!(
                "expected 'discard', 'inherit' or 'capture', got '{other}'"
            ))),
        }
    }

    fn captured<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match self {
            Self::Capture(capture) => Some(PyBytes::new(py, &capture.contents().0)),
            _ => None,
        }
    }

    fn output(&self) -> Option<Output> {
        match self {
            Self::Discard => None,
            Self::Inherit => Some(Output::Inherit),
            Self::Capture(capture) => Some(Output::Capture(capture.clone())),
        }
    }
}

/// Arguments, environment, streams, directories and the gate of the instances made with it.
#[pyclass(frozen, name = "Wasi", module = "airssys._core")]
pub struct PyWasi {
    arguments: Arc<[String]>,
    settings: Arc<Settings>,
    secrets: Option<Arc<Secrets>>,
    /// Host directory, path in the guest, writable.
    directories: Vec<(PathBuf, String, bool)>,
    /// `None`: the input of this process.
    stdin: Option<PyBackedBytes>,
    stdout: Sink,
    stderr: Sink,
    rights: Rights,
    /// The storage of instances that belong to no deployment.
    storage: Option<Namespace>,
    /// How HTTPS servers are authenticated, where it was said.
    tls: Option<Arc<Tls>>,
    denials: Arc<Mutex<std::collections::VecDeque<String>>>,
    /// Who is asked by those that the gate puts its questions to. The gate itself holds nothing of Python's.
    approver: Option<Py<PyAny>>,
}

/// What decides.
enum Rights {
    /// What was listed here.
    Listed(Arc<AllowList>),
    /// The rules of a gate, for a subject.
    Ruled(Arc<RuleGate>),
}

#[pymethods]
impl PyWasi {
    #[new]
    #[pyo3(signature = (*, arguments, environment, config, secrets, directories, connect, listen, http, addresses, storage, keys, stdin, stdout, stderr, capture_bytes, trust, rules, approver=None, effects=true))]
    fn new(
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        config: Vec<(String, String)>,
        secrets: Option<Bound<'_, PyAny>>,
        directories: Vec<(PathBuf, String, bool)>,
        connect: Vec<String>,
        listen: Vec<String>,
        http: Vec<String>,
        addresses: Vec<String>,
        storage: Option<&PyStorageNamespace>,
        keys: Vec<String>,
        stdin: Option<PyBackedBytes>,
        stdout: &str,
        stderr: &str,
        capture_bytes: usize,
        trust: Option<PyBackedBytes>,
        rules: Option<(Bound<'_, Gate>, Bound<'_, Subject>)>,
        approver: Option<Bound<'_, PyAny>>,
        effects: bool,
    ) -> PyResult<Self> {
        let bad = |error: &dyn std::fmt::Display| PyValueError::new_err(error.to_string());
        let settings = Settings::new(&environment, &config).map_err(PyValueError::new_err)?;
        let secrets = secrets_of(secrets.as_ref(), &settings, rules.is_some())?;
        let mut allowed = Allowed::default();
        for (host, _, writable) in directories.iter().filter(|_| rules.is_none()) {
            allowed.directory(host, *writable).map_err(|error| {
                PyErr::from(std::io::Error::new(
                    error.kind(),
                    format!("cannot give the directory {}: {error}", host.display()),
                ))
            })?;
        }
        for pattern in &connect {
            allowed
                .connect(Transport::Tcp, pattern)
                .map_err(|error| bad(&error))?;
            allowed
                .connect(Transport::Udp, pattern)
                .map_err(|error| bad(&error))?;
        }
        for pattern in &listen {
            allowed
                .listen(Transport::Tcp, pattern)
                .map_err(|error| bad(&error))?;
            allowed
                .listen(Transport::Udp, pattern)
                .map_err(|error| bad(&error))?;
        }
        for pattern in &http {
            allowed.http(pattern).map_err(|error| bad(&error))?;
        }
        for network in &addresses {
            allowed.addresses(network).map_err(|error| bad(&error))?;
        }
        for pattern in &keys {
            allowed.storage(pattern).map_err(|error| bad(&error))?;
        }
        let listed = connect.len() + listen.len() + http.len() + addresses.len();
        if rules.is_some() && listed != 0 {
            return Err(PyValueError::new_err(
                "connect, listen, http and addresses are rights of their own; where a gate decides, write \
                 them as its rules",
            ));
        }
        let tls = trust
            .map(|pem| tls_trusting(&pem))
            .transpose()
            .map_err(|reason| PyValueError::new_err(format!("trust: {reason}")))?;
        let denials = Arc::new(Mutex::new(std::collections::VecDeque::new()));
        let seen = denials.clone();
        let gate = AllowList::new(allowed).on_denial(move |access, denial| {
            let mut seen = seen.lock().expect("no code under this lock panics");
            if seen.len() == DENIALS_KEPT {
                seen.pop_front();
            }
            seen.push_back(format!("{access}: {}", denial.rule));
        });
        let questions = match &approver {
            Some(approver) => Some(approver.getattr("questions")?.cast_into::<Questions>()?),
            None => None,
        };
        let rights = match rules {
            None if !effects => {
                return Err(PyValueError::new_err(
                    "only where rules decide can everything with effects be refused; give rules",
                ));
            }
            None => Rights::Listed(Arc::new(gate)),
            Some((gate, subject)) => {
                let gate = RuleGate::new(
                    Arc::clone(&gate.get().inner),
                    Arc::clone(&subject.get().inner),
                    questions.map(|questions| questions.get().approver()),
                );
                Rights::Ruled(Arc::new(if effects {
                    gate
                } else {
                    gate.without_effects()
                }))
            }
        };
        Ok(Self {
            arguments: arguments.into(),
            settings: Arc::new(settings),
            secrets,
            directories,
            stdin,
            stdout: Sink::parse(stdout, capture_bytes)?,
            stderr: Sink::parse(stderr, capture_bytes)?,
            rights,
            storage: storage.map(|storage| storage.namespace.clone()),
            tls,
            denials,
            approver: approver.map(Bound::unbind),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.approver)
    }

    /// What was written to standard output, where it is captured.
    #[getter]
    fn stdout<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.stdout.captured(py)
    }

    /// What was written to standard error, where it is captured.
    #[getter]
    fn stderr<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.stderr.captured(py)
    }

    /// The last refused accesses, oldest first; the log has them where a gate decides.
    #[getter]
    fn denials(&self) -> Vec<String> {
        self.denials
            .lock()
            .expect("no code under this lock panics")
            .iter()
            .cloned()
            .collect()
    }

    /// Take every right away, also for what is open.
    fn revoke(&self) -> PyResult<()> {
        match &self.rights {
            Rights::Listed(list) => {
                list.replace(Allowed::default());
                Ok(())
            }
            Rights::Ruled(_) => Err(PyValueError::new_err(
                "the rights come from the rules of a gate; load rules without them",
            )),
        }
    }
}

impl PyWasi {
    /// What an instance has to keep alive.
    pub fn approver(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.approver
            .as_ref()
            .map(|approver| approver.clone_ref(py))
    }

    /// The state of one instance, which has `services` of its deployment. What would be discarded goes to `writer`.
    ///
    /// # Errors
    /// A directory cannot be opened.
    pub fn state(
        &self,
        limits: &Limits,
        services: &[Arc<dyn Service>],
        writer: Option<&LogWriter>,
    ) -> Result<WasiState, std::io::Error> {
        let outputs = writer.map(|writer| writer.outputs(limits.account.as_ref()));
        self.state_with(limits, services, outputs, writer)
    }

    /// The state of one instance of an actor: what would be discarded goes to the plane's log.
    ///
    /// # Errors
    /// A directory cannot be opened.
    pub fn actor_state(
        &self,
        limits: &Limits,
        outputs: Outputs,
    ) -> Result<WasiState, std::io::Error> {
        self.state_with(limits, &[], Some(outputs), None)
    }

    fn state_with(
        &self,
        limits: &Limits,
        services: &[Arc<dyn Service>],
        outputs: Option<Outputs>,
        writer: Option<&LogWriter>,
    ) -> Result<WasiState, std::io::Error> {
        let gate: Arc<dyn HostGate> = match &self.rights {
            Rights::Listed(list) => list.clone(),
            Rights::Ruled(gate) => gate.clone(),
        };
        let mut builder = Builder::new(gate);
        builder
            .arguments(Arc::clone(&self.arguments))
            .settings(Arc::clone(&self.settings))
            .http_limits(limits.http)
            .handles(limits.open_handles);
        if let Some(secrets) = &self.secrets {
            builder.secrets(Arc::clone(secrets));
        }
        if let Some(namespace) = &self.storage {
            builder.service(Arc::new(namespace.clone()));
        }
        for service in services {
            builder.service(service.clone());
        }
        if let Some(writer) = writer {
            builder.service(Arc::new(writer.clone()));
        }
        for (host, guest, writable) in &self.directories {
            builder.mount(host, guest, *writable);
        }
        if let Some(tls) = &self.tls {
            builder.tls(Arc::clone(tls));
        }
        match &self.stdin {
            None => builder.stdin(Input::Inherit),
            Some(bytes) if bytes.is_empty() => &mut builder,
            Some(bytes) => builder.stdin(Input::Bytes(bytes.to_vec().into())),
        };
        if let Some(outputs) = outputs {
            builder
                .stdout(Output::Log(outputs.stdout))
                .stderr(Output::Log(outputs.stderr));
        }
        if let Some(output) = self.stdout.output() {
            builder.stdout(output);
        }
        if let Some(output) = self.stderr.output() {
            builder.stderr(output);
        }
        builder.build()
    }
}

/// The secrets that the settings have places for.
fn secrets_of(
    source: Option<&Bound<'_, PyAny>>,
    settings: &Settings,
    ruled: bool,
) -> PyResult<Option<Arc<Secrets>>> {
    let names = settings.secrets();
    let Some(first) = names.first() else {
        return Ok(None);
    };
    let Some(source) = source else {
        return Err(PyValueError::new_err(format!(
            "environment or config has a place for the secret {first}, and no secrets were given; give \
             secrets, or take ${{secret:{first}}} out"
        )));
    };
    if !ruled {
        return Err(PyValueError::new_err(format!(
            "only rules say where the secret {first} may be used; give rules beside secrets"
        )));
    }
    let secrets = match source.cast::<PyDict>() {
        Ok(mapping) => Secrets::new(Fixed::of(mapping, &names)?),
        Err(_) => Secrets::new(Asked::new(source.clone().unbind())),
    };
    Ok(Some(Arc::new(secrets)))
}
