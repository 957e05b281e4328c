//! Actors: a type that handles messages becomes a component.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::airssys::core::types::{
    ComponentMetadata, Error, HealthReport, HealthStatus, Message, Setting, Source,
};
use crate::{Refused, logging, talking};

/// JSON in the multicodec table.
const JSON: u64 = 0x0200;

/// What the operator set, by name.
pub type Config = BTreeMap<String, Value>;

/// What takes messages, one at a time. Its fields are its state.
pub trait Actor: Default + Serialize + DeserializeOwned + 'static {
    /// What it is told and asked.
    type Message: DeserializeOwned;
    /// What it answers.
    type Answer: Serialize;

    /// Version of its state, by semver.
    const VERSION: &'static str = "0.1.0";

    /// Handle a message; what is returned answers whoever asked.
    ///
    /// # Errors
    /// The request is refused.
    fn handle(&mut self, message: Self::Message) -> Result<Self::Answer, Refused>;

    /// An instance begins.
    ///
    /// # Errors
    /// It does not start.
    fn started(&mut self, _config: Config) -> Result<(), Refused> {
        Ok(())
    }

    /// Something was published under a topic that it subscribed to.
    ///
    /// # Errors
    /// It is refused, and becomes a dead letter.
    fn heard(&mut self, _topic: &str, _message: Value) -> Result<(), Refused> {
        Ok(())
    }

    /// An instance ends in order.
    fn stopped(&mut self) {}

    /// Turn the state of another version into one of this.
    ///
    /// # Errors
    /// It cannot; the hand-over fails.
    fn migrated(_version: &str, state: Value) -> Result<Value, Refused> {
        Ok(state)
    }
}

/// The one actor of an instance, and what the world's exports do with it.
#[doc(hidden)]
pub struct Cell<A>(RefCell<A>);

impl<A: Actor> Default for Cell<A> {
    fn default() -> Self {
        logging::bridge();
        Self(RefCell::new(A::default()))
    }
}

/// A message that the actor has no case for is unhandled; one of a case that it has, undecodable.
fn not_understood(why: String) -> Error {
    // serde has no kinds of errors; these words are of its `de::Error::unknown_variant`.
    if why.contains("unknown variant") {
        Error::Unhandled(why)
    } else {
        Error::Undecodable(why)
    }
}

impl<A: Actor> Cell<A> {
    pub fn handle_message(&self, message: Message) -> Result<Option<Vec<u8>>, Error> {
        let mut actor = self.0.borrow_mut();
        if let Source::Topic(publication) = &message.source {
            let content = talking::from_payload(&message.payload).map_err(not_understood)?;
            actor.heard(&publication.topic, content).map_err(refused)?;
            return Ok(None);
        }
        let content = talking::from_payload(&message.payload).map_err(not_understood)?;
        let answer = actor.handle(content).map_err(refused)?;
        Ok(message.wants_reply.then(|| talking::to_payload(&answer)))
    }

    pub fn initialize(&self, config: Vec<(String, Setting)>) -> Result<(), Error> {
        let config = config
            .into_iter()
            .map(|(name, setting)| (name, value(setting)))
            .collect();
        self.0.borrow_mut().started(config).map_err(refused)
    }

    pub fn health(&self) -> HealthReport {
        HealthReport {
            status: HealthStatus::Healthy,
            detail: String::new(),
        }
    }

    pub fn metadata(&self, name: &str, description: &str) -> ComponentMetadata {
        ComponentMetadata {
            name: name.to_owned(),
            version: A::VERSION.to_owned(),
            description: description.to_owned(),
            accepts: vec![JSON],
        }
    }

    pub fn shutdown(&self) {
        self.0.borrow_mut().stopped();
    }

    pub fn snapshot(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&*self.0.borrow()).map_err(|error| Error::Failed(error.to_string()))
    }

    pub fn restore(&self, snapshot: &[u8]) -> Result<(), Error> {
        let state = serde_json::from_slice(snapshot);
        *self.0.borrow_mut() = state.map_err(|error| Error::Undecodable(error.to_string()))?;
        Ok(())
    }

    pub fn migrate(&self, version: &str, snapshot: &[u8]) -> Result<Vec<u8>, Error> {
        let undecodable = |error: serde_json::Error| Error::Undecodable(error.to_string());
        let state = serde_json::from_slice(snapshot).map_err(undecodable)?;
        let state = A::migrated(version, state).map_err(refused)?;
        serde_json::to_vec(&state).map_err(undecodable)
    }
}

fn refused(reason: Refused) -> Error {
    Error::Refused(reason.0)
}

fn value(setting: Setting) -> Value {
    match setting {
        Setting::Boolean(value) => value.into(),
        Setting::Integer(value) => value.into(),
        Setting::Number(value) => value.into(),
        Setting::Text(value) => value.into(),
        Setting::Json(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

/// Make a type the actor of this component.
#[macro_export]
macro_rules! actor {
    ($actor:ty) => {
        const _: () = {
            use $crate::bindings::airssys::core::types as core_types;
            use $crate::bindings::exports::airssys::core as core_exports;

            ::std::thread_local! {
                static CELL: $crate::glue::Cell<$actor> = ::std::default::Default::default();
            }

            struct Component;

            impl core_exports::handler::Guest for Component {
                fn handle_message(
                    message: core_types::Message,
                ) -> Result<Option<Vec<u8>>, core_types::Error> {
                    CELL.with(|cell| cell.handle_message(message))
                }

                fn handle_callback(
                    _: u64,
                    _: Result<Option<Vec<u8>>, core_types::DeliveryError>,
                ) -> Result<(), core_types::Error> {
                    Err(core_types::Error::Unhandled(
                        "it waits for no answer".into(),
                    ))
                }
            }

            impl core_exports::lifecycle::Guest for Component {
                fn initialize(
                    config: Vec<(String, core_types::Setting)>,
                ) -> Result<(), core_types::Error> {
                    CELL.with(|cell| cell.initialize(config))
                }

                fn health() -> core_types::HealthReport {
                    CELL.with(|cell| cell.health())
                }

                fn metadata() -> core_types::ComponentMetadata {
                    let name = env!("CARGO_PKG_NAME");
                    CELL.with(|cell| cell.metadata(name, env!("CARGO_PKG_DESCRIPTION")))
                }

                fn shutdown(
                    _: core_exports::lifecycle::ShutdownReason,
                ) -> Result<(), core_types::Error> {
                    CELL.with(|cell| cell.shutdown());
                    Ok(())
                }
            }

            impl core_exports::state::Guest for Component {
                fn snapshot() -> Result<Vec<u8>, core_types::Error> {
                    CELL.with(|cell| cell.snapshot())
                }

                fn restore(snapshot: Vec<u8>) -> Result<(), core_types::Error> {
                    CELL.with(|cell| cell.restore(&snapshot))
                }

                fn migrate(
                    version: String,
                    snapshot: Vec<u8>,
                ) -> Result<Vec<u8>, core_types::Error> {
                    CELL.with(|cell| cell.migrate(&version, &snapshot))
                }
            }

    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
