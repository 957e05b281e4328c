//! A type with everything that converting its values needs.

use std::sync::Arc;

use airssys_host::value::{Type, TypeName};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::carried::Carried;
use super::classes::make;

/// Converts values of one type.
pub enum Converter {
    Bool,
    Integer(Integer),
    F32,
    F64,
    Char,
    String,
    /// A list of numbers; `u8` is `bytes`.
    Numbers(Number, Option<u32>),
    List(Box<Converter>, Option<u32>),
    Map(Box<(Converter, Converter)>),
    Tuple(Vec<Converter>),
    Record(RecordClass),
    Variant(VariantClass),
    Enum(EnumClass),
    Flags(FlagsClass),
    /// `wrapped` when the value is an option itself, which needs `Some` to be told from `None`.
    Option {
        value: Box<Converter>,
        wrapped: bool,
    },
    Result {
        ok: Option<Box<Converter>>,
        err: Option<Box<Converter>>,
    },
    Handle(Type),
    Stream(Arc<Carried>),
}

/// The width of an integer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Integer {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

/// What a list of numbers holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Integer(Integer),
    F32,
    F64,
}

/// A generated dataclass.
pub struct RecordClass {
    /// How the component names the type: `demo:calc/ops#order`.
    pub path: Option<String>,
    pub class: Py<PyType>,
    pub name: String,
    pub fields: Vec<FieldOf>,
}

/// A field of a generated dataclass.
pub struct FieldOf {
    pub attribute: Py<PyString>,
    pub name: Box<str>,
    pub converter: Converter,
}

/// The generated classes of a variant.
pub struct VariantClass {
    /// How the component names the type: `demo:calc/ops#order`.
    pub path: Option<String>,
    pub name: String,
    pub cases: Vec<CaseOf>,
    /// The attribute of the payload.
    pub value: Py<PyString>,
}

/// A case of a variant.
pub struct CaseOf {
    pub name: Box<str>,
    pub class: Py<PyType>,
    pub payload: Option<Converter>,
    /// The one object that stands for a case without payload.
    pub instance: Option<Py<PyAny>>,
}

/// The members of a generated enum.
pub struct EnumClass {
    /// How the component names the type: `demo:calc/ops#order`.
    pub path: Option<String>,
    pub name: String,
    pub cases: Vec<(Box<str>, Py<PyAny>)>,
}

/// A generated flag class.
pub struct FlagsClass {
    /// How the component names the type: `demo:calc/ops#order`.
    pub path: Option<String>,
    pub class: Py<PyType>,
    pub name: String,
    pub flags: Vec<Box<str>>,
    pub value: Py<PyString>,
}

impl Integer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
        }
    }
}

fn number(ty: &Type) -> Option<Number> {
    Some(match ty {
        Type::S8 => Number::Integer(Integer::S8),
        Type::U8 => Number::Integer(Integer::U8),
        Type::S16 => Number::Integer(Integer::S16),
        Type::U16 => Number::Integer(Integer::U16),
        Type::S32 => Number::Integer(Integer::S32),
        Type::U32 => Number::Integer(Integer::U32),
        Type::S64 => Number::Integer(Integer::S64),
        Type::U64 => Number::Integer(Integer::U64),
        Type::F32 => Number::F32,
        Type::F64 => Number::F64,
        _ => return None,
    })
}

/// The module and WIT name of a generated class.
fn identity<'a>(name: Option<&'a TypeName>, anonymous: &'a str) -> (Option<&'a str>, &'a str) {
    match name {
        // Versions of an interface share their classes, so that values outlive an upgrade.
        Some(name) => (
            name.interface
                .as_deref()
                .map(|interface| interface.split('@').next().unwrap_or(interface)),
            &name.name,
        ),
        None => (None, anonymous),
    }
}

