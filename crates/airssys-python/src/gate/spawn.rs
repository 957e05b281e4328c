//! Confined children.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use airssys_host::osl::confine::Grants;
use airssys_host::osl::spawn::{Command, LIMITS};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::convert::path_of;
use super::errors::osl_error;

/// A child that was started confined. Reap it with `os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)`.
#[pyclass(frozen, module = "airssys._core")]
pub struct Child {
    pid: i32,
    handle: OwnedFd,
    confinement: Py<PyDict>,
}

#[pymethods]
impl Child {
    #[getter]
    fn pid(&self) -> i32 {
        self.pid
    }

    #[getter]
    fn pidfd(&self) -> i32 {
        self.handle.as_raw_fd()
    }

    /// What the kernel enforces on it.
    #[getter]
    fn confinement(&self, py: Python<'_>) -> Py<PyDict> {
        self.confinement.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        format!("Child(pid={})", self.pid)
    }
}

fn text(bytes: Vec<u8>, name: &str) -> PyResult<CString> {
    CString::new(bytes).map_err(|_| PyValueError::new_err(format!("{name} must not contain NUL")))
}

/// A descriptor that the caller keeps open while a child is started.
fn borrowed<'a>(descriptor: RawFd) -> PyResult<BorrowedFd<'a>> {
    let closed = || PyValueError::new_err(format!("{descriptor} is not an open descriptor"));
    if descriptor < 0 {
        return Err(closed());
    }
    // SAFETY: not -1; `spawn_confined` says that descriptors stay open until it returns, and one that is
    // not open only makes a system call fail.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::io::fcntl_getfd(descriptor).map_err(|_| closed())?;
    Ok(descriptor)
}

/// Start a program that is already open, confined by the kernel. Descriptors given stay the caller's and
/// must stay open during the call.
#[pyfunction]
#[pyo3(signature = (executable, argv, *, environment=BTreeMap::new(), directory=None, stdin=None, stdout=None,
    stderr=None, pass_fds=Vec::new(), read=Vec::new(), write=Vec::new(), execute=Vec::new(),
    connect_ports=Some(Vec::new()), bind_ports=Some(Vec::new()), system_libraries=true,
    limits=BTreeMap::new(), required=true))]
pub fn spawn_confined(
    py: Python<'_>,
    executable: RawFd,
    argv: Vec<Bound<'_, PyAny>>,
    environment: BTreeMap<OsString, OsString>,
    directory: Option<RawFd>,
    stdin: Option<RawFd>,
    stdout: Option<RawFd>,
    stderr: Option<RawFd>,
    pass_fds: Vec<RawFd>,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    execute: Vec<PathBuf>,
    connect_ports: Option<Vec<u16>>,
    bind_ports: Option<Vec<u16>>,
    system_libraries: bool,
    limits: BTreeMap<String, u64>,
    required: bool,
) -> PyResult<Child> {
    let mut arguments = Vec::with_capacity(argv.len());
    for argument in &argv {
        arguments.push(text(path_of(argument)?, "an argument")?);
    }
    let shown = arguments.first().map(|name| name.as_bytes().to_vec());
    let shown =
        shown.ok_or_else(|| PyValueError::new_err("argv needs at least the program's name"))?;
    let mut variables = Vec::with_capacity(environment.len());
    for (name, value) in environment {
        let mut variable = name.into_vec();
        if variable.is_empty() || variable.contains(&b'=') {
            return Err(PyValueError::new_err(
                "names of environment variables are not empty and have no =",
            ));
        }
        variable.push(b'=');
        variable.extend(value.into_vec());
        variables.push(text(variable, "an environment variable")?);
    }
    for descriptor in &pass_fds {
        if *descriptor < 3 {
            return Err(PyValueError::new_err(
                "pass_fds takes descriptors from 3; use stdin, stdout, stderr",
            ));
        }
        borrowed(*descriptor)?;
    }
    let mut resources = Vec::with_capacity(limits.len());
    for (name, limit) in &limits {
        let known = LIMITS
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| {
                let known = LIMITS.map(|(known, _)| known).join(", ");
                PyValueError::new_err(format!("{name:?} is not a limit of a child: {known}"))
            })?;
        resources.push((known.1, *limit));
    }
    let command = Command {
        program: borrowed(executable)?,
        arguments,
        environment: variables,
        directory: directory.map(borrowed).transpose()?,
        standard: [
            stdin.map(borrowed).transpose()?,
            stdout.map(borrowed).transpose()?,
            stderr.map(borrowed).transpose()?,
        ],
        passed: pass_fds,
        limits: resources,
        grants: Grants {
            read,
            write,
            execute,
            connect_ports,
            bind_ports,
            system_libraries,
            required,
        },
    };
    let child = py
        .detach(|| command.spawn(&shown))
        .map_err(|error| osl_error(py, error))?;
    let confinement = PyDict::new(py);
    let landlock = match child.confinement.abi {
        0 => "none".to_owned(),
        abi => format!("abi {abi}"),
    };
    confinement.set_item("landlock", landlock)?;
    confinement.set_item("network", child.confinement.network)?;
    confinement.set_item("scoped", child.confinement.scoped)?;
    confinement.set_item("no_new_privileges", true)?;
    confinement.set_item("session", true)?;
    confinement.set_item("closed", true)?;
    confinement.set_item("limits", limits)?;
    let left_out = child.confinement.left_out.iter();
    let left_out: Vec<_> = left_out.map(|path| path.to_string_lossy()).collect();
    confinement.set_item("left_out", left_out)?;
    Ok(Child {
        pid: child.pid,
        handle: child.handle,
        confinement: confinement.unbind(),
    })
}
