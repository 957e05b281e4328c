//! Values between Python and the host.
//!
//! A [`Signature`] is made once for each function; it holds a [`Converter`] for each parameter and
//! for the result, with the classes and interned names that they need. Conversions run user code
//! (`__index__`, `__iter__`, properties), so they run before a guest is entered and after it is left,
//! never while values are lowered or lifted.

mod carried;
mod classes;
mod converter;
mod from_python;
mod numbers;
mod place;
mod signature;
mod to_python;

use std::sync::Arc;

use airssys_host::value::{Type, Value};
use pyo3::prelude::*;

pub use carried::Carried;
pub use classes::Classes;
pub use converter::Converter;
pub use numbers::chunk as buffer;
pub use place::Place;
pub use signature::Signature;

/// What turns handles (resources, streams, futures) into Python objects and back: they belong to one
/// instance, unlike every other value.
pub trait Handles: Send + Sync {
    /// The value of a Python object, or `None` when it is no handle of type `ty`.
    ///
    /// # Errors
    /// When the handle cannot be used any more.
    fn from_python(&self, ty: &Type, object: &Bound<'_, PyAny>) -> PyResult<Option<Value>>;

    /// The Python object of a handle that the guest gave.
    ///
    /// # Errors
    /// When the object cannot be made.
    fn to_python<'py>(
        &self,
        py: Python<'py>,
        ty: &Type,
        handle: Value,
    ) -> PyResult<Bound<'py, PyAny>>;

    /// The stream or future that the guest reads from a Python object at `place`.
    ///
    /// # Errors
    /// When it is no iterable or awaitable, or cannot be given here.
    fn give(
        &self,
        carried: &Arc<Carried>,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
    ) -> PyResult<Value>;

    /// The Python object of a stream or future that the guest gave.
    ///
    /// # Errors
    /// When the object cannot be made here.
    fn receive<'py>(
        &self,
        py: Python<'py>,
        carried: &Arc<Carried>,
        value: Value,
    ) -> PyResult<Bound<'py, PyAny>>;
}
