//! Messages to other actors, and topics.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::airssys::core::types::DeliveryError;
use crate::bindings::airssys::messaging::{messaging, topics};

/// JSON in the multicodec table, as the bytes that a payload begins with.
const JSON: [u8; 2] = [0x80, 0x04];

/// Why a message did not arrive, or an ask has no answer.
#[derive(Debug)]
pub enum Delivery {
    /// As the host says it.
    Failed(DeliveryError),
    /// The answer is no JSON of the type that was asked for; says why.
    NotUnderstood(String),
}

impl fmt::Display for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(formatter, "{error:?}"),
            Self::NotUnderstood(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for Delivery {}

/// A value as a payload.
///
/// # Panics
/// The type cannot be written as JSON, such as a map whose keys are no texts.
pub(crate) fn to_payload(value: &impl Serialize) -> Vec<u8> {
    let mut payload = JSON.to_vec();
    serde_json::to_writer(&mut payload, value).expect("messages are types that JSON has");
    payload
}

/// The value of a payload.
///
/// # Errors
/// It is no JSON of that type; says why.
pub(crate) fn from_payload<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    let json = payload
        .strip_prefix(&JSON)
        .ok_or("a payload in JSON is expected")?;
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Put a message in the mailbox of an actor: `image/resizer`, or `image/resizer#42`. Never waits.
///
/// # Errors
/// It did not arrive.
pub fn tell(target: &str, message: &impl Serialize) -> Result<(), Delivery> {
    messaging::tell(target, &to_payload(message)).map_err(Delivery::Failed)
}

/// Ask an actor and wait for its answer.
///
/// # Errors
/// There is none, or it is not what was asked for.
pub fn ask<T: DeserializeOwned>(
    target: &str,
    message: &impl Serialize,
    timeout: Duration,
) -> Result<T, Delivery> {
    let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    let answer = messaging::ask(target, &to_payload(message), nanoseconds);
    let answer = answer
        .map_err(Delivery::Failed)?
        .unwrap_or_else(|| to_payload(&()));
    from_payload(&answer).map_err(Delivery::NotUnderstood)
}

/// Put a message in the mailbox of every subscriber of a topic; how many took it.
///
/// # Errors
/// The component may not publish there.
pub fn publish(topic: &str, message: &impl Serialize) -> Result<u64, Delivery> {
    let reach = topics::publish(topic, &to_payload(message)).map_err(Delivery::Failed)?;
    Ok(reach.accepted)
}

/// Receive what is published under a pattern: `*` is one word, `**` at the end any number.
///
/// # Errors
/// The component may not subscribe to it.
pub fn subscribe(pattern: &str) -> Result<(), Delivery> {
    topics::subscribe(pattern).map_err(Delivery::Failed)
}
