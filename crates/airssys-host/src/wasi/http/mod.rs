//! Governed outgoing HTTP, for WASI 0.2 and 0.3 alike.
//!
//! A request is read in one spelling, decided, resolved, decided again for the address, and sent to exactly
//! this address; secrets are filled in last. Redirects go back to the guest. Connections are not reused.

mod body;
mod connect;
mod limits;
pub(super) mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustix::io::Errno;
use rustls::ClientConfig;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::io::error::Error as IoError;
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};

use self::body::ResponseBody;
use self::limits::{
    REQUEST_BODY, REQUEST_HEADERS, RESPONSE_BODY, RESPONSE_HEADERS, RequestBody, size,
};
use self::target::Target;
use super::decide::{Fail, Right, Standing, outcome, permit, settle};
use super::net::Net;
use super::net::names::{Host, LookupError};
use super::secrets::{Handed, Use};
use super::state::WasiState;
use crate::gate::kind::Kind;
use crate::gate::{Access, Bar, Gate};

pub use connect::{default_tls, tls_trusting};
pub use limits::HttpLimits;

/// How long a connection may take to come about, and how long a server may keep silent, unless the guest
/// asks for less.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);
const SILENCE_PATIENCE: Duration = Duration::from_secs(600);

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What one instance has of HTTP.
pub(crate) struct Http {
    pub ctx: WasiHttpCtx,
    pub hooks: Hooks,
}

pub(crate) struct Hooks {
    net: Arc<Net>,
    tls: Arc<ClientConfig>,
    limits: HttpLimits,
    /// Where the instance was given secrets.
    handed: Option<Arc<Handed>>,
}

impl Http {
    pub fn new(
        net: Arc<Net>,
        tls: Arc<ClientConfig>,
        limits: HttpLimits,
        handed: Option<Arc<Handed>>,
    ) -> Self {
        Self {
            ctx: WasiHttpCtx::new(),
            hooks: Hooks {
                net,
                tls,
                limits,
                handed,
            },
        }
    }
}

impl Hooks {
    pub fn handed(&self) -> Option<&Arc<Handed>> {
        self.handed.as_ref()
    }
}

impl WasiState {
    /// What `http-error-code` says of an error of a stream.
    pub(super) fn http_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        let error = self.table.get(&error)?;
        let code = match error.downcast_ref::<Error>() {
            Some(Error::HttpRequestDenied) => Some(types::ErrorCode::HttpRequestDenied),
            Some(Error::HttpResponseBodySize(limit)) => {
                Some(types::ErrorCode::HttpResponseBodySize(*limit))
            }
            Some(Error::ConnectionReadTimeout) => Some(types::ErrorCode::ConnectionReadTimeout),
            _ => error.downcast_ref::<types::ErrorCode>().cloned(),
        };
        Ok(code)
    }

    pub(crate) fn http_view(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http.hooks,
            table: &mut self.table,
            ctx: &mut self.http.ctx,
        }
    }
}

impl WasiHttpHooks for Hooks {
    /// The guest's spelling of the authority is not what is sent; [`send`] sets the header.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        let means = Means {
            net: Arc::clone(&self.net),
            tls: Arc::clone(&self.tls),
            limits: self.limits,
            handed: self.handed.clone(),
        };
        // Its own task, since whoever polls the guest may do so outside of a runtime.
        Box::new(wasmtime_wasi::runtime::spawn(send(
            means,
            request,
            options.unwrap_or_default(),
        )))
    }
}

/// What a request is sent with.
struct Means {
    net: Arc<Net>,
    tls: Arc<ClientConfig>,
    limits: HttpLimits,
    handed: Option<Arc<Handed>>,
}

