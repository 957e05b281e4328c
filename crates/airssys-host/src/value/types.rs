//! What a function takes and gives, as a tree that is cheap to share.

use std::fmt::{self, Write};
use std::sync::Arc;

use wasmtime::component::{ResourceType, types};

use super::names::{TypeName, TypeNames};

/// A component-model type. Clones share what is below them.
#[derive(Clone, Debug)]
pub enum Type {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    List(Arc<Type>),
    FixedList(Arc<Type>, u32),
    Map(Arc<(Type, Type)>),
    Record(Arc<Record>),
    Tuple(Arc<[Type]>),
    Variant(Arc<Variant>),
    Enum(Arc<Enum>),
    Flags(Arc<Flags>),
    Option(Arc<Type>),
    Result(Arc<ResultType>),
    Own(Arc<Resource>),
    Borrow(Arc<Resource>),
    Future(Option<Arc<Type>>),
    Stream(Option<Arc<Type>>),
    ErrorContext,
}

/// How a type is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// By its name, where it has one.
    Names,
    /// By what it is made of; a resource as no other one of its component is.
    Structure,
    /// By what it is made of; a resource by its name, which other components may have.
    Shape,
}

/// Text that takes no more than can be of use.
struct Short(String);

impl Short {
    const MOST: usize = 1 << 18;
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > Self::MOST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// A record and its fields in order.
#[derive(Debug)]
pub struct Record {
    pub name: Option<TypeName>,
    pub fields: Vec<Field>,
}

/// A field of a record or a parameter of a function.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: Box<str>,
    pub ty: Type,
}

/// A variant and its cases in order.
#[derive(Debug)]
pub struct Variant {
    pub name: Option<TypeName>,
    pub cases: Vec<Case>,
}

/// A case of a variant.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: Box<str>,
    pub ty: Option<Type>,
}

/// An enum and the names of its cases in order.
#[derive(Debug)]
pub struct Enum {
    pub name: Option<TypeName>,
    pub cases: Vec<Box<str>>,
}

/// A set of flags and their names in order.
#[derive(Debug)]
pub struct Flags {
    pub name: Option<TypeName>,
    pub flags: Vec<Box<str>>,
}

/// What a `result` carries.
#[derive(Debug)]
pub struct ResultType {
    pub ok: Option<Type>,
    pub err: Option<Type>,
}

/// A resource type.
#[derive(Debug)]
pub struct Resource {
    pub name: Option<TypeName>,
    /// Comparable among the types of one component.
    pub ty: ResourceType,
}

/// The signature of a function.
#[derive(Debug)]
pub struct FuncType {
    pub params: Vec<Field>,
    pub result: Option<Type>,
    is_async: bool,
}

impl FuncType {
    /// The signature without names for its types; [`FuncType::named`] gives them.
    #[must_use]
    pub fn from_component_func(ty: &types::ComponentFunc) -> Self {
        Self::named(ty, &TypeNames::default(), None)
    }

    /// The signature of a function of `interface` (`None` for one of the world itself), its types
    /// named as the component names them.
    #[must_use]
    pub fn named(ty: &types::ComponentFunc, names: &TypeNames, interface: Option<&str>) -> Self {
        let builder = Builder { names, interface };
        Self {
            params: ty
                .params()
                .map(|(name, ty)| Field {
                    name: name.into(),
                    ty: builder.build(&ty),
                })
                .collect(),
            result: ty.results().next().map(|ty| builder.build(&ty)),
            is_async: ty.async_(),
        }
    }

    /// The signature by what its types are made of, whatever they are called: the same for functions of two
    /// components exactly when whoever calls the one can call the other.
    /// `None` where it would be too long to be compared: types that are used twice at each of many levels.
    #[must_use]
    pub fn shape(&self) -> Option<String> {
        let mut out = Short(String::new());
        self.write_shape(&mut out).ok().map(|()| out.0)
    }

