//! Lowering: values into a guest, by the canonical ABI.
//!
//! Layouts come from the component's own type table (`LowerContext::types`), never from the caller,
//! and every write is bounds-checked, so a value of the wrong type is an error and nothing worse.

use std::mem::MaybeUninit;

use wasmtime::component::__internal::wasmtime_environ::component::VariantInfo;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lower, ResourceDynamic};
use wasmtime::{Result, ValRaw, bail, format_err};

use super::Value;

/// What the canonical ABI passes as core values at most; more go through memory.
pub(super) const MAX_FLAT_PARAMS: usize = 16;

/// A parameter list or a result on its way into a guest; `N` is how many core values wasmtime has
/// room for.
pub(super) struct Lowered<V, const N: usize>(pub V);

// SAFETY: `Lower` is an array of `ValRaw`. The size and the alignment of a value that is known only
// at run time cannot be stated here: they are stated as nothing, and `linear_lower_to_memory` takes
// the real ones from the component's type. Wasmtime reads `SIZE32` and `ALIGN32` of a type that is
// lowered in three places: to allocate the parameters (`TypedFunc::lower_heap_args`, only when
// `N > 16`, which never is), in lists of the type (it is never an element), and in payloads of
// variants (it never is one). Return areas are checked by the component's own type.
unsafe impl<V: AsRef<[Value]> + Send + Sync, const N: usize> ComponentType for Lowered<V, N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, _types: &InstanceType<'_>) -> Result<()> {
        match ty {
            InterfaceType::Tuple(_) => Ok(()),
            _ => bail!("expected the parameters or results of a function"),
        }
    }
}

// SAFETY: the list is checked value by value against the component's types when it is lowered.
unsafe impl<V: AsRef<[Value]> + Send + Sync, const N: usize> ComponentNamedList for Lowered<V, N> {}

// SAFETY: `linear_lower_to_flat` initialises one `ValRaw` for each core value of the tuple `ty`, or
// the one pointer that stands for them when there are more than 16; the trampoline reads as many,
// because both follow from the same type. An array that is too short is an error, not an overrun.
unsafe impl<V: AsRef<[Value]> + Send + Sync, const N: usize> Lower for Lowered<V, N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        // SAFETY: an array of uninitialised cells is itself initialised.
        let cells: &mut [MaybeUninit<ValRaw>; N] = unsafe { &mut *dst.as_mut_ptr().cast() };
        let mut dst = Cells(cells.iter_mut());
        let types = cx.types;
        let abi = types.canonical_abi(&ty);
        if abi.flat_count(MAX_FLAT_PARAMS).is_some() {
            return tuple_to_flat(cx, ty, self.0.as_ref(), &mut dst);
        }
        let pointer = cx.realloc(0, 0, abi.align32, usize::try_from(abi.size32)?)?;
        tuple_to_memory(cx, ty, self.0.as_ref(), pointer)?;
        dst.write(pointer_cell(pointer))
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        tuple_to_memory(cx, ty, self.0.as_ref(), offset)
    }
}

/// The core values still to be written.
struct Cells<'a>(std::slice::IterMut<'a, MaybeUninit<ValRaw>>);

impl Cells<'_> {
    fn write(&mut self, value: ValRaw) -> Result<()> {
        match self.0.next() {
            Some(cell) => {
                cell.write(value);
                Ok(())
            }
            None => bail!("a value flattens to more core values than its type"),
        }
    }

    fn pair(&mut self, (pointer, length): (usize, usize)) -> Result<()> {
        self.write(pointer_cell(pointer))?;
        self.write(pointer_cell(length))
    }
}

/// Pointers and lengths are written with 64 bits, the upper half zero in a 32-bit memory.
fn pointer_cell(pointer: usize) -> ValRaw {
    ValRaw::u64(pointer as u64)
}

fn members(cx: &LowerContext<'_, impl Sized>, ty: InterfaceType, values: &[Value]) -> Result<()> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(mismatch(ty));
    };
    let expected = cx.types[index].types.len();
    if expected != values.len() {
        bail!("expected {expected} values, got {}", values.len());
    }
    Ok(())
}

fn tuple_to_flat<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    values: &[Value],
    dst: &mut Cells<'_>,
) -> Result<()> {
    members(cx, ty, values)?;
    let InterfaceType::Tuple(index) = ty else {
        return Err(mismatch(ty));
    };
    let types = cx.types;
    for (value, ty) in values.iter().zip(&types[index].types) {
        to_flat(cx, *ty, value, dst)?;
    }
    Ok(())
}

