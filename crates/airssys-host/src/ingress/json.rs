//! Values of components as JSON.
//!
//! | WIT | JSON |
//! | --- | --- |
//! | `bool`, `string`, `char` | `true`, a string, a string of one character |
//! | integers | a number; a string of digits is taken too, since not every reader keeps 64 bits |
//! | `f32`, `f64` | a number, `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `list<u8>` | a string in base64; an array of numbers is taken too |
//! | `list<T>`, `tuple<…>` | an array |
//! | `record` | an object by the fields' names; `_` is taken for `-` |
//! | `option<T>` | `null` or the value; where that may be `null` itself, an array of it |
//! | `variant` | the case's name, or an object with that one member: `{"circle": 2.5}` |
//! | `enum`, `flags` | the case's name; an array of names |
//! | `result<T, E>` | `{"ok": …}` or `{"err": …}` |
//! | `map<K, V>` | an object where keys are strings, else an array of pairs |

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value as Json};

use crate::value::{Field, FuncType, Type, Value};

/// Where a value is not what the function takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// `$.order.items[2]`
    pub path: String,
    pub reason: String,
}

impl Mismatch {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    /// It is inside of something.
    fn below(mut self, step: fmt::Arguments<'_>) -> Self {
        self.path.insert_str(0, &step.to_string());
        self
    }
}

type Read<T> = Result<T, Mismatch>;

/// Read the arguments of a function: an array by position, an object by name, or nothing.
///
/// # Errors
/// The place that does not fit.
pub fn arguments(body: Json, ty: &FuncType) -> Read<Vec<Value>> {
    let read = match body {
        Json::Array(values) if values.len() == ty.params.len() => values
            .into_iter()
            .zip(&ty.params)
            .enumerate()
            .map(|(index, (value, param))| {
                read(value, &param.ty).map_err(|error| error.below(format_args!("[{index}]")))
            })
            .collect(),
        Json::Array(values) => Err(Mismatch::new(format!(
            "the function takes {} arguments ({}), not {}",
            ty.params.len(),
            names(&ty.params),
            values.len()
        ))),
        Json::Object(members) => record(members, &ty.params),
        Json::Null if ty.params.is_empty() => Ok(Vec::new()),
        other => Err(Mismatch::new(format!(
            "arguments are an array by position, or an object by name; not {}",
            what(&other)
        ))),
    };
    read.map_err(|error| error.below(format_args!("$")))
}

fn names(fields: &[Field]) -> String {
    let names: Vec<_> = fields.iter().map(|field| &*field.name).collect();
    names.join(", ")
}

const fn what(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

fn record(mut members: Map<String, Json>, fields: &[Field]) -> Read<Vec<Value>> {
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        let name = &*field.name;
        let member = members
            .remove(name)
            .or_else(|| members.remove(&name.replace('-', "_")));
        let value = match (member, &field.ty) {
            (Some(member), ty) => {
                read(member, ty).map_err(|error| error.below(format_args!(".{name}")))?
            }
            (None, Type::Option(_)) => Value::Option(None),
            (None, _) => return Err(Mismatch::new(format!("'{name}' is missing"))),
        };
        values.push(value);
    }
    match members.keys().next() {
        None => Ok(values),
        Some(unknown) => Err(Mismatch::new(format!(
            "'{unknown}' is none of {}",
            if fields.is_empty() {
                "no names".to_owned()
            } else {
                names(fields)
            }
        ))),
    }
}

