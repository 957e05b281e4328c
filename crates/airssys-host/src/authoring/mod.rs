//! What authors of components need of the core: their WIT read, bindings for C made of it, and a core module
//! made a component.

mod c_bindings;
mod componentise;
mod describe;
mod world;

pub use c_bindings::c_bindings;
pub use componentise::componentise;
pub use describe::{Wit, describe};
pub use world::{World, read_world};
