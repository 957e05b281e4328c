//! Lifting: values out of a guest, by the canonical ABI.
//!
//! As in wasmtime's own lifting, every pointer of the guest is checked for bounds and alignment and
//! every allocation on its behalf is charged to the store's hostcall fuel before it is made.

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime::component::{
    ComponentNamedList, ComponentType, FutureAny, Lift, ResourceAny, ResourceDynamic, StreamAny,
};
use wasmtime::{Result, ValRaw, bail, format_err};

use super::lower::{MAX_FLAT_PARAMS, flag_mask, flat_count, number_size};
use super::{Value, pool};

/// `N` of a list that does not fit in 16 core values.
pub(super) const IN_MEMORY: usize = MAX_FLAT_PARAMS + 1;

/// A parameter list (`Vec`) or a result (`Option`) on its way out of a guest, which flattens to
/// exactly `N` core values, or to more than 16 when `N` is [`IN_MEMORY`].
pub(super) struct Lifted<C, const N: usize>(pub C);

/// What lifted values are collected in.
pub(super) trait Collect: Default + Send + Sync {
    fn reserve(&mut self, count: usize);
    fn add(&mut self, value: Value);
}

impl Collect for Vec<Value> {
    fn reserve(&mut self, count: usize) {
        self.reserve_exact(count);
    }

    fn add(&mut self, value: Value) {
        self.push(value);
    }
}

impl Collect for Option<Value> {
    fn reserve(&mut self, _count: usize) {}

    fn add(&mut self, value: Value) {
        *self = Some(value);
    }
}

// SAFETY: `Lower` is an array of `ValRaw`, as long as the flat form of the type, which `typecheck`
// holds. The size and the alignment of a value that is known only at run time cannot be stated here:
// they are stated as nothing, and `linear_lift_from_memory` takes the real ones from the component's
// type and checks them against the memory itself.
unsafe impl<C: Collect, const N: usize> ComponentType for Lifted<C, N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        let InterfaceType::Tuple(_) = ty else {
            bail!("expected the parameters or results of a function")
        };
        let flat = types
            .types
            .canonical_abi(ty)
            .flat_count(MAX_FLAT_PARAMS)
            .unwrap_or(IN_MEMORY);
        if flat == N {
            Ok(())
        } else {
            bail!("expected a type of {N} core values, found one of {flat}")
        }
    }
}

// SAFETY: `typecheck` accepts only tuples, and lifting reads their members by the component's types.
unsafe impl<C: Collect, const N: usize> ComponentNamedList for Lifted<C, N> {}

// SAFETY: no value is made from unchecked memory: each leaf is lifted by wasmtime's own
// implementation or copied out of a checked range as plain bytes.
unsafe impl<C: Collect, const N: usize> Lift for Lifted<C, N> {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        src: &Self::Lower,
    ) -> Result<Self> {
        let InterfaceType::Tuple(index) = ty else {
            return Err(mismatch(ty));
        };
        let types = cx.types;
        let members = &types[index].types;
        let mut cells = Cells(src.iter());
        let mut values = C::default();
        values.reserve(members.len());
        for ty in members {
            values.add(from_flat(cx, *ty, &mut cells)?);
        }
        Ok(Self(values))
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let InterfaceType::Tuple(index) = ty else {
            return Err(mismatch(ty));
        };
        let types = cx.types;
        // The slice has the stated length, which is zero, at the address of the value.
        let offset = (bytes.as_ptr() as usize).wrapping_sub(cx.memory().as_ptr() as usize);
        let abi = &types[index].abi;
        aligned(offset, abi.align32)?;
        let bytes = range(cx, offset, abi.size32 as usize)?;
        let members = &types[index].types;
        let mut values = C::default();
        values.reserve(members.len());
        let mut offset = 0;
        for ty in members {
            let bytes = field(types.canonical_abi(ty), &mut offset, bytes);
            values.add(from_memory(cx, *ty, bytes)?);
        }
        Ok(Self(values))
    }
}

/// The core values still to be read.
struct Cells<'a>(std::slice::Iter<'a, ValRaw>);

impl<'a> Cells<'a> {
    fn next(&mut self) -> Result<&'a ValRaw> {
        self.0
            .next()
            .ok_or_else(|| format_err!("a type flattens to more core values than were given"))
    }

    fn pair(&mut self) -> Result<(usize, usize)> {
        let pointer = self.next()?.get_u32() as usize;
        Ok((pointer, self.next()?.get_u32() as usize))
    }
}