fn tuple_to_memory<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    values: &[Value],
    mut offset: usize,
) -> Result<()> {
    members(cx, ty, values)?;
    let InterfaceType::Tuple(index) = ty else {
        return Err(mismatch(ty));
    };
    let types = cx.types;
    for (value, ty) in values.iter().zip(&types[index].types) {
        let at = types.canonical_abi(ty).next_field32_size(&mut offset);
        to_memory(cx, *ty, value, at)?;
    }
    Ok(())
}

/// A variant, option, result or enum about to be lowered.
struct Choice<'a> {
    case: u32,
    payload: Option<(&'a Value, InterfaceType)>,
    info: &'a VariantInfo,
    abi: &'a CanonicalAbiInfo,
}

fn payload(
    value: Option<&Value>,
    ty: Option<InterfaceType>,
) -> Result<Option<(&Value, InterfaceType)>> {
    match (value, ty) {
        (Some(value), Some(ty)) => Ok(Some((value, ty))),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("a case without payload was given one"),
        (None, Some(_)) => bail!("a case with payload was given none"),
    }
}

fn choice<'a, T>(
    cx: &LowerContext<'a, T>,
    ty: InterfaceType,
    value: &'a Value,
) -> Result<Option<Choice<'a>>> {
    let types = cx.types;
    Ok(Some(match (ty, value) {
        (InterfaceType::Variant(index), Value::Variant(case, value)) => {
            let ty = &types[index];
            let Some((_, case_ty)) = ty.cases.get_index(*case as usize) else {
                bail!("there is no case {case} of {}", ty.cases.len());
            };
            let payload = payload(value.as_deref(), *case_ty)?;
            Choice {
                case: *case,
                payload,
                info: &ty.info,
                abi: &ty.abi,
            }
        }
        (InterfaceType::Enum(index), Value::Enum(case)) => {
            let ty = &types[index];
            if *case as usize >= ty.names.len() {
                bail!("there is no case {case} of {}", ty.names.len());
            }
            Choice {
                case: *case,
                payload: None,
                info: &ty.info,
                abi: &ty.abi,
            }
        }
        (InterfaceType::Option(index), Value::Option(value)) => {
            let ty = &types[index];
            let payload = value.as_deref().map(|value| (value, ty.ty));
            Choice {
                case: u32::from(value.is_some()),
                payload,
                info: &ty.info,
                abi: &ty.abi,
            }
        }
        (InterfaceType::Result(index), Value::Result(value)) => {
            let ty = &types[index];
            let (case, payload) = match value {
                Ok(value) => (0, payload(value.as_deref(), ty.ok)?),
                Err(value) => (1, payload(value.as_deref(), ty.err)?),
            };
            Choice {
                case,
                payload,
                info: &ty.info,
                abi: &ty.abi,
            }
        }
        _ => return Ok(None),
    }))
}

