//! Storage as guests see it: `airssys:storage`, and `wasi:keyvalue` for components written for any host. Every
//! operation is decided by the gate; neither interface can name another namespace than the instance's own.

mod airssys;
mod keyvalue;
mod permit;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{HasData, Linker, ResourceTable};

use super::Namespace;
use crate::gate::Gate;

/// What one instance has of storage.
pub struct GuestStorage {
    pub(crate) gate: Arc<dyn Gate>,
    /// Whether the thread that polls may block in file operations.
    pub(crate) may_block: Arc<AtomicBool>,
    /// `None`: the instance was given no storage.
    pub(crate) namespace: Option<Namespace>,
}

/// What the implementations work on.
pub struct View<'a> {
    pub storage: &'a GuestStorage,
    pub table: &'a mut ResourceTable,
}

/// The data of a store whose guest may use storage.
pub trait HasStorage: Send + 'static {
    fn storage(&mut self) -> View<'_>;
}

struct Access;

impl HasData for Access {
    type Data<'a> = View<'a>;
}

const AIRSSYS: &[&str] = &[
    "airssys:storage/types",
    "airssys:storage/store",
    "airssys:storage/batch",
    "airssys:storage/compare-and-set",
    "airssys:storage/watch",
];

const KEYVALUE: &[&str] = &[
    "wasi:keyvalue/store",
    "wasi:keyvalue/atomics",
    "wasi:keyvalue/batch",
];

/// Whether [`add_to_linker`] links the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else {
        return false;
    };
    version.starts_with("1.") && AIRSSYS.contains(&interface)
        || version == "0.2.0-draft2" && KEYVALUE.contains(&interface)
}

/// Link both packages.
///
/// # Errors
/// When one of their interfaces is already defined in `linker`.
pub fn add_to_linker<T: HasStorage>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    airssys::add_to_linker(linker)?;
    keyvalue::add_to_linker(linker)
}