fn from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &mut Cells<'_>) -> Result<Value> {
    let types = cx.types;
    Ok(match ty {
        InterfaceType::Bool => Value::Bool(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::S8 => Value::S8(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::U8 => Value::U8(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::S16 => Value::S16(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::U16 => Value::U16(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::S32 => Value::S32(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::U32 => Value::U32(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::S64 => Value::S64(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::U64 => Value::U64(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::Float32 => Value::F32(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::Float64 => Value::F64(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::Char => Value::Char(<_>::linear_lift_from_flat(cx, ty, src.next()?)?),
        InterfaceType::String => {
            let cells = [*src.next()?, *src.next()?];
            Value::String(Box::<str>::linear_lift_from_flat(cx, ty, &cells)?)
        }
        InterfaceType::List(_) | InterfaceType::Map(_) => {
            let (pointer, length) = src.pair()?;
            list(cx, ty, pointer, length)?
        }
        InterfaceType::Record(index) => {
            let fields = &types[index].fields;
            let mut values = allocate(cx, fields.len())?;
            for field in fields {
                values.push(from_flat(cx, field.ty, src)?);
            }
            Value::Record(values)
        }
        InterfaceType::Tuple(index) => {
            let members = &types[index].types;
            let mut values = allocate(cx, members.len())?;
            for ty in members {
                values.push(from_flat(cx, *ty, src)?);
            }
            Value::Record(values)
        }
        InterfaceType::FixedLengthList(index) => {
            let (element, length) = (types[index].element, types[index].size as usize);
            if let Some(size) = number_size(element) {
                cx.consume_fuel_array(length, size)?;
                let mut bytes = Vec::with_capacity(length * size);
                for _ in 0..length {
                    bytes.extend_from_slice(&src.next()?.get_u64().to_le_bytes()[..size]);
                }
                return Ok(Value::Bytes(bytes.into()));
            }
            let mut values = allocate(cx, length)?;
            for _ in 0..length {
                values.push(from_flat(cx, element, src)?);
            }
            Value::List(values)
        }
        InterfaceType::Flags(index) => {
            Value::Flags(src.next()?.get_u32() & flag_mask(types[index].names.len()))
        }
        InterfaceType::Variant(_)
        | InterfaceType::Enum(_)
        | InterfaceType::Option(_)
        | InterfaceType::Result(_) => {
            let abi = types.canonical_abi(&ty);
            let case = src.next()?.get_u32();
            let mut read = 1;
            let payload = match case_type(cx, ty, case)? {
                Some(ty) => {
                    cx.consume_fuel(size_of::<Value>())?;
                    read += flat_count(types.canonical_abi(&ty))?;
                    Some(Box::new(from_flat(cx, ty, src)?))
                }
                None => None,
            };
            for _ in read..flat_count(abi)? {
                src.next()?;
            }
            chosen(ty, case, payload)
        }
        InterfaceType::Own(_) | InterfaceType::Borrow(_) => {
            let cell = src.next()?;
            if is_embedders(cx, ty) {
                host_resource(&ResourceDynamic::linear_lift_from_flat(cx, ty, cell)?)
            } else {
                Value::Resource(Box::new(ResourceAny::linear_lift_from_flat(cx, ty, cell)?))
            }
        }
        InterfaceType::Future(_) => Value::Future(Box::new(FutureAny::linear_lift_from_flat(
            cx,
            ty,
            src.next()?,
        )?)),
        InterfaceType::Stream(_) => Value::Stream(Box::new(StreamAny::linear_lift_from_flat(
            cx,
            ty,
            src.next()?,
        )?)),
        InterfaceType::ErrorContext(_) => return Err(mismatch(ty)),
    })
}

/// Lifts from `bytes`, which are exactly the value's own bytes in the guest's memory.
pub(super) fn from_memory(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    bytes: &[u8],
) -> Result<Value> {
    let types = cx.types;
    Ok(match ty {
        InterfaceType::Bool => Value::Bool(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S8 => Value::S8(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U8 => Value::U8(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S16 => Value::S16(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U16 => Value::U16(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S32 => Value::S32(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U32 => Value::U32(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S64 => Value::S64(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U64 => Value::U64(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::Float32 => Value::F32(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::Float64 => Value::F64(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::Char => Value::Char(<_>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::String => Value::String(Box::<str>::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::List(_) | InterfaceType::Map(_) => {
            let (pointer, length) = (word(bytes, 0)? as usize, word(bytes, 4)? as usize);
            list(cx, ty, pointer, length)?
        }
        InterfaceType::Record(index) => {
            let fields = &types[index].fields;
            let mut values = allocate(cx, fields.len())?;
            let mut offset = 0;
            for member in fields {
                let bytes = field(types.canonical_abi(&member.ty), &mut offset, bytes);
                values.push(from_memory(cx, member.ty, bytes)?);
            }
            Value::Record(values)
        }
        InterfaceType::Tuple(index) => {
            let members = &types[index].types;
            let mut values = allocate(cx, members.len())?;
            let mut offset = 0;
            for ty in members {
                let bytes = field(types.canonical_abi(ty), &mut offset, bytes);
                values.push(from_memory(cx, *ty, bytes)?);
            }
            Value::Record(values)
        }
        InterfaceType::FixedLengthList(index) => elements(cx, types[index].element, bytes)?,
        InterfaceType::Flags(index) => {
            let bits = match bytes {
                [byte] => u32::from(*byte),
                [low, high] => u32::from(u16::from_le_bytes([*low, *high])),
                _ => word(bytes, 0)?,
            };
            Value::Flags(bits & flag_mask(types[index].names.len()))
        }
        InterfaceType::Variant(_)
        | InterfaceType::Enum(_)
        | InterfaceType::Option(_)
        | InterfaceType::Result(_) => {
            let info = match ty {
                InterfaceType::Variant(index) => &types[index].info,
                InterfaceType::Enum(index) => &types[index].info,
                InterfaceType::Option(index) => &types[index].info,
                InterfaceType::Result(index) => &types[index].info,
                _ => return Err(mismatch(ty)),
            };
            let case = match (u32::from(info.size), bytes) {
                (1, [byte, ..]) => u32::from(*byte),
                (2, [low, high, ..]) => u32::from(u16::from_le_bytes([*low, *high])),
                _ => word(bytes, 0)?,
            };
            let payload = match case_type(cx, ty, case)? {
                Some(ty) => {
                    cx.consume_fuel(size_of::<Value>())?;
                    let size = types.canonical_abi(&ty).size32 as usize;
                    let bytes = &bytes[info.payload_offset32 as usize..][..size];
                    Some(Box::new(from_memory(cx, ty, bytes)?))
                }
                None => None,
            };
            chosen(ty, case, payload)
        }
        InterfaceType::Own(_) | InterfaceType::Borrow(_) => {
            if is_embedders(cx, ty) {
                host_resource(&ResourceDynamic::linear_lift_from_memory(cx, ty, bytes)?)
            } else {
                Value::Resource(Box::new(ResourceAny::linear_lift_from_memory(
                    cx, ty, bytes,
                )?))
            }
        }
        InterfaceType::Future(_) => {
            Value::Future(Box::new(FutureAny::linear_lift_from_memory(cx, ty, bytes)?))
        }
        InterfaceType::Stream(_) => {
            Value::Stream(Box::new(StreamAny::linear_lift_from_memory(cx, ty, bytes)?))
        }
        InterfaceType::ErrorContext(_) => return Err(mismatch(ty)),
    })
}

fn list(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    pointer: usize,
    length: usize,
) -> Result<Value> {
    let types = cx.types;
    match ty {
        InterfaceType::List(index) => {
            let element = types[index].element;
            let bytes = area(cx, types.canonical_abi(&element), pointer, length)?;
            if types.canonical_abi(&element).size32 == 0 {
                bail!("a list of elements without size");
            }
            elements(cx, element, bytes)
        }
        InterfaceType::Map(index) => {
            let ty = &types[index];
            let bytes = area(cx, &ty.entry_abi, pointer, length)?;
            cx.consume_fuel_array(length, size_of::<(Value, Value)>())?;
            let (key_size, value_size) = (
                types.canonical_abi(&ty.key).size32 as usize,
                types.canonical_abi(&ty.value).size32 as usize,
            );
            let mut entries = Vec::with_capacity(length);
            for entry in bytes.chunks_exact(ty.entry_abi.size32 as usize) {
                let key = from_memory(cx, ty.key, &entry[..key_size])?;
                let value = &entry[ty.value_offset32 as usize..][..value_size];
                entries.push((key, from_memory(cx, ty.value, value)?));
            }
            Ok(Value::Map(entries))
        }
        _ => Err(mismatch(ty)),
    }
}

/// The elements that lie back to back in `bytes`.
fn elements(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Value> {
    if number_size(ty).is_some() {
        cx.consume_fuel(bytes.len())?;
        return Ok(Value::Bytes(pool::copy(bytes)));
    }
    let size = cx.types.canonical_abi(&ty).size32 as usize;
    let mut values = allocate(cx, bytes.len() / size)?;
    for bytes in bytes.chunks_exact(size) {
        values.push(from_memory(cx, ty, bytes)?);
    }
    Ok(Value::List(values))
}

/// The memory of a list, checked before anything is allocated for it.
fn area<'a>(
    cx: &LiftContext<'a>,
    abi: &CanonicalAbiInfo,
    pointer: usize,
    length: usize,
) -> Result<&'a [u8]> {
    aligned(pointer, abi.align32)?;
    let Some(size) = length.checked_mul(abi.size32 as usize) else {
        bail!("a list of {length} elements does not fit in memory");
    };
    range(cx, pointer, size)
}

pub(super) fn aligned(pointer: usize, align: u32) -> Result<()> {
    if pointer.is_multiple_of(align as usize) {
        Ok(())
    } else {
        bail!("a pointer of the guest is not aligned")
    }
}

pub(super) fn range<'a>(cx: &LiftContext<'a>, pointer: usize, size: usize) -> Result<&'a [u8]> {
    cx.memory()
        .get(pointer..)
        .and_then(|memory| memory.get(..size))
        .ok_or_else(|| format_err!("a pointer of the guest is out of bounds of its memory"))
}

fn field<'a>(abi: &CanonicalAbiInfo, offset: &mut u32, bytes: &'a [u8]) -> &'a [u8] {
    &bytes[abi.next_field32(offset) as usize..][..abi.size32 as usize]
}

fn word(bytes: &[u8], offset: usize) -> Result<u32> {
    match bytes
        .get(offset..offset + 4)
        .and_then(|bytes| bytes.first_chunk())
    {
        Some(bytes) => Ok(u32::from_le_bytes(*bytes)),
        None => bail!("a value is shorter than its type"),
    }
}

fn allocate(cx: &mut LiftContext<'_>, count: usize) -> Result<Vec<Value>> {
    cx.consume_fuel_array(count, size_of::<Value>())?;
    Ok(Vec::with_capacity(count))
}

fn case_type(cx: &LiftContext<'_>, ty: InterfaceType, case: u32) -> Result<Option<InterfaceType>> {
    let types = cx.types;
    let index = case as usize;
    let (found, count) = match ty {
        InterfaceType::Variant(ty) => (
            types[ty].cases.get_index(index).map(|(_, ty)| *ty),
            types[ty].cases.len(),
        ),
        InterfaceType::Enum(ty) => (
            (index < types[ty].names.len()).then_some(None),
            types[ty].names.len(),
        ),
        InterfaceType::Option(ty) => ([None, Some(types[ty].ty)].get(index).copied(), 2),
        InterfaceType::Result(ty) => ([types[ty].ok, types[ty].err].get(index).copied(), 2),
        _ => return Err(mismatch(ty)),
    };
    found.ok_or_else(|| format_err!("discriminant {case} out of range [0..{count})"))
}

fn chosen(ty: InterfaceType, case: u32, payload: Option<Box<Value>>) -> Value {
    match ty {
        InterfaceType::Enum(_) => Value::Enum(case),
        InterfaceType::Option(_) => Value::Option(payload),
        InterfaceType::Result(_) if case == 0 => Value::Result(Ok(payload)),
        InterfaceType::Result(_) => Value::Result(Err(payload)),
        _ => Value::Variant(case, payload),
    }
}

/// Whether the embedder implements this resource type, so that it has a `rep` rather than a handle.
fn is_embedders(cx: &LiftContext<'_>, ty: InterfaceType) -> bool {
    ResourceDynamic::typecheck(&ty, &cx.instance_type()).is_ok()
}

pub(super) fn host_resource(resource: &ResourceDynamic) -> Value {
    Value::HostResource {
        rep: resource.rep(),
        kind: resource.ty(),
        owned: resource.owned(),
    }
}

#[cold]
fn mismatch(ty: InterfaceType) -> wasmtime::Error {
    format_err!("the type {ty:?} cannot be lifted here")
}
