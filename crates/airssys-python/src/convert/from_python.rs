//! Python objects to values.

use airssys_host::value::Value;
use pyo3::exceptions::{PyAttributeError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use super::Handles;
use super::classes::Classes;
use super::converter::{
    Converter, EnumClass, FieldOf, FlagsClass, Integer, Number, RecordClass, VariantClass,
};
use super::numbers;
use super::place::Place;

impl Converter {
    /// Converts `object`, which is found at `place`.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` that names the place, what was expected and what was there; or what
    /// the object's own code raised, with a note of the place.
    pub fn from_python(
        &self,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
        handles: &dyn Handles,
    ) -> PyResult<Value> {
        let py = object.py();
        match self {
            Self::Bool => match object.cast_exact::<PyBool>() {
                Ok(value) => Ok(Value::Bool(value.is_true())),
                Err(_) => Err(place.wrong_type("bool", object)),
            },
            Self::Integer(width) => numbers::integer(*width, object, place),
            Self::F32 => Ok(Value::F32(numbers::f32(object, place)?)),
            Self::F64 => Ok(Value::F64(numbers::f64(object, "f64", place)?)),
            Self::Char => {
                let text = text(object, "char", place)?;
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(value), None) => Ok(Value::Char(value)),
                    _ => Err(place.wrong_value("char, a string of one character", object)),
                }
            }
            Self::String => Ok(Value::String(text(object, "string", place)?.into())),
            Self::Numbers(number, length) => {
                let bytes = match number
                    .buffer(object)
                    .map_err(|error| place.note(py, error))?
                {
                    Some(bytes) => bytes,
                    None => {
                        let expected = match number {
                            Number::Integer(Integer::U8) => {
                                "list<u8>, an object with a buffer or a sequence of integers".into()
                            }
                            number => format!("list<{}>", number.name()),
                        };
                        let mut out = Vec::new();
                        items(object, place, &expected, |item, index| {
                            number.push(item, &Place::Item(place, index), &mut out)
                        })?;
                        out.into()
                    }
                };
                has_length(number.count(&bytes), *length, object, place)?;
                Ok(Value::Bytes(bytes))
            }
            Self::List(element, length) => {
                let mut values = Vec::new();
                items(object, place, "a list", |item, index| {
                    values.push(element.from_python(item, &Place::Item(place, index), handles)?);
                    Ok(())
                })?;
                has_length(values.len(), *length, object, place)?;
                Ok(Value::List(values))
            }
            Self::Map(entry) => map(entry, object, place, handles),
            Self::Tuple(members) => tuple(members, object, place, handles),
            Self::Record(record) => record.from_python(object, place, handles),
            Self::Variant(variant) => variant.from_python(object, place, handles),
            Self::Enum(cases) => cases.from_python(object, place),
            Self::Flags(flags) => flags.from_python(object, place),
            Self::Option { .. } if object.is_none() => Ok(Value::Option(None)),
            Self::Option {
                value,
                wrapped: false,
            } => Ok(Value::Option(Some(Box::new(
                value.from_python(object, place, handles)?,
            )))),
            Self::Option {
                value,
                wrapped: true,
            } => {
                if !is_exact(object, &Classes::get(py)?.some) {
                    return Err(
                        place.wrong_type("None or Some(…) around an optional value", object)
                    );
                }
                let inner = payload(object)?;
                Ok(Value::Option(Some(Box::new(
                    value.from_python(&inner, place, handles)?,
                ))))
            }
            Self::Result { ok, err } => {
                let classes = Classes::get(py)?;
                let case = |converter: &Option<Box<Self>>, name| {
                    let place = Place::Case(place, name);
                    unit_or(converter.as_deref(), &payload(object)?, &place, handles)
                };
                if is_exact(object, &classes.ok) {
                    Ok(Value::Result(Ok(case(ok, "ok")?)))
                } else if is_exact(object, &classes.err) {
                    Ok(Value::Result(Err(case(err, "err")?)))
                } else {
                    Err(place.wrong_type("a result, Ok(…) or Err(…)", object))
                }
            }
            Self::Stream(carried) => handles.give(carried, object, place),
            Self::Handle(ty) => match handles.from_python(ty, object) {
                Ok(Some(value)) => Ok(value),
                Ok(None) => Err(place.wrong_type(ty, object)),
                Err(error) => Err(place.note(py, error)),
            },
        }
    }
}

/// A payload of type `converter`, or the `None` that stands for the payload of a case without one.
pub(super) fn unit_or(
    converter: Option<&Converter>,
    object: &Bound<'_, PyAny>,
    place: &Place<'_>,
    handles: &dyn Handles,
) -> PyResult<Option<Box<Value>>> {
    match converter {
        Some(converter) => Ok(Some(Box::new(
            converter.from_python(object, place, handles)?,
        ))),
        None if object.is_none() => Ok(None),
        None => Err(place.wrong_type("no value", object)),
    }
}

