//! An actor that keeps its count in storage, not in memory, and watches its storage.
//!
//! A number in JSON is added to the count and answered with it; 0 makes it trap once the count is stored. A pair of a
//! prefix and milliseconds is answered with what happened to the keys that begin so since it was first asked for any,
//! or with an empty list after that time.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/storage", "wit"],
    world: "demo:storing/storing",
    generate_all,
});

use std::cell::OnceCell;

use airssys::core::types::{CorrelationId, DeliveryError, Error, Message, Payload};
use airssys::storage::{store, watch};
use exports::airssys::core::handler;

const KEY: &str = "count";

thread_local!(static WATCHER: OnceCell<watch::Watcher> = const { OnceCell::new() });

struct Storing;

fn failed(error: store::StorageError) -> Error {
    Error::Refused(format!("{error:?}"))
}

fn next(prefix: &str, milliseconds: u64) -> Result<Vec<String>, Error> {
    WATCHER.with(|watcher| {
        if watcher.get().is_none() {
            let _ = watcher.set(watch::watch(prefix).map_err(failed)?);
        }
        let events = watcher.get().expect("set above").next(milliseconds);
        Ok(events
            .into_iter()
            .map(|event| match event {
                watch::Event::Changed(changed) => format!("{:?} {}", changed.change, changed.key),
                watch::Event::Missed(count) => format!("missed {count}"),
            })
            .collect())
    })
}

impl handler::Guest for Storing {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        if let Ok((prefix, milliseconds)) = json_payload::read::<(String, u64)>(&message.payload) {
            return Ok(Some(json_payload::write(&next(&prefix, milliseconds)?)));
        }
        let amount: i64 = json_payload::read(&message.payload).map_err(Error::Undecodable)?;
        let stored = store::get(KEY).map_err(failed)?.unwrap_or_default();
        let before: i64 = String::from_utf8_lossy(&stored).parse().unwrap_or(0);
        let count = before + amount;
        store::set(KEY, count.to_string().as_bytes(), None).map_err(failed)?;
        assert_ne!(amount, 0, "told to");
        Ok(Some(json_payload::write(&count)))
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Err(Error::Unhandled("this actor asks nobody".into()))
    }
}

export!(Storing);
