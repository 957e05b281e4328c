//! Values to Python objects.

use airssys_host::value::Value;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

use super::Handles;
use super::classes::Classes;
use super::converter::Converter;

impl Converter {
    /// Makes the Python object of `value`, which has this type.
    ///
    /// # Errors
    /// When memory runs out or a handle cannot be represented.
    pub fn to_python<'py>(
        &self,
        py: Python<'py>,
        value: Value,
        handles: &dyn Handles,
    ) -> PyResult<Bound<'py, PyAny>> {
        Ok(match (self, value) {
            (_, Value::Bool(value)) => PyBool::new(py, value).to_owned().into_any(),
            (_, Value::S8(value)) => PyInt::new(py, value).into_any(),
            (_, Value::U8(value)) => PyInt::new(py, value).into_any(),
            (_, Value::S16(value)) => PyInt::new(py, value).into_any(),
            (_, Value::U16(value)) => PyInt::new(py, value).into_any(),
            (_, Value::S32(value)) => PyInt::new(py, value).into_any(),
            (_, Value::U32(value)) => PyInt::new(py, value).into_any(),
            (_, Value::S64(value)) => PyInt::new(py, value).into_any(),
            (_, Value::U64(value)) => PyInt::new(py, value).into_any(),
            (_, Value::F32(value)) => PyFloat::new(py, f64::from(value)).into_any(),
            (_, Value::F64(value)) => PyFloat::new(py, value).into_any(),
            (_, Value::Char(value)) => PyString::new(py, value.encode_utf8(&mut [0; 4])).into_any(),
            (_, Value::String(value)) => PyString::new(py, &value).into_any(),
            (Self::Numbers(number, _), Value::Bytes(bytes)) => number.list(py, &bytes)?,
            (Self::List(element, _), Value::List(values)) => PyList::new(
                py,
                members(py, values, std::iter::repeat(&**element), handles)?,
            )?
            .into_any(),
            (Self::Tuple(types), Value::Record(values)) => {
                PyTuple::new(py, members(py, values, types, handles)?)?.into_any()
            }
            (Self::Map(entry), Value::Map(entries)) => {
                let dict = PyDict::new(py);
                for (key, value) in entries {
                    dict.set_item(
                        entry.0.to_python(py, key, handles)?,
                        entry.1.to_python(py, value, handles)?,
                    )?;
                }
                dict.into_any()
            }
            (Self::Record(record), Value::Record(values)) => {
                let object = allocate(record.class.bind(py))?;
                for (field, value) in record.fields.iter().zip(values) {
                    let value = field.converter.to_python(py, value, handles)?;
                    set(&object, field.attribute.bind(py), &value)?;
                }
                object
            }
            (Self::Variant(variant), Value::Variant(case, payload)) => {
                let case = variant.cases.get(case as usize).ok_or_else(mismatch)?;
                match (&case.payload, payload, &case.instance) {
                    (Some(converter), Some(payload), _) => {
                        let payload = converter.to_python(py, *payload, handles)?;
                        wrap(case.class.bind(py), &payload)?
                    }
                    (None, None, Some(instance)) => instance.bind(py).clone(),
                    _ => return Err(mismatch()),
                }
            }
            (Self::Enum(cases), Value::Enum(case)) => cases
                .cases
                .get(case as usize)
                .ok_or_else(mismatch)?
                .1
                .bind(py)
                .clone(),
            (Self::Flags(flags), Value::Flags(bits)) => flags.class.bind(py).call1((bits,))?,
            (Self::Option { .. }, Value::Option(None)) => py.None().into_bound(py),
            (
                Self::Option {
                    value: converter,
                    wrapped,
                },
                Value::Option(Some(value)),
            ) => {
                let object = converter.to_python(py, *value, handles)?;
                if *wrapped {
                    wrap(Classes::get(py)?.some.bind(py), &object)?
                } else {
                    object
                }
            }
            (Self::Result { ok, err }, Value::Result(result)) => {
                let classes = Classes::get(py)?;
                match result {
                    Ok(value) => wrap(
                        classes.ok.bind(py),
                        &payload(py, ok.as_deref(), value, handles)?,
                    )?,
                    Err(value) => wrap(
                        classes.err.bind(py),
                        &payload(py, err.as_deref(), value, handles)?,
                    )?,
                }
            }
            (Self::Stream(carried), value) => handles.receive(py, carried, value)?,
            (Self::Handle(ty), value) => handles.to_python(py, ty, value)?,
            _ => return Err(mismatch()),
        })
    }
}

fn members<'a, 'py>(
    py: Python<'py>,
    values: Vec<Value>,
    types: impl IntoIterator<Item = &'a Converter>,
    handles: &dyn Handles,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    values
        .into_iter()
        .zip(types)
        .map(|(value, converter)| converter.to_python(py, value, handles))
        .collect()
}

/// The payload of a result, `None` where it has none.
pub(super) fn payload<'py>(
    py: Python<'py>,
    converter: Option<&Converter>,
    value: Option<Box<Value>>,
    handles: &dyn Handles,
) -> PyResult<Bound<'py, PyAny>> {
    match (converter, value) {
        (Some(converter), Some(value)) => converter.to_python(py, *value, handles),
        _ => Ok(py.None().into_bound(py)),
    }
}

/// An instance of a class whose one attribute is `value`.
fn wrap<'py>(class: &Bound<'py, PyType>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let object = allocate(class)?;
    set(&object, intern!(class.py(), "value"), value)?;
    Ok(object)
}

/// A new instance of a class of `airssys.wasm.values`, its attributes not set yet.
///
/// The constructor of a frozen dataclass takes three times as long as this and [`set`].
fn allocate<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the class is a plain heap type of fixed size whose only content is slots, which start
    // out empty; it has neither `__new__` nor `__init__` that would have to run.
    unsafe {
        Bound::from_owned_ptr_or_err(class.py(), ffi::PyType_GenericAlloc(class.as_type_ptr(), 0))
    }
}

/// Sets a slot of a frozen dataclass as its constructor does, past its `__setattr__`.
fn set(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: the three objects are alive and the thread is attached.
    match unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(object.py())),
    }
}

#[cold]
fn mismatch() -> PyErr {
    PyTypeError::new_err("a value does not have the type that it is converted as")
}
