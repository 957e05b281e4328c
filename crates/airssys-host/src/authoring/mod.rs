//! What authors of components need of the core: their WIT read, and a core module made a component.

mod componentise;
mod describe;
mod world;

pub use componentise::componentise;
pub use describe::{Wit, describe};
pub use world::{World, read_world};
