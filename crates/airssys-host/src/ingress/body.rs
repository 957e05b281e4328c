//! Bodies on their way in and out, and what the two ends of an exchange tell each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::limits::IngressLimits;
use super::statistics::IngressStatistics;
use crate::route::{Overheard, Statistics};

/// One request and its answer, as long as anything of it goes on.
#[derive(Debug)]
pub struct Exchange {
    pub began: Instant,
    pub limits: Arc<IngressLimits>,
    pub ingress: Arc<IngressStatistics>,
    /// The guest failed: what it has written of a body is not the whole.
    failed: AtomicBool,
    /// The client reads the body, and waits for the guest to write more.
    client_reads: AtomicBool,
    /// The guest reads the body of the request, and the client has sent nothing more yet.
    client_is_silent: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    _permit: OwnedSemaphorePermit,
}

impl Exchange {
    pub fn new(
        limits: Arc<IngressLimits>,
        ingress: Arc<IngressStatistics>,
        permit: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        ingress.active.add();
        Arc::new(Self {
            began: Instant::now(),
            limits,
            ingress,
            failed: AtomicBool::new(false),
            client_reads: AtomicBool::new(true),
            client_is_silent: AtomicBool::new(false),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            _permit: permit,
        })
    }

    /// The guest will not complete what it began to answer.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether it is the client that the guest waits for.
    pub fn waits_for_client(&self) -> bool {
        self.client_is_silent.load(Ordering::Acquire) || !self.client_reads.load(Ordering::Acquire)
    }

    /// Count what was moved since the last time as used by a revision.
    pub fn count_bytes(&self, statistics: &Statistics) {
        statistics.moved(
            self.bytes_in.swap(0, Ordering::AcqRel),
            self.bytes_out.swap(0, Ordering::AcqRel),
        );
    }

    fn deadline(&self, silence: Duration) -> Instant {
        (Instant::now() + silence).min(self.began + self.limits.request_time)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.ingress.active.subtract();
    }
}

/// Waits for a client, for so long.
#[derive(Debug, Default)]
struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    fn is_over(&mut self, exchange: &Exchange, context: &mut Context<'_>) -> bool {
        let silence = exchange.limits.silence;
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(exchange.deadline(silence))));
        sleep.as_mut().poll(context).is_ready()
    }
}

/// The body of a request: bounded in bytes, in silence, and in time.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    left: u64,
    exchange: Arc<Exchange>,
    patience: Patience,
    overheard: Option<Arc<Overheard>>,
}

impl RequestBody {
    /// `overheard` is told what passes.
    pub fn new(body: Incoming, exchange: Arc<Exchange>, overheard: Option<Arc<Overheard>>) -> Self {
        Self {
            body,
            left: exchange.limits.body_bytes,
            exchange,
            patience: Patience::default(),
            overheard,
        }
    }

