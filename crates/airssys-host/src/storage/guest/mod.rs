//! Storage as guests see it: `airssys:storage`, and `wasi:keyvalue` for components written for any host. Every
//! operation is decided by the gate; neither interface can name another namespace than the instance's own.

mod airssys;
mod keyvalue;
mod permit;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{HasData, Linker, ResourceTable};

use super::Namespace;
use crate::error::Error;
use crate::gate::Gate;
use crate::instance::State;
use crate::quota::Account;
use crate::services::{Identity, Service, Services, names};

/// What one instance has of storage.
#[derive(Clone, Copy)]
pub struct GuestStorage<'a> {
    pub gate: &'a Arc<dyn Gate>,
    /// Whether the thread that polls may block in file operations.
    pub may_block: &'a AtomicBool,
    /// `None`: the instance was given no storage.
    pub namespace: Option<&'a Namespace>,
    /// Where it is told that the quota is nearly used up, or was met.
    pub account: Option<&'a Account>,
}

/// What the implementations work on.
pub struct View<'a> {
    pub storage: GuestStorage<'a>,
    pub table: &'a mut ResourceTable,
}

/// Gives instances the namespace.
impl Service for Namespace {
    fn attach(&self, _: &Identity, services: &mut Services) -> Result<(), Error> {
        services.insert(self.clone());
        Ok(())
    }
}

fn view(state: &mut State) -> View<'_> {
    let namespace = state.services.get::<Namespace>();
    let mut view = state.wasi.storage(namespace);
    view.storage.account = state.link.limits().account.as_deref();
    view
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
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];

/// Whether [`add_to_linker`] links the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str) -> bool {
    names(import, AIRSSYS) || KEYVALUE.contains(&import)
}

/// Link both packages.
///
/// # Errors
/// When one of their interfaces is already defined in `linker`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    airssys::add_to_linker(linker)?;
    keyvalue::add_to_linker(linker)
}
