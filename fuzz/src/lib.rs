//! What the fuzz targets do with an input.

pub mod bodies;