    fn tell(&self, frame: Option<&Frame<Bytes>>) {
        let Some(overheard) = &self.overheard else {
            return;
        };
        if let Some(frame) = frame {
            overheard.sent(frame);
        }
        if frame.is_none() || self.body.is_end_stream() {
            overheard.sent_whole();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            this.exchange
                .client_is_silent
                .store(true, Ordering::Release);
            if this.patience.is_over(&this.exchange, context) {
                return Poll::Ready(Some(Err(HttpError::ConnectionReadTimeout)));
            }
            return Poll::Pending;
        };
        this.patience = Patience::default();
        this.exchange
            .client_is_silent
            .store(false, Ordering::Release);
        if frame.is_none() {
            this.tell(None);
        }
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            this.tell(Some(&frame));
            let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            this.exchange.bytes_in.fetch_add(length, Ordering::Relaxed);
            match this.left.checked_sub(length) {
                Some(left) => this.left = left,
                None => {
                    let most = this.exchange.limits.body_bytes;
                    return Err(HttpError::HttpRequestBodySize(Some(most)));
                }
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ends a task with whatever waits for it.
#[derive(Debug)]
pub struct Abort(Option<AbortHandle>);

impl Abort {
    pub const fn new(task: AbortHandle) -> Self {
        Self(Some(task))
    }

    /// Let the task go on alone.
    pub fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum CutOff {
    #[error("the component failed in the middle of its answer")]
    Failed,
    #[error("the answer took longer than it may")]
    Overdue,
    #[error("{0}")]
    Guest(HttpError),
}

/// The body of an answer.
#[derive(Debug)]
pub enum ResponseBody {
    Whole(Full<Bytes>),
    Guest(Box<GuestBody>),
}

impl ResponseBody {
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

/// What a guest writes, while it does.
#[derive(Debug)]
pub struct GuestBody {
    body: WasiBody,
    exchange: Arc<Exchange>,
    statistics: Arc<Statistics>,
    /// The guest, as long as it may not have written everything.
    guest: Option<Abort>,
    patience: Patience,
    /// Bytes until the end, where the head says how many there are: nobody asks for more than these.
    left: Option<u64>,
    over: bool,
    overheard: Option<Arc<Overheard>>,
}

impl GuestBody {
    /// `left` is the length that the answer is to have, if that is known; 0 where it has no body. `overheard` is
    /// told what passes.
    pub fn new(
        body: WasiBody,
        left: Option<u64>,
        exchange: Arc<Exchange>,
        statistics: Arc<Statistics>,
        guest: Option<Abort>,
        overheard: Option<Arc<Overheard>>,
    ) -> Self {
        // Where a guest passes on what it was sent, the body itself knows its length.
        let left = left.or_else(|| body.size_hint().exact());
        let mut made = Self {
            body,
            exchange,
            statistics,
            guest,
            patience: Patience::default(),
            left,
            over: false,
            overheard,
        };
        if left == Some(0) {
            made.complete();
        }
        made
    }

    /// The body is complete, and what the guest does now is not for the client.
    fn complete(&mut self) {
        self.over = true;
        self.exchange.client_reads.store(true, Ordering::Release);
        if let Some(guest) = self.guest.take() {
            guest.release();
        }
        if let Some(overheard) = self.overheard.take() {
            overheard.answered_whole();
        }
    }

    fn cut(&mut self, why: CutOff) -> Option<Result<Frame<Bytes>, CutOff>> {
        self.over = true;
        self.exchange.ingress.cut_off.add();
        Some(Err(why))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut *self {
            Self::Whole(whole) => Pin::new(whole)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Guest(guest) => guest.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Guest(guest) => guest.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Guest(guest) => guest.body.size_hint(),
        }
    }
}

impl GuestBody {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.exchange.client_reads.store(true, Ordering::Release);
            let until = self.exchange.limits.request_time;
            let sleep = self
                .patience
                .0
                .get_or_insert_with(|| Box::pin(sleep_until(self.exchange.began + until)));
            if sleep.as_mut().poll(context).is_ready() {
                return Poll::Ready(self.cut(CutOff::Overdue));
            }
            return Poll::Pending;
        };
        match frame {
            // The channel ends likewise when the guest is dropped in the middle.
            None if self.exchange.failed.load(Ordering::Acquire) => {
                Poll::Ready(self.cut(CutOff::Failed))
            }
            None => {
                self.complete();
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                // Until it asks for the next one, the client has to read this.
                self.exchange.client_reads.store(false, Ordering::Release);
                let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                self.exchange.bytes_out.fetch_add(length, Ordering::Relaxed);
                self.left = self.left.map(|left| left.saturating_sub(length));
                if let Some(overheard) = &self.overheard {
                    overheard.answered(&frame);
                }
                // Nobody asks for more than there is.
                if frame.is_trailers() || self.left == Some(0) || self.body.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(self.cut(CutOff::Guest(error))),
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        if !self.over {
            self.exchange.ingress.abandoned.add();
        }
        self.exchange.count_bytes(&self.statistics);
    }
}
