//! A function's parameters and result.

use airssys_host::value::{FuncType, Type, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::Handles;
use super::classes::Classes;
use super::converter::{Converter, attribute};
use super::from_python::unit_or;
use super::place::Place;
use super::to_python::payload;

/// How the arguments and the result of one function are converted.
pub struct Signature {
    name: Box<str>,
    params: Vec<Param>,
    result: Outcome,
    /// As a person writes it: `add(a: u32, b: u32) -> u32`.
    text: String,
    takes_streams: bool,
}

struct Param {
    /// The WIT name, which errors use.
    name: Box<str>,
    keyword: Py<PyString>,
    converter: Converter,
}

enum Outcome {
    None,
    Value(Converter),
    /// A `result` at the top: its value is returned, its error raised.
    Result {
        ok: Option<Converter>,
        err: Option<Converter>,
    },
}

impl Signature {
    /// Prepares the conversions of the function `name`.
    ///
    /// # Errors
    /// When a class cannot be generated.
    pub fn new(py: Python<'_>, name: &str, ty: &FuncType) -> PyResult<Self> {
        let params = (ty.params.iter())
            .map(|param| {
                Ok(Param {
                    name: param.name.clone(),
                    keyword: attribute(py, &param.name)?,
                    converter: Converter::new(py, &param.ty)?,
                })
            })
            .collect::<PyResult<_>>()?;
        let converter =
            |ty: &Option<Type>| ty.as_ref().map(|ty| Converter::new(py, ty)).transpose();
        let result = match &ty.result {
            None => Outcome::None,
            Some(Type::Result(result)) => Outcome::Result {
                ok: converter(&result.ok)?,
                err: converter(&result.err)?,
            },
            Some(ty) => Outcome::Value(Converter::new(py, ty)?),
        };
        Ok(Self {
            name: name.into(),
            params,
            result,
            text: format!("{name}{ty}"),
            takes_streams: ty.takes_streams(),
        })
    }

    /// Whether the function takes streams or futures.
    #[must_use]
    pub fn takes_streams(&self) -> bool {
        self.takes_streams
    }

    /// Whether the function's result is a future, which an awaitable stands for itself.
    #[must_use]
    pub fn gives_a_future(&self) -> bool {
        matches!(&self.result, Outcome::Value(converter) | Outcome::Result { ok: Some(converter), .. }
            if converter.is_future())
    }

    /// The signature as a person writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the classes generated for the types in the signature to `found`; see [`Converter::classes`].
    ///
    /// # Errors
    /// When memory runs out.
    pub fn classes(&self, found: &Bound<'_, PyDict>) -> PyResult<()> {
        self.params
            .iter()
            .try_for_each(|param| param.converter.classes(found))?;
        match &self.result {
            Outcome::None => Ok(()),
            Outcome::Value(converter) => converter.classes(found),
            Outcome::Result { ok, err } => {
                ok.iter().chain(err).try_for_each(|ty| ty.classes(found))
            }
        }
    }

    /// Converts the arguments of a call into the guest.
    ///
    /// # Errors
    /// `TypeError` for wrong arguments, and what [`Converter::from_python`] raises.
    pub fn arguments(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        handles: &dyn Handles,
    ) -> PyResult<Vec<Value>> {
        let mut values = Vec::with_capacity(self.params.len());
        let positional = args.len();
        let named = kwargs.map_or(0, PyDictMethods::len);
        if positional + named != self.params.len() {
            return Err(self.wrong_count(positional + named));
        }
        for (param, object) in self.params.iter().zip(args.iter_borrowed()) {
            values.push(param.converter.from_python(
                &object,
                &Place::Argument(&param.name),
                handles,
            )?);
        }
        if let Some(kwargs) = kwargs {
            for param in &self.params[positional..] {
                let Some(object) = kwargs.get_item(&param.keyword)? else {
                    return Err(PyTypeError::new_err(format!(
                        "{} is missing the argument '{}'; it is {}",
                        self.name,
                        param.keyword.bind(args.py()),
                        self.text
                    )));
                };
                values.push(param.converter.from_python(
                    &object,
                    &Place::Argument(&param.name),
                    handles,
                )?);
            }
        }
        Ok(values)
    }

    /// Converts what the guest returned.
    ///
    /// # Errors
    /// `GuestError` with the error of a `result`.
    pub fn result<'py>(
        &self,
        py: Python<'py>,
        value: Option<Value>,
        handles: &dyn Handles,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (&self.result, value) {
            (Outcome::Value(converter), Some(value)) => converter.to_python(py, value, handles),
            (Outcome::Result { ok, .. }, Some(Value::Result(Ok(value)))) => {
                payload(py, ok.as_ref(), value, handles)
            }
            (Outcome::Result { err, .. }, Some(Value::Result(Err(value)))) => {
                let value = payload(py, err.as_ref(), value, handles)?;
                Err(PyErr::from_value(
                    Classes::get(py)?.guest_error.bind(py).call1((value,))?,
                ))
            }
            _ => Ok(py.None().into_bound(py)),
        }
    }

    /// Converts the arguments that a guest passes to a host function.
    ///
    /// # Errors
    /// When memory runs out or a handle cannot be represented.
    pub fn host_arguments<'py>(
        &self,
        py: Python<'py>,
        values: Vec<Value>,
        handles: &dyn Handles,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let objects = (self.params.iter().zip(values))
            .map(|(param, value)| param.converter.to_python(py, value, handles))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, objects)
    }

    /// Converts what a host function returned or raised: `WitError` is the error of a `result`.
    ///
    /// # Errors
    /// What the function raised otherwise, and what [`Converter::from_python`] raises.
    pub fn host_result(
        &self,
        py: Python<'_>,
        outcome: PyResult<Bound<'_, PyAny>>,
        handles: &dyn Handles,
    ) -> PyResult<Option<Value>> {
        match (&self.result, outcome) {
            (Outcome::None, Ok(object)) => {
                unit_or(None, &object, &Place::Result, handles)?;
                Ok(None)
            }
            (Outcome::Value(converter), Ok(object)) => converter
                .from_python(&object, &Place::Result, handles)
                .map(Some),
            (Outcome::Result { ok, .. }, Ok(object)) => Ok(Some(Value::Result(Ok(unit_or(
                ok.as_ref(),
                &object,
                &Place::Result,
                handles,
            )?)))),
            (Outcome::Result { err, .. }, Err(error))
                if error.is_instance(py, Classes::get(py)?.wit_error.bind(py)) =>
            {
                let value = error.value(py).getattr("value")?;
                let place = Place::Case(&Place::Result, "err");
                Ok(Some(Value::Result(Err(unit_or(
                    err.as_ref(),
                    &value,
                    &place,
                    handles,
                )?))))
            }
            (_, Err(error)) => Err(error),
        }
    }

    #[cold]
    fn wrong_count(&self, got: usize) -> PyErr {
        let expected = match self.params.len() {
            0 => "no arguments".into(),
            1 => "1 argument".into(),
            count => format!("{count} arguments"),
        };
        PyTypeError::new_err(format!(
            "{} takes {expected}, got {got}; it is {}",
            self.name, self.text
        ))
    }
}
