//! HTTP requests that came once, made again where they have no effects, and what they are answered then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use blake3::Hasher;
use bytes::Bytes;
use http::header::DATE;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::attempt::{Apart, Tried, Unheard};
use super::copies::{Digest, MOST_BYTES};
use super::line::Line;
use super::passage::Passage;
use crate::instance::{Answer, now_nanos};
use crate::storage::Base;

/// What is counted of each piece of a body, and of each field, beside its bytes.
const PIECE: usize = 64;
/// Bytes of the body of an answer that can be shown.
const SHOWN: usize = 512;

/// A request that came, whole.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub head: Head,
    pub sent: Sent,
    /// Whether its answer has no body.
    pub bodiless: bool,
}

impl Asked {
    /// Bytes that it takes to keep it.
    pub fn weight(&self) -> usize {
        let uri = self
            .head
            .uri
            .path_and_query()
            .map_or(0, |path| path.as_str().len());
        uri + weight(&self.head.headers) + self.sent.weight
    }
}

/// What came as the answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub digest: Digest,
    /// The head, or why there is none.
    pub answer: Result<(StatusCode, HeaderMap), &'static str>,
    /// How the body begins.
    pub start: Vec<u8>,
    /// Bytes of all of it.
    pub length: usize,
}

impl Seen {
    fn nothing(why: &'static str) -> Self {
        Self {
            digest: blake3::hash(why.as_bytes()).into(),
            answer: Err(why),
            start: Vec::new(),
            length: 0,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Head {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
}

impl Head {
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        }
    }
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pieces: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    pub weight: usize,
    pub whole: bool,
}

impl Sent {
    /// Keep a part that passes by.
    pub fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.weight += PIECE + data.len();
            self.pieces.push(data.clone());
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.weight += weight(trailers);
            self.trailers = Some(trailers.clone());
        }
    }
}

fn weight(headers: &HeaderMap) -> usize {
    let bytes =
        |(name, value): (&HeaderName, &HeaderValue)| PIECE + name.as_str().len() + value.len();
    headers.iter().map(bytes).sum()
}

/// Let the line's component handle the request, over the storage as it was in `base`.
pub(super) async fn request(
    line: &Arc<Line>,
    asked: &Asked,
    base: Option<&Arc<Base>>,
) -> Tried<Seen> {
    let Some(mut passage) = Passage::enter(line.clone(), None) else {
        return Tried::Ended;
    };
    let began = now_nanos();
    let apart = Apart::over(base);
    let overlay = apart.overlay();
    let request = again(asked);
    let bodiless = asked.bodiless;
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
            Ok(Err(_)) => Some(Seen::nothing("an error instead of an answer")),
            Err(_) => None,
        }
    });
    let ((live, result), read) = tokio::join!(Unheard::new(call), reading);
    passage.conclude(live, &result);
    let none = || Seen::nothing("no whole answer");
    let result = result.map(|_| read.ok().flatten().unwrap_or_else(none));
    apart.tried(result, began)
}

fn again(asked: &Asked) -> Request<Again> {
    let mut request = Request::new(Again {
        left: asked.sent.clone(),
        next: 0,
    });
    let head = &asked.head;
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers.clone();
    request
}

/// What came as the answer; `None` where it has no end, or a later one than what it is compared with can have.
async fn read(response: Response<WasiBody>, bodiless: bool) -> Option<Seen> {
    let (head, body) = response.into_parts();
    let mut print = Print::new(head.status, &head.headers);
    let (mut trailers, mut start, mut length) = (None, Vec::new(), 0);
    // Of what has no body nothing is read.
    let mut body = (!bodiless).then_some(body);
    while let Some(frame) = match &mut body {
        Some(body) => body.frame().await,
        None => None,
    } {
        let frame = frame.ok()?;
        if let Some(data) = frame.data_ref() {
            length += data.len();
            start.extend_from_slice(&data[..data.len().min(SHOWN - start.len())]);
            print.take(data);
        }
        if length > MOST_BYTES {
            return None;
        }
        if let Ok(last) = frame.into_trailers() {
            trailers = Some(last);
        }
    }
    Some(Seen {
        digest: print.end(trailers.as_ref()),
        answer: Ok((head.status, head.headers)),
        start,
        length,
    })
}

/// What an answer is compared by, taken as it passes.
#[derive(Debug)]
pub(super) struct Print(Hasher);

impl Print {
    pub fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&status.as_u16().to_le_bytes());
        fields(headers, &mut hasher);
        Self(hasher)
    }

    /// A piece of the body.
    pub fn take(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub fn end(mut self, trailers: Option<&HeaderMap>) -> Digest {
        let body = self.0.finalize();
        self.0.update(body.as_bytes());
        if let Some(trailers) = trailers {
            fields(trailers, &mut self.0);
        }
        self.0.finalize().into()
    }
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
    left: Sent,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    fn print(
        status: u16,
        fields: &HeaderMap,
        body: &[&str],
        trailers: Option<&HeaderMap>,
    ) -> Digest {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut print = Print::new(status, fields);
        for piece in body {
            print.take(piece.as_bytes());
        }
        print.end(trailers)
    }

    #[test]
    fn answers_are_alike_where_status_fields_body_and_trailers_are() {
        let fields = headers(&[("a", "1"), ("b", "2"), ("a", "3"), ("date", "today")]);
        let own = print(200, &fields, &["he", "llo"], None);
        let otherwise = headers(&[("b", "2"), ("a", "1"), ("date", "tomorrow"), ("a", "3")]);
        assert_eq!(own, print(200, &otherwise, &["hello"], None));
        let swapped = headers(&[("a", "3"), ("b", "2"), ("a", "1")]);
        let fewer = headers(&[("a", "1"), ("b", "2")]);
        for other in [
            print(201, &fields, &["hello"], None),
            print(200, &swapped, &["hello"], None),
            print(200, &fewer, &["hello"], None),
            print(200, &fields, &["hallo"], None),
            print(200, &fields, &["hello"], Some(&fewer)),
            print(200, &fields, &[], None),
        ] {
            assert_ne!(own, other);
        }
        assert_ne!(
            print(200, &fields, &[], Some(&fewer)),
            print(200, &fields, &[], Some(&swapped))
        );
    }
}