async fn send(
    means: Means,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<(Response<WasiBody>, Io), Error> {
    let Means {
        net,
        tls,
        limits,
        handed,
    } = means;
    let (mut parts, body) = request.into_parts();
    let target = match Target::read(&parts.uri) {
        Ok(target) => target,
        Err(error) => return Err(no_target(&*net.gate, &parts.method, &parts.uri, error)),
    };
    if parts.method == Method::CONNECT {
        let error = Error::HttpRequestMethodInvalid;
        return Err(no_target(&*net.gate, &parts.method, &parts.uri, error));
    }
    if let Some(handed) = &handed {
        handed.refuse_in_url(&*net.gate, &parts.uri, &without_secrets(&parts.uri))?;
    }
    let counted = net.connections.open();
    let counted = counted.ok_or(Error::ConnectionLimitReached)?;
    let mut right = HttpRight::new(net, parts.method.to_string(), target, limits);
    right.fits(&parts.headers, &body)?;
    if let Some(handed) = &handed {
        right.secrets = handed.uses(&parts.headers);
    }
    let connecting = right.connect(tls);
    let patience = options
        .connect_timeout
        .unwrap_or(CONNECT_PATIENCE)
        .min(CONNECT_PATIENCE);
    let stream = tokio::time::timeout(patience, connecting)
        .await
        .map_err(|_| Error::ConnectionTimeout)??;

    if let Some(handed) = handed.as_ref().filter(|_| !right.secrets.is_empty()) {
        handed.fill(&mut parts.headers).await?;
        // Connecting took its time.
        settle(&*right.net.gate, || right.check())
            .await
            .map_err(refused)?;
    }
    let host = HeaderValue::from_str(&right.target.to_string())
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    parts.headers.insert(HOST, host);
    // A server, unlike a proxy, is sent the path alone.
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path
        .parse::<Uri>()
        .map_err(|_| Error::HttpRequestUriInvalid)?;

    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limits.buffer())
        .handshake(hyper_util::rt::TokioIo::new(stream))
        .await?;
    let mut standing = Standing::new(Arc::new(right));
    let right = Arc::clone(&standing.right);
    // The connection carries the request's body too: it is cut when the right is lost.
    let io = wasmtime_wasi::runtime::spawn(async move {
        standing
            .while_held(connection)
            .await
            .map_err(refused)?
            .map_err(Error::from)
    });
    let silence = options.first_byte_timeout.unwrap_or(SILENCE_PATIENCE);
    let mut standing = Standing::new(Arc::clone(&right));
    let exceeded = Arc::new(AtomicBool::new(false));
    let body = RequestBody::new(body, Arc::clone(&right), Arc::clone(&exceeded));
    let response = standing.while_held(sender.send_request(Request::from_parts(parts, body)));
    let response = tokio::time::timeout(silence, response)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(refused)?
        .map_err(|error| right.why(error, &exceeded))?;
    let (mut parts, incoming) = response.into_parts();
    right.fits_in(&parts.headers, &incoming)?;
    let scrubber = handed.and_then(|handed| handed.scrubber());
    if let Some(scrubber) = &scrubber {
        scrubber.headers(&mut parts.headers);
    }
    let between = options.between_bytes_timeout.unwrap_or(SILENCE_PATIENCE);
    let body = ResponseBody::new(incoming, standing, between, scrubber, counted).boxed_unsync();
    Ok((Response::from_parts(parts, body), Box::new(io)))
}

/// Put a request on record that is refused for how it is written.
fn no_target(gate: &dyn Gate, method: &Method, uri: &Uri, error: Error) -> Error {
    let decision = gate.decide(&Access::NoTarget {
        kind: Kind::Http,
        access: method.as_str(),
        text: &without_secrets(uri),
        reason: "servers read such a request in different ways",
    });
    // There is nothing to approve.
    drop(decision);
    error
}

/// A URI without its user information and query, which carry secrets.
fn without_secrets(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = if user.is_empty() { "" } else { "***@" };
    let scheme = uri.scheme_str().unwrap_or_default();
    format!("{scheme}://{user}{host}{}", uri.path())
}

fn refused(_: Errno) -> Error {
    Error::HttpRequestDenied
}

/// The right to one request, to the address it went to.
struct HttpRight {
    net: Arc<Net>,
    method: String,
    host: String,
    target: Target,
    /// Where the request went, once that is decided.
    address: Option<SocketAddr>,
    /// Which secrets are in it.
    secrets: Vec<Use>,
    decided: AtomicU64,
    limits: HttpLimits,
}

impl HttpRight {
    fn new(net: Arc<Net>, method: String, target: Target, limits: HttpLimits) -> Self {
        let host = target.host_text();
        Self {
            net,
            method,
            host,
            target,
            address: None,
            secrets: Vec::new(),
            decided: AtomicU64::new(0),
            limits,
        }
    }

