//! The gate: rules, decisions, files. Long because one Python class is one block of methods, each with its keywords.

use std::net::IpAddr;
use std::sync::Arc;

use airssys_host::gate::authority::{Authority, Circumstances, access_name};
use airssys_host::gate::kind::{AccessBits, Kind};
use airssys_host::gate::matcher::{OwnRules, Request, RuleSet};
use airssys_host::gate::target::{TCP, Target, UDP};
use airssys_host::osl::OslError;
use airssys_host::osl::file::{Acting, FileMode, Opened};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyString;

use super::audit::AuditLog;
use super::convert::{attributes_of, bytes_of, fs_text, path_of};
use super::decision::{Decision, Explanation};
use super::errors::{load_error, os_error, osl_error, rule_error};
use super::files::OpenedFile;
use super::replacement::Replacement;
use super::subject::Subject;

/// Everything that decides.
#[pyclass(frozen, module = "airssys._core")]
pub struct Gate {
    pub inner: Arc<Authority>,
}

fn kind_and_access(kind: &str, access: &str) -> PyResult<(Kind, AccessBits)> {
    let known = Kind::parse(kind)
        .ok_or_else(|| PyValueError::new_err(format!("{kind:?} is not a kind of access")))?;
    let bit = known.access_bit(access).ok_or_else(|| {
        let accesses = known.accesses().join(", ");
        PyValueError::new_err(format!("{access:?} is not an access of {kind}: {accesses}"))
    })?;
    Ok((known, bit))
}

fn transport_bit(name: &str) -> PyResult<u8> {
    match name {
        "tcp" => Ok(TCP),
        "udp" => Ok(UDP),
        _ => Err(PyValueError::new_err(format!(
            "transport is 'tcp' or 'udp', not {name:?}"
        ))),
    }
}

fn address_of(text: Option<&str>) -> PyResult<Option<IpAddr>> {
    text.map(|text| {
        text.parse()
            .map_err(|_| PyValueError::new_err(format!("{text:?} is not an IP address")))
    })
    .transpose()
}