fn read(json: Json, ty: &Type) -> Read<Value> {
    let wrong = |json: &Json| Mismatch::new(format!("expected {ty}, got {}", what(json)));
    macro_rules! integer {
        ($case:ident, $int:ty) => {{
            let number: Option<i128> = match &json {
                Json::Number(number) => integer(number),
                Json::String(digits) => digits.parse().ok(),
                other => return Err(wrong(other)),
            };
            let number = number.and_then(|number| <$int>::try_from(number).ok());
            number.map(Value::$case).ok_or_else(|| {
                Mismatch::new(format!(
                    "{json} is no {ty} ({} to {})",
                    <$int>::MIN,
                    <$int>::MAX
                ))
            })
        }};
    }
    match ty {
        Type::Bool => json.as_bool().map(Value::Bool).ok_or_else(|| wrong(&json)),
        Type::S8 => integer!(S8, i8),
        Type::U8 => integer!(U8, u8),
        Type::S16 => integer!(S16, i16),
        Type::U16 => integer!(U16, u16),
        Type::S32 => integer!(S32, i32),
        Type::U32 => integer!(U32, u32),
        Type::S64 => integer!(S64, i64),
        Type::U64 => integer!(U64, u64),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what a float of 32 bits is"
        )]
        Type::F32 => float(&json)
            .map(|float| Value::F32(float as f32))
            .ok_or_else(|| wrong(&json)),
        Type::F64 => float(&json).map(Value::F64).ok_or_else(|| wrong(&json)),
        Type::Char => {
            let text = json.as_str().ok_or_else(|| wrong(&json))?;
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(only), None) => Ok(Value::Char(only)),
                _ => Err(Mismatch::new("expected a string of one character")),
            }
        }
        Type::String => match json {
            Json::String(text) => Ok(Value::String(text.into())),
            other => Err(wrong(&other)),
        },
        Type::List(element) => list(json, element, ty, None),
        Type::FixedList(element, length) => list(json, element, ty, Some(*length)),
        Type::Record(record_type) => match json {
            Json::Object(members) => record(members, &record_type.fields).map(Value::Record),
            other => Err(wrong(&other)),
        },
        Type::Tuple(types) => match json {
            Json::Array(values) if values.len() == types.len() => {
                each(values, |index| &types[index]).map(Value::Record)
            }
            other => Err(wrong(&other)),
        },
        Type::Option(inner) => option(json, inner, ty),
        Type::Enum(enum_type) => {
            let name = json.as_str().ok_or_else(|| wrong(&json))?;
            position(name, enum_type.cases.iter().map(|case| &**case)).map(Value::Enum)
        }
        Type::Flags(flags) => {
            let Json::Array(named) = &json else {
                return Err(wrong(&json));
            };
            let mut bits = 0;
            for (index, name) in named.iter().enumerate() {
                let below = |error: Mismatch| error.below(format_args!("[{index}]"));
                let name = name.as_str().ok_or_else(|| below(wrong(name)))?;
                let flag = position(name, flags.flags.iter().map(|flag| &**flag));
                bits |= 1 << flag.map_err(below)?;
            }
            Ok(Value::Flags(bits))
        }
        Type::Variant(variant) => {
            let (name, payload) = case(json, ty)?;
            let cases = variant.cases.iter().map(|case| &*case.name);
            let index = position(&name, cases)?;
            let payload_type = &variant.cases[index as usize].ty;
            let payload = payload_of(payload, payload_type.as_ref(), &name)?;
            Ok(Value::Variant(index, payload))
        }
        Type::Result(result) => {
            let (name, payload) = case(json, ty)?;
            match position(&name, ["ok", "err"].into_iter())? {
                0 => Ok(Value::Result(Ok(payload_of(
                    payload,
                    result.ok.as_ref(),
                    "ok",
                )?))),
                _ => Ok(Value::Result(Err(payload_of(
                    payload,
                    result.err.as_ref(),
                    "err",
                )?))),
            }
        }
        Type::Map(entry) => map(json, &entry.0, &entry.1, ty),
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            Err(Mismatch::new(format!("a {ty} has no JSON")))
        }
    }
}

fn integer(number: &Number) -> Option<i128> {
    if let Some(number) = number.as_i64() {
        return Some(number.into());
    }
    if let Some(number) = number.as_u64() {
        return Some(number.into());
    }
    let float = number.as_f64()?;
    // `1e3` and `2.0` are whole numbers.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and far below 2^127"
    )]
    (float.fract() == 0.0 && float.abs() < 2.0_f64.powi(53)).then_some(float as i128)
}

fn float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn position<'a>(name: &str, mut names: impl Iterator<Item = &'a str> + Clone) -> Read<u32> {
    let all = names.clone();
    match names.position(|known| known == name) {
        Some(index) => Ok(u32::try_from(index).expect("the component model allows far fewer")),
        None => {
            let known: Vec<_> = all.collect();
            Err(Mismatch::new(format!(
                "'{name}' is none of {}",
                known.join(", ")
            )))
        }
    }
}

fn each<'t>(values: Vec<Json>, ty: impl Fn(usize) -> &'t Type) -> Read<Vec<Value>> {
    let read_one = |(index, value)| {
        read(value, ty(index)).map_err(|error| error.below(format_args!("[{index}]")))
    };
    values.into_iter().enumerate().map(read_one).collect()
}

