//! Requests that are refused.

use std::fmt;

/// A request is refused: whoever asked gets the reason, and the actor goes on.
#[derive(Clone, Debug)]
pub struct Refused(pub String);

impl<T: fmt::Display> From<T> for Refused {
    fn from(reason: T) -> Self {
        Self(reason.to_string())
    }
}
