//! Answers that say what went wrong (RFC 9457).

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::limits::Limit;

/// What is wrong with a request, or with what it was for.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// A word that programs can tell problems apart by.
    pub code: &'static str,
    pub detail: String,
    /// Further members.
    pub members: Map<String, Value>,
    /// Seconds after which it may go better.
    pub retry_after: Option<u32>,
    pub allow: Option<&'static str>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            members: Map::new(),
            retry_after: None,
            allow: None,
        }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// What became of a call, as a client may know it: nothing of the inside of a component.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let unavailable = |code, detail: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(1)
        };
        match error {
            Error::Limit(exceeded) => match exceeded.limit {
                Limit::CallTimeout => Self::new(
                    StatusCode::GATEWAY_TIMEOUT,
                    "timeout",
                    "the component took longer than it may",
                ),
                Limit::CallsPerSecond => Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too-many-requests",
                    "requests come faster than they may",
                )
                .retry_after(1),
                limit => unavailable("limit", "the component reached a limit")
                    .with("limit", limit.name()),
            },
            Error::Overloaded { .. } | Error::PoolExhausted => {
                unavailable("overloaded", "every instance is in use")
            }
            Error::RouteClosed | Error::Drained | Error::ShutDown => {
                unavailable("unavailable", "the deployment takes no requests now")
            }
            Error::Trap(_) | Error::Exit(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "trap",
                "the component failed: it trapped",
            ),
            Error::HostFunction => Self::new(
                StatusCode::BAD_GATEWAY,
                "host-function",
                "the component failed: something that it uses did",
            ),
            Error::Link(_) => Self::new(
                StatusCode::NOT_IMPLEMENTED,
                "no-handler",
                "the deployment does not answer HTTP requests",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the host failed",
            ),
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(self) -> Response<Bytes> {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut body = json!({
            "type": format!("urn:airssys:problem:{}", self.code),
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let members = body.as_object_mut().expect("made as an object above");
        members.extend(self.members);
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}
