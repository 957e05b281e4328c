//! `wasi:logging` 0.1.0-draft: lines of `airssys:core/host.log` from components written for any host.

use wasmtime::component::{HasSelf, Linker};

use crate::instance::State;
use crate::plane::bindings::host::Host as Lines;
use crate::plane::bindings::types::LogLevel;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/deps/logging",
        world: "wasi:logging/imports",
    });
}

use bindings::wasi::logging::logging::{self, Level};

const INTERFACE: &str = "wasi:logging/logging@0.1.0-draft";
/// As guests name it whose tools leave the version of a draft out.
const PLAIN: &str = "wasi:logging/logging";

/// Whether [`add_to_linker`] links the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str) -> bool {
    import == INTERFACE || import == PLAIN
}

/// Link the interface.
///
/// # Errors
/// When it is already defined in `linker`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    logging::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    linker.instance(PLAIN)?.func_wrap(
        "log",
        |mut store, (level, context, message): (Level, String, String)| {
            logging::Host::log(store.data_mut(), level, context, message);
            Ok(())
        },
    )
}

impl logging::Host for State {
    fn log(&mut self, level: Level, context: String, message: String) {
        let known = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warning,
            Level::Error | Level::Critical => LogLevel::Error,
        };
        let mut fields = Vec::new();
        if !context.is_empty() {
            fields.push(("context".to_owned(), context));
        }
        if matches!(level, Level::Critical) {
            fields.push(("level".to_owned(), "critical".to_owned()));
        }
        Lines::log(self, known, message, fields);
    }
}
