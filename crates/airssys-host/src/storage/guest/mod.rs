//! Storage as guests see it: `airssys:storage`, and `wasi:keyvalue` for components written for any host. Every
//! operation is decided by the gate; neither interface can name another namespace than the instance's own.

mod airssys;
mod keyvalue;
mod permit;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{HasData, Linker, ResourceTable};

use super::Namespace;
use super::shared::{Offer, Offers};
use crate::error::Error;
use crate::gate::Gate;
use crate::instance::State;
use crate::plane::{ActorContext, Cell};
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
    /// The actor whose instance it is, where its time is virtual.
    pub actor: Option<&'a Arc<Cell>>,
    /// Whose namespace it is, where it is another deployment's.
    pub owner: Option<Owner<'a>>,
}

/// The other side of an access to a shared namespace.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    pub name: &'a str,
    /// What decides for it; `None` where it shares nothing.
    pub gate: Option<&'a Arc<dyn Gate>>,
}

/// What the implementations work on.
pub struct View<'a> {
    pub storage: GuestStorage<'a>,
    /// What other deployments share.
    pub offers: Option<&'a Offers>,
    pub table: &'a mut ResourceTable,
}

impl<'a> GuestStorage<'a> {
    /// The same instance's view of the namespace that `owner` shares, if it does.
    #[must_use]
    pub fn of<'b>(&self, owner: &'b str, offer: Option<&'b Offer>) -> GuestStorage<'b>
    where
        'a: 'b,
    {
        GuestStorage {
            namespace: offer.map(|offer| &offer.namespace),
            // What is nearly used up there is not this deployment's.
            account: None,
            owner: Some(Owner {
                name: owner,
                gate: offer.map(|offer| &offer.gate),
            }),
            ..*self
        }
    }
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
    let offers = state.services.get::<Offers>();
    let actor = state.actor.as_deref();
    let mut view = state.wasi.storage(namespace);
    view.storage.account = state.link.limits().account.as_deref();
    view.storage.actor = actor.and_then(ActorContext::in_virtual_time);
    view.offers = offers;
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
    "airssys:storage/shared",
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