fn is_exact(object: &Bound<'_, PyAny>, class: &Py<PyType>) -> bool {
    object.get_type_ptr().cast() == class.as_ptr()
}

fn payload<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    object.getattr(pyo3::intern!(object.py(), "value"))
}

fn text<'a>(object: &'a Bound<'_, PyAny>, expected: &str, place: &Place<'_>) -> PyResult<&'a str> {
    let Ok(text) = object.cast::<PyString>() else {
        return Err(place.wrong_type(expected, object));
    };
    text.to_str().map_err(|_| {
        place.wrong_value(
            format_args!("{expected} without lone surrogates, which are not text"),
            object,
        )
    })
}

fn has_length(
    length: usize,
    expected: Option<u32>,
    object: &Bound<'_, PyAny>,
    place: &Place<'_>,
) -> PyResult<()> {
    match expected {
        Some(expected) if expected as usize != length => {
            Err(place.wrong_value(format_args!("{expected} items"), object))
        }
        _ => Ok(()),
    }
}

/// Calls `each` with the items of a list, tuple or other iterable that is not text.
fn items<'py>(
    object: &Bound<'py, PyAny>,
    place: &Place<'_>,
    expected: &str,
    mut each: impl FnMut(&Bound<'py, PyAny>, usize) -> PyResult<()>,
) -> PyResult<()> {
    if let Ok(list) = object.cast_exact::<PyList>() {
        // Converting an item may run code that changes the list; the iterator looks at its length anew.
        return list
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| each(&item, index));
    }
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return tuple
            .iter_borrowed()
            .enumerate()
            .try_for_each(|(index, item)| each(&item, index));
    }
    let py = object.py();
    let is_text = object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>();
    if is_text || object.is_instance(Classes::get(py)?.mapping.bind(py))? {
        return Err(place.wrong_type(expected, object));
    }
    let iterator = match object.try_iter() {
        Ok(iterator) => iterator,
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) => {
            return Err(place.wrong_type(expected, object));
        }
        Err(error) => return Err(place.note(py, error)),
    };
    for (index, item) in iterator.enumerate() {
        each(&item.map_err(|error| place.note(py, error))?, index)?;
    }
    Ok(())
}

fn tuple(
    members: &[Converter],
    object: &Bound<'_, PyAny>,
    place: &Place<'_>,
    handles: &dyn Handles,
) -> PyResult<Value> {
    let mut found = Vec::with_capacity(members.len());
    if object.is_instance_of::<PyTuple>() || object.is_instance_of::<PyList>() {
        items(object, place, "a tuple", |item, _| {
            found.push(item.clone());
            Ok(())
        })?;
    } else {
        return Err(place.wrong_type(format_args!("a tuple of {} items", members.len()), object));
    }
    if found.len() != members.len() {
        return Err(place.wrong_value(format_args!("a tuple of {} items", members.len()), object));
    }
    let values = (members.iter().zip(&found).enumerate())
        .map(|(index, (member, item))| {
            member.from_python(item, &Place::Item(place, index), handles)
        })
        .collect::<PyResult<_>>()?;
    Ok(Value::Record(values))
}

fn map(
    (key, value): &(Converter, Converter),
    object: &Bound<'_, PyAny>,
    place: &Place<'_>,
    handles: &dyn Handles,
) -> PyResult<Value> {
    let py = object.py();
    let pairs = if object.is_instance(Classes::get(py)?.mapping.bind(py))? {
        PyDict::from_sequence(
            &object
                .call_method0("items")
                .map_err(|error| place.note(py, error))?,
        )
        .map_err(|error| place.note(py, error))?
    } else {
        return Err(place.wrong_type("a mapping", object));
    };
    let entries = (pairs.iter().enumerate())
        .map(|(index, (name, item))| {
            let at = Place::Item(place, index);
            Ok((
                key.from_python(&name, &Place::Key(place, index), handles)?,
                value.from_python(&item, &at, handles)?,
            ))
        })
        .collect::<PyResult<_>>()?;
    Ok(Value::Map(entries))
}

