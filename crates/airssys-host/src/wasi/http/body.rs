//! The body of a response, while the right to it lasts and it is not too large, without secrets.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

use super::limits::{RESPONSE_BODY, RESPONSE_HEADERS, size};
use super::{HttpRight, refused};
use crate::wasi::decide::Standing;
use crate::wasi::net::connections::Connection;
use crate::wasi::secrets::scrub::Scrubber;

pub(super) struct ResponseBody {
    incoming: Incoming,
    right: Standing<Arc<HttpRight>>,
    silence: Duration,
    /// Until when the server may keep silent.
    deadline: Pin<Box<Sleep>>,
    /// How many bytes may still come.
    left: u64,
    /// Where a secret was used.
    scrubber: Option<Scrubber>,
    /// What came behind the end of the data.
    trailers: Option<Frame<Bytes>>,
    /// Nothing more comes.
    ended: bool,
    /// Counts until this is dropped, and not until the task of the connection has noticed.
    _counted: Connection,
}

impl ResponseBody {
    pub fn new(
        incoming: Incoming,
        right: Standing<Arc<HttpRight>>,
        silence: Duration,
        scrubber: Option<Scrubber>,
        counted: Connection,
    ) -> Self {
        Self {
            incoming,
            left: right.right.limits.response_body,
            right,
            silence,
            deadline: Box::pin(tokio::time::sleep(silence)),
            scrubber,
            trailers: None,
            ended: false,
            _counted: counted,
        }
    }

    /// The next frame as it came.
    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // When the right is lost while the server is silent the connection is cut, which wakes this.
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.deadline.as_mut().reset(Instant::now() + self.silence);
                Poll::Ready(Some(self.within_limits(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(context));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn within_limits(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let right = &self.right.right;
        if let Some(data) = frame.data_ref() {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                right.ended_for(RESPONSE_BODY);
                let limit = right.limits.response_body;
                return Err(Error::HttpResponseBodySize(Some(limit)));
            };
            self.left = left;
        } else if let Some(trailers) = frame.trailers_ref()
            && size(trailers) > right.limits.headers
        {
            right.ended_for(RESPONSE_HEADERS);
            return Err(Error::HttpResponseTrailerSectionSize(
                right.limits.headers_code(),
            ));
        }
        Ok(frame)
    }

    /// The next frame without secrets. What may be the beginning of one waits for what follows.
    fn poll_scrubbed(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(self.trailers.take().map(Ok));
            }
            let frame = ready!(self.poll_incoming(context));
            let Some(scrubber) = &mut self.scrubber else {
                return Poll::Ready(frame);
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.ended = true;
                    return Poll::Ready(scrubber.rest().map(|rest| Ok(Frame::data(rest))));
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    let data = scrubber.piece(data);
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Err(mut frame) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        scrubber.headers(trailers);
                    }
                    self.ended = true;
                    self.trailers = Some(frame);
                    if let Some(rest) = scrubber.rest() {
                        return Poll::Ready(Some(Ok(Frame::data(rest))));
                    }
                }
            }
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
        body.poll_scrubbed(context)
    }

    fn is_end_stream(&self) -> bool {
        let held = self.scrubber.as_ref().is_some_and(|it| it.held() > 0);
        !held && self.trailers.is_none() && (self.ended || self.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.incoming.size_hint();
        if let Some(scrubber) = &self.scrubber {
            let held = scrubber.held() as u64;
            let upper = hint.upper().map(|upper| upper + held);
            hint.set_lower(hint.lower() + held);
            if let Some(upper) = upper {
                hint.set_upper(upper);
            }
        }
        hint
    }
}
