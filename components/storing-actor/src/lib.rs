//! An actor that keeps its count in storage, not in memory.
//!
//! Each message, a number in JSON, is added to the count and answered with it; 0 makes it trap once
//! the count is stored.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/storage", "wit"],
    world: "demo:storing/storing",
    generate_all,
});

use airssys::core::types::{CorrelationId, DeliveryError, Error, Message, Payload};
use airssys::storage::store;
use exports::airssys::core::handler;

const KEY: &str = "count";

struct Storing;

fn failed(error: store::StorageError) -> Error {
    Error::Refused(format!("{error:?}"))
}

impl handler::Guest for Storing {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
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
