//! Between the contract's types and JSON.

use crate::airssys::core::types::{
    DeliveryError, Error, HealthReport, HealthStatus, LogLevel, Payload, Priority, Setting, Source,
};
use serde_json::{Map, Value, json};

const JSON: [u8; 2] = [0x80, 0x04];

/// What a payload holds.
pub enum Body {
    /// A JSON object: what to do.
    Object(Map<String, Value>),
    /// Anything in another codec.
    Opaque,
}

pub fn body(payload: &[u8]) -> Result<Body, Error> {
    let Some(text) = payload.strip_prefix(&JSON) else {
        return Ok(Body::Opaque);
    };
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(Body::Object(object)),
        Ok(other) => Err(Error::Unhandled(format!("an object expected, not {other}"))),
        Err(error) => Err(Error::Undecodable(error.to_string())),
    }
}

/// The payload for a value: JSON, or for `"hex:…"` exactly those bytes.
pub fn payload(value: &Value) -> Payload {
    if let Some(digits) = value.as_str().and_then(|text| text.strip_prefix("hex:")) {
        return hex(digits);
    }
    let mut payload = JSON.to_vec();
    payload.extend_from_slice(value.to_string().as_bytes());
    payload
}

pub fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

/// The value in a payload: JSON, or for anything else `"hex:…"`.
pub fn value(payload: Option<&Payload>) -> Value {
    let Some(payload) = payload else {
        return Value::Null;
    };
    if let Some(text) = payload.strip_prefix(&JSON)
        && let Ok(value) = serde_json::from_slice(text)
    {
        return value;
    }
    let digits: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    json!(format!("hex:{digits}"))
}

pub fn source_json(source: &Source) -> Value {
    match source {
        Source::Host => json!({"from": "host"}),
        Source::Actor(address) => json!({"from": address}),
        Source::Topic(from) => json!({"topic": from.topic, "from": from.publisher}),
        Source::Timer(tick) => json!({"timer": tick.timer, "missed": tick.missed}),
    }
}

pub fn outcome_json(outcome: Result<Option<Payload>, DeliveryError>) -> Value {
    match outcome {
        Ok(answer) => json!({"ok": value(answer.as_ref())}),
        Err(error) => error_json(&error),
    }
}

/// `{"error": case, "detail": what it carries}`.
pub fn error_json(error: &DeliveryError) -> Value {
    let (case, detail) = match error {
        DeliveryError::NoActor => ("no-actor", Value::Null),
        DeliveryError::Stopped => ("stopped", Value::Null),
        DeliveryError::MailboxFull => ("mailbox-full", Value::Null),
        DeliveryError::Timeout => ("timeout", Value::Null),
        DeliveryError::NotPermitted(why) => ("not-permitted", json!(why)),
        DeliveryError::WaitCycle(cycle) => ("wait-cycle", json!(cycle)),
        DeliveryError::CodecMismatch(both) => (
            "codec-mismatch",
            json!({"sent": both.sent, "accepted": both.accepted}),
        ),
        DeliveryError::InvalidPayload(why) => ("invalid-payload", json!(why)),
        DeliveryError::TooLarge(limit) => ("too-large", json!(limit)),
        DeliveryError::Cancelled => ("cancelled", Value::Null),
        DeliveryError::Failed(why) => ("failed", json!(why)),
        DeliveryError::Refused(why) => ("refused", json!(why)),
        DeliveryError::Dropped(why) => ("dropped", json!(why)),
        DeliveryError::TooMany => ("too-many", Value::Null),
        DeliveryError::NotAnActor => ("not-an-actor", Value::Null),
        DeliveryError::UnknownToken => ("unknown-token", Value::Null),
    };
    json!({"error": case, "detail": detail})
}

pub fn setting(setting: Setting) -> Value {
    match setting {
        Setting::Boolean(value) => json!(value),
        Setting::Integer(value) => json!(value),
        Setting::Number(value) => json!(value),
        Setting::Text(value) => json!(value),
        Setting::Json(text) => serde_json::from_str(&text).expect("the host gives JSON"),
    }
}

/// A script given as a list, or as text that holds one.
pub fn script(value: Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(&text).expect("a script is a JSON list"),
        other => other,
    }
}

pub fn health(status: &str, detail: String) -> HealthReport {
    let status = match status {
        "healthy" => HealthStatus::Healthy,
        "degraded" => HealthStatus::Degraded,
        "unhealthy" => HealthStatus::Unhealthy,
        _ => HealthStatus::Unknown,
    };
    HealthReport { status, detail }
}

pub fn level(name: &str) -> LogLevel {
    match name {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "warning" => LogLevel::Warning,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

pub fn priority(name: &str) -> Priority {
    match name {
        "low" => Priority::Low,
        "high" => Priority::High,
        "critical" => Priority::Critical,
        _ => Priority::Normal,
    }
}
