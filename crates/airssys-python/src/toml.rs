//! TOML for policies and manifests: the values as Python objects, and where each was written.
//!
//! The standard library's reader keeps no positions and takes a third of a second for a policy of ten
//! thousand rules.

use std::ops::Range;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString, PyType};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::gate::raise;

/// Read a document; return it, and by name the lines of the tables in each list of tables at its top.
#[pyfunction]
pub fn toml_parse<'py>(
    py: Python<'py>,
    text: &str,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
    let places = Places::of(text);
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        invalid(py, error.message(), places.of_offset(at))
    })?;
    let document = document.get_ref();
    let lines = PyDict::new(py);
    for (name, value) in document {
        if let DeValue::Array(items) = value.get_ref()
            && items.iter().all(|item| item.get_ref().is_table())
        {
            let starts = items
                .iter()
                .map(|item| places.of_offset(item.span().start).0);
            lines.set_item(name.get_ref().as_ref(), PyList::new(py, starts)?)?;
        }
    }
    Ok((dictionary(py, document, &places)?, lines))
}

/// Return line and column, counted from 1, of the deepest part of `path` that a document has.
#[pyfunction]
pub fn toml_position(
    py: Python<'_>,
    text: &str,
    path: Vec<Bound<'_, PyAny>>,
) -> PyResult<(usize, usize)> {
    let places = Places::of(text);
    let Ok(document) = DeTable::parse(text) else {
        return Err(invalid(py, "the document is not well formed", (1, 1)));
    };
    let mut found = 0;
    let mut value: Option<&DeValue<'_>> = None;
    for step in path {
        let table = match value {
            None => Some(document.get_ref()),
            Some(DeValue::Table(table)) => Some(table),
            Some(_) => None,
        };
        let next = if let Ok(name) = step.extract::<String>() {
            let entry = table.and_then(|table| table.get_key_value(name.as_str()));
            entry.map(|(key, value)| (key.span(), value))
        } else {
            let index = step.extract::<usize>()?;
            let item = match value {
                Some(DeValue::Array(items)) => items.get(index),
                _ => None,
            };
            item.map(|item| (item.span(), item))
        };
        let Some((span, next)) = next else { break };
        found = span.start;
        value = Some(next.get_ref());
    }
    Ok(places.of_offset(found))
}

/// Where the lines of a text begin.
struct Places<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(text: &'a str) -> Places<'a> {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(after.map(|(at, _)| at + 1))
            .collect();
        Places { text, starts }
    }

    /// Line and column of a byte; columns count characters.
    fn of_offset(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self
            .text
            .get(start..offset.min(self.text.len()))
            .unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

fn invalid(py: Python<'_>, problem: &str, (line, column): (usize, usize)) -> PyErr {
    let context = PyDict::new(py);
    let filled = context
        .set_item("line", line)
        .and_then(|()| context.set_item("column", column));
    match filled {
        // The parser explains over several lines; what went wrong is in the first.
        Ok(()) => raise(py, "toml-invalid", problem.replace('\n', "; "), &context),
        Err(error) => error,
    }
}

fn dictionary<'py>(
    py: Python<'py>,
    table: &DeTable<'_>,
    places: &Places<'_>,
) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    for (key, value) in table {
        made.set_item(
            PyString::intern(py, key.get_ref()),
            object(py, value, places)?,
        )?;
    }
    Ok(made)
}

fn object<'py>(
    py: Python<'py>,
    value: &Spanned<DeValue<'_>>,
    places: &Places<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let fault =
        |problem: &str, span: Range<usize>| invalid(py, problem, places.of_offset(span.start));
    match value.get_ref() {
        DeValue::String(text) => Ok(PyString::new(py, text).into_any()),
        DeValue::Boolean(truth) => Ok(PyBool::new(py, *truth).to_owned().into_any()),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map_err(|_| fault("the integer does not fit into 64 bits", value.span()))?
            .into_bound_py_any(py),
        DeValue::Float(digits) => {
            let number = digits.as_str().parse();
            let number = number.map_err(|_| fault("not a number", value.span()))?;
            Ok(PyFloat::new(py, number).into_any())
        }
        DeValue::Datetime(moment) => {
            let kind = match (moment.date.is_some(), moment.time.is_some()) {
                (true, true) => "datetime",
                (true, false) => "date",
                _ => "time",
            };
            from_iso(py, kind, &moment.to_string())
                .map_err(|_| fault("there is no such moment", value.span()))
        }
        DeValue::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(object(py, item, places)?)?;
            }
            Ok(list.into_any())
        }
        DeValue::Table(table) => Ok(dictionary(py, table, places)?.into_any()),
    }
}

/// Read an ISO 8601 text by the class of that name in `datetime`.
fn from_iso<'py>(py: Python<'py>, kind: &str, text: &str) -> PyResult<Bound<'py, PyAny>> {
    static MOMENT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = if kind == "datetime" {
        MOMENT
            .import(py, "datetime", "datetime")?
            .clone()
            .into_any()
    } else {
        py.import("datetime")?.getattr(kind)?
    };
    class.call_method1("fromisoformat", (text,))
}

/// Add the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(toml_parse, module)?)?;
    module.add_function(wrap_pyfunction!(toml_position, module)?)
}
