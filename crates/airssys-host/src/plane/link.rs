//! The only place that links an interface of the message plane.

use wasmtime::component::{HasSelf, Linker};

use super::bindings::{host, messaging, timers, topics, types};
use crate::instance::State;
use crate::services::names;

const INTERFACES: &[&str] = &[
    "airssys:core/host",
    "airssys:core/timers",
    "airssys:core/types",
    "airssys:messaging/messaging",
    "airssys:messaging/topics",
];

/// Whether [`add_to_linker`] links the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str) -> bool {
    names(import, INTERFACES)
}

/// Link every interface of the message plane.
///
/// # Errors
/// When one of them is already defined in `linker`.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    host::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    timers::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    messaging::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    topics::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}