impl Converter {
    /// Prepares the conversion of values of type `ty`.
    ///
    /// # Errors
    /// When a class cannot be generated.
    pub fn new(py: Python<'_>, ty: &Type) -> PyResult<Self> {
        Ok(match ty {
            Type::Bool => Self::Bool,
            Type::Char => Self::Char,
            Type::String => Self::String,
            Type::List(element) => Self::list(py, element, None)?,
            Type::FixedList(element, length) => Self::list(py, element, Some(*length))?,
            Type::Map(entry) => Self::Map(Box::new((
                Self::new(py, &entry.0)?,
                Self::new(py, &entry.1)?,
            ))),
            Type::Tuple(types) => Self::Tuple(
                types
                    .iter()
                    .map(|ty| Self::new(py, ty))
                    .collect::<PyResult<_>>()?,
            ),
            Type::Option(value) => Self::Option {
                wrapped: matches!(**value, Type::Option(_)),
                value: Box::new(Self::new(py, value)?),
            },
            Type::Result(result) => {
                let payload = |ty: &Option<Type>| {
                    ty.as_ref()
                        .map(|ty| Self::new(py, ty).map(Box::new))
                        .transpose()
                };
                Self::Result {
                    ok: payload(&result.ok)?,
                    err: payload(&result.err)?,
                }
            }
            Type::Own(_) | Type::Borrow(_) | Type::ErrorContext => Self::Handle(ty.clone()),
            Type::Stream(element) | Type::Future(element) => {
                let element = element.as_deref().map(|element| Self::new(py, element));
                Self::Stream(Arc::new(Carried {
                    ty: ty.clone(),
                    element: element.transpose()?,
                }))
            }
            Type::Record(record) => {
                let (module, name) = identity(record.name.as_ref(), "record");
                let fields: Vec<&str> = record.fields.iter().map(|field| &*field.name).collect();
                let names = PyTuple::new(py, &fields)?;
                let class = make(py, "record_class", (module, name, names, ty.declaration()))?;
                let fields = (record.fields.iter())
                    .map(|field| {
                        let attribute = attribute(py, &field.name)?;
                        Ok(FieldOf {
                            attribute,
                            name: field.name.clone(),
                            converter: Self::new(py, &field.ty)?,
                        })
                    })
                    .collect::<PyResult<_>>()?;
                Self::Record(RecordClass {
                    path: path(record.name.as_ref()),
                    class: class.cast_into()?.unbind(),
                    name: ty.to_string(),
                    fields,
                })
            }
            Type::Variant(variant) => {
                let (module, name) = identity(variant.name.as_ref(), "variant");
                let names = PyTuple::new(py, variant.cases.iter().map(|case| &*case.name))?;
                let payloads: Vec<&str> = variant
                    .cases
                    .iter()
                    .filter(|case| case.ty.is_some())
                    .map(|case| &*case.name)
                    .collect();
                let payloads = PyTuple::new(py, payloads)?;
                let base = make(
                    py,
                    "variant_class",
                    (module, name, names, payloads, ty.declaration()),
                )?;
                let cases = (variant.cases.iter())
                    .map(|case| {
                        let class = base
                            .getattr(make(py, "class_name", (&*case.name,))?.cast::<PyString>()?)?;
                        let payload = case.ty.as_ref().map(|ty| Self::new(py, ty)).transpose()?;
                        let instance = match payload {
                            Some(_) => None,
                            None => Some(class.call0()?.unbind()),
                        };
                        Ok(CaseOf {
                            name: case.name.clone(),
                            class: class.cast_into()?.unbind(),
                            payload,
                            instance,
                        })
                    })
                    .collect::<PyResult<_>>()?;
                let value = intern!(py, "value").clone().unbind();
                Self::Variant(VariantClass {
                    path: path(variant.name.as_ref()),
                    name: ty.to_string(),
                    cases,
                    value,
                })
            }
            Type::Enum(declared) => {
                let (module, name) = identity(declared.name.as_ref(), "enum");
                let names = PyTuple::new(py, declared.cases.iter().map(|case| &**case))?;
                let class = make(py, "enum_class", (module, name, names, ty.declaration()))?;
                let cases = (declared.cases.iter())
                    .map(|case| Ok((case.clone(), class.call1((&**case,))?.unbind())))
                    .collect::<PyResult<_>>()?;
                Self::Enum(EnumClass {
                    path: path(declared.name.as_ref()),
                    name: ty.to_string(),
                    cases,
                })
            }
            Type::Flags(flags) => {
                let (module, name) = identity(flags.name.as_ref(), "flags");
                let names = PyTuple::new(py, flags.flags.iter().map(|flag| &**flag))?;
                let class = make(py, "flags_class", (module, name, names, ty.declaration()))?;
                Self::Flags(FlagsClass {
                    path: path(flags.name.as_ref()),
                    class: class.cast_into()?.unbind(),
                    name: ty.to_string(),
                    flags: flags.flags.clone(),
                    value: intern!(py, "_value_").clone().unbind(),
                })
            }
            Type::F32 => Self::F32,
            Type::F64 => Self::F64,
            Type::S8 => Self::Integer(Integer::S8),
            Type::U8 => Self::Integer(Integer::U8),
            Type::S16 => Self::Integer(Integer::S16),
            Type::U16 => Self::Integer(Integer::U16),
            Type::S32 => Self::Integer(Integer::S32),
            Type::U32 => Self::Integer(Integer::U32),
            Type::S64 => Self::Integer(Integer::S64),
            Type::U64 => Self::Integer(Integer::U64),
        })
    }

