//! Numbers, and lists of them, which cross as their bytes.

use airssys_host::value::Value;
use bytes::Bytes;
use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyInt, PyList, PyMemoryView};
use pyo3::{IntoPyObjectExt, ffi};

use super::converter::{Integer, Number};
use super::place::Place;

/// From this size on a `bytes` argument is borrowed rather than copied; below, a copy costs less than
/// the bookkeeping.
const BORROWED_FROM: usize = 8 * 1024;

/// A Python integer.
pub(super) enum Whole {
    Signed(i64),
    /// Above `i64::MAX`.
    Large(u64),
    Outside,
}

pub(super) fn whole(
    object: &Bound<'_, PyAny>,
    expected: &str,
    place: &Place<'_>,
) -> PyResult<Whole> {
    let py = object.py();
    if !object.is_instance_of::<PyInt>() {
        // SAFETY: the object is alive and the thread is attached; the result is owned by us.
        let index =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyNumber_Index(object.as_ptr())) };
        return match index {
            Ok(index) => whole(&index, expected, place),
            Err(error) if error.is_instance_of::<PyTypeError>(py) => {
                Err(place.wrong_type(expected, object))
            }
            Err(error) => Err(place.note(py, error)),
        };
    }
    if object.is_exact_instance_of::<PyBool>() {
        return Err(place.wrong_type(expected, object));
    }
    let mut overflow = 0;
    // SAFETY: the object is an integer, so neither call runs user code; the first never fails.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow) };
    Ok(match overflow {
        0 => Whole::Signed(value),
        1 => {
            // SAFETY: as above.
            let value = unsafe { ffi::PyLong_AsUnsignedLongLong(object.as_ptr()) };
            match PyErr::take(py) {
                None => Whole::Large(value),
                Some(error) if error.is_instance_of::<PyOverflowError>(py) => Whole::Outside,
                Some(error) => return Err(error),
            }
        }
        _ => Whole::Outside,
    })
}

macro_rules! narrow {
    ($object:expr, $place:expr, $name:literal, $number:ty) => {
        match whole($object, $name, $place)? {
            Whole::Signed(value) => <$number>::try_from(value).ok(),
            Whole::Large(value) => <$number>::try_from(value).ok(),
            Whole::Outside => None,
        }
        .ok_or_else(|| $place.wrong_value($name, $object))
    };
}

pub(super) fn integer(
    width: Integer,
    object: &Bound<'_, PyAny>,
    place: &Place<'_>,
) -> PyResult<Value> {
    Ok(match width {
        Integer::S8 => Value::S8(narrow!(object, place, "s8", i8)?),
        Integer::U8 => Value::U8(narrow!(object, place, "u8", u8)?),
        Integer::S16 => Value::S16(narrow!(object, place, "s16", i16)?),
        Integer::U16 => Value::U16(narrow!(object, place, "u16", u16)?),
        Integer::S32 => Value::S32(narrow!(object, place, "s32", i32)?),
        Integer::U32 => Value::U32(narrow!(object, place, "u32", u32)?),
        Integer::S64 => Value::S64(narrow!(object, place, "s64", i64)?),
        Integer::U64 => Value::U64(narrow!(object, place, "u64", u64)?),
    })
}

pub(super) fn f64(object: &Bound<'_, PyAny>, expected: &str, place: &Place<'_>) -> PyResult<f64> {
    let py = object.py();
    if object.is_exact_instance_of::<PyBool>() {
        return Err(place.wrong_type(expected, object));
    }
    // SAFETY: the object is alive and the thread is attached.
    let value = unsafe { ffi::PyFloat_AsDouble(object.as_ptr()) };
    #[expect(
        clippy::float_cmp,
        reason = "-1.0 exactly is the sign of a possible error"
    )]
    if value == -1.0
        && let Some(error) = PyErr::take(py)
    {
        return Err(if error.is_instance_of::<PyTypeError>(py) {
            place.wrong_type(expected, object)
        } else if error.is_instance_of::<PyOverflowError>(py) {
            place.wrong_value(expected, object)
        } else {
            place.note(py, error)
        });
    }
    Ok(value)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is the conversion"
)]
pub(super) fn f32(object: &Bound<'_, PyAny>, place: &Place<'_>) -> PyResult<f32> {
    let value = f64(object, "f32", place)?;
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        return Err(place.wrong_value("f32", object));
    }
    Ok(narrow)
}

/// The bytes of a `bytes` object, kept alive as long as they are used.
struct Borrowed {
    owner: Py<PyBytes>,
    start: *const u8,
    length: usize,
}

// SAFETY: `start` points into `owner`, an immutable object that lives as long as this does and may be
// referenced from any thread; dropping `owner` on a thread that is not attached is deferred by pyo3.
unsafe impl Send for Borrowed {}

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        let _alive = &self.owner;
        // SAFETY: see `Send`; the content of a `bytes` object never moves or changes.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

/// The content of a `bytes` object: borrowed when it is large.
pub(super) fn bytes(object: &Bound<'_, PyBytes>) -> Bytes {
    let content = object.as_bytes();
    if content.len() < BORROWED_FROM {
        return Bytes::copy_from_slice(content);
    }
    Bytes::from_owner(Borrowed {
        owner: object.clone().unbind(),
        start: content.as_ptr(),
        length: content.len(),
    })
}