fn list(json: Json, element: &Type, ty: &Type, length: Option<u32>) -> Read<Value> {
    let value = match json {
        Json::String(text) if matches!(element, Type::U8) => {
            let bytes = BASE64
                .decode(text)
                .map_err(|error| Mismatch::new(format!("expected base64: {error}")))?;
            Value::Bytes(bytes.into())
        }
        Json::Array(values) => {
            let values = each(values, |_| element)?;
            match element.number_size() {
                None => Value::List(values),
                Some(size) => {
                    let mut bytes = Vec::with_capacity(values.len() * size);
                    values.iter().for_each(|value| put(&mut bytes, value));
                    Value::Bytes(bytes.into())
                }
            }
        }
        other => {
            return Err(Mismatch::new(format!(
                "expected {ty}, got {}",
                what(&other)
            )));
        }
    };
    let found = match &value {
        Value::Bytes(bytes) => bytes.len() / element.number_size().unwrap_or(1),
        Value::List(values) => values.len(),
        _ => 0,
    };
    match length {
        Some(length) if found != length as usize => Err(Mismatch::new(format!(
            "expected {ty}, got {found} elements"
        ))),
        _ => Ok(value),
    }
}

/// Append a number as guests store it.
fn put(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::S8(number) => bytes.extend(number.to_le_bytes()),
        Value::U8(number) => bytes.push(*number),
        Value::S16(number) => bytes.extend(number.to_le_bytes()),
        Value::U16(number) => bytes.extend(number.to_le_bytes()),
        Value::S32(number) => bytes.extend(number.to_le_bytes()),
        Value::U32(number) => bytes.extend(number.to_le_bytes()),
        Value::S64(number) => bytes.extend(number.to_le_bytes()),
        Value::U64(number) => bytes.extend(number.to_le_bytes()),
        Value::F32(number) => bytes.extend(number.to_le_bytes()),
        Value::F64(number) => bytes.extend(number.to_le_bytes()),
        _ => unreachable!("only numbers have a size"),
    }
}

