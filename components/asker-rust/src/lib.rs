//! Passes requests on: to one actor while the asker waits, to another without waiting.
//!
//! Messages, in JSON, go to the actor that the setting `target` names; its answer comes back with
//! `"asker (Rust)"` added to its `path`. `{"later": request}` asks without waiting: the answer
//! arrives by `handle-callback` and is passed on to whoever asked.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/messaging", "wit"],
    world: "demo:asker/asker",
    generate_all,
});

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message,
    Payload, Setting,
};
use airssys::messaging::messaging::{self, ReplyToken};
use exports::airssys::core::{handler, lifecycle};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const PATIENCE: u64 = Duration::from_secs(5).as_nanos() as u64;

#[derive(Default)]
struct Asker {
    target: String,
    /// Who waits for which answer.
    waiting: HashMap<CorrelationId, ReplyToken>,
}

thread_local! {
    static ASKER: RefCell<Asker> = RefCell::default();
}

/// What the actors of the chain answer.
#[derive(Deserialize, Serialize)]
struct Answer {
    value: Value,
    path: Vec<String>,
}

impl handler::Guest for Asker {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let request: Value = json_payload::read(&message.payload).map_err(Error::Undecodable)?;
        let target = ASKER.with_borrow(|asker| asker.target.clone());
        let Some(later) = request.get("later") else {
            let answer = messaging::ask(&target, &message.payload, PATIENCE).map_err(refused)?;
            return signed(answer).map(Some);
        };
        let token = messaging::reply_later().map_err(refused)?;
        let request = json_payload::write(later);
        let correlation = messaging::ask_async(&target, &request, PATIENCE).map_err(refused)?;
        ASKER.with_borrow_mut(|asker| asker.waiting.insert(correlation, token));
        Ok(None)
    }

    fn handle_callback(
        correlation: CorrelationId,
        outcome: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        let token = ASKER
            .with_borrow_mut(|asker| asker.waiting.remove(&correlation))
            .ok_or_else(|| Error::Unhandled("nobody waits for this answer".into()))?;
        let passed_on = match outcome.map_err(refused).and_then(signed) {
            Ok(answer) => messaging::reply(token, Some(&answer)),
            Err(Error::Refused(reason)) => messaging::refuse(token, &reason),
            Err(other) => messaging::refuse(token, &format!("{other:?}")),
        };
        passed_on.map_err(refused)
    }
}

/// The answer of the target, with this component added to its path.
fn signed(answer: Option<Payload>) -> Result<Payload, Error> {
    let answer = answer.ok_or_else(|| Error::Refused("the target answered nothing".into()))?;
    let mut answer: Answer = json_payload::read(&answer).map_err(Error::Undecodable)?;
    answer.path.push("asker (Rust)".into());
    Ok(json_payload::write(&answer))
}

fn refused(error: DeliveryError) -> Error {
    Error::Refused(match error {
        DeliveryError::Refused(reason) => reason,
        other => format!("the target did not answer: {other:?}"),
    })
}

impl lifecycle::Guest for Asker {
    fn initialize(config: Vec<(String, Setting)>) -> Result<(), Error> {
        let target = config.into_iter().find(|(name, _)| name == "target");
        let Some((_, Setting::Text(target))) = target else {
            return Err(Error::Refused(
                "the setting `target` is missing: an address".into(),
            ));
        };
        ASKER.with_borrow_mut(|asker| asker.target = target);
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
            name: "demo/asker".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "passes requests on".into(),
            accepts: vec![0x0200],
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Asker);
