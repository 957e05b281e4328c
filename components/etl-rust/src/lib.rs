//! Extract, transform, load: reads lines, has each record cleaned by another actor, stored by a third.
//!
//! A message is JSON: `{"lines": "name;amount\n…"}`. The settings `cleaner` and `store` name the
//! other actors. The answer is `{"stored": count, "refused": ["line 2: …"]}`.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/messaging", "wit"],
    world: "demo:etl/etl",
    generate_all,
});

use std::cell::RefCell;
use std::time::Duration;

use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message,
    Payload, Setting,
};
use airssys::messaging::messaging;
use exports::airssys::core::{handler, lifecycle};
use serde::{Deserialize, Serialize};

const PATIENCE: u64 = Duration::from_secs(5).as_nanos() as u64;

#[derive(Deserialize)]
struct Request {
    lines: String,
}

#[derive(Default, Serialize)]
struct Report {
    stored: u64,
    refused: Vec<String>,
}

/// A record, as read and as cleaned.
#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    amount: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum ToCleaner<'a> {
    Clean(&'a Record),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum ToStore<'a> {
    Put { key: &'a str, value: &'a str },
}

#[derive(Default)]
struct Etl {
    cleaner: String,
    store: String,
}

thread_local! {
    static ETL: RefCell<Etl> = RefCell::default();
}

impl handler::Guest for Etl {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let request: Request = json_payload::read(&message.payload).map_err(Error::Undecodable)?;
        let mut report = Report::default();
        for (index, line) in request.lines.lines().enumerate() {
            match take(line) {
                Ok(()) => report.stored += 1,
                Err(why) => report.refused.push(format!("line {}: {why}", index + 1)),
            }
        }
        Ok(Some(json_payload::write(&report)))
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Err(Error::Unhandled("a pipeline asks and waits".into()))
    }
}

/// Take one line through the pipeline, or say why not.
fn take(line: &str) -> Result<(), String> {
    let (name, amount) = line
        .split_once(';')
        .ok_or("no `;` between name and amount")?;
    let raw = Record {
        name: name.into(),
        amount: amount.into(),
    };
    let (cleaner, store) = ETL.with_borrow(|etl| (etl.cleaner.clone(), etl.store.clone()));
    let clean = ask(&cleaner, &ToCleaner::Clean(&raw))?;
    let clean: Record = json_payload::read(&clean.ok_or("the cleaner gave no record")?)?;
    ask(
        &store,
        &ToStore::Put {
            key: &clean.name,
            value: &clean.amount,
        },
    )?;
    Ok(())
}

fn ask(target: &str, request: &impl Serialize) -> Result<Option<Payload>, String> {
    messaging::ask(target, &json_payload::write(request), PATIENCE).map_err(|error| match error {
        DeliveryError::Refused(why) => why,
        other => format!("{target} did not answer: {other:?}"),
    })
}

impl lifecycle::Guest for Etl {
    fn initialize(config: Vec<(String, Setting)>) -> Result<(), Error> {
        let text = |wanted: &str| match config.iter().find(|(name, _)| name == wanted) {
            Some((_, Setting::Text(address))) => Ok(address.clone()),
            _ => Err(Error::Refused(format!(
                "the setting `{wanted}` is missing: an address"
            ))),
        };
        ETL.set(Etl {
            cleaner: text("cleaner")?,
            store: text("store")?,
        });
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
            name: "demo/etl".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "takes lines through a pipeline".into(),
            accepts: vec![0x0200],
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Etl);
