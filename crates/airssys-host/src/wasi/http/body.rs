//! The body of a response, while the right to it lasts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

use super::{HttpRight, refused};
use crate::wasi::decide::Standing;

pub(super) struct ResponseBody {
    incoming: Incoming,
    right: Standing<Arc<HttpRight>>,
    silence: Duration,
    /// Until when the server may keep silent.
    deadline: Pin<Box<Sleep>>,
}

impl ResponseBody {
    pub fn new(incoming: Incoming, right: Standing<Arc<HttpRight>>, silence: Duration) -> Self {
        Self {
            incoming,
            right,
            silence,
            deadline: Box::pin(tokio::time::sleep(silence)),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let body = &mut *self;
        if let Err(errno) = ready!(body.right.poll_settled(context)) {
            return Poll::Ready(Some(Err(refused(errno))));
        }
        // When the right is lost while the server is silent the connection is cut, which wakes this.
        match Pin::new(&mut body.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                body.deadline.as_mut().reset(Instant::now() + body.silence);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(body.deadline.as_mut().poll(context));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