/// The access, to the address that its target led to, where one was given.
fn leading_to(request: Request<'_>, address: Option<IpAddr>) -> Result<Request<'_>, String> {
    match address {
        Some(address) => request.leading_to(address),
        None => Ok(request),
    }
}

/// The arguments of a command as bytes.
fn arguments_of(arguments: Option<Vec<Bound<'_, PyAny>>>) -> PyResult<Option<Vec<Vec<u8>>>> {
    let Some(arguments) = arguments else {
        return Ok(None);
    };
    arguments
        .iter()
        .map(path_of)
        .collect::<PyResult<Vec<_>>>()
        .map(Some)
}

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (audit, *, reserved=Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn new(
        py: Python<'_>,
        audit: &Bound<'_, AuditLog>,
        reserved: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<Gate> {
        let authority = Authority::new(Arc::clone(&audit.get().inner))
            .map_err(|error| os_error(py, &error, "/proc, /sys or the audit directory"))?;
        let gate = Gate {
            inner: Arc::new(authority),
        };
        for path in &reserved {
            gate.reserve(py, path)?;
        }
        Ok(gate)
    }

    /// Replace all rules for everybody at once.
    fn load(&self, py: Python<'_>, rules: &[u8]) -> PyResult<u64> {
        py.detach(|| self.inner.load(rules))
            .map_err(|error| load_error(py, &error))
    }

    /// Replace the rules that some principals have alone.
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn load_own(
        &self,
        py: Python<'_>,
        rules: Vec<(String, Option<PyBackedBytes>)>,
    ) -> PyResult<u64> {
        let changes: Vec<OwnRules<'_>> = rules
            .iter()
            .map(|(principal, json)| OwnRules {
                principal,
                json: json.as_deref(),
            })
            .collect();
        py.detach(|| self.inner.load_own(&changes))
            .map_err(|error| load_error(py, &error))
    }

    /// Look whether rules are understood.
    #[staticmethod]
    fn check(py: Python<'_>, rules: &[u8]) -> PyResult<()> {
        py.detach(|| RuleSet::compile(rules))
            .map(drop)
            .map_err(|error| rule_error(py, &error))
    }

    /// Never another's in this process.
    #[getter]
    fn number(&self) -> u64 {
        self.inner.number()
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.inner.generation().current()
    }

    #[getter]
    fn rule_count(&self) -> usize {
        self.inner.rules().len()
    }

    fn advance(&self) -> u64 {
        self.inner.generation().advance();
        self.inner.generation().current()
    }

    fn reserve(&self, py: Python<'_>, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = path_of(path)?;
        self.inner
            .reserve(&path)
            .map_err(|error| os_error(py, &error, &String::from_utf8_lossy(&path)))
    }

    #[pyo3(signature = (subject, kind, access, target, attributes=None, *, address=None,
        transport="tcp", arguments=None, approved_by=None, must_audit=false, detail=None))]
    fn decide(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        kind: &str,
        access: &str,
        target: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        address: Option<&str>,
        transport: &str,
        arguments: Option<Vec<Bound<'_, PyAny>>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<Decision> {
        let (kind, access) = kind_and_access(kind, access)?;
        let transport = transport_bit(transport)?;
        let address = address_of(address)?;
        let arguments = arguments_of(arguments)?;
        let arguments: Option<Vec<&[u8]>> = arguments
            .as_ref()
            .map(|arguments| arguments.iter().map(Vec::as_slice).collect());
        let attributes = attributes_of(attributes)?;
        let bytes = bytes_of(target)?;
        let subject = &subject.get().inner;
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        let request = Target::parse(kind, access, &bytes).and_then(|target| {
            let request = Request {
                transport,
                arguments: arguments.as_deref(),
                ..Request::new(kind, access, target, &attributes)
            };
            leading_to(request, address)
        });
        let (decided, text) = match request {
            Ok(request) => {
                let decided = self.inner.decide(subject, &request, &with);
                (decided, request.target.text.into_owned())
            }
            Err(reason) => {
                let decided = self
                    .inner
                    .refuse_invalid(subject, kind, access, &bytes, reason, &with);
                (decided, bytes.to_vec())
            }
        };
        let decided = if decided.wait_for.is_some() {
            py.detach(|| self.inner.wait(decided))
        } else {
            decided
        };
        Ok(Decision::new(decided, text))
    }

    #[pyo3(signature = (subject, kind, access, target, attributes=None, *, address=None,
        transport="tcp", arguments=None))]
    fn explain(
        &self,
        subject: &Bound<'_, Subject>,
        kind: &str,
        access: &str,
        target: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        address: Option<&str>,
        transport: &str,
        arguments: Option<Vec<Bound<'_, PyAny>>>,
    ) -> PyResult<Explanation> {
        let (kind, access) = kind_and_access(kind, access)?;
        let arguments = arguments_of(arguments)?;
        let arguments: Option<Vec<&[u8]>> = arguments
            .as_ref()
            .map(|arguments| arguments.iter().map(Vec::as_slice).collect());
        let attributes = attributes_of(attributes)?;
        let bytes = bytes_of(target)?;
        let target = Target::parse(kind, access, &bytes).map_err(PyValueError::new_err)?;
        let request = Request {
            transport: transport_bit(transport)?,
            arguments: arguments.as_deref(),
            ..Request::new(kind, access, target, &attributes)
        };
        let request = leading_to(request, address_of(address)?).map_err(PyValueError::new_err)?;
        let explained = self.inner.explain(&subject.get().inner, &request);
        let text = request.target.text.into_owned();
        Ok(Explanation::new(explained, access_name(kind, access), text))
    }

    fn path_grants<'py>(
        &self,
        py: Python<'py>,
        subject: &Bound<'_, Subject>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, bool, Vec<&'static str>)>> {
        let grants = self.inner.rules().of(&subject.get().inner).path_grants();
        grants
            .into_iter()
            .map(|(path, tree, bits)| {
                let accesses = Kind::Filesystem.accesses().iter().enumerate();
                let named = accesses
                    .filter(|(position, _)| bits & (1 << position) != 0)
                    .map(|(_, name)| *name)
                    .collect();
                Ok((fs_text(py, &path)?, tree, named))
            })
            .collect()
    }

    fn learned<'py>(
        &self,
        py: Python<'py>,
        subject_name: &str,
    ) -> PyResult<Vec<(&'static str, &'static str, Bound<'py, PyString>)>> {
        let learned = self.inner.learned(subject_name);
        learned
            .into_iter()
            .map(|(kind, access, target)| Ok((kind.name(), access, fs_text(py, &target)?)))
            .collect()
    }

    #[pyo3(signature = (subject, path, mode, *, attributes=None, truncate=false, permissions=0o666,
        hard_links=false, approved_by=None, must_audit=false, detail=None))]
    fn open(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        mode: &str,
        attributes: Option<&Bound<'_, PyAny>>,
        truncate: bool,
        permissions: u32,
        hard_links: bool,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<OpenedFile> {
        let mode = match mode {
            "read" => FileMode::Read,
            "write" => FileMode::Write,
            "append" => FileMode::Append,
            "update" => FileMode::Update,
            "create" => FileMode::Create,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "mode is 'read', 'write', 'append', 'update' or 'create', not {mode:?}"
                )));
            }
        };
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        self.opened(
            py,
            subject,
            path,
            attributes,
            with,
            hard_links,
            |acting, path| acting.open(path, mode, truncate, permissions & 0o777),
        )
    }

    #[pyo3(signature = (subject, path, *, attributes=None, approved_by=None, must_audit=false, detail=None))]
    fn open_directory(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<OpenedFile> {
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        self.opened(
            py,
            subject,
            path,
            attributes,
            with,
            false,
            |acting, path| acting.open_directory(path),
        )
    }

    #[pyo3(signature = (subject, path, *, follow=true, attributes=None, approved_by=None, must_audit=false,
        detail=None))]
    fn open_path(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        follow: bool,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<OpenedFile> {
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        self.opened(
            py,
            subject,
            path,
            attributes,
            with,
            false,
            |acting, path| acting.open_path(path, follow),
        )
    }

    #[pyo3(signature = (subject, path, *, arguments=None, attributes=None, approved_by=None, must_audit=false,
        detail=None))]
    fn open_executable(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        arguments: Option<Vec<Bound<'_, PyAny>>>,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<OpenedFile> {
        let arguments = arguments_of(arguments)?;
        let arguments: Option<Vec<&[u8]>> = arguments
            .as_ref()
            .map(|arguments| arguments.iter().map(Vec::as_slice).collect());
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        self.opened(py, subject, path, attributes, with, true, |acting, path| {
            acting.open_executable(path, arguments.as_deref())
        })
    }

    #[pyo3(signature = (subject, path, *, permissions=0o666, attributes=None, approved_by=None, must_audit=false,
        detail=None))]
    fn replace(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        permissions: u32,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<Replacement> {
        let path = path_of(path)?;
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        let replacement = self.acting(py, subject, attributes, with, true, |acting| {
            acting.replace(&path, permissions & 0o777)
        })?;
        Replacement::new(
            py,
            self,
            subject.get(),
            attributes_of(attributes)?,
            replacement,
        )
    }

    #[pyo3(signature = (subject, path, *, attributes=None, approved_by=None, must_audit=false, detail=None))]
    fn unlink(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<Decision> {
        let path = path_of(path)?;
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        let decided = self.acting(py, subject, attributes, with, true, |acting| {
            acting.unlink(&path)
        })?;
        Ok(Decision::new(decided, path))
    }

    #[pyo3(signature = (subject, path, *, attributes=None, approved_by=None, must_audit=false, detail=None))]
    fn remove_directory(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<Decision> {
        let path = path_of(path)?;
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        let decided = self.acting(py, subject, attributes, with, true, |acting| {
            acting.remove_directory(&path)
        })?;
        Ok(Decision::new(decided, path))
    }

    #[pyo3(signature = (subject, path, *, permissions=0o777, attributes=None, approved_by=None, must_audit=false,
        detail=None))]
    fn make_directory(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        permissions: u32,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<Decision> {
        let path = path_of(path)?;
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        let decided = self.acting(py, subject, attributes, with, true, |acting| {
            acting.make_directory(&path, permissions & 0o777)
        })?;
        Ok(Decision::new(decided, path))
    }

    #[pyo3(signature = (subject, source, destination, *, replace=true, attributes=None, approved_by=None,
        must_audit=false, detail=None))]
    fn rename(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        source: &Bound<'_, PyAny>,
        destination: &Bound<'_, PyAny>,
        replace: bool,
        attributes: Option<&Bound<'_, PyAny>>,
        approved_by: Option<&str>,
        must_audit: bool,
        detail: Option<&str>,
    ) -> PyResult<Decision> {
        let (source, destination) = (path_of(source)?, path_of(destination)?);
        let with = Circumstances {
            detail,
            approved_by,
            must_audit,
            ..Circumstances::default()
        };
        let decided = self.acting(py, subject, attributes, with, true, |acting| {
            acting.rename(&source, &destination, replace)
        })?;
        Ok(Decision::new(decided, destination))
    }

    fn __repr__(&self) -> String {
        format!(
            "Gate(rules={}, generation={})",
            self.rule_count(),
            self.generation()
        )
    }
}

impl Gate {
    /// Run one operation on files without the interpreter.
    pub fn acting<T: Send>(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        attributes: Option<&Bound<'_, PyAny>>,
        with: Circumstances<'_>,
        hard_links: bool,
        operation: impl FnOnce(&Acting<'_>) -> Result<T, OslError> + Send,
    ) -> PyResult<T> {
        let attributes = attributes_of(attributes)?;
        let acting = Acting {
            authority: &self.inner,
            subject: &subject.get().inner,
            attributes: &attributes,
            with,
            hard_links,
        };
        py.detach(|| operation(&acting))
            .map_err(|error| osl_error(py, error))
    }

    fn opened(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, Subject>,
        path: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        with: Circumstances<'_>,
        hard_links: bool,
        open: impl FnOnce(&Acting<'_>, &[u8]) -> Result<Opened, OslError> + Send,
    ) -> PyResult<OpenedFile> {
        let path = path_of(path)?;
        let opened = self.acting(py, subject, attributes, with, hard_links, |acting| {
            open(acting, &path)
        })?;
        OpenedFile::new(py, opened)
    }
}
