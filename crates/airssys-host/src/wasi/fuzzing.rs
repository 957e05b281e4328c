//! Private parts as fuzz targets call them. Nobody else does.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};

use super::http::target::Target;
use super::secrets::Secret;
use super::secrets::scrub::Scrubber;
use crate::gate::Access;
use crate::gate::rule_gate::text_of;

/// Where a request of a guest is sent.
#[derive(Debug)]
pub struct HttpPlace {
    pub tls: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
    pub path: String,
}

/// Where a request for `uri` would be sent; `None` where it is refused.
pub fn http_place(uri: &str) -> Option<HttpPlace> {
    let target = Target::read(&uri.parse::<Uri>().ok()?).ok()?;
    Some(HttpPlace {
        tls: target.tls,
        host: target.host_text(),
        port: target.port,
        path: target.path,
    })
}

/// What the gate is told of a request to `place`, in the words of rules.
pub fn http_request_text(place: &HttpPlace) -> Vec<u8> {
    text_of(&Access::Http {
        method: "GET",
        scheme: if place.tls { "https" } else { "http" },
        host: &place.host,
        port: place.port,
        path: &place.path,
        bar: None,
    })
}

fn scrubber(secrets: &[Vec<u8>]) -> Option<Scrubber> {
    let secrets = secrets
        .iter()
        .map(|secret| Secret::new(secret.clone()).map(Arc::new));
    secrets.collect::<Result<_, _>>().ok().map(Scrubber::new)
}

/// What a guest reads of a body that comes in `pieces`; `None` where something cannot be a secret.
pub fn scrub<'a>(secrets: &[Vec<u8>], pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut scrubber = scrubber(secrets)?;
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(scrubber.piece(Bytes::copy_from_slice(piece)));
    }
    out.extend(scrubber.rest().unwrap_or_default());
    Some(out)
}

/// What a guest reads of the value of a header field; `None` where it can be none.
pub fn scrub_header(secrets: &[Vec<u8>], value: &[u8]) -> Option<Vec<u8>> {
    let scrubber = scrubber(secrets)?;
    let mut headers = HeaderMap::new();
    headers.insert("answer", HeaderValue::from_bytes(value).ok()?);
    scrubber.headers(&mut headers);
    Some(headers["answer"].as_bytes().to_vec())
}