    fn write_shape(&self, out: &mut Short) -> fmt::Result {
        out.write_str(if self.is_async { "async (" } else { "(" })?;
        for (index, param) in self.params.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(out, "{separator}{}: ", param.name)?;
            param.ty.write(out, Style::Shape)?;
        }
        out.write_char(')')?;
        let Some(result) = &self.result else {
            return Ok(());
        };
        out.write_str(" -> ")?;
        result.write(out, Style::Shape)
    }

    /// Whether this is an `async func`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.is_async
    }

    /// Whether streams or futures are among the parameters, or inside them.
    #[must_use]
    pub fn takes_streams(&self) -> bool {
        self.params.iter().any(|param| param.ty.carries_streams())
    }

    /// How many core values the parameters flatten to.
    pub(super) fn flat_params(&self) -> usize {
        self.params
            .iter()
            .map(|param| param.ty.flat())
            .fold(0, usize::saturating_add)
    }

    /// How many core values the result flattens to.
    pub(super) fn flat_result(&self) -> usize {
        self.result.as_ref().map_or(0, Type::flat)
    }

    /// Whether any type in the signature satisfies `test`, itself or inside.
    pub(crate) fn any(&self, test: &dyn Fn(&Type) -> bool) -> bool {
        self.params
            .iter()
            .map(|param| &param.ty)
            .chain(&self.result)
            .any(|ty| ty.any(test))
    }
}

impl Type {
    /// Without names of types.
    pub(super) fn anonymous(ty: &types::Type) -> Self {
        Builder {
            names: &TypeNames::default(),
            interface: None,
        }
        .build(ty)
    }

    /// Whether this is a stream or a future, or has one inside.
    #[must_use]
    pub fn carries_streams(&self) -> bool {
        self.any(&|ty| matches!(ty, Self::Stream(_) | Self::Future(_)))
    }

    /// The size in bytes of a number, of which lists are kept as bytes; `None` for other types.
    #[must_use]
    pub fn number_size(&self) -> Option<usize> {
        match self {
            Self::S8 | Self::U8 => Some(1),
            Self::S16 | Self::U16 => Some(2),
            Self::S32 | Self::U32 | Self::F32 => Some(4),
            Self::S64 | Self::U64 | Self::F64 => Some(8),
            _ => None,
        }
    }

    fn flat(&self) -> usize {
        let most = |types: &mut dyn Iterator<Item = &Self>| {
            types.map(Self::flat).max().unwrap_or(0).saturating_add(1)
        };
        let sum = |types: &mut dyn Iterator<Item = &Self>| {
            types.map(Self::flat).fold(0, usize::saturating_add)
        };
        match self {
            Self::String | Self::List(_) | Self::Map(_) => 2,
            Self::FixedList(element, length) => element
                .flat()
                .saturating_mul(usize::try_from(*length).unwrap_or(usize::MAX)),
            Self::Record(record) => sum(&mut record.fields.iter().map(|field| &field.ty)),
            Self::Tuple(types) => sum(&mut types.iter()),
            Self::Variant(variant) => {
                most(&mut variant.cases.iter().filter_map(|case| case.ty.as_ref()))
            }
            Self::Option(ty) => ty.flat().saturating_add(1),
            Self::Result(result) => most(&mut result.ok.iter().chain(&result.err)),
            _ => 1,
        }
    }

    fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::List(ty) | Self::FixedList(ty, _) | Self::Option(ty) => ty.any(test),
                Self::Map(entry) => entry.0.any(test) || entry.1.any(test),
                Self::Record(record) => record.fields.iter().any(|field| field.ty.any(test)),
                Self::Tuple(types) => types.iter().any(|ty| ty.any(test)),
                Self::Variant(variant) => variant
                    .cases
                    .iter()
                    .filter_map(|case| case.ty.as_ref())
                    .any(|ty| ty.any(test)),
                Self::Result(result) => result.ok.iter().chain(&result.err).any(|ty| ty.any(test)),
                Self::Future(ty) | Self::Stream(ty) => ty.iter().any(|ty| ty.any(test)),
                _ => false,
            }
    }

    /// Writes the structure, which is the same for two types exactly when they are interchangeable
    /// but for their names.
    pub(super) fn write_shape(&self, out: &mut impl fmt::Write) -> fmt::Result {
        self.write(out, Style::Structure)
    }

    /// The declaration of a named type as WIT has it: `enum color { red, green }`.
    #[must_use]
    pub fn declaration(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Record(ty) => {
                let fields = ty
                    .fields
                    .iter()
                    .map(|field| format!("{}: {}", field.name, field.ty));
                declare(&mut out, "record", ty.name.as_ref(), fields);
            }
            Self::Variant(ty) => {
                let cases = ty.cases.iter().map(|case| match &case.ty {
                    Some(ty) => format!("{}({ty})", case.name),
                    None => case.name.to_string(),
                });
                declare(&mut out, "variant", ty.name.as_ref(), cases);
            }
            Self::Enum(ty) => declare(
                &mut out,
                "enum",
                ty.name.as_ref(),
                ty.cases.iter().map(ToString::to_string),
            ),
            Self::Flags(ty) => declare(
                &mut out,
                "flags",
                ty.name.as_ref(),
                ty.flags.iter().map(ToString::to_string),
            ),
            other => out = other.to_string(),
        }
        out
    }

    fn write(&self, out: &mut impl fmt::Write, style: Style) -> fmt::Result {
        let optional = |out: &mut _, ty: &Option<Self>| match ty {
            Some(ty) => ty.write(out, style),
            None => fmt::Write::write_char(out, '_'),
        };
        if style == Style::Names
            && let Some(name) = self.name()
        {
            return out.write_str(&name.name);
        }
        match self {
            Self::Bool => out.write_str("bool"),
            Self::S8 => out.write_str("s8"),
            Self::U8 => out.write_str("u8"),
            Self::S16 => out.write_str("s16"),
            Self::U16 => out.write_str("u16"),
            Self::S32 => out.write_str("s32"),
            Self::U32 => out.write_str("u32"),
            Self::S64 => out.write_str("s64"),
            Self::U64 => out.write_str("u64"),
            Self::F32 => out.write_str("f32"),
            Self::F64 => out.write_str("f64"),
            Self::Char => out.write_str("char"),
            Self::String => out.write_str("string"),
            Self::ErrorContext => out.write_str("error-context"),
            Self::List(ty) => {
                out.write_str("list<")?;
                ty.write(out, style)?;
                out.write_char('>')
            }
            Self::FixedList(ty, length) => {
                out.write_str("list<")?;
                ty.write(out, style)?;
                write!(out, ", {length}>")
            }
            Self::Map(entry) => {
                out.write_str("map<")?;
                entry.0.write(out, style)?;
                out.write_str(", ")?;
                entry.1.write(out, style)?;
                out.write_char('>')
            }
            Self::Record(record) => {
                out.write_str("record { ")?;
                for field in &record.fields {
                    write!(out, "{}: ", field.name)?;
                    field.ty.write(out, style)?;
                    out.write_str(", ")?;
                }
                out.write_char('}')
            }
            Self::Tuple(types) => {
                out.write_str("tuple<")?;
                for (index, ty) in types.iter().enumerate() {
                    out.write_str(if index == 0 { "" } else { ", " })?;
                    ty.write(out, style)?;
                }
                out.write_char('>')
            }
            Self::Variant(variant) => {
                out.write_str("variant { ")?;
                for case in &variant.cases {
                    out.write_str(&case.name)?;
                    if let Some(ty) = &case.ty {
                        out.write_char('(')?;
                        ty.write(out, style)?;
                        out.write_char(')')?;
                    }
                    out.write_str(", ")?;
                }
                out.write_char('}')
            }
            Self::Enum(ty) => write!(out, "enum {{ {} }}", ty.cases.join(", ")),
            Self::Flags(ty) => write!(out, "flags {{ {} }}", ty.flags.join(", ")),
            Self::Option(ty) => {
                out.write_str("option<")?;
                ty.write(out, style)?;
                out.write_char('>')
            }
            Self::Result(ty) => {
                out.write_str("result<")?;
                optional(out, &ty.ok)?;
                out.write_str(", ")?;
                optional(out, &ty.err)?;
                out.write_char('>')
            }
            // A named resource was met above; an unnamed one has nothing readable.
            Self::Own(resource) if style == Style::Structure => {
                write!(out, "own<{:?}>", resource.ty)
            }
            Self::Borrow(resource) if style == Style::Structure => {
                write!(out, "borrow<{:?}>", resource.ty)
            }
            Self::Own(resource) | Self::Borrow(resource) => match &resource.name {
                Some(name) if matches!(self, Self::Own(_)) => write!(out, "own<{}>", name.name),
                Some(name) => write!(out, "borrow<{}>", name.name),
                None => out.write_str("resource"),
            },
            Self::Future(ty) | Self::Stream(ty) => {
                out.write_str(if matches!(self, Self::Future(_)) {
                    "future<"
                } else {
                    "stream<"
                })?;
                match ty {
                    Some(ty) => ty.write(out, style)?,
                    None => out.write_char('_')?,
                }
                out.write_char('>')
            }
        }
    }

    /// The name that the component gives this type.
    #[must_use]
    pub fn name(&self) -> Option<&TypeName> {
        match self {
            Self::Record(ty) => ty.name.as_ref(),
            Self::Variant(ty) => ty.name.as_ref(),
            Self::Enum(ty) => ty.name.as_ref(),
            Self::Flags(ty) => ty.name.as_ref(),
            Self::Own(ty) | Self::Borrow(ty) => ty.name.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(")?;
        for (index, param) in self.params.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{}: {}", param.name, param.ty)?;
        }
        match &self.result {
            Some(ty) => write!(formatter, ") -> {ty}"),
            None => formatter.write_str(")"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(formatter, Style::Names)
    }
}

fn declare(
    out: &mut String,
    keyword: &str,
    name: Option<&TypeName>,
    members: impl Iterator<Item = String>,
) {
    out.push_str(keyword);
    if let Some(name) = name {
        out.push(' ');
        out.push_str(&name.name);
    }
    out.push_str(" { ");
    out.push_str(&members.collect::<Vec<_>>().join(", "));
    out.push_str(" }");
}

struct Builder<'a> {
    names: &'a TypeNames,
    interface: Option<&'a str>,
}

impl Builder<'_> {
    fn build(&self, ty: &types::Type) -> Type {
        match ty {
            types::Type::Bool => Type::Bool,
            types::Type::S8 => Type::S8,
            types::Type::U8 => Type::U8,
            types::Type::S16 => Type::S16,
            types::Type::U16 => Type::U16,
            types::Type::S32 => Type::S32,
            types::Type::U32 => Type::U32,
            types::Type::S64 => Type::S64,
            types::Type::U64 => Type::U64,
            types::Type::Float32 => Type::F32,
            types::Type::Float64 => Type::F64,
            types::Type::Char => Type::Char,
            types::Type::String => Type::String,
            types::Type::ErrorContext => Type::ErrorContext,
            types::Type::List(list) => Type::List(Arc::new(self.build(&list.ty()))),
            types::Type::FixedLengthList(list) => {
                Type::FixedList(Arc::new(self.build(&list.ty())), list.len())
            }
            types::Type::Map(map) => {
                Type::Map(Arc::new((self.build(&map.key()), self.build(&map.value()))))
            }
            types::Type::Tuple(tuple) => {
                Type::Tuple(tuple.types().map(|ty| self.build(&ty)).collect())
            }
            types::Type::Option(option) => Type::Option(Arc::new(self.build(&option.ty()))),
            types::Type::Result(result) => Type::Result(Arc::new(ResultType {
                ok: result.ok().map(|ty| self.build(&ty)),
                err: result.err().map(|ty| self.build(&ty)),
            })),
            types::Type::Future(future) => {
                Type::Future(future.ty().map(|ty| Arc::new(self.build(&ty))))
            }
            types::Type::Stream(stream) => {
                Type::Stream(stream.ty().map(|ty| Arc::new(self.build(&ty))))
            }
            types::Type::Record(record) => {
                let fields: Vec<_> = record
                    .fields()
                    .map(|field| Field {
                        name: field.name.into(),
                        ty: self.build(&field.ty),
                    })
                    .collect();
                self.name(fields, |fields, name| {
                    Type::Record(Arc::new(Record { name, fields }))
                })
            }
            types::Type::Variant(variant) => {
                let cases: Vec<_> = variant
                    .cases()
                    .map(|case| Case {
                        name: case.name.into(),
                        ty: case.ty.map(|ty| self.build(&ty)),
                    })
                    .collect();
                self.name(cases, |cases, name| {
                    Type::Variant(Arc::new(Variant { name, cases }))
                })
            }
            types::Type::Enum(ty) => {
                let cases: Vec<_> = ty.names().map(Box::from).collect();
                self.name(cases, |cases, name| {
                    Type::Enum(Arc::new(Enum { name, cases }))
                })
            }
            types::Type::Flags(ty) => {
                let flags: Vec<_> = ty.names().map(Box::from).collect();
                self.name(flags, |flags, name| {
                    Type::Flags(Arc::new(Flags { name, flags }))
                })
            }
            types::Type::Own(ty) => self.resource(*ty, Type::Own),
            types::Type::Borrow(ty) => self.resource(*ty, Type::Borrow),
        }
    }

    fn resource(&self, ty: ResourceType, wrap: fn(Arc<Resource>) -> Type) -> Type {
        wrap(Arc::new(Resource {
            name: self.names.resource(ty),
            ty,
        }))
    }

    fn name<C: Clone>(&self, content: C, make: fn(C, Option<TypeName>) -> Type) -> Type {
        let anonymous = make(content.clone(), None);
        match self.names.find(&anonymous, self.interface) {
            Some(name) => make(content, Some(name)),
            None => anonymous,
        }
    }
}