impl RecordClass {
    fn from_python(
        &self,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
        handles: &dyn Handles,
    ) -> PyResult<Value> {
        let py = object.py();
        let convert = |field: &FieldOf, item: &Bound<'_, PyAny>| {
            field
                .converter
                .from_python(item, &Place::Field(place, &field.name), handles)
        };
        let mut values = Vec::with_capacity(self.fields.len());
        if is_exact(object, &self.class) {
            for field in &self.fields {
                values.push(convert(field, &object.getattr(&field.attribute)?)?);
            }
        } else if object.is_exact_instance_of::<PyDict>()
            || object.is_instance(Classes::get(py)?.mapping.bind(py))?
        {
            for field in &self.fields {
                values.push(convert(field, &self.entry(object, field, place)?)?);
            }
            self.no_others(object, place)?;
        } else {
            for field in &self.fields {
                let item = match object.getattr(&field.attribute) {
                    Ok(item) => item,
                    Err(error) if error.is_instance_of::<PyAttributeError>(py) => {
                        let expected = format_args!("{} with a field '{}'", self.name, field.name);
                        return Err(place.wrong_type(expected, object));
                    }
                    Err(error) => return Err(Place::Field(place, &field.name).note(py, error)),
                };
                values.push(convert(field, &item)?);
            }
        }
        Ok(Value::Record(values))
    }

    /// The item of a mapping for `field`, by its Python name or its WIT name.
    fn entry<'py>(
        &self,
        mapping: &Bound<'py, PyAny>,
        field: &FieldOf,
        place: &Place<'_>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = mapping.py();
        let missing = |error: &PyErr| error.is_instance_of::<PyKeyError>(py);
        match mapping.get_item(&field.attribute) {
            Err(error) if missing(&error) => {}
            Err(error) => return Err(Place::Field(place, &field.name).note(py, error)),
            item => return item,
        }
        match mapping.get_item(&*field.name) {
            Err(error) if missing(&error) => Err(place.wrong_value(
                format_args!("{} with a field '{}'", self.name, field.name),
                mapping,
            )),
            Err(error) => Err(Place::Field(place, &field.name).note(py, error)),
            item => item,
        }
    }

    /// A key that is no field is a slip that would otherwise pass unseen.
    fn no_others(&self, mapping: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<()> {
        if mapping.len()? == self.fields.len() {
            return Ok(());
        }
        for key in mapping.try_iter()? {
            let key = key?;
            let known = |field: &FieldOf| {
                key.eq(&field.attribute).unwrap_or(false) || key.eq(&*field.name).unwrap_or(false)
            };
            if !self.fields.iter().any(known) {
                let fields: Vec<&str> = self.fields.iter().map(|field| &*field.name).collect();
                let expected = format!("only the fields {} of {}", fields.join(", "), self.name);
                return Err(place.wrong_value(expected, &key));
            }
        }
        Ok(())
    }
}

impl VariantClass {
    fn from_python(
        &self,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
        handles: &dyn Handles,
    ) -> PyResult<Value> {
        let known = self
            .cases
            .iter()
            .position(|case| is_exact(object, &case.class));
        // A case of another component's variant counts by its name.
        let Some(index) = known.or_else(|| {
            let name = object.get_type().getattr("__wit_case__").ok()?;
            let name = name.cast::<PyString>().ok()?.to_str().ok()?;
            self.cases.iter().position(|case| &*case.name == name)
        }) else {
            let cases: Vec<&str> = self.cases.iter().map(|case| &*case.name).collect();
            let expected = format!("{}, one of its cases {}", self.name, cases.join(", "));
            return Err(place.wrong_type(expected, object));
        };
        let case = &self.cases[index];
        let place = Place::Case(place, &case.name);
        let value = match &case.payload {
            Some(converter) => {
                let payload = object
                    .getattr(&self.value)
                    .map_err(|error| place.note(object.py(), error))?;
                Some(Box::new(converter.from_python(&payload, &place, handles)?))
            }
            None => None,
        };
        let index = u32::try_from(index).expect("a variant has fewer than 2^32 cases");
        Ok(Value::Variant(index, value))
    }
}

impl EnumClass {
    fn from_python(&self, object: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Value> {
        let index = self
            .cases
            .iter()
            .position(|(_, member)| member.is(object))
            .or_else(|| {
                // The WIT name of a case, or a member of any other enum with such a value.
                let value = if object.is_instance_of::<PyString>() {
                    object.clone()
                } else {
                    object.getattr("value").ok()?
                };
                let name = value.cast::<PyString>().ok()?.to_str().ok()?.to_owned();
                self.cases.iter().position(|(case, _)| **case == *name)
            });
        match index {
            Some(index) => Ok(Value::Enum(
                u32::try_from(index).expect("an enum has fewer than 2^32 cases"),
            )),
            None => {
                let cases: Vec<&str> = self.cases.iter().map(|(case, _)| &**case).collect();
                let expected = format!("{}, one of {}", self.name, cases.join(", "));
                Err(if object.is_instance_of::<PyString>() {
                    place.wrong_value(expected, object)
                } else {
                    place.wrong_type(expected, object)
                })
            }
        }
    }
}

impl FlagsClass {
    fn from_python(&self, object: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<Value> {
        if is_exact(object, &self.class) {
            return Ok(Value::Flags(object.getattr(&self.value)?.extract()?));
        }
        // Or the WIT names of the flags that are set.
        let expected = format!("{}, flags of {}", self.name, self.flags.join(", "));
        let mut bits = 0;
        items(object, place, &expected, |item, index| {
            let place = Place::Item(place, index);
            let Ok(name) = item.cast::<PyString>() else {
                return Err(place.wrong_type(&expected, item));
            };
            let name = name.to_str()?;
            match self.flags.iter().position(|flag| **flag == *name) {
                Some(position) => {
                    bits |= 1 << position;
                    Ok(())
                }
                None => Err(place.wrong_value(&expected, item)),
            }
        })?;
        Ok(Value::Flags(bits))
    }
}
