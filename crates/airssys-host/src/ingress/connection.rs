//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Shared;
use super::body::ResponseBody;
use super::io::{Guarded, sniff};
use super::request::respond;

/// Requests that one connection of HTTP/2 may have under way.
const STREAMS: u32 = 200;

/// Counts a connection as long as it is open.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.statistics.connections.subtract();
    }
}

/// Drive a connection; once told to end it finishes what it has begun, and takes nothing more. A macro, because the
/// two kinds of connection have no trait in common.
macro_rules! until_told {
    ($connection:expr, $told:expr) => {{
        let mut connection = pin!($connection);
        let mut told: watch::Receiver<Option<Duration>> = $told;
        let early = tokio::select! {
            result = connection.as_mut() => Some(result),
            _ = told.wait_for(Option::is_some) => None,
        };
        match early {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }};
}

/// Serve a client until it leaves, or `ending` says that it is time.
pub async fn serve<S>(shared: Arc<Shared>, mut stream: S, ending: watch::Receiver<Option<Duration>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    shared.statistics.connections.add();
    let _open = Open(&shared);
    let limits = &shared.limits;
    let mut told = ending.clone();
    let begun = tokio::select! {
        begun = timeout(limits.header_time, sniff(&mut stream)) => begun,
        _ = told.wait_for(Option::is_some) => return,
    };
    let Ok(Ok((is_http2, begun))) = begun else {
        shared.statistics.connections_failed.add();
        return;
    };
    if begun.is_empty() {
        return;
    }
    let io = TokioIo::new(Guarded::new(stream, begun, limits.silence));
    let for_service = shared.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = for_service.clone();
        async move { Ok::<Response<ResponseBody>, Infallible>(respond(&shared, request).await) }
    });
    let result = if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.silence)
            .keep_alive_timeout(limits.silence)
            .serve_connection(io, service);
        until_told!(connection, ending)
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_buf_size(limits.header_bytes.max(8192))
            .max_header_size(limits.header_bytes)
            .max_headers(limits.headers)
            .serve_connection(io, service);
        until_told!(connection, ending)
    };
    if result.is_err() {
        shared.statistics.connections_failed.add();
    }
}
