//! What incarnations of an actor are made of.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::ask::Metadata;
use super::bindings::{HandlerIndices, LifecycleIndices, StateIndices};
use super::codec;
use crate::component::Component;
use crate::error::Error;
use crate::limits::Limits;
use crate::route::Statistics;
use crate::services::{Identity, Service};
use crate::wasi::WasiState;

/// Where an instance's standard output and error go, unless they go elsewhere.
#[derive(Clone)]
pub struct Outputs {
    pub stdout: Arc<dyn Fn(Bytes) + Send + Sync>,
    pub stderr: Arc<dyn Fn(Bytes) + Send + Sync>,
}

/// Makes the WASI state of an instance.
pub type MakeWasi = Arc<dyn Fn(&Identity, Outputs) -> Result<WasiState, Error> + Send + Sync>;

/// A setting for `lifecycle.initialize`.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    Json(String),
}

/// Which of the optional interfaces a component exports.
#[derive(Clone, Default)]
pub struct Exports {
    pub(super) handler: Option<HandlerIndices>,
    pub(super) lifecycle: Option<LifecycleIndices>,
    pub(super) state: Option<StateIndices>,
}

impl Exports {
    fn of(component: &Component) -> Result<Self, Error> {
        let prepared = component.prepared()?;
        Ok(Self {
            handler: HandlerIndices::new(prepared).ok(),
            lifecycle: LifecycleIndices::new(prepared).ok(),
            state: StateIndices::new(prepared).ok(),
        })
    }

    /// The names of the interfaces.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("handler", self.handler.is_some()),
            ("lifecycle", self.lifecycle.is_some()),
            ("state", self.state.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
    }
}

/// What a component said of itself, and the codecs that are taken because of it.
struct About {
    metadata: Metadata,
    accepts: Vec<u64>,
}

/// One revision as an actor needs it. Shared by the actors of a deployment.
pub struct Blueprint {
    pub component: Arc<Component>,
    pub limits: Arc<Limits>,
    pub wasi: MakeWasi,
    pub services: Vec<Arc<dyn Service>>,
    pub config: Vec<(String, Setting)>,
    /// What the deployment takes; none: whatever the component does.
    accepts: Vec<u64>,
    about: OnceLock<About>,
    pub statistics: Arc<Statistics>,
    pub exports: Exports,
}

impl Blueprint {
    /// # Errors
    /// [`Error::Link`] when something that the component imports is not there.
    pub fn new(
        component: Arc<Component>,
        limits: impl Into<Arc<Limits>>,
        wasi: MakeWasi,
        services: Vec<Arc<dyn Service>>,
        config: Vec<(String, Setting)>,
        accepts: Vec<u64>,
        statistics: Arc<Statistics>,
    ) -> Result<Arc<Self>, Error> {
        let exports = Exports::of(&component)?;
        Ok(Arc::new(Self {
            component,
            limits: limits.into(),
            wasi,
            services,
            config,
            accepts,
            about: OnceLock::new(),
            statistics,
            exports,
        }))
    }

    /// The codecs that are taken; none: every known one.
    #[must_use]
    pub fn accepts(&self) -> &[u64] {
        self.about
            .get()
            .map_or(&self.accepts, |about| &about.accepts)
    }

    /// What the component says of itself, once an instance was asked.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.about.get().map(|about| &about.metadata)
    }

    /// Take in what the component says of itself.
    pub(super) fn introduce(&self, metadata: Metadata) -> Result<(), String> {
        let accepts = codec::agree(&self.accepts, &metadata.accepts)?;
        self.about.get_or_init(|| About { metadata, accepts });
        Ok(())
    }
}
