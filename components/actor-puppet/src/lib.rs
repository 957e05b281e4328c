//! An actor that does what its messages say; `README.md` lists the actions.

wit_bindgen::generate!({
    path: [
        "../../wit/core", "../../wit/messaging", "../../wit/security", "../../wit/deps/logging", "wit",
    ],
    world: "demo:puppet/puppet",
    generate_all,
});

mod actions;
mod convert;
mod memory;
mod play;

use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, Message, Payload, Setting,
};
use exports::airssys::core::handler::Guest as Handler;
use exports::airssys::core::lifecycle::{Guest as Lifecycle, ShutdownReason};
use exports::airssys::core::state::Guest as State;
use serde_json::{Value, json};

use convert::{Body, body, outcome_json, source_json};
use memory::with;
use play::{Play, hook};

struct Puppet;

impl Lifecycle for Puppet {
    fn initialize(config: Vec<(String, Setting)>) -> Result<(), Error> {
        for (name, setting) in config {
            let value = convert::setting(setting);
            with(|memory| match name.strip_prefix("on-") {
                Some(event) => memory
                    .hooks
                    .insert(event.to_owned(), convert::script(value)),
                None => memory.values.insert(name, value),
            });
        }
        hook("initialize").map(drop)
    }

    fn health() -> HealthReport {
        if let Err(error) = hook("health") {
            return convert::health("unhealthy", format!("{error:?}"));
        }
        let (status, detail) = with(|memory| memory.health.clone());
        convert::health(&status, detail)
    }

    fn metadata() -> ComponentMetadata {
        // It has no words for an error: what a script does to the instance is what counts.
        drop(hook("metadata"));
        let accepts = with(|memory| memory.values.get("accepts").cloned());
        ComponentMetadata {
            name: "demo/puppet".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "does what its messages say".into(),
            accepts: accepts
                .as_ref()
                .and_then(Value::as_array)
                .map_or_else(Vec::new, |codecs| {
                    codecs.iter().filter_map(Value::as_u64).collect()
                }),
        }
    }

    fn shutdown(reason: ShutdownReason) -> Result<(), Error> {
        with(|memory| {
            memory
                .values
                .insert("shutdown".into(), json!(format!("{reason:?}")))
        });
        hook("shutdown").map(drop)
    }
}

impl Handler for Puppet {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let wanted = message.wants_reply;
        let mut entry = source_json(&message.source);
        let script = match body(&message.payload)? {
            Body::Opaque => {
                entry["bytes"] = json!(message.payload.len());
                with(|memory| memory.handled(entry));
                return Ok(wanted.then_some(message.payload));
            }
            Body::Object(object) => object,
        };
        if let Some(tag) = script.get("tag") {
            entry["tag"] = tag.clone();
        }
        with(|memory| memory.handled(entry));
        let mut play = Play::new(Some(message));
        play.run(script.get("do").unwrap_or(&Value::Null))?;
        Ok(if wanted { play.answer() } else { None })
    }

    fn handle_callback(
        correlation: CorrelationId,
        outcome: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        let entry = json!({"callback": correlation, "outcome": outcome_json(outcome)});
        let then = with(|memory| {
            memory.journal.push(entry);
            memory.callbacks.remove(&correlation)
        });
        hook("callback")?;
        Play::new(None).run(&then.unwrap_or(Value::Null))
    }
}

impl State for Puppet {
    fn snapshot() -> Result<Vec<u8>, Error> {
        let replaced = hook("snapshot")?;
        Ok(replaced.unwrap_or_else(|| with(|memory| memory.snapshot())))
    }

    fn restore(snapshot: Vec<u8>) -> Result<(), Error> {
        with(|memory| memory.restore(&snapshot)).map_err(Error::Undecodable)?;
        hook("restore").map(drop)
    }

    fn migrate(version: String, snapshot: Vec<u8>) -> Result<Vec<u8>, Error> {
        let replaced = hook("migrate")?;
        let mut state: Value = serde_json::from_slice(&snapshot)
            .map_err(|error| Error::Undecodable(error.to_string()))?;
        state["values"]["migrated-from"] = json!(version);
        Ok(replaced.unwrap_or_else(|| state.to_string().into_bytes()))
    }
}

export!(Puppet);
