//! What an instance can read that the operator wrote: environment variables and configuration.
//!
//! Each variable and each key is decided by its name when the guest reads it, so that a right that is taken
//! away holds for the next reading. What is refused is simply not there.

use std::sync::Arc;

use super::decide::{permit, settle};
use super::secrets::{Handed, Template};
use super::state::WasiState;
use crate::gate::{Access, Gate};

mod bindings {
    /// `wasi:config` 0.2.0-rc.1.
    pub mod config {
        wasmtime::component::bindgen!({
            path: "../../wit/deps/config",
            world: "wasi:config/imports",
            imports: { default: async | trappable },
        });
    }

    /// The environment of WASI 0.2, whose stock implementation cannot wait for an approver.
    pub mod p2 {
        wasmtime::component::bindgen!({
            inline: "
                package wasi:cli@0.2.12;
                interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                    initial-cwd: func() -> option<string>;
                }
                world imports { import environment; }
            ",
            imports: { default: async | trappable },
        });
    }

    /// The environment of WASI 0.3.
    pub mod p3 {
        wasmtime::component::bindgen!({
            inline: "
                package wasi:cli@0.3.0;
                interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                    get-initial-cwd: func() -> option<string>;
                }
                world imports { import environment; }
            ",
            imports: { default: async | trappable },
        });
    }
}

pub(super) use bindings::config::wasi::config;
pub(super) use bindings::p2::wasi as own_p2;
pub(super) use bindings::p3::wasi as own_p3;
use config::store;

/// The environment and configuration of any number of instances.
#[derive(Debug, Default)]
pub struct Settings {
    pub environment: Vec<(String, Template)>,
    /// In the order of its keys.
    pub config: Vec<(String, Template)>,
}

impl Settings {
    /// Settings without places for secrets.
    ///
    /// # Errors
    /// Says which name cannot be one, or which value has a place that cannot be read.
    pub fn new(
        environment: &[(impl AsRef<str>, impl AsRef<str>)],
        config: &[(impl AsRef<str>, impl AsRef<str>)],
    ) -> Result<Self, String> {
        let mut settings = Self::default();
        for (name, value) in environment {
            let (name, value) = (name.as_ref(), value.as_ref());
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!(
                    "environment: {name:?} is no name of a variable; one is not empty and has no `=`"
                ));
            }
            let value = Template::parse(value)
                .map_err(|reason| format!("environment: {name}: {reason}"))?;
            settings.environment.push((name.to_owned(), value));
        }
        for (key, value) in config {
            let (key, value) = (key.as_ref(), value.as_ref());
            if key.split('.').any(str::is_empty) || key.contains('\0') {
                return Err(format!(
                    "config: {key:?} is no key; one is words separated by dots, such as `server.port`"
                ));
            }
            let value =
                Template::parse(value).map_err(|reason| format!("config: {key}: {reason}"))?;
            settings.config.push((key.to_owned(), value));
        }
        settings.config.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(settings)
    }

    /// The names of the secrets that have a place somewhere, each once.
    pub fn secrets(&self) -> Vec<&str> {
        let values = self.environment.iter().chain(&self.config);
        let mut names: Vec<&str> = values.flat_map(|(_, value)| value.secrets()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What reading needs of an instance, whose state is no other thread's to look at meanwhile.
struct Reader {
    gate: Arc<dyn Gate>,
    settings: Arc<Settings>,
    handed: Option<Arc<Handed>>,
}

impl Reader {
    async fn may(&self, access: Access<'_>) -> bool {
        let gate = &*self.gate;
        settle(gate, || permit(gate, &access)).await.is_ok()
    }

    async fn environment(self) -> Vec<(String, String)> {
        let environment = &self.settings.environment;
        let mut given = Vec::with_capacity(environment.len());
        for (name, value) in environment {
            if self.may(Access::Environment { name }).await {
                given.push((name.clone(), self.shown(value)));
            }
        }
        given
    }

    async fn configured(self, key: &str) -> Option<String> {
        // Decided whether there is such a key or not: the attempt is on record either way.
        if !self.may(Access::Config { key }).await {
            return None;
        }
        let config = &self.settings.config;
        let found = config.binary_search_by(|(own, _)| own.as_str().cmp(key));
        found.ok().map(|place| self.shown(&config[place].1))
    }

    async fn configuration(self) -> Vec<(String, String)> {
        let config = &self.settings.config;
        let mut given = Vec::with_capacity(config.len());
        for (key, value) in config {
            if self.may(Access::Config { key }).await {
                given.push((key.clone(), self.shown(value)));
            }
        }
        given
    }

    /// A value as the guest sees it: with placeholders where it has secrets.
    fn shown(&self, value: &Template) -> String {
        value.shown(self.handed.as_deref())
    }
}

impl WasiState {
    fn reader(&self) -> Reader {
        Reader {
            gate: Arc::clone(self.fs.gate()),
            settings: Arc::clone(&self.settings),
            handed: self.http.hooks.handed().cloned(),
        }
    }
}

impl own_p2::cli::environment::Host for WasiState {
    async fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.reader().environment().await)
    }

    async fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.arguments.to_vec())
    }

    async fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl own_p3::cli::environment::Host for WasiState {
    async fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.reader().environment().await)
    }

    async fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.arguments.to_vec())
    }

    async fn get_initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl store::Host for WasiState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        Ok(Ok(self.reader().configured(&key).await))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        Ok(Ok(self.reader().configuration().await))
    }
}