    fn access(&self, bar: Option<Bar>) -> Access<'_> {
        Access::Http {
            method: &self.method,
            scheme: self.target.scheme(),
            host: &self.host,
            port: self.target.port,
            path: &self.target.path,
            bar,
        }
    }

    fn permit_request(&self) -> Result<(), Fail> {
        permit(&*self.net.gate, &self.access(None))
    }

    fn permit_secret(&self, used: &Use) -> Result<(), Fail> {
        let access = Access::Secret {
            name: &used.name,
            scheme: self.target.scheme(),
            host: &self.host,
            port: self.target.port,
            header: used.header.as_str(),
        };
        permit(&*self.net.gate, &access)
    }

    /// Put on record that the request was ended for its size.
    fn ended_for(&self, bar: Bar) {
        let decision = self.net.gate.decide(&self.access(Some(bar)));
        // There is nothing to approve.
        drop(decision);
    }

    /// Refuse a request that is too large, as far as can be told before it is sent.
    fn fits(&self, headers: &HeaderMap, body: &WasiBody) -> Result<(), Error> {
        if size(headers) > self.limits.headers {
            self.ended_for(REQUEST_HEADERS);
            let limit = self.limits.headers_code();
            return Err(Error::HttpRequestHeaderSectionSize(limit));
        }
        let announced = headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let limit = self.limits.request_body;
        if announced.unwrap_or(0).max(body.size_hint().lower()) > limit {
            self.ended_for(REQUEST_BODY);
            return Err(Error::HttpRequestBodySize(Some(limit)));
        }
        Ok(())
    }

    /// Refuse a response that is too large, as far as its beginning tells.
    fn fits_in(&self, headers: &HeaderMap, body: &Incoming) -> Result<(), Error> {
        if size(headers) > self.limits.headers {
            self.ended_for(RESPONSE_HEADERS);
            let limit = self.limits.headers_code();
            return Err(Error::HttpResponseHeaderSectionSize(limit));
        }
        let limit = self.limits.response_body;
        if body.size_hint().lower() > limit {
            self.ended_for(RESPONSE_BODY);
            return Err(Error::HttpResponseBodySize(Some(limit)));
        }
        Ok(())
    }

    /// Why no response came.
    fn why(&self, error: hyper::Error, exceeded: &AtomicBool) -> Error {
        if self.check().is_err() {
            // The connection was cut because the right was lost.
            Error::HttpRequestDenied
        } else if exceeded.load(Ordering::Acquire) {
            Error::HttpRequestBodySize(Some(self.limits.request_body))
        } else if error.is_parse_too_large() {
            self.ended_for(RESPONSE_HEADERS);
            Error::HttpResponseHeaderSectionSize(self.limits.headers_code())
        } else {
            error.into()
        }
    }

    fn permit_address(&self, address: SocketAddr) -> Result<(), Fail> {
        outcome(self.net.gate.decide_http_address(&self.host, address))
    }

    /// Whether everything that was decided still holds.
    fn check(&self) -> Result<(), Fail> {
        let generation = self.net.gate.mark();
        if self.decided.load(Ordering::Acquire) == generation {
            return Ok(());
        }
        self.permit_request()?;
        if let Some(address) = self.address {
            self.permit_address(address)?;
        }
        for used in &self.secrets {
            self.permit_secret(used)?;
        }
        self.decided.store(generation, Ordering::Release);
        Ok(())
    }

    /// Decide, resolve, decide about the addresses, and connect to one that was allowed.
    async fn connect(&mut self, tls: Arc<ClientConfig>) -> Result<connect::Stream, Error> {
        let generation = self.net.gate.mark();
        settle(&*self.net.gate, || self.permit_request())
            .await
            .map_err(refused)?;
        for used in &self.secrets {
            settle(&*self.net.gate, || self.permit_secret(used))
                .await
                .map_err(refused)?;
        }
        let addresses = match &self.target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.net.names.look_up(name).await.map_err(lookup_error)?,
        };
        let mut failure = Error::HttpRequestDenied;
        for address in addresses {
            let address = SocketAddr::new(address, self.target.port);
            if settle(&*self.net.gate, || self.permit_address(address))
                .await
                .is_err()
            {
                continue;
            }
            match connect::connect(address, &self.target, Arc::clone(&tls)).await {
                Ok(stream) => {
                    self.address = Some(address);
                    self.decided.store(generation, Ordering::Release);
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Right for Arc<HttpRight> {
    fn gate(&self) -> &Arc<dyn Gate> {
        &self.net.gate
    }

    fn check(&self) -> Result<(), Fail> {
        HttpRight::check(self)
    }
}

fn lookup_error(error: LookupError) -> Error {
    match error {
        LookupError::Refused => Error::HttpRequestDenied,
        LookupError::Invalid => Error::HttpRequestUriInvalid,
        LookupError::Unresolvable => Error::DestinationNotFound,
        LookupError::Timeout => Error::DnsTimeout,
    }
}
