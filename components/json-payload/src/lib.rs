//! Payloads in JSON: the codec's prefix, then the text.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// 0x0200, the number of JSON in the multicodec table, as an unsigned varint.
pub const PREFIX: [u8; 2] = [0x80, 0x04];

/// Write a value as a payload.
///
/// # Panics
/// When the value has no JSON, such as a map whose keys are no strings.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    let mut payload = PREFIX.to_vec();
    serde_json::to_writer(&mut payload, value).expect("the type has a JSON form");
    payload
}

/// Read a value from a payload.
///
/// # Errors
/// Says what is wrong when the payload is in another codec, or not of this type.
pub fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    let text = payload
        .strip_prefix(&PREFIX)
        .ok_or("a JSON payload is expected")?;
    serde_json::from_slice(text).map_err(|error| error.to_string())
}
