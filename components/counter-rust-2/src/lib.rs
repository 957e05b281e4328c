//! Version 2 of the counter: it also counts the changes, and refuses to divide by zero.
//!
//! Messages, in JSON: `{"add": 2}`, `{"divide": 2}` and `"get"`. Each answers with
//! `{"count": …, "changes": …}`. It continues from a snapshot of version 1.

wit_bindgen::generate!({
    path: ["../../wit/core", "wit"],
    world: "demo:counter/counter",
    generate_all,
});

use std::cell::Cell;

use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message,
    Payload, Setting,
};
use exports::airssys::core::{handler, lifecycle, state};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Counted {
    count: i64,
    changes: u64,
}

thread_local! {
    static COUNTED: Cell<Counted> = Cell::default();
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Request {
    Add(i64),
    Divide(i64),
    Get,
}

struct Counter;

impl handler::Guest for Counter {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let request = json_payload::read(&message.payload).map_err(Error::Undecodable)?;
        let before = COUNTED.get();
        let change = |count: Option<i64>, what: String| -> Result<Counted, Error> {
            let count = count.ok_or(Error::Refused(what))?;
            Ok(Counted {
                count,
                changes: before.changes + 1,
            })
        };
        let after = match request {
            Request::Add(amount) => {
                let what = format!("{} + {amount} is too large", before.count);
                change(before.count.checked_add(amount), what)?
            }
            Request::Divide(by) => {
                change(before.count.checked_div(by), format!("no division by {by}"))?
            }
            Request::Get => before,
        };
        COUNTED.set(after);
        Ok(Some(json_payload::write(&after)))
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Err(Error::Unhandled("a counter asks nobody".into()))
    }
}

/// The state of version 1: eight bytes that say nothing about changes, which begin at 0. No JSON of this version is as
/// short.
fn earlier(snapshot: &[u8]) -> Option<Counted> {
    let count = i64::from_le_bytes(snapshot.try_into().ok()?);
    Some(Counted { count, changes: 0 })
}

impl state::Guest for Counter {
    fn snapshot() -> Result<Vec<u8>, Error> {
        Ok(json_payload::write(&COUNTED.get()))
    }

    /// Its own JSON, or the eight bytes of version 1, which nobody migrated.
    fn restore(snapshot: Vec<u8>) -> Result<(), Error> {
        let counted = match earlier(&snapshot) {
            Some(counted) => counted,
            None => json_payload::read(&snapshot).map_err(Error::Undecodable)?,
        };
        COUNTED.set(counted);
        Ok(())
    }

    fn migrate(version: String, snapshot: Vec<u8>) -> Result<Vec<u8>, Error> {
        if !version.starts_with("1.") {
            return Err(Error::Undecodable(format!(
                "no state of version {version} is known"
            )));
        }
        let counted =
            earlier(&snapshot).ok_or_else(|| Error::Undecodable("8 bytes expected".into()))?;
        Ok(json_payload::write(&counted))
    }
}

impl lifecycle::Guest for Counter {
    /// Begin at the setting `start`, where there is one.
    fn initialize(config: Vec<(String, Setting)>) -> Result<(), Error> {
        for (name, value) in config {
            match (name.as_str(), value) {
                ("start", Setting::Integer(count)) => COUNTED.set(Counted { count, changes: 0 }),
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
            description: "counts, and counts the changes".into(),
            accepts: vec![0x0200],
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Counter);