    fn list(py: Python<'_>, element: &Type, length: Option<u32>) -> PyResult<Self> {
        Ok(match number(element) {
            Some(number) => Self::Numbers(number, length),
            None => Self::List(Box::new(Self::new(py, element)?), length),
        })
    }

    pub(super) fn is_future(&self) -> bool {
        matches!(self, Self::Stream(carried) if matches!(carried.ty, Type::Future(_)))
    }

    /// Adds the generated classes of this type and those inside it to `found`, by their paths: the
    /// dataclasses of records, the bases of variants' cases, `enum.Enum`s and `enum.Flag`s.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn classes(&self, found: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = found.py();
        let add = |path: &Option<String>, class: Bound<'_, PyAny>| match path {
            Some(path) => found.set_item(path, class),
            None => Ok(()),
        };
        match self {
            Self::Record(record) => {
                add(&record.path, record.class.bind(py).clone().into_any())?;
                record
                    .fields
                    .iter()
                    .try_for_each(|field| field.converter.classes(found))
            }
            Self::Variant(variant) => {
                if let Some(case) = variant.cases.first() {
                    add(&variant.path, case.class.bind(py).getattr("__base__")?)?;
                }
                variant
                    .cases
                    .iter()
                    .filter_map(|case| case.payload.as_ref())
                    .try_for_each(|ty| ty.classes(found))
            }
            Self::Enum(cases) => match cases.cases.first() {
                Some((_, member)) => add(&cases.path, member.bind(py).get_type().into_any()),
                None => Ok(()),
            },
            Self::Flags(flags) => add(&flags.path, flags.class.bind(py).clone().into_any()),
            Self::List(ty, _) | Self::Option { value: ty, .. } => ty.classes(found),
            Self::Map(entry) => entry.0.classes(found).and_then(|()| entry.1.classes(found)),
            Self::Tuple(types) => types.iter().try_for_each(|ty| ty.classes(found)),
            Self::Result { ok, err } => ok.iter().chain(err).try_for_each(|ty| ty.classes(found)),
            Self::Stream(carried) => carried.element.iter().try_for_each(|ty| ty.classes(found)),
            _ => Ok(()),
        }
    }
}

fn path(name: Option<&TypeName>) -> Option<String> {
    name.map(|name| match &name.interface {
        Some(interface) => format!("{interface}#{}", name.name),
        None => name.name.to_string(),
    })
}

/// The Python name of a field or parameter, interned.
pub(super) fn attribute(py: Python<'_>, name: &str) -> PyResult<Py<PyString>> {
    let name = make(py, "attribute_name", (name,))?.cast_into::<PyString>()?;
    Ok(PyString::intern(py, name.to_str()?).unbind())
}
