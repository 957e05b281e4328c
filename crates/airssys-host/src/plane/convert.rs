//! Between the plane's own types and those generated from the WIT packages.

use super::bindings::types;
use super::failure::{Failure, Reason};

/// What a guest said, in words.
pub(super) fn words(error: types::Error) -> String {
    match error {
        types::Error::Undecodable(text)
        | types::Error::Unhandled(text)
        | types::Error::Refused(text)
        | types::Error::Failed(text) => text,
    }
}

/// Why a message that the guest did not handle is dead, and what its asker is told. A refused one is not dead: it was
/// handled, and whoever asked learns why there is no other answer.
pub(super) fn refusal(error: &types::Error) -> (Option<Reason>, Failure) {
    match error {
        types::Error::Undecodable(_) => {
            let reason = Reason::Undecodable;
            (Some(reason), Failure::Dropped(reason))
        }
        types::Error::Unhandled(_) => {
            let reason = Reason::Unhandled;
            (Some(reason), Failure::Dropped(reason))
        }
        types::Error::Refused(text) => (None, Failure::Refused(text.clone())),
        types::Error::Failed(text) => (Some(Reason::Failed), Failure::Failed(text.clone())),
    }
}

pub(super) fn health(status: types::HealthStatus) -> &'static str {
    match status {
        types::HealthStatus::Healthy => "healthy",
        types::HealthStatus::Degraded => "degraded",
        types::HealthStatus::Unhealthy => "unhealthy",
        types::HealthStatus::Unknown => "unknown",
    }
}

pub(super) fn health_status(status: &str) -> types::HealthStatus {
    match status {
        "healthy" => types::HealthStatus::Healthy,
        "degraded" => types::HealthStatus::Degraded,
        "unhealthy" => types::HealthStatus::Unhealthy,
        _ => types::HealthStatus::Unknown,
    }
}

pub(super) fn level(level: types::LogLevel) -> &'static str {
    match level {
        types::LogLevel::Trace => "trace",
        types::LogLevel::Debug => "debug",
        types::LogLevel::Info => "info",
        types::LogLevel::Warning => "warning",
        types::LogLevel::Error => "error",
    }
}

pub(super) fn priority(priority: types::Priority) -> u8 {
    match priority {
        types::Priority::Low => 0,
        types::Priority::Normal => 1,
        types::Priority::High => 2,
        types::Priority::Critical => 3,
    }
}

/// What a guest is told of a failure.
pub(super) fn delivery_error(failure: Failure) -> types::DeliveryErrorResult {
    use types::DeliveryErrorResult as Told;
    match failure {
        Failure::NoActor | Failure::InvalidAddress(_) => Told::NoActor,
        Failure::Stopped => Told::Stopped,
        Failure::MailboxFull => Told::MailboxFull,
        Failure::Timeout => Told::Timeout,
        Failure::NotPermitted(rule) => Told::NotPermitted(rule),
        Failure::WaitCycle(cycle) => {
            Told::WaitCycle(cycle.iter().map(ToString::to_string).collect())
        }
        Failure::CodecMismatch { sent, accepted } => {
            Told::CodecMismatch(types::CodecMismatchResult { sent, accepted })
        }
        Failure::InvalidPayload(reason) => Told::InvalidPayload(reason),
        Failure::TooLarge { limit, .. } => Told::TooLarge(limit),
        Failure::Cancelled => Told::Cancelled,
        Failure::Failed(reason) => Told::Failed(reason),
        Failure::Refused(reason) => Told::Refused(reason),
        Failure::Dropped(reason) => Told::Dropped(reason.name().to_owned()),
        Failure::TooMany => Told::TooMany,
        Failure::NotAnActor => Told::NotAnActor,
        Failure::UnknownToken => Told::UnknownToken,
        other => Told::Failed(other.to_string()),
    }
}

/// The same, borrowed for a call into a guest.
pub(super) fn borrowed<'a>(
    error: &'a types::DeliveryErrorResult,
    cycle: &'a [&'a str],
) -> types::DeliveryErrorParam<'a> {
    use types::{DeliveryErrorParam as To, DeliveryErrorResult as From};
    match error {
        From::NoActor => To::NoActor,
        From::Stopped => To::Stopped,
        From::MailboxFull => To::MailboxFull,
        From::Timeout => To::Timeout,
        From::NotPermitted(rule) => To::NotPermitted(rule),
        From::WaitCycle(_) => To::WaitCycle(cycle),
        From::CodecMismatch(mismatch) => To::CodecMismatch(types::CodecMismatchParam {
            sent: mismatch.sent,
            accepted: &mismatch.accepted,
        }),
        From::InvalidPayload(reason) => To::InvalidPayload(reason),
        From::TooLarge(limit) => To::TooLarge(*limit),
        From::Cancelled => To::Cancelled,
        From::Failed(reason) => To::Failed(reason),
        From::Refused(reason) => To::Refused(reason),
        From::Dropped(reason) => To::Dropped(reason),
        From::TooMany => To::TooMany,
        From::NotAnActor => To::NotAnActor,
        From::UnknownToken => To::UnknownToken,
    }
}
