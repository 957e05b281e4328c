//! A counter that survives its own crashes: the host keeps its snapshots.
//!
//! Messages, in JSON: `{"add": 2}`, `{"divide": 2}` and `"get"`. Each answers with the count.

wit_bindgen::generate!({
    path: ["../../wit/core", "wit"],
    world: "demo:counter/counter",
    generate_all,
});

use std::sync::atomic::{AtomicI64, Ordering};

use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message,
    Payload, Setting,
};
use exports::airssys::core::{handler, lifecycle, state};
use serde::Deserialize;

static COUNT: AtomicI64 = AtomicI64::new(0);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Request {
    Add(i64),
    /// Divide by any number; nobody thought of zero.
    Divide(i64),
    Get,
}

struct Counter;

impl handler::Guest for Counter {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let request = json_payload::read(&message.payload).map_err(Error::Undecodable)?;
        let before = COUNT.load(Ordering::Relaxed);
        let count = match request {
            Request::Add(amount) => before
                .checked_add(amount)
                .ok_or_else(|| Error::Refused(format!("{before} + {amount} is too large")))?,
            Request::Divide(by) => before / by,
            Request::Get => before,
        };
        COUNT.store(count, Ordering::Relaxed);
        Ok(Some(json_payload::write(&count)))
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Err(Error::Unhandled("a counter asks nobody".into()))
    }
}

impl state::Guest for Counter {
    /// The count, as eight bytes.
    fn snapshot() -> Result<Vec<u8>, Error> {
        Ok(COUNT.load(Ordering::Relaxed).to_le_bytes().to_vec())
    }

    fn restore(snapshot: Vec<u8>) -> Result<(), Error> {
        let bytes = snapshot
            .try_into()
            .map_err(|_| Error::Undecodable("8 bytes expected".into()))?;
        COUNT.store(i64::from_le_bytes(bytes), Ordering::Relaxed);
        Ok(())
    }

    /// Version 2 writes JSON and counts the changes too: a rollback keeps the count.
    fn migrate(version: String, snapshot: Vec<u8>) -> Result<Vec<u8>, Error> {
        #[derive(Deserialize)]
        struct Later {
            count: i64,
        }
        if !version.starts_with("2.") {
            return Err(Error::Undecodable(format!(
                "version 1 reads no state of version {version}"
            )));
        }
        let later: Later = json_payload::read(&snapshot).map_err(Error::Undecodable)?;
        Ok(later.count.to_le_bytes().to_vec())
    }
}

impl lifecycle::Guest for Counter {
    /// Begin at the setting `start`, where there is one.
    fn initialize(config: Vec<(String, Setting)>) -> Result<(), Error> {
        for (name, value) in config {
            match (name.as_str(), value) {
                ("start", Setting::Integer(start)) => COUNT.store(start, Ordering::Relaxed),
                (name, _) => return Err(Error::Refused(format!("no such setting: {name}"))),
            }
        }
        Ok(())
    }

    fn health() -> HealthReport {
        HealthReport {
            status: HealthStatus::Healthy,
            detail: String::new(),
        }
    }

    fn metadata() -> ComponentMetadata {
        ComponentMetadata {
            name: "demo/counter".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "counts".into(),
            accepts: vec![0x0200],
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Counter);
