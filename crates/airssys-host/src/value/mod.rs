//! Values that cross between host and guest, with byte lists kept as bytes.

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
    /// `list<u8>`, wherever it stands in a signature.
    Bytes(Vec<u8>),
    List(Vec<Value>),
    /// Fields by position; tuples as well.
    Record(Vec<Value>),
    /// Case by position, with its payload.
    Variant(u32, Option<Box<Value>>),
    Enum(u32),
    Option(Option<Box<Value>>),
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
    /// Bit `n` of word `n / 32` is the flag at position `n`.
    Flags(Vec<u32>),
    Resource(wasmtime::component::ResourceAny),
}
