//! Where in a call's values something is, for errors.

use std::fmt;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A path into the arguments or the result of a call.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Argument(&'a str),
    /// What a host function returned.
    Result,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
    /// The key of the entry of a map at a position.
    Key(&'a Place<'a>, usize),
    Case(&'a Place<'a>, &'a str),
    /// A place that outlives the call it is in.
    Within(&'a str),
    /// What a future came to.
    Awaited(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) => write!(formatter, "argument '{name}'"),
            Self::Result => formatter.write_str("result"),
            Self::Field(of, name) => write!(formatter, "{of}: field '{name}'"),
            Self::Item(of, index) => write!(formatter, "{of}[{index}]"),
            Self::Key(of, index) => write!(formatter, "{of}: key {index}"),
            Self::Case(of, name) => write!(formatter, "{of}: case '{name}'"),
            Self::Within(place) => formatter.write_str(place),
            Self::Awaited(of) => write!(formatter, "{of}: its value"),
        }
    }
}

const LONGEST_SHOWN: usize = 60;

/// How `object` looks, shortened.
fn shown(object: &Bound<'_, PyAny>) -> String {
    let kind = object
        .get_type()
        .qualname()
        .map_or_else(|_| "object".into(), |name| name.to_string());
    // `repr` is user code: an object that has none that works is still named by its type.
    match object
        .repr()
        .and_then(|repr| repr.to_str().map(str::to_owned))
    {
        Ok(repr) if repr.chars().count() <= LONGEST_SHOWN => repr,
        Ok(repr) => format!(
            "{}… ({kind})",
            repr.chars().take(LONGEST_SHOWN).collect::<String>()
        ),
        Err(_) => format!("an object of type {kind}"),
    }
}

impl Place<'_> {
    /// The error for an object of a wrong type.
    #[cold]
    pub(crate) fn wrong_type(&self, expected: impl fmt::Display, got: &Bound<'_, PyAny>) -> PyErr {
        PyTypeError::new_err(format!("{self}: expected {expected}, got {}", shown(got)))
    }

    /// The error for an object of a right type but with a value that does not fit.
    #[cold]
    pub(super) fn wrong_value(&self, expected: impl fmt::Display, got: &Bound<'_, PyAny>) -> PyErr {
        PyValueError::new_err(format!("{self}: expected {expected}, got {}", shown(got)))
    }

    /// Says on an exception of user code where it came up.
    #[cold]
    pub(super) fn note(&self, py: Python<'_>, error: PyErr) -> PyErr {
        // An exception that takes no note is raised as it is.
        let _ = error
            .value(py)
            .call_method1("add_note", (format!("while converting {self}"),));
        error
    }
}
