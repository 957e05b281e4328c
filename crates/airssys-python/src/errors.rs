//! From the native core's errors to the classes of `airssys.wasm.errors`.

use airssys_host::error::Error;
use pyo3::BoundObject;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// Make an exception of a class in `airssys.wasm.errors`.
fn exception(py: Python<'_>, class: &str, message: &str, context: &[(&str, Py<PyAny>)]) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let class = py.import("airssys.wasm.errors")?.getattr(class)?;
        let keywords = PyDict::new(py);
        for (name, value) in context {
            keywords.set_item(name, value)?;
        }
        Ok(PyErr::from_value(class.call((message,), Some(&keywords))?))
    };
    make().unwrap_or_else(|error| error)
}

fn object<'py, T: IntoPyObject<'py>>(py: Python<'py>, value: T) -> Py<PyAny> {
    match value.into_pyobject(py) {
        Ok(value) => value.into_any().unbind(),
        Err(_) => py.None(),
    }
}

/// The names nearest to `wanted`, best first.
fn near(py: Python<'_>, wanted: &str, known: &[String]) -> Vec<String> {
    py.import("difflib")
        .and_then(|difflib| difflib.call_method1("get_close_matches", (wanted, known.to_vec())))
        .and_then(|found| found.extract())
        .unwrap_or_default()
}

fn or_list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("'{name}'"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What a call was about, for messages.
#[derive(Clone, Copy, Default)]
pub struct About<'a> {
    pub component: &'a str,
    pub call: &'a str,
}

/// The exception for `error`.
pub fn raise(py: Python<'_>, error: Error, about: About<'_>) -> PyErr {
    let text = error.to_string();
    let in_call = if about.call.is_empty() {
        String::new()
    } else {
        format!(" in call '{}'", about.call)
    };
    match error {
        Error::Engine(_) => exception(py, "EngineError", &text, &[]),
        Error::PoolExhausted => exception(
            py,
            "PoolExhausted",
            "no room for another instance: this process has all the memory mappings that the kernel allows it; \
             close instances, or raise vm.max_map_count (see `airssys doctor`)",
            &[],
        ),
        Error::NotWasm { .. } => exception(
            py,
            "InvalidComponent",
            &format!(
                "{text}; expected a component in binary form (\\0asm…) or in text form ('(component …)')"
            ),
            &[],
        ),
        Error::CoreModule => exception(
            py,
            "InvalidComponent",
            "this is a core WebAssembly module, not a component; build it for the target wasm32-wasip2, or wrap it: \
             wasm-tools component new module.wasm -o component.wasm (with --adapt for a wasip1 module)",
            &[("reason", object(py, "core-module"))],
        ),
        Error::TooLarge { what, found, most } => exception(
            py,
            "ComponentTooLarge",
            &format!(
                "the component is too large to be compiled: it has {found} {what}, at most {most} are accepted"
            ),
            &[
                ("what", object(py, what)),
                ("found", object(py, found)),
                ("most", object(py, most)),
            ],
        ),
        Error::Invalid(reason) => exception(
            py,
            "InvalidComponent",
            &format!("the component is broken or uses what is not supported: {reason}"),
            &[],
        ),
        Error::CompileStopped(_) => exception(py, "CompileError", &text, &[]),
        Error::UnknownImport { name, known } => {
            let nearest = near(py, &name, &known);
            let hint = if nearest.is_empty() {
                format!("provide it: instantiate(imports={{{name:?}: …}})")
            } else {
                format!("provided and near: {}", or_list(&nearest))
            };
            exception(
                py,
                "UnknownImport",
                &format!("nothing provides the component's import '{name}'; {hint}"),
                &[("name", object(py, name)), ("near", object(py, nearest))],
            )
        }
        Error::UnknownExport { name } => {
            exception(py, "UnknownExport", &text, &[("name", object(py, name))])
        }
        Error::Busy => exception(
            py,
            "InstanceBusy",
            &format!(
                "the instance is running another call, and one call at a time is what an instance takes{in_call}; \
                      wait for it, or make another instance"
            ),
            &[],
        ),
        Error::Poisoned(reason) => exception(
            py,
            "InstancePoisoned",
            &format!("the instance cannot be called any more: {reason}; make another instance"),
            &[("reason", object(py, reason))],
        ),
        Error::ShutDown => exception(
            py,
            "HostShutDown",
            "the interpreter is ending; no guest runs any more",
            &[],
        ),
        Error::Forked => exception(
            py,
            "ForkedHostError",
            "this process was forked from one that had loaded components, and their threads did not come along; \
             start workers with 'spawn' or 'forkserver', or load components after the fork",
            &[],
        ),
        Error::Trap(trap) => {
            let dump = trap.coredump.as_deref().map_or_else(
                || py.None(),
                |dump| PyBytes::new(py, dump).into_any().unbind(),
            );
            exception(
                py,
                "Trap",
                &format!("the guest trapped{in_call}: {}", trap.reason),
                &[
                    ("reason", object(py, trap.reason)),
                    ("backtrace", object(py, trap.backtrace)),
                    ("component", object(py, about.component)),
                    ("call", object(py, about.call)),
                    ("coredump", dump),
                ],
            )
        }
        Error::Limit(limit) => exception(
            py,
            "LimitExceeded",
            &match &limit.owner {
                None => format!(
                    "the guest exceeded its limit '{}' (configured: {}){in_call}",
                    limit.limit.name(),
                    limit.configured
                ),
                Some(owner) => format!(
                    "'{}' of {owner} is used up (configured: {}){in_call}",
                    limit.limit.name(),
                    limit.configured
                ),
            },
            &[
                ("limit", object(py, limit.limit.name())),
                ("configured", object(py, limit.configured)),
                ("component", object(py, about.component)),
                ("call", object(py, about.call)),
                ("owner", object(py, limit.owner.as_deref())),
            ],
        ),
        Error::Exit(status) => exception(
            py,
            "GuestExit",
            &format!("the guest ended itself with status {status}{in_call}"),
            &[("status", object(py, status))],
        ),
        Error::Io(error) => PyErr::from(error),
        Error::Link(_) => exception(py, "LinkError", &text, &[]),
        _ => exception(py, "EngineError", &text, &[]),
    }
}

/// The exception for a name that is not exported, with the near ones.
pub fn unknown_export(py: Python<'_>, name: &str, known: &[String]) -> PyErr {
    let nearest = near(py, name, known);
    let hint = if nearest.is_empty() {
        format!("it exports {}", or_list(&known[..known.len().min(12)]))
    } else {
        format!("did you mean {}?", or_list(&nearest))
    };
    exception(
        py,
        "UnknownExport",
        &format!("the component has no export '{name}'; {hint}"),
        &[("name", object(py, name)), ("near", object(py, nearest))],
    )
}

/// The trap for `whose` failure of Python's: the exception is the cause.
pub fn host_function_failed(py: Python<'_>, whose: &str, cause: PyErr, about: About<'_>) -> PyErr {
    let what = cause
        .value(py)
        .repr()
        .map_or_else(|_| cause.to_string(), |text| text.to_string());
    let error = Error::Trap(airssys_host::error::Trap {
        reason: format!("{whose} raised {what}"),
        backtrace: String::new(),
        coredump: None,
    });
    let trap = raise(py, error, about);
    trap.set_cause(py, Some(cause));
    trap
}
