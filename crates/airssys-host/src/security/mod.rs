//! `airssys:security`: what a component may ask of its own rights, and records in its own words.

mod audit;
mod capabilities;

use wasmtime::component::{HasSelf, Linker, bindgen};

use crate::gate::rule_gate::RuleGate;
use crate::instance::State;
use crate::services::names;

bindgen!({
    path: "../../wit/security",
    world: "imports",
    imports: {
        "airssys:security/capabilities@1.0.0.request": async,
    },
});

use airssys::security as wit;

const INTERFACES: &[&str] = &[
    "airssys:security/types",
    "airssys:security/capabilities",
    "airssys:security/audit",
];

/// Whether [`add_to_linker`] links the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str) -> bool {
    names(import, INTERFACES)
}

/// Link every interface of the package.
///
/// # Errors
/// When one of them is already defined in `linker`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wit::types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    wit::capabilities::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    wit::audit::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl wit::types::Host for State {}

impl State {
    /// The rules that decide for the instance, where there are any.
    fn rules(&self) -> Option<&RuleGate> {
        self.wasi.gate().rules()
    }
}
