//! HTTP: a function that answers requests is the handler of the component.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

use crate::Refused;

/// What one read of a body asks for.
const READ: u64 = 1 << 16;
/// What one write to a stream of WASI takes.
const WRITE: usize = 4096;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Without what follows `?`, percent-decoded.
    pub path: String,
    /// What follows it, by name; the last one of each.
    pub query: BTreeMap<String, String>,
    /// By name in lower case; several of a name are joined by commas.
    pub headers: BTreeMap<String, String>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Request {
    /// The body as text.
    ///
    /// # Errors
    /// It is no UTF-8.
    pub fn text(&self) -> Result<&str, Refused> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Refused(format!("the body is no UTF-8: {error}")))
    }

    /// The body, in JSON, as a type.
    ///
    /// # Errors
    /// It is no JSON of that type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refused(format!("the body is not what is expected: {error}")))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Fields by their names.
    pub headers: BTreeMap<String, String>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Response {
    fn of(kind: &str, body: Vec<u8>) -> Self {
        let headers = BTreeMap::from([("content-type".to_owned(), kind.to_owned())]);
        Self {
            status: 200,
            headers,
            body,
        }
    }

    /// Text, with status 200.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of("text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// A value as JSON, with status 200.
    ///
    /// # Panics
    /// JSON has nothing for the type, such as a map whose keys are no texts.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("answers are types that JSON has");
        Self::of("application/json", body)
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Answer a request by a function; what it refuses is an answer of status 400.
#[doc(hidden)]
pub fn handle(
    answer: fn(Request) -> Result<Response, Refused>,
    request: &IncomingRequest,
    out: ResponseOutparam,
) {
    let response = answer(read(request))
        .unwrap_or_else(|Refused(reason)| Response::text(reason).with_status(400));
    write(response, out);
}

fn read(request: &IncomingRequest) -> Request {
    let target = request.path_with_query().unwrap_or_else(|| "/".to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let word = |escaped: &str| decoded(&escaped.replace('+', " "));
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in request.headers().entries() {
        let text: String = value.iter().copied().map(char::from).collect();
        let several = headers.entry(name.to_lowercase()).or_default();
        *several = if several.is_empty() {
            text
        } else {
            format!("{several}, {text}")
        };
    }
    Request {
        method: match request.method() {
            Method::Get => "GET".to_owned(),
            Method::Head => "HEAD".to_owned(),
            Method::Post => "POST".to_owned(),
            Method::Put => "PUT".to_owned(),
            Method::Delete => "DELETE".to_owned(),
            Method::Connect => "CONNECT".to_owned(),
            Method::Options => "OPTIONS".to_owned(),
            Method::Trace => "TRACE".to_owned(),
            Method::Patch => "PATCH".to_owned(),
            Method::Other(name) => name,
        },
        path: decoded(path),
        query: pairs
            .map(|(name, value)| (word(name), word(value)))
            .collect(),
        headers,
        body: body(request),
    }
}

/// Text that was percent-encoded; a `%` that escapes nothing stands for itself.
fn decoded(escaped: &str) -> String {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// # Panics
/// The body broke off: there is nobody to answer.
fn body(request: &IncomingRequest) -> Vec<u8> {
    let incoming = request.consume().expect("nobody else took it");
    let stream = incoming.stream().expect("nobody else took it");
    let mut content = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(part) => content.extend(part),
            Err(StreamError::Closed) => return content,
            Err(StreamError::LastOperationFailed(error)) => panic!("{}", error.to_debug_string()),
        }
    }
}

fn write(response: Response, out: ResponseOutparam) {
    let entries = response
        .headers
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()));
    let fields = Fields::from_list(&entries.collect::<Vec<_>>()).expect("names and values of HTTP");
    let head = OutgoingResponse::new(fields);
    head.set_status_code(response.status)
        .expect("a status code of HTTP");
    let outgoing = head.body().expect("nobody else took it");
    ResponseOutparam::set(out, Ok(head));
    let stream = outgoing.write().expect("nobody else took it");
    for part in response.body.chunks(WRITE) {
        if stream.blocking_write_and_flush(part).is_err() {
            return; // whoever asked has gone
        }
    }
    drop(stream);
    // Nor is that a reason to end the instance.
    let _ = OutgoingBody::finish(outgoing, None);
}

/// Let a function `fn(Request) -> Result<Response, Refused>` answer the requests to this component.
///
/// What it refuses is an answer of status 400. A panic ends the instance, and whoever asked gets 502.
#[macro_export]
macro_rules! http {
    ($answer:path) => {
        const _: () = {
            use $crate::glue::wasip2;

            struct Component;

            impl wasip2::exports::http::incoming_handler::Guest for Component {
                fn handle(
                    request: wasip2::http::types::IncomingRequest,
                    out: wasip2::http::types::ResponseOutparam,
                ) {
                    $crate::http::handle($answer, &request, out);
                }
            }

            wasip2::http::proxy::export!(Component);
        };
    };
}
