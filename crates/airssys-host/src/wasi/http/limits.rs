//! How large requests and responses may be.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

use super::HttpRight;
use crate::gate::Bar;

/// The bounds of each request and its response, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    pub request_body: u64,
    pub response_body: u64,
    /// Names and values of the headers, in either direction, and as much for trailers.
    pub headers: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            request_body: 64 << 20,
            response_body: 64 << 20,
            headers: 64 << 10,
        }
    }
}

/// What is on record of a request that was ended for its size.
pub(super) const REQUEST_BODY: Bar = Bar {
    rule: "http-request-body",
    reason: "the body of the request is larger than the limit",
};
pub(super) const RESPONSE_BODY: Bar = Bar {
    rule: "http-response-body",
    reason: "the body of the response is larger than the limit",
};
pub(super) const REQUEST_HEADERS: Bar = Bar {
    rule: "http-request-headers",
    reason: "the headers of the request are larger than the limit",
};
pub(super) const RESPONSE_HEADERS: Bar = Bar {
    rule: "http-response-headers",
    reason: "the headers of the response are larger than the limit",
};

impl HttpLimits {
    /// A limit as the guest's error tells it.
    pub(super) fn headers_code(&self) -> Option<u32> {
        u32::try_from(self.headers).ok()
    }

    /// The least buffer in which the HTTP implementation finds such headers.
    pub(super) fn buffer(&self) -> usize {
        const LEAST: usize = 8 << 10;
        self.headers.max(LEAST)
    }
}

/// How much room header fields take in a message.
pub(super) fn size(headers: &HeaderMap) -> usize {
    // Each stands in a line of its own: `name: value`, and the line's end.
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    headers.iter().map(field).sum()
}

/// The body of a request, until it is too large.
pub(super) struct RequestBody {
    body: WasiBody,
    left: u64,
    right: Arc<HttpRight>,
    exceeded: Arc<AtomicBool>,
}

impl RequestBody {
    /// `exceeded` tells whether the body was ended, since the HTTP implementation does not pass that on.
    pub fn new(body: WasiBody, right: Arc<HttpRight>, exceeded: Arc<AtomicBool>) -> Self {
        Self {
            body,
            left: right.limits.request_body,
            right,
            exceeded,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => {
                    self.exceeded.store(true, Ordering::Release);
                    self.right.ended_for(REQUEST_BODY);
                    let limit = self.right.limits.request_body;
                    return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(limit)))));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
