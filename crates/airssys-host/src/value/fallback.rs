//! Values to and from `wasmtime::component::Val`.

use bytes::Bytes;
use wasmtime::component::{ResourceDynamic, Val};
use wasmtime::{AsContextMut, Result, bail, format_err};

use super::lift::host_resource;
use super::{Type, Value};

/// Makes the `Val` of a value of type `ty`.
pub(super) fn to_val(value: Value, ty: &Type, store: &mut impl AsContextMut) -> Result<Val> {
    let mut payload = |value: Option<Box<Value>>, ty: Option<&Type>| match (value, ty) {
        (Some(value), Some(ty)) => Ok(Some(Box::new(to_val(*value, ty, &mut *store)?))),
        (None, None) => Ok(None),
        _ => Err(format_err!(
            "a payload where the case has none, or none where it has one"
        )),
    };
    Ok(match (ty, value) {
        (Type::Bool, Value::Bool(value)) => Val::Bool(value),
        (Type::S8, Value::S8(value)) => Val::S8(value),
        (Type::U8, Value::U8(value)) => Val::U8(value),
        (Type::S16, Value::S16(value)) => Val::S16(value),
        (Type::U16, Value::U16(value)) => Val::U16(value),
        (Type::S32, Value::S32(value)) => Val::S32(value),
        (Type::U32, Value::U32(value)) => Val::U32(value),
        (Type::S64, Value::S64(value)) => Val::S64(value),
        (Type::U64, Value::U64(value)) => Val::U64(value),
        (Type::F32, Value::F32(value)) => Val::Float32(value),
        (Type::F64, Value::F64(value)) => Val::Float64(value),
        (Type::Char, Value::Char(value)) => Val::Char(value),
        (Type::String, Value::String(value)) => Val::String(value.into()),
        (Type::List(ty), value) => Val::List(items(value, ty, store)?),
        (Type::FixedList(ty, _), value) => Val::FixedLengthList(items(value, ty, store)?),
        (Type::Map(entry), Value::Map(entries)) => Val::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    Ok((
                        to_val(key, &entry.0, store)?,
                        to_val(value, &entry.1, store)?,
                    ))
                })
                .collect::<Result<_>>()?,
        ),
        (Type::Record(record), Value::Record(values)) => Val::Record(
            values
                .into_iter()
                .zip(&record.fields)
                .map(|(value, field)| {
                    Ok((field.name.to_string(), to_val(value, &field.ty, store)?))
                })
                .collect::<Result<_>>()?,
        ),
        (Type::Tuple(types), Value::Record(values)) => Val::Tuple(
            values
                .into_iter()
                .zip(types.iter())
                .map(|(value, ty)| to_val(value, ty, store))
                .collect::<Result<_>>()?,
        ),
        (Type::Variant(variant), Value::Variant(case, value)) => {
            let case = case_at(&variant.cases, case)?;
            Val::Variant(case.name.to_string(), payload(value, case.ty.as_ref())?)
        }
        (Type::Enum(ty), Value::Enum(case)) => Val::Enum(case_at(&ty.cases, case)?.to_string()),
        (Type::Option(ty), Value::Option(value)) => Val::Option(
            value
                .map(|value| to_val(*value, ty, store).map(Box::new))
                .transpose()?,
        ),
        (Type::Result(ty), Value::Result(value)) => Val::Result(match value {
            Ok(value) => Ok(payload(value, ty.ok.as_ref())?),
            Err(value) => Err(payload(value, ty.err.as_ref())?),
        }),
        (Type::Flags(ty), Value::Flags(bits)) => Val::Flags(
            (ty.flags.iter().enumerate())
                .filter(|(position, _)| bits >> position & 1 == 1)
                .map(|(_, name)| name.to_string())
                .collect(),
        ),
        (Type::Own(_) | Type::Borrow(_), Value::Resource(handle)) => Val::Resource(*handle),
        (Type::Own(_) | Type::Borrow(_), Value::HostResource { rep, kind, owned }) => {
            let resource = if owned {
                ResourceDynamic::new_own(rep, kind)
            } else {
                ResourceDynamic::new_borrow(rep, kind)
            };
            Val::Resource(resource.try_into_resource_any(store)?)
        }
        (Type::Future(_), Value::Future(future)) => Val::Future(*future),
        (Type::Stream(_), Value::Stream(stream)) => Val::Stream(*stream),
        (Type::ErrorContext, Value::ErrorContext(val)) => *val,
        (Type::Future(_) | Type::Stream(_), Value::Outgoing(_) | Value::Incoming(_)) => {
            bail!("streams and futures of the host cannot be used together with error-context")
        }
        (ty, value) => bail!("expected {ty}, got {value:?}"),
    })
}

