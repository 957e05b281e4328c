//! What a stream or a future carries.

use airssys_host::value::{Type, Value};
use pyo3::prelude::*;

use super::from_python::unit_or;
use super::to_python::payload;
use super::{Converter, Handles, Place};

/// The type of a stream or a future, and how its items are converted.
pub struct Carried {
    pub ty: Type,
    pub(super) element: Option<Converter>,
}

impl Carried {
    /// Whether this is a `stream<u8>`, whose items cross in chunks.
    #[must_use]
    pub fn of_bytes(&self) -> bool {
        matches!(&self.ty, Type::Stream(Some(element)) if matches!(**element, Type::U8))
    }

    /// The item that `object` at `place` is.
    ///
    /// # Errors
    /// What [`Converter::from_python`] raises.
    pub fn item(
        &self,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
        handles: &dyn Handles,
    ) -> PyResult<Value> {
        let item = unit_or(self.element.as_ref(), object, place, handles)?;
        Ok(item.map_or(Value::UNIT, |item| *item))
    }

    /// The Python object of an item: of a `stream<u8>` a chunk.
    ///
    /// # Errors
    /// What [`Converter::to_python`] raises.
    pub fn object<'py>(
        &self,
        py: Python<'py>,
        item: Value,
        handles: &dyn Handles,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let (true, Value::Bytes(chunk)) = (self.of_bytes(), &item) {
            return Ok(pyo3::types::PyBytes::new(py, chunk).into_any());
        }
        payload(py, self.element.as_ref(), Some(Box::new(item)), handles)
    }
}
