//! One request: whether it can be read in one way only, whose it is, and whether there is room for it.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::body::{Exchange, ResponseBody};
use super::problem::Problem;
use super::rules::{Handling, is_plain};
use super::{Shared, function, handler};

/// What belongs to a connection, not to a request.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What only a proxy may say, and there is none whose word is taken.
const OF_PROXIES: [HeaderName; 8] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// Answer one request.
pub async fn respond(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<ResponseBody> {
    shared.statistics.requests.add();
    let response = match answer(shared, request).await {
        Ok(response) => response,
        Err(problem) => problem.response().map(ResponseBody::whole),
    };
    shared.statistics.answered(response.status());
    response
}

async fn answer(
    shared: &Arc<Shared>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Problem> {
    let host = read_host(&request)?;
    refuse_odd(&request)?;
    let rules = shared.rules.load();
    let path = request.uri().path();
    let Some((rule, rest)) = rules.find(&host, path) else {
        shared.statistics.unmatched.add();
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no-rule",
            "nothing is served at this host and path",
        ));
    };
    let (rule, rest) = (rule.clone(), rest.to_owned());
    let permit = admit(shared).await?;
    let exchange = Exchange::new(shared.limits.clone(), shared.statistics.clone(), permit);
    if exceeds(request.headers(), shared.limits.body_bytes) {
        return Err(too_large(shared.limits.body_bytes));
    }
    let key = rule
        .key
        .as_ref()
        .and_then(|source| source.of(request.headers()));
    let passage = rule.route.enter(key).map_err(|error| Problem::of(&error))?;
    strip(request.headers_mut());
    match &rule.handling {
        Handling::Http => handler::answer(passage, request, &exchange, shared).await,
        Handling::Functions => function::answer(passage, &rest, request, &exchange, shared).await,
        Handling::Function(name) if rest.is_empty() => {
            function::answer(passage, name, request, &exchange, shared).await
        }
        Handling::Function(_) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no-rule",
            "nothing is served below this path",
        )),
    }
}

/// The host that the request is for, in lower case and without port.
fn read_host(request: &Request<Incoming>) -> Result<String, Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "host", detail);
    let mut named = request.headers().get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return Err(bad(
            "a request names one host; this one has several `Host` headers",
        ));
    }
    if first.is_none() && request.version() == Version::HTTP_11 {
        return Err(bad("a request of HTTP/1.1 has a `Host` header"));
    }
    let in_header = first
        .map(|value| Authority::try_from(value.as_bytes()))
        .transpose()
        .map_err(|_| bad("the `Host` header is not a host"))?;
    let authority = request.uri().authority().or(in_header.as_ref());
    let Some(authority) = authority else {
        return Err(bad("a request says which host it is for"));
    };
    if let Some(in_header) = &in_header
        && !in_header.as_str().eq_ignore_ascii_case(authority.as_str())
    {
        return Err(bad(
            "the request line and the `Host` header name different hosts",
        ));
    }
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(bad("the host has nothing before it, and is not empty"));
    }
    let host = authority.host().to_ascii_lowercase();
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_err()) {
        return Err(bad("the host is not an address"));
    }
    // A name may end in the dot of the root.
    Ok(host.strip_suffix('.').map_or(host.clone(), str::to_owned))
}

/// Refuse what servers read in different ways, and what makes a tunnel.
fn refuse_odd(request: &Request<Incoming>) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "tunnel",
            "this is no proxy",
        ));
    }
    if !is_plain(request.uri().path()) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "path",
            "the path has dot segments, or escapes that hide a slash",
        ));
    }
    Ok(())
}

/// One that waits for room, as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Wait for room, for a while.
async fn admit(shared: &Shared) -> Result<OwnedSemaphorePermit, Problem> {
    if let Ok(permit) = shared.room.clone().try_acquire_owned() {
        return Ok(permit);
    }
    let before = shared.waiting.fetch_add(1, Ordering::SeqCst);
    let _waiting = Waiting(&shared.waiting);
    if before < shared.limits.waiting {
        let room = shared.room.clone().acquire_owned();
        if let Ok(Ok(permit)) = timeout(shared.limits.patience, room).await {
            return Ok(permit);
        }
    }
    shared.statistics.overloaded.add();
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests are being answered",
    )
    .retry_after(1))
}

fn exceeds(headers: &HeaderMap, most: u64) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > most)
}

/// The answer to a body that is too large.
pub fn too_large(most: u64) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        format!("the body of a request has at most {most} bytes"),
    )
    .with("most", most)
}

/// Take out what was not meant for the component, or cannot be believed.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    // `Host` and `Content-Length` are not a connection's to take away.
    for name in named
        .iter()
        .filter(|name| ![HOST, CONTENT_LENGTH].contains(name))
    {
        headers.remove(name);
    }
    for name in HOP_BY_HOP.iter().chain(&OF_PROXIES) {
        headers.remove(name);
    }
}

/// A whole answer in JSON.
pub fn json(status: StatusCode, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response
}
