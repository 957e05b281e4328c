//! Values that cross between host and guest, with byte lists kept as bytes.
//!
//! [`Value`] is lowered into and lifted out of a guest's memory directly by the canonical ABI
//! ([`lower`], [`lift`]), without a node per byte and without names. [`FuncType`] tells what a
//! function takes and gives, [`Callable`] calls an export, [`define_import`] provides an import.
//! [`Path::Val`] goes through `wasmtime::component::Val` instead: the reference that the direct
//! path is tested against.

mod callable;
mod canonical;
mod element;
mod fallback;
mod import;
mod lift;
mod lower;
mod names;
mod pool;
#[cfg(test)]
mod tests;
mod types;
pub mod wave;

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{FutureAny, ResourceAny, StreamAny, Val};

use crate::instance::{Incoming, Outgoing};

pub use callable::{Callable, Path};
pub use element::{Item, Reading};
pub use import::{define_async_import, define_import};
pub use names::{TypeName, TypeNames};
pub(crate) use pool::copy as copy_bytes;
pub use types::{Case, Enum, Field, Flags, FuncType, Record, Resource, ResultType, Type, Variant};

/// A value of any component-model type. Names of fields and cases live in the type, not in the value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    S8(i8),
    U8(u8),
    S16(i16),
    U16(u16),
    S32(i32),
    U32(u32),
    S64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Char(char),
    String(Box<str>),
    /// A list of numbers as the guest stores it, little-endian: a `list<u8>` is its bytes, a
    /// `list<f64>` eight bytes for each element. Lists of fixed length too.
    Bytes(Bytes),
    /// A list of anything but numbers.
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    /// Fields by position; tuples as well.
    Record(Vec<Value>),
    /// Case by position, with its payload.
    Variant(u32, Option<Box<Value>>),
    Enum(u32),
    Option(Option<Box<Value>>),
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
    /// Bit `n` is the flag at position `n`; the component model allows 32.
    Flags(u32),
    /// A handle to a resource that a guest or the host's own Rust code implements.
    Resource(Box<ResourceAny>),
    /// A resource that the embedder implements, known to it by `rep`; `kind` is what the embedder
    /// passed to `ResourceType::host_dynamic`.
    HostResource {
        rep: u32,
        kind: u32,
        owned: bool,
    },
    Future(Box<FutureAny>),
    Stream(Box<StreamAny>),
    /// A stream or a future that the embedder gives; it becomes one when it is lowered.
    Outgoing(Outgoing),
    /// A stream or a future of a guest that the embedder can read.
    Incoming(Arc<Incoming>),
    /// Always the `ErrorContext` case, whose payload has no public type.
    ErrorContext(Box<Val>),
}

impl Value {
    /// What a stream or a future without payload carries.
    pub const UNIT: Self = Self::Record(Vec::new());

    /// About how many bytes the value takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let inside = match self {
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) | Self::Record(values) => values.iter().map(Self::weight).sum(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| key.weight() + value.weight())
                .sum(),
            Self::Variant(_, Some(value))
            | Self::Option(Some(value))
            | Self::Result(Ok(Some(value)) | Err(Some(value))) => value.weight(),
            _ => 0,
        };
        size_of::<Self>() + inside
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}