fn to_flat<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
    dst: &mut Cells<'_>,
) -> Result<()> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::Bool, Value::Bool(value)) => dst.write(ValRaw::u32(u32::from(*value))),
        (InterfaceType::S8, Value::S8(value)) => dst.write(ValRaw::i32(i32::from(*value))),
        (InterfaceType::U8, Value::U8(value)) => dst.write(ValRaw::u32(u32::from(*value))),
        (InterfaceType::S16, Value::S16(value)) => dst.write(ValRaw::i32(i32::from(*value))),
        (InterfaceType::U16, Value::U16(value)) => dst.write(ValRaw::u32(u32::from(*value))),
        (InterfaceType::S32, Value::S32(value)) => dst.write(ValRaw::i32(*value)),
        (InterfaceType::U32, Value::U32(value)) => dst.write(ValRaw::u32(*value)),
        (InterfaceType::S64, Value::S64(value)) => dst.write(ValRaw::i64(*value)),
        (InterfaceType::U64, Value::U64(value)) => dst.write(ValRaw::u64(*value)),
        (InterfaceType::Float32, Value::F32(value)) => dst.write(ValRaw::f32(value.to_bits())),
        (InterfaceType::Float64, Value::F64(value)) => dst.write(ValRaw::f64(value.to_bits())),
        (InterfaceType::Char, Value::Char(value)) => dst.write(ValRaw::u32(u32::from(*value))),
        (InterfaceType::String, Value::String(value)) => {
            let mut cells = MaybeUninit::<[ValRaw; 2]>::uninit();
            value.linear_lower_to_flat(cx, ty, &mut cells)?;
            // SAFETY: lowering a string writes both cells when it succeeds.
            let [pointer, length] = unsafe { cells.assume_init() };
            dst.write(pointer)?;
            dst.write(length)
        }
        (InterfaceType::List(_) | InterfaceType::Map(_), _) => {
            let pair = list(cx, ty, value)?;
            dst.pair(pair)
        }
        (InterfaceType::Record(index), Value::Record(values)) => {
            let fields = &types[index].fields;
            same_length(fields.len(), values.len())?;
            for (value, field) in values.iter().zip(fields) {
                to_flat(cx, field.ty, value, dst)?;
            }
            Ok(())
        }
        (InterfaceType::Tuple(_), Value::Record(values)) => tuple_to_flat(cx, ty, values, dst),
        (InterfaceType::FixedLengthList(index), Value::List(values)) => {
            let ty = &types[index];
            same_length(ty.size as usize, values.len())?;
            values
                .iter()
                .try_for_each(|value| to_flat(cx, ty.element, value, dst))
        }
        (InterfaceType::FixedLengthList(index), Value::Bytes(bytes)) => {
            let ty = &types[index];
            let size = number_size(ty.element).ok_or_else(|| mismatch(ty.element))?;
            same_length(ty.size as usize * size, bytes.len())?;
            bytes
                .chunks_exact(size)
                .try_for_each(|number| dst.write(number_cell(ty.element, number)))
        }
        (InterfaceType::Flags(index), Value::Flags(bits)) => {
            dst.write(ValRaw::u32(known_flags(types[index].names.len(), *bits)?))
        }
        (
            InterfaceType::Variant(_)
            | InterfaceType::Enum(_)
            | InterfaceType::Option(_)
            | InterfaceType::Result(_),
            _,
        ) => {
            let Some(choice) = choice(cx, ty, value)? else {
                return Err(mismatch(ty));
            };
            dst.write(ValRaw::u32(choice.case))?;
            let mut written = 1;
            if let Some((value, ty)) = choice.payload {
                to_flat(cx, ty, value, dst)?;
                written += flat_count(types.canonical_abi(&ty))?;
            }
            // The cells that only other cases use are read too, whatever they hold.
            for _ in written..flat_count(choice.abi)? {
                dst.write(ValRaw::u64(0))?;
            }
            Ok(())
        }
        (
            InterfaceType::Own(_)
            | InterfaceType::Borrow(_)
            | InterfaceType::Future(_)
            | InterfaceType::Stream(_),
            _,
        ) => {
            let mut cell = MaybeUninit::uninit();
            match value {
                Value::Resource(handle) => handle.linear_lower_to_flat(cx, ty, &mut cell)?,
                Value::HostResource { rep, kind, owned } => {
                    host_resource(cx, ty, *rep, *kind, *owned)?
                        .linear_lower_to_flat(cx, ty, &mut cell)?;
                }
                Value::Future(future) => future.linear_lower_to_flat(cx, ty, &mut cell)?,
                Value::Stream(stream) => stream.linear_lower_to_flat(cx, ty, &mut cell)?,
                Value::Outgoing(source) if matches!(ty, InterfaceType::Stream(_)) => {
                    source
                        .stream(cx, ty)?
                        .linear_lower_to_flat(cx, ty, &mut cell)?;
                }
                Value::Outgoing(source) => {
                    source
                        .future(cx, ty)?
                        .linear_lower_to_flat(cx, ty, &mut cell)?;
                }
                _ => return Err(mismatch(ty)),
            }
            // SAFETY: each of these lowers to one cell, written when it succeeds.
            dst.write(unsafe { cell.assume_init() })
        }
        _ => Err(mismatch(ty)),
    }
}

