//! Governed outgoing HTTP, for WASI 0.2 and 0.3 alike.
//!
//! A request is read in one spelling, decided, resolved, decided again for the address, and sent to exactly
//! this address. Redirects go back to the guest. Connections are not reused.

mod body;
mod connect;
mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use rustix::io::Errno;
use rustls::ClientConfig;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};

use self::body::ResponseBody;
use self::target::Target;
use super::decide::{Fail, Right, Standing, outcome, permit, settle};
use super::net::Net;
use super::net::connections::Connection;
use super::net::names::{Host, LookupError};
use super::state::WasiState;
use crate::gate::kind::Kind;
use crate::gate::{Access, Gate};

pub use connect::{default_tls, tls_trusting};

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
}

impl Http {
    pub fn new(net: Arc<Net>, tls: Arc<ClientConfig>) -> Self {
        Self {
            ctx: WasiHttpCtx::new(),
            hooks: Hooks { net, tls },
        }
    }
}

impl WasiState {
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
        let (net, tls) = (Arc::clone(&self.net), Arc::clone(&self.tls));
        // Its own task, since whoever polls the guest may do so outside of a runtime.
        Box::new(wasmtime_wasi::runtime::spawn(send(
            net,
            tls,
            request,
            options.unwrap_or_default(),
        )))
    }
}

async fn send(
    net: Arc<Net>,
    tls: Arc<ClientConfig>,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<(Response<WasiBody>, Io), Error> {
    let (mut parts, body) = request.into_parts();
    let target = match Target::read(&parts.uri) {
        Ok(target) => target,
        Err(error) => return Err(no_target(&*net.gate, &parts.method, &parts.uri, error)),
    };
    if parts.method == Method::CONNECT {
        let error = Error::HttpRequestMethodInvalid;
        return Err(no_target(&*net.gate, &parts.method, &parts.uri, error));
    }
    let connection = net.connections.open();
    let connection = connection.ok_or(Error::ConnectionLimitReached)?;
    let mut right = HttpRight::new(net, parts.method.to_string(), target, connection);
    let connecting = right.connect(tls);
    let patience = options
        .connect_timeout
        .unwrap_or(CONNECT_PATIENCE)
        .min(CONNECT_PATIENCE);
    let stream = tokio::time::timeout(patience, connecting)
        .await
        .map_err(|_| Error::ConnectionTimeout)??;

    let host = HeaderValue::from_str(&right.target.to_string())
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    parts.headers.insert(HOST, host);
    // A server, unlike a proxy, is sent the path alone.
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path
        .parse::<Uri>()
        .map_err(|_| Error::HttpRequestUriInvalid)?;

    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
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
    let mut standing = Standing::new(right);
    let response = standing.while_held(sender.send_request(Request::from_parts(parts, body)));
    let response = tokio::time::timeout(silence, response)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(refused)??;
    let between = options.between_bytes_timeout.unwrap_or(SILENCE_PATIENCE);
    let response =
        response.map(|incoming| ResponseBody::new(incoming, standing, between).boxed_unsync());
    Ok((response, Box::new(io)))
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
    decided: AtomicU64,
    /// Counts until the response is read or dropped.
    _connection: Connection,
}

impl HttpRight {
    fn new(net: Arc<Net>, method: String, target: Target, connection: Connection) -> Self {
        let host = target.host_text();
        Self {
            net,
            method,
            host,
            target,
            address: None,
            decided: AtomicU64::new(0),
            _connection: connection,
        }
    }

    fn permit_request(&self) -> Result<(), Fail> {
        let access = Access::Http {
            method: &self.method,
            scheme: self.target.scheme(),
            host: &self.host,
            port: self.target.port,
            path: &self.target.path,
        };
        permit(&*self.net.gate, &access)
    }

    fn permit_address(&self, address: SocketAddr) -> Result<(), Fail> {
        outcome(self.net.gate.decide_http_address(&self.host, address))
    }

    /// Decide, resolve, decide about the addresses, and connect to one that was allowed.
    async fn connect(&mut self, tls: Arc<ClientConfig>) -> Result<connect::Stream, Error> {
        let generation = self.net.gate.mark();
        settle(&*self.net.gate, || self.permit_request())
            .await
            .map_err(refused)?;
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
        let generation = self.net.gate.mark();
        if self.decided.load(Ordering::Acquire) == generation {
            return Ok(());
        }
        self.permit_request()?;
        if let Some(address) = self.address {
            self.permit_address(address)?;
        }
        self.decided.store(generation, Ordering::Release);
        Ok(())
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
