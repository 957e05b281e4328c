//! Governed WASI, exercised by real guests.
//!
//! The guests are the crates of `components/`, built on first use.

#[path = "wasi/support.rs"]
mod support;

#[path = "wasi/files.rs"]
mod files;
#[path = "wasi/linked.rs"]
mod linked;