/// Makes the value of a `Val` of type `ty`.
pub(super) fn from_val(val: Val, ty: &Type, store: &mut impl AsContextMut) -> Result<Value> {
    let mut payload = |val: Option<Box<Val>>, ty: Option<&Type>| match (val, ty) {
        (Some(val), Some(ty)) => Ok(Some(Box::new(from_val(*val, ty, &mut *store)?))),
        (None, None) => Ok(None),
        _ => Err(format_err!(
            "a payload where the case has none, or none where it has one"
        )),
    };
    Ok(match (ty, val) {
        (Type::Bool, Val::Bool(val)) => Value::Bool(val),
        (Type::S8, Val::S8(val)) => Value::S8(val),
        (Type::U8, Val::U8(val)) => Value::U8(val),
        (Type::S16, Val::S16(val)) => Value::S16(val),
        (Type::U16, Val::U16(val)) => Value::U16(val),
        (Type::S32, Val::S32(val)) => Value::S32(val),
        (Type::U32, Val::U32(val)) => Value::U32(val),
        (Type::S64, Val::S64(val)) => Value::S64(val),
        (Type::U64, Val::U64(val)) => Value::U64(val),
        (Type::F32, Val::Float32(val)) => Value::F32(val),
        (Type::F64, Val::Float64(val)) => Value::F64(val),
        (Type::Char, Val::Char(val)) => Value::Char(val),
        (Type::String, Val::String(val)) => Value::String(val.into()),
        (Type::List(ty), Val::List(vals))
        | (Type::FixedList(ty, _), Val::FixedLengthList(vals)) => {
            if let Some(size) = ty.number_size() {
                let mut bytes = Vec::with_capacity(vals.len() * size);
                vals.iter()
                    .try_for_each(|val| push_number(&mut bytes, val))?;
                return Ok(Value::Bytes(bytes.into()));
            }
            Value::List(
                vals.into_iter()
                    .map(|val| from_val(val, ty, store))
                    .collect::<Result<_>>()?,
            )
        }
        (Type::Map(entry), Val::Map(entries)) => Value::Map(
            entries
                .into_iter()
                .map(|(key, val)| {
                    Ok((
                        from_val(key, &entry.0, store)?,
                        from_val(val, &entry.1, store)?,
                    ))
                })
                .collect::<Result<_>>()?,
        ),
        (Type::Record(record), Val::Record(vals)) => Value::Record(
            vals.into_iter()
                .zip(&record.fields)
                .map(|((_, val), field)| from_val(val, &field.ty, store))
                .collect::<Result<_>>()?,
        ),
        (Type::Tuple(types), Val::Tuple(vals)) => Value::Record(
            vals.into_iter()
                .zip(types.iter())
                .map(|(val, ty)| from_val(val, ty, store))
                .collect::<Result<_>>()?,
        ),
        (Type::Variant(variant), Val::Variant(name, val)) => {
            let index = position(variant.cases.iter().map(|case| &*case.name), &name)?;
            Value::Variant(
                u32::try_from(index)?,
                payload(val, variant.cases[index].ty.as_ref())?,
            )
        }
        (Type::Enum(ty), Val::Enum(name)) => Value::Enum(u32::try_from(position(
            ty.cases.iter().map(|case| &**case),
            &name,
        )?)?),
        (Type::Option(ty), Val::Option(val)) => Value::Option(
            val.map(|val| from_val(*val, ty, store).map(Box::new))
                .transpose()?,
        ),
        (Type::Result(ty), Val::Result(val)) => Value::Result(match val {
            Ok(val) => Ok(payload(val, ty.ok.as_ref())?),
            Err(val) => Err(payload(val, ty.err.as_ref())?),
        }),
        (Type::Flags(ty), Val::Flags(names)) => {
            let mut bits = 0;
            for name in names {
                bits |= 1 << position(ty.flags.iter().map(|flag| &**flag), &name)?;
            }
            Value::Flags(bits)
        }
        (Type::Own(_) | Type::Borrow(_), Val::Resource(handle)) => {
            // Fails, without effect, for a resource that the embedder does not implement.
            match ResourceDynamic::try_from_resource_any(handle, store) {
                Ok(resource) => host_resource(&resource),
                Err(_) => Value::Resource(Box::new(handle)),
            }
        }
        (Type::Future(_), Val::Future(future)) => Value::Future(Box::new(future)),
        (Type::Stream(_), Val::Stream(stream)) => Value::Stream(Box::new(stream)),
        (Type::ErrorContext, val @ Val::ErrorContext(_)) => Value::ErrorContext(Box::new(val)),
        (ty, val) => bail!("expected {ty}, got {val:?}"),
    })
}