/// Whether a value of the type may be `null` itself.
const fn may_be_null(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

fn option(json: Json, inner: &Type, ty: &Type) -> Read<Value> {
    let present = match json {
        Json::Null => return Ok(Value::Option(None)),
        Json::Array(mut values) if may_be_null(inner) && values.len() == 1 => {
            let value = values.pop().expect("there is one");
            read(value, inner).map_err(|error| error.below(format_args!("[0]")))
        }
        other if may_be_null(inner) => Err(Mismatch::new(format!(
            "expected {ty}: null, or an array of one; got {}",
            what(&other)
        ))),
        other => read(other, inner),
    };
    present.map(|value| Value::Option(Some(Box::new(value))))
}

/// The name of a case, and its payload.
fn case(json: Json, ty: &Type) -> Read<(String, Option<Json>)> {
    match json {
        Json::String(name) => Ok((name, None)),
        Json::Object(members) if members.len() == 1 => {
            let (name, payload) = members.into_iter().next().expect("there is one");
            Ok((name, Some(payload)))
        }
        other => Err(Mismatch::new(format!(
            "expected {ty}: the name of a case, or an object with that one member; got {}",
            what(&other)
        ))),
    }
}

fn payload_of(payload: Option<Json>, ty: Option<&Type>, name: &str) -> Read<Option<Box<Value>>> {
    match (payload, ty) {
        (None | Some(Json::Null), None) => Ok(None),
        (Some(payload), Some(ty)) => read(payload, ty)
            .map(|value| Some(Box::new(value)))
            .map_err(|error| error.below(format_args!(".{name}"))),
        (None, Some(ty)) => Err(Mismatch::new(format!("'{name}' has a {ty} with it"))),
        (Some(_), None) => Err(Mismatch::new(format!("'{name}' has nothing with it"))),
    }
}

fn map(json: Json, key: &Type, value: &Type, ty: &Type) -> Read<Value> {
    let entries: Read<Vec<_>> = match json {
        Json::Object(members) if matches!(key, Type::String) => members
            .into_iter()
            .map(|(name, member)| {
                let value =
                    read(member, value).map_err(|error| error.below(format_args!(".{name}")))?;
                Ok((Value::String(name.into()), value))
            })
            .collect(),
        Json::Array(pairs) => pairs
            .into_iter()
            .enumerate()
            .map(|(index, pair)| {
                let below = |error: Mismatch| error.below(format_args!("[{index}]"));
                match pair {
                    Json::Array(pair) if pair.len() == 2 => {
                        let both = [key, value];
                        let mut both = each(pair, |part| both[part]).map_err(below)?;
                        let value = both.pop().expect("two were read");
                        Ok((both.pop().expect("two were read"), value))
                    }
                    other => Err(below(Mismatch::new(format!(
                        "expected a pair, got {}",
                        what(&other)
                    )))),
                }
            })
            .collect(),
        other => {
            return Err(Mismatch::new(format!(
                "expected {ty}, got {}",
                what(&other)
            )));
        }
    };
    entries.map(Value::Map)
}

/// Write a value; `None` where its type has no JSON.
#[must_use]
pub fn write(value: &Value, ty: &Type) -> Option<Json> {
    let inner = |value: &Option<Box<Value>>, ty: &Option<Type>| match (value, ty) {
        (Some(value), Some(ty)) => write(value, ty),
        _ => Some(Json::Null),
    };
    Some(match (value, ty) {
        (Value::Bool(value), _) => (*value).into(),
        (Value::S8(number), _) => (*number).into(),
        (Value::U8(number), _) => (*number).into(),
        (Value::S16(number), _) => (*number).into(),
        (Value::U16(number), _) => (*number).into(),
        (Value::S32(number), _) => (*number).into(),
        (Value::U32(number), _) => (*number).into(),
        (Value::S64(number), _) => (*number).into(),
        (Value::U64(number), _) => (*number).into(),
        (Value::F32(number), _) => write_f32(*number),
        (Value::F64(number), _) => write_float(*number),
        (Value::Char(value), _) => value.to_string().into(),
        (Value::String(text), _) => (&**text).into(),
        (Value::Bytes(bytes), Type::List(element) | Type::FixedList(element, _)) => {
            if matches!(**element, Type::U8) {
                return Some(BASE64.encode(bytes).into());
            }
            let size = element.number_size()?;
            let numbers = bytes.chunks_exact(size).map(|number| take(number, element));
            Json::Array(numbers.collect::<Option<_>>()?)
        }
        (Value::List(values), Type::List(element) | Type::FixedList(element, _)) => {
            let values = values.iter().map(|value| write(value, element));
            Json::Array(values.collect::<Option<_>>()?)
        }
        (Value::Record(values), Type::Record(record)) => {
            let members = values.iter().zip(&record.fields);
            let members = members
                .map(|(value, field)| Some((field.name.to_string(), write(value, &field.ty)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
        (Value::Record(values), Type::Tuple(types)) => {
            let values = values.iter().zip(types.iter());
            Json::Array(
                values
                    .map(|(value, ty)| write(value, ty))
                    .collect::<Option<_>>()?,
            )
        }
        (Value::Option(None), _) => Json::Null,
        (Value::Option(Some(value)), Type::Option(ty)) => {
            let value = write(value, ty)?;
            if may_be_null(ty) {
                Json::Array(vec![value])
            } else {
                value
            }
        }
        (Value::Enum(case), Type::Enum(ty)) => (&**ty.cases.get(*case as usize)?).into(),
        (Value::Flags(bits), Type::Flags(ty)) => {
            let set = ty.flags.iter().enumerate();
            let set = set.filter(|(flag, _)| bits & (1 << flag) != 0);
            Json::Array(set.map(|(_, name)| (&**name).into()).collect())
        }
        (Value::Variant(case, payload), Type::Variant(ty)) => {
            let case = ty.cases.get(*case as usize)?;
            match &case.ty {
                None => (&*case.name).into(),
                Some(_) => one(&case.name, inner(payload, &case.ty)?),
            }
        }
        (Value::Result(Ok(payload)), Type::Result(ty)) => one("ok", inner(payload, &ty.ok)?),
        (Value::Result(Err(payload)), Type::Result(ty)) => one("err", inner(payload, &ty.err)?),
        (Value::Map(entries), Type::Map(ty)) if matches!(ty.0, Type::String) => {
            let members = entries.iter().map(|(key, value)| match key {
                Value::String(key) => Some((key.to_string(), write(value, &ty.1)?)),
                _ => None,
            });
            Json::Object(members.collect::<Option<_>>()?)
        }
        (Value::Map(entries), Type::Map(ty)) => {
            let pairs = entries.iter().map(|(key, value)| {
                Some(Json::Array(vec![write(key, &ty.0)?, write(value, &ty.1)?]))
            });
            Json::Array(pairs.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn one(name: &str, payload: Json) -> Json {
    let mut members = Map::new();
    members.insert(name.to_owned(), payload);
    Json::Object(members)
}

fn write_float(number: f64) -> Json {
    match Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// By its own shortest text: `0.1`, not what the nearest float of 64 bits says.
fn write_f32(number: f32) -> Json {
    if !number.is_finite() {
        return write_float(number.into());
    }
    write_float(number.to_string().parse().unwrap_or_else(|_| number.into()))
}

/// A number as guests store it.
fn take(bytes: &[u8], ty: &Type) -> Option<Json> {
    Some(match ty {
        Type::S8 => i8::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::U8 => u8::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::S16 => i16::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::U16 => u16::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::S32 => i32::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::U32 => u32::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::S64 => i64::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::U64 => u64::from_le_bytes(bytes.try_into().ok()?).into(),
        Type::F32 => write_f32(f32::from_le_bytes(bytes.try_into().ok()?)),
        Type::F64 => write_float(f64::from_le_bytes(bytes.try_into().ok()?)),
        _ => return None,
    })
}
