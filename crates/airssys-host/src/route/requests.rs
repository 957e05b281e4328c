//! Copies of HTTP requests: what goes in and out is overheard while the request is answered, and goes to both
//! revisions again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use blake3::Hasher;
use bytes::Bytes;
use http::header::DATE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::attempt::{Apart, Tried, Unheard};
use super::copies::{Copy, Digest, MOST_BYTES};
use super::line::Line;
use super::passage::Passage;
use crate::instance::{Answer, now_nanos};
use crate::storage::Base;

/// What is counted of each piece of a body beside its bytes.
const PIECE: usize = 64;

/// A request of which a copy is to be made. Whoever passes it on and its answer tells what passes by; when both have
/// passed whole, the copies run. They are not made where either is too large, or ends early.
#[derive(Debug)]
pub(crate) struct Overheard(Mutex<Option<Heard>>);

#[derive(Debug)]
struct Heard {
    copy: Copy,
    head: Head,
    sent: Half,
    answer: Option<Heads>,
    answered: Half,
}

#[derive(Clone, Debug)]
struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
}

/// The head of an answer, and whether a body belongs to it.
#[derive(Debug)]
struct Heads {
    status: StatusCode,
    headers: HeaderMap,
    bodiless: bool,
}

/// One of the two bodies.
#[derive(Clone, Debug, Default)]
struct Half {
    pieces: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    weight: usize,
    whole: bool,
}

impl Half {
    /// Keep a part that passes by; `false` where it is too much.
    fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        if let Some(data) = frame.data_ref() {
            self.weight += PIECE + data.len();
            self.pieces.push(data.clone());
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.weight += trailers.len() * PIECE;
            self.trailers = Some(trailers.clone());
        }
        self.weight <= MOST_BYTES
    }
}

impl Overheard {
    pub(super) fn new<B: Body>(copy: Copy, request: &Request<B>) -> Arc<Self> {
        let head = Head {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        };
        let sent = Half {
            whole: request.body().is_end_stream(),
            ..Half::default()
        };
        Arc::new(Self(Mutex::new(Some(Heard {
            copy,
            head,
            sent,
            answer: None,
            answered: Half::default(),
        }))))
    }

    /// Take something in; where it is too much, there will be no copy.
    fn hear(&self, take: impl FnOnce(&mut Heard) -> bool) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.as_mut().is_some_and(|heard| !take(heard)) {
            heard.take().inspect(|heard| heard.copy.leave_out());
        }
    }

    /// A part of the request's body.
    pub fn sent(&self, frame: &Frame<Bytes>) {
        self.hear(|heard| heard.sent.keep(frame));
    }

    /// The request's body has ended.
    pub fn sent_whole(&self) {
        self.hear(|heard| {
            heard.sent.whole = true;
            true
        });
    }

    /// The head of the answer; `bodiless` where no body belongs to it.
    pub fn answers<B>(&self, response: &Response<B>, bodiless: bool) {
        self.hear(|heard| {
            heard.answer = Some(Heads {
                status: response.status(),
                headers: response.headers().clone(),
                bodiless,
            });
            true
        });
    }

    /// A part of the answer's body.
    pub fn answered(&self, frame: &Frame<Bytes>) {
        self.hear(|heard| heard.answered.keep(frame));
    }

    /// The answer is complete.
    pub fn answered_whole(&self) {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(heard) = heard else { return };
        match heard.answer {
            Some(answer) if heard.sent.whole => {
                run(heard.copy, heard.head, heard.sent, answer, heard.answered);
            }
            // How the rest of the request would have been taken is not known.
            _ => heard.copy.leave_out(),
        }
    }
}

impl Drop for Overheard {
    fn drop(&mut self) {
        let heard = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.take() {
            heard.copy.leave_out();
        }
    }
}

fn run(copy: Copy, head: Head, sent: Half, answer: Heads, answered: Half) {
    let bodiless = answer.bodiless;
    copy.spawn(move |copy| async move {
        let mut expected = begun(answer.status, &answer.headers);
        for piece in &answered.pieces {
            expected.update(piece);
        }
        let expected = ended(expected, answered.trailers.as_ref());
        let ([control, candidate], base) = (copy.lines(), copy.base());
        let live = request(control, &head, &sent, bodiless, base).await;
        let new = request(candidate, &head, &sent, bodiless, base).await;
        copy.settle(live, new, &expected);
    });
}

