//! Texts, paths and attributes from Python.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use airssys_host::gate::condition::{Attribute, Attributes};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};

/// The bytes of a `str` (undecodable bytes of file names come back as they were) or `bytes`.
pub fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(text) = value.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Err(_) => Ok(Cow::Owned(text.extract::<OsString>()?.into_vec())),
        };
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    Err(PyTypeError::new_err(format!(
        "expected str or bytes, got {}",
        value.get_type().name()?
    )))
}

/// A path given as `str`, `bytes` or any `os.PathLike`.
pub fn path_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match bytes_of(value) {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(_) => Ok(bytes_of(&value.call_method0("__fspath__")?)?.into_owned()),
    }
}

/// Texts for display: bytes that are no UTF-8 as in `os.fsdecode`.
pub fn fs_text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => Ok(OsString::from_vec(bytes.to_vec()).into_pyobject(py)?),
    }
}

/// The attributes of a mapping.
pub fn attributes_of(mapping: Option<&Bound<'_, PyAny>>) -> PyResult<Attributes> {
    let mut attributes = Attributes::new();
    let Some(mapping) = mapping else {
        return Ok(attributes);
    };
    if let Ok(dict) = mapping.cast::<PyDict>() {
        for (name, value) in dict.iter() {
            attributes.insert(name.extract()?, attribute(&value)?);
        }
        return Ok(attributes);
    }
    for item in mapping.call_method0("items")?.try_iter()? {
        let (name, value): (String, Bound<'_, PyAny>) = item?.extract()?;
        attributes.insert(name, attribute(&value)?);
    }
    Ok(attributes)
}

fn attribute(value: &Bound<'_, PyAny>) -> PyResult<Attribute> {
    if value.is_instance_of::<PyBool>() {
        value.extract().map(Attribute::Bool)
    } else if value.is_instance_of::<PyInt>() {
        value.extract().map(Attribute::Int)
    } else if value.is_instance_of::<PyFloat>() {
        value.extract().map(Attribute::Float)
    } else if value.is_instance_of::<PyString>() {
        value.extract().map(Attribute::Text)
    } else {
        let items: Vec<String> = value
            .try_iter()?
            .map(|item| item?.extract())
            .collect::<PyResult<_>>()?;
        Ok(Attribute::List(items))
    }
}
