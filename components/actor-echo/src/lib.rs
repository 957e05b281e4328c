//! An actor that does next to nothing, so that the host can be measured.
//!
//! It gives an ask its payload back and forgets a tell. A payload whose second byte is `>` or `?`
//! makes it the sender: four bytes of a count (little-endian), then an address; it sends, or asks,
//! that many messages of 64 bytes, waiting for room, and answers how many nanoseconds that took.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/messaging", "wit"],
    world: "demo:echo-actor/echo-actor",
    generate_all,
});

use airssys::core::host;
use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message,
    Payload, Setting,
};
use airssys::messaging::messaging;
use exports::airssys::core::{handler, lifecycle};

const RAW: u8 = 0x55;
const PATIENCE: u64 = 60_000_000_000;

struct Echo;

impl handler::Guest for Echo {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        match message.payload.as_slice() {
            [RAW, order @ (b'>' | b'?'), a, b, c, d, target @ ..] => {
                let target = std::str::from_utf8(target)
                    .map_err(|error| Error::Undecodable(error.to_string()))?;
                let taken = send(*order == b'?', u32::from_le_bytes([*a, *b, *c, *d]), target)?;
                Ok(Some([&[RAW], taken.to_le_bytes().as_slice()].concat()))
            }
            _ => Ok(message.wants_reply.then_some(message.payload)),
        }
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Ok(())
    }
}

fn send(ask: bool, count: u32, target: &str) -> Result<u64, Error> {
    let mut payload = [0; 64];
    payload[0] = RAW;
    let begun = host::monotonic_now();
    for _ in 0..count {
        let sent = if ask {
            messaging::ask(target, &payload, PATIENCE).map(drop)
        } else {
            messaging::send(target, &payload, PATIENCE)
        };
        sent.map_err(|error| Error::Refused(format!("{target}: {error:?}")))?;
    }
    Ok(host::monotonic_now() - begun)
}

impl lifecycle::Guest for Echo {
    fn initialize(_: Vec<(String, Setting)>) -> Result<(), Error> {
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
            name: "demo/echo".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "gives back what it gets".into(),
            accepts: Vec::new(),
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Echo);