/// Let the line's component handle the request, over the storage as it was in `base`.
async fn request(
    line: &Arc<Line>,
    head: &Head,
    sent: &Half,
    bodiless: bool,
    base: Option<&Arc<Base>>,
) -> Tried<Digest> {
    let Some(mut passage) = Passage::enter(line.clone(), None) else {
        return Tried::Ended;
    };
    let began = now_nanos();
    let apart = Apart::over(base);
    let overlay = apart.overlay();
    let request = again(head, sent);
    let (sender, receiver) = oneshot::channel();
    let call = passage.begin_with(None, move |mut live| async move {
        if let Some(overlay) = &overlay {
            live.lay(overlay);
        }
        let respond = move |answer: Answer| {
            // Whoever reads it may have lost patience.
            let _ = sender.send(answer);
        };
        match live.handle(request, respond).await {
            Ok(()) => (Some(live), Ok(None)),
            Err(error) => (None, Err(error)),
        }
    });
    let call = match call {
        Ok(call) => call,
        Err(error) => return apart.tried(Err(error), began),
    };
    let until = Instant::now() + call.time_left();
    let reading = timeout_at(until, async move {
        match receiver.await {
            Ok(Ok(response)) => read(response, bodiless).await,
            Ok(Err(_)) => Some(blake3::hash(b"refused").into()),
            Err(_) => None,
        }
    });
    let ((live, result), read) = tokio::join!(Unheard::new(call), reading);
    passage.conclude(live, &result);
    let none = || blake3::hash(b"no whole answer").into();
    let result = result.map(|_| read.ok().flatten().unwrap_or_else(none));
    apart.tried(result, began)
}

fn again(head: &Head, sent: &Half) -> Request<Again> {
    let mut request = Request::new(Again {
        left: sent.clone(),
        next: 0,
    });
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers.clone();
    request
}

/// What the answer is compared by; `None` where it has no end, or a later one than what it is compared with can have.
async fn read(response: Response<WasiBody>, bodiless: bool) -> Option<Digest> {
    let (head, mut body) = response.into_parts();
    let mut hasher = begun(head.status, &head.headers);
    let (mut trailers, mut weight) = (None, 0);
    while !bodiless && weight <= MOST_BYTES {
        let Some(frame) = body.frame().await else {
            return Some(ended(hasher, trailers.as_ref()));
        };
        let frame = frame.ok()?;
        if let Some(data) = frame.data_ref() {
            weight += data.len();
            hasher.update(data);
        }
        if let Ok(last) = frame.into_trailers() {
            trailers = Some(last);
        }
    }
    bodiless.then(|| ended(hasher, None))
}

fn begun(status: StatusCode, headers: &HeaderMap) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(&status.as_u16().to_le_bytes());
    fields(headers, &mut hasher);
    hasher
}

fn ended(mut hasher: Hasher, trailers: Option<&HeaderMap>) -> Digest {
    let body = hasher.finalize();
    hasher.update(body.as_bytes());
    if let Some(trailers) = trailers {
        fields(trailers, &mut hasher);
    }
    hasher.finalize().into()
}

/// Take in fields in the order of their names; those of one name stay in theirs. When it was written is no part of
/// an answer.
fn fields(headers: &HeaderMap, hasher: &mut Hasher) {
    let mut names: Vec<_> = headers.keys().filter(|name| **name != DATE).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    hasher.update(&names.len().to_le_bytes());
    for name in names {
        for value in headers.get_all(name) {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                hasher.update(&part.len().to_le_bytes());
                hasher.update(part);
            }
        }
    }
}

/// The body of a request once more.
struct Again {
    left: Half,
    next: usize,
}

impl Body for Again {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = match self.left.pieces.get(self.next) {
            Some(piece) => Some(Frame::data(piece.clone())),
            None => self.left.trailers.take().map(Frame::trailers),
        };
        self.next += 1;
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.left.pieces.len() && self.left.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.pieces.iter().skip(self.next).map(Bytes::len);
        SizeHint::with_exact(left.sum::<usize>() as u64)
    }
}