/// The content of an object with a buffer; `None` when it has none.
///
/// # Errors
/// What the object's own code raises.
pub fn chunk(object: &Bound<'_, PyAny>) -> PyResult<Option<Bytes>> {
    Number::Integer(Integer::U8).buffer(object)
}

impl Number {
    fn size(self) -> usize {
        match self {
            Self::Integer(Integer::S8 | Integer::U8) => 1,
            Self::Integer(Integer::S16 | Integer::U16) => 2,
            Self::Integer(Integer::S32 | Integer::U32) | Self::F32 => 4,
            Self::Integer(Integer::S64 | Integer::U64) | Self::F64 => 8,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Integer(width) => width.name(),
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Whether a buffer's elements are these numbers as a guest stores them.
    fn is(self, buffer: &PyUntypedBuffer) -> bool {
        let native = match buffer.format().to_bytes() {
            [b'>' | b'!', ..] => cfg!(target_endian = "big"),
            [b'<', ..] => cfg!(target_endian = "little"),
            _ => true,
        };
        let size = self.size();
        native
            && buffer.item_size() == size
            && match ElementType::from_format(buffer.format()) {
                ElementType::SignedInteger { bytes } => {
                    bytes == size
                        && matches!(
                            self,
                            Self::Integer(Integer::S8 | Integer::S16 | Integer::S32 | Integer::S64)
                        )
                }
                ElementType::UnsignedInteger { bytes } => {
                    bytes == size
                        && matches!(
                            self,
                            Self::Integer(Integer::U8 | Integer::U16 | Integer::U32 | Integer::U64)
                        )
                }
                ElementType::Float { bytes } => {
                    bytes == size && matches!(self, Self::F32 | Self::F64)
                }
                ElementType::Bool | ElementType::Unknown => false,
            }
    }

    /// The content of an object with a buffer of such numbers; `None` when it has none.
    pub(super) fn buffer(self, object: &Bound<'_, PyAny>) -> PyResult<Option<Bytes>> {
        if self == Self::Integer(Integer::U8) {
            if let Ok(object) = object.cast_exact::<PyBytes>() {
                return Ok(Some(bytes(object)));
            }
            if let Ok(object) = object.cast_exact::<PyByteArray>() {
                return Ok(Some(object.to_vec().into()));
            }
        }
        // SAFETY: the object is alive and the thread is attached.
        if unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } == 0 {
            return Ok(None);
        }
        let buffer = PyUntypedBuffer::get(object)?;
        // Whatever has a buffer is a sequence of bytes to a `list<u8>`.
        if self != Self::Integer(Integer::U8) && !self.is(&buffer) {
            return Ok(None);
        }
        if cfg!(target_endian = "little") && buffer.is_c_contiguous() {
            // SAFETY: the exporter keeps `len_bytes` bytes at `buf_ptr` as long as `buffer` lives. Other
            // threads may write to them meanwhile only by breaking the rules of the buffer protocol
            // while this thread is attached.
            let content = unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes())
            };
            return Ok(Some(Bytes::copy_from_slice(content)));
        }
        drop(buffer);
        let copy = PyMemoryView::from(object)?.call_method0("tobytes")?;
        Ok(Some(Bytes::copy_from_slice(
            copy.cast::<PyBytes>()?.as_bytes(),
        )))
    }

    /// Converts one element and appends its bytes.
    pub(super) fn push(
        self,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
        out: &mut Vec<u8>,
    ) -> PyResult<()> {
        match self {
            Self::F32 => out.extend_from_slice(&f32(object, place)?.to_le_bytes()),
            Self::F64 => out.extend_from_slice(&f64(object, "f64", place)?.to_le_bytes()),
            Self::Integer(width) => match integer(width, object, place)? {
                Value::S8(value) => out.extend_from_slice(&value.to_le_bytes()),
                Value::U8(value) => out.push(value),
                Value::S16(value) => out.extend_from_slice(&value.to_le_bytes()),
                Value::U16(value) => out.extend_from_slice(&value.to_le_bytes()),
                Value::S32(value) => out.extend_from_slice(&value.to_le_bytes()),
                Value::U32(value) => out.extend_from_slice(&value.to_le_bytes()),
                Value::S64(value) => out.extend_from_slice(&value.to_le_bytes()),
                Value::U64(value) => out.extend_from_slice(&value.to_le_bytes()),
                _ => unreachable!("`integer` makes integers"),
            },
        }
        Ok(())
    }

    /// The Python list of numbers, or `bytes` for `u8`.
    pub(super) fn list<'py>(self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        macro_rules! list {
            ($number:ty) => {
                PyList::new(
                    py,
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|chunk| <$number>::from_le_bytes(*chunk)),
                )?
                .into_bound_py_any(py)
            };
        }
        match self {
            Self::Integer(Integer::U8) => Ok(PyBytes::new(py, bytes).into_any()),
            Self::Integer(Integer::S8) => list!(i8),
            Self::Integer(Integer::S16) => list!(i16),
            Self::Integer(Integer::U16) => list!(u16),
            Self::Integer(Integer::S32) => list!(i32),
            Self::Integer(Integer::U32) => list!(u32),
            Self::Integer(Integer::S64) => list!(i64),
            Self::Integer(Integer::U64) => list!(u64),
            Self::F32 => list!(f32),
            Self::F64 => list!(f64),
        }
    }

    /// How many elements `bytes` hold.
    pub(super) fn count(self, bytes: &[u8]) -> usize {
        bytes.len() / self.size()
    }
}
