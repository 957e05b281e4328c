//! What clients may ask of an ingress.

use std::time::Duration;

/// The bounds of one ingress.
#[derive(Clone, Debug)]
pub struct IngressLimits {
    /// Open connections; more are closed at once.
    pub connections: usize,
    /// Requests that are answered at a time.
    pub requests: usize,
    /// Requests that wait for one of those to end, and how long.
    pub waiting: usize,
    pub patience: Duration,
    /// Bytes of a request's line and headers, and how many headers there may be.
    pub header_bytes: usize,
    pub headers: usize,
    /// Bytes of a request's body.
    pub body_bytes: u64,
    /// For the head of a request to arrive; and how long a connection may stay idle.
    pub header_time: Duration,
    /// How long a client may send nothing of a body, or read nothing of an answer.
    pub silence: Duration,
    /// From the head of a request to the end of its answer.
    pub request_time: Duration,
}

impl Default for IngressLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 512,
            waiting: 512,
            patience: Duration::from_secs(1),
            header_bytes: 32 << 10,
            headers: 100,
            body_bytes: 16 << 20,
            header_time: Duration::from_secs(30),
            silence: Duration::from_secs(30),
            request_time: Duration::from_secs(300),
        }
    }
}
