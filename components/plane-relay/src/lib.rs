//! An actor that does as little as possible with a message, for measuring what the host does.
//!
//! A payload is raw (`0x55`); its second byte says what is done:
//!
//! - 1 `hops: u32`: passes the message on to the neighbour, with one hop less, until there is none left
//! - 2: answers with the payload
//! - 3: nothing
//! - 4 `n: u32`: asks the neighbour n times with `55 02` and answers with the nanoseconds of each, as `u64`
//! - 5 `n: u32`: tells the neighbour `55 03` n times and answers with how many were refused, as `u32`
//! - 6 `milliseconds: u32`: sleeps by WASI and answers with the nanoseconds that took, and the nanoseconds since 1970,
//!   by WASI's clocks, as `u64`
//!
//! The setting `next` is the neighbour's address. Numbers are little-endian.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/messaging", "wit"],
    world: "demo:relay/relay",
    generate_all,
});

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use airssys::core::host::monotonic_now;
use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message, Payload,
    Setting,
};
use airssys::messaging::messaging;
use exports::airssys::core::handler::Guest as Handler;
use exports::airssys::core::lifecycle::{Guest as Lifecycle, ShutdownReason};

struct Relay;

thread_local!(static NEXT: RefCell<String> = const { RefCell::new(String::new()) });

const SECOND: u64 = 1_000_000_000;

impl Lifecycle for Relay {
    fn initialize(config: Vec<(String, Setting)>) -> Result<(), Error> {
        for (name, setting) in config {
            if let ("next", Setting::Text(address)) = (name.as_str(), setting) {
                NEXT.set(address);
            }
        }
        Ok(())
    }

    fn health() -> HealthReport {
        HealthReport { status: HealthStatus::Healthy, detail: String::new() }
    }

    fn metadata() -> ComponentMetadata {
        ComponentMetadata {
            name: "demo/relay".into(),
            version: "1.0.0".into(),
            description: "passes messages on".into(),
            accepts: vec![0x55],
        }
    }

    fn shutdown(_: ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

fn number(payload: &[u8]) -> Result<u32, Error> {
    payload
        .get(2..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes)
        .ok_or_else(|| Error::Undecodable("a number is missing".into()))
}

impl Handler for Relay {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let mut payload = message.payload;
        match payload.get(1) {
            Some(1) => {
                let hops = number(&payload)?;
                if hops > 0 {
                    payload[2..6].copy_from_slice(&(hops - 1).to_le_bytes());
                    NEXT.with_borrow(|next| messaging::tell(next, &payload))
                        .map_err(|error| Error::Failed(format!("{error:?}")))?;
                }
                Ok(None)
            }
            Some(2) => Ok(Some(payload)),
            Some(3) => Ok(None),
            Some(4) => {
                let mut times = vec![0x55];
                for _ in 0..number(&payload)? {
                    let begun = monotonic_now();
                    NEXT.with_borrow(|next| messaging::ask(next, &[0x55, 2], SECOND))
                        .map_err(|error| Error::Failed(format!("{error:?}")))?;
                    times.extend((monotonic_now() - begun).to_le_bytes());
                }
                Ok(Some(times))
            }
            Some(5) => {
                let mut refused = 0_u32;
                for _ in 0..number(&payload)? {
                    let told = NEXT.with_borrow(|next| messaging::tell(next, &[0x55, 3]));
                    refused += u32::from(told.is_err());
                }
                let mut answer = vec![0x55];
                answer.extend(refused.to_le_bytes());
                Ok(Some(answer))
            }
            Some(6) => {
                let begun = Instant::now();
                std::thread::sleep(Duration::from_millis(number(&payload)?.into()));
                let took = begun.elapsed().as_nanos() as u64;
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let mut answer = vec![0x55];
                answer.extend(took.to_le_bytes());
                answer.extend(now.map_or(0, |now| now.as_nanos() as u64).to_le_bytes());
                Ok(Some(answer))
            }
            _ => Err(Error::Unhandled("expected 1 to 6 as the second byte".into())),
        }
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Ok(())
    }
}

export!(Relay);