fn items(value: Value, ty: &Type, store: &mut impl AsContextMut) -> Result<Vec<Val>> {
    match value {
        Value::List(values) => values
            .into_iter()
            .map(|value| to_val(value, ty, store))
            .collect(),
        Value::Bytes(bytes) => numbers(&bytes, ty),
        value => bail!("expected a list of {ty}, got {value:?}"),
    }
}

fn numbers(bytes: &Bytes, ty: &Type) -> Result<Vec<Val>> {
    macro_rules! read {
        ($case:ident, $number:ty) => {{
            let (chunks, rest) = bytes.as_chunks();
            if !rest.is_empty() {
                bail!(
                    "{} bytes are no whole number of elements of {ty}",
                    bytes.len()
                );
            }
            Ok(chunks
                .iter()
                .map(|chunk| Val::$case(<$number>::from_le_bytes(*chunk)))
                .collect())
        }};
    }
    match ty {
        Type::S8 => read!(S8, i8),
        Type::U8 => read!(U8, u8),
        Type::S16 => read!(S16, i16),
        Type::U16 => read!(U16, u16),
        Type::S32 => read!(S32, i32),
        Type::U32 => read!(U32, u32),
        Type::S64 => read!(S64, i64),
        Type::U64 => read!(U64, u64),
        Type::F32 => read!(Float32, f32),
        Type::F64 => read!(Float64, f64),
        ty => bail!("expected a list of {ty}, got bytes"),
    }
}

fn push_number(bytes: &mut Vec<u8>, val: &Val) -> Result<()> {
    match val {
        Val::S8(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::U8(number) => bytes.push(*number),
        Val::S16(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::U16(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::S32(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::U32(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::S64(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::U64(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::Float32(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        Val::Float64(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        val => bail!("expected a number, got {val:?}"),
    }
    Ok(())
}

fn case_at<C>(cases: &[C], index: u32) -> Result<&C> {
    cases
        .get(index as usize)
        .ok_or_else(|| format_err!("there is no case {index} of {}", cases.len()))
}

fn position<'a>(mut names: impl Iterator<Item = &'a str>, name: &str) -> Result<usize> {
    names
        .position(|known| known == name)
        .ok_or_else(|| format_err!("there is no case `{name}`"))
}