pub(super) fn to_memory<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
    offset: usize,
) -> Result<()> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::Bool, Value::Bool(value)) => put(cx, offset, [u8::from(*value)]),
        (InterfaceType::S8, Value::S8(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::U8, Value::U8(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::S16, Value::S16(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::U16, Value::U16(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::S32, Value::S32(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::U32, Value::U32(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::S64, Value::S64(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::U64, Value::U64(value)) => put(cx, offset, value.to_le_bytes()),
        (InterfaceType::Float32, Value::F32(value)) => {
            put(cx, offset, value.to_bits().to_le_bytes())
        }
        (InterfaceType::Float64, Value::F64(value)) => {
            put(cx, offset, value.to_bits().to_le_bytes())
        }
        (InterfaceType::Char, Value::Char(value)) => {
            put(cx, offset, u32::from(*value).to_le_bytes())
        }
        (InterfaceType::String, Value::String(value)) => {
            value.linear_lower_to_memory(cx, ty, offset)
        }
        (InterfaceType::List(_) | InterfaceType::Map(_), _) => {
            let (pointer, length) = list(cx, ty, value)?;
            put(cx, offset, u32::try_from(pointer)?.to_le_bytes())?;
            put(cx, offset + 4, u32::try_from(length)?.to_le_bytes())
        }
        (InterfaceType::Record(index), Value::Record(values)) => {
            let fields = &types[index].fields;
            same_length(fields.len(), values.len())?;
            let mut offset = offset;
            for (value, field) in values.iter().zip(fields) {
                let at = types
                    .canonical_abi(&field.ty)
                    .next_field32_size(&mut offset);
                to_memory(cx, field.ty, value, at)?;
            }
            Ok(())
        }
        (InterfaceType::Tuple(_), Value::Record(values)) => tuple_to_memory(cx, ty, values, offset),
        (InterfaceType::FixedLengthList(index), Value::List(values)) => {
            let ty = &types[index];
            same_length(ty.size as usize, values.len())?;
            elements(cx, ty.element, values, offset)
        }
        (InterfaceType::FixedLengthList(index), Value::Bytes(bytes)) => {
            let ty = &types[index];
            let size = number_size(ty.element).ok_or_else(|| mismatch(ty.element))?;
            same_length(ty.size as usize * size, bytes.len())?;
            copy(cx, offset, bytes)
        }
        (InterfaceType::Flags(index), Value::Flags(bits)) => {
            let bits = known_flags(types[index].names.len(), *bits)?;
            match types[index].abi.size32 {
                1 => put(cx, offset, u8::try_from(bits)?.to_le_bytes()),
                2 => put(cx, offset, u16::try_from(bits)?.to_le_bytes()),
                _ => put(cx, offset, bits.to_le_bytes()),
            }
        }
        (
            InterfaceType::Variant(_)
            | InterfaceType::Enum(_)
            | InterfaceType::Option(_)
            | InterfaceType::Result(_),
            _,
        ) => {
            let Some(choice) = choice(cx, ty, value)? else {
                return Err(mismatch(ty));
            };
            match u32::from(choice.info.size) {
                1 => put(cx, offset, u8::try_from(choice.case)?.to_le_bytes())?,
                2 => put(cx, offset, u16::try_from(choice.case)?.to_le_bytes())?,
                _ => put(cx, offset, choice.case.to_le_bytes())?,
            }
            match choice.payload {
                Some((value, ty)) => to_memory(
                    cx,
                    ty,
                    value,
                    offset + choice.info.payload_offset32 as usize,
                ),
                None => Ok(()),
            }
        }
        (
            InterfaceType::Own(_)
            | InterfaceType::Borrow(_)
            | InterfaceType::Future(_)
            | InterfaceType::Stream(_),
            _,
        ) => match value {
            Value::Resource(handle) => handle.linear_lower_to_memory(cx, ty, offset),
            Value::HostResource { rep, kind, owned } => {
                host_resource(cx, ty, *rep, *kind, *owned)?.linear_lower_to_memory(cx, ty, offset)
            }
            Value::Future(future) => future.linear_lower_to_memory(cx, ty, offset),
            Value::Stream(stream) => stream.linear_lower_to_memory(cx, ty, offset),
            Value::Outgoing(source) if matches!(ty, InterfaceType::Stream(_)) => source
                .stream(cx, ty)?
                .linear_lower_to_memory(cx, ty, offset),
            Value::Outgoing(source) => source
                .future(cx, ty)?
                .linear_lower_to_memory(cx, ty, offset),
            _ => Err(mismatch(ty)),
        },
        _ => Err(mismatch(ty)),
    }
}

/// Copies a list or map into memory that the guest allocates; returns where it is and how long.
fn list<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
) -> Result<(usize, usize)> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::List(index), Value::Bytes(bytes)) => {
            let element = types[index].element;
            let size = number_size(element).ok_or_else(|| mismatch(element))?;
            if bytes.len() % size != 0 {
                bail!(
                    "{} bytes are no whole number of elements of {size} bytes",
                    bytes.len()
                );
            }
            let pointer = cx.realloc(0, 0, u32::try_from(size)?, bytes.len())?;
            copy(cx, pointer, bytes)?;
            Ok((pointer, bytes.len() / size))
        }
        (InterfaceType::List(index), Value::List(values)) => {
            let element = types[index].element;
            let abi = types.canonical_abi(&element);
            let size = area(values.len(), abi)?;
            let pointer = cx.realloc(0, 0, abi.align32, size)?;
            elements(cx, element, values, pointer)?;
            Ok((pointer, values.len()))
        }
        (InterfaceType::Map(index), Value::Map(entries)) => {
            let ty = &types[index];
            let size = area(entries.len(), &ty.entry_abi)?;
            let pointer = cx.realloc(0, 0, ty.entry_abi.align32, size)?;
            let mut at = pointer;
            for (key, value) in entries {
                to_memory(cx, ty.key, key, at)?;
                to_memory(cx, ty.value, value, at + ty.value_offset32 as usize)?;
                at += ty.entry_abi.size32 as usize;
            }
            Ok((pointer, entries.len()))
        }
        _ => Err(mismatch(ty)),
    }
}

fn area(length: usize, abi: &CanonicalAbiInfo) -> Result<usize> {
    length
        .checked_mul(abi.size32 as usize)
        .ok_or_else(|| format_err!("a list of {length} elements does not fit in memory"))
}

fn elements<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    values: &[Value],
    mut offset: usize,
) -> Result<()> {
    let size = cx.types.canonical_abi(&ty).size32 as usize;
    for value in values {
        to_memory(cx, ty, value, offset)?;
        offset += size;
    }
    Ok(())
}

fn put<T, const N: usize>(
    cx: &mut LowerContext<'_, T>,
    offset: usize,
    bytes: [u8; N],
) -> Result<()> {
    copy(cx, offset, &bytes)
}

#[inline]
fn copy<T>(cx: &mut LowerContext<'_, T>, offset: usize, bytes: &[u8]) -> Result<()> {
    let memory = cx.as_slice_mut();
    match memory
        .get_mut(offset..)
        .and_then(|memory| memory.get_mut(..bytes.len()))
    {
        Some(memory) => {
            memory.copy_from_slice(bytes);
            Ok(())
        }
        None => bail!("a value would lie outside of the guest's memory"),
    }
}

fn host_resource<T>(
    cx: &LowerContext<'_, T>,
    ty: InterfaceType,
    rep: u32,
    kind: u32,
    owned: bool,
) -> Result<ResourceDynamic> {
    // Checked here because wasmtime's own lowering of a host resource takes the type for granted.
    let (InterfaceType::Own(index) | InterfaceType::Borrow(index)) = ty else {
        return Err(mismatch(ty));
    };
    if cx.resource_type(index) != wasmtime::component::ResourceType::host_dynamic(kind) {
        bail!("mismatched resource types");
    }
    Ok(if owned {
        ResourceDynamic::new_own(rep, kind)
    } else {
        ResourceDynamic::new_borrow(rep, kind)
    })
}

fn known_flags(count: usize, bits: u32) -> Result<u32> {
    if bits & !flag_mask(count) == 0 {
        Ok(bits)
    } else {
        bail!("flags beyond the {count} of the type are set")
    }
}

/// The bits that stand for the `count` flags of a type.
pub(super) fn flag_mask(count: usize) -> u32 {
    if count >= 32 {
        u32::MAX
    } else {
        (1 << count) - 1
    }
}

/// The size in bytes of a number, of which lists are copied whole.
pub(super) fn number_size(ty: InterfaceType) -> Option<usize> {
    match ty {
        InterfaceType::S8 | InterfaceType::U8 => Some(1),
        InterfaceType::S16 | InterfaceType::U16 => Some(2),
        InterfaceType::S32 | InterfaceType::U32 | InterfaceType::Float32 => Some(4),
        InterfaceType::S64 | InterfaceType::U64 | InterfaceType::Float64 => Some(8),
        _ => None,
    }
}

fn number_cell(ty: InterfaceType, number: &[u8]) -> ValRaw {
    let mut wide = [0; 8];
    wide[..number.len()].copy_from_slice(number);
    let bits = u64::from_le_bytes(wide);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bytes are those of the narrow type"
    )]
    match ty {
        InterfaceType::S8 => ValRaw::i32(i32::from(bits as u8 as i8)),
        InterfaceType::S16 => ValRaw::i32(i32::from(bits as u16 as i16)),
        InterfaceType::S64 | InterfaceType::U64 => ValRaw::u64(bits),
        InterfaceType::Float64 => ValRaw::f64(bits),
        InterfaceType::Float32 => ValRaw::f32(bits as u32),
        _ => ValRaw::u32(bits as u32),
    }
}

pub(super) fn flat_count(abi: &CanonicalAbiInfo) -> Result<usize> {
    abi.flat_count(usize::MAX)
        .ok_or_else(|| format_err!("a type that is passed through memory was met flat"))
}

fn same_length(expected: usize, got: usize) -> Result<()> {
    if expected == got {
        Ok(())
    } else {
        bail!("expected {expected} members, got {got}")
    }
}

#[cold]
fn mismatch(ty: InterfaceType) -> wasmtime::Error {
    format_err!("a value does not have the type {ty:?} that it is passed as")
}
