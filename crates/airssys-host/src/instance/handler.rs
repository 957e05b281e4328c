//! Calls of components that answer HTTP requests: `wasi:http/incoming-handler` of WASI 0.2, and `wasi:http/handler` of
//! 0.3.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme as UriScheme};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler::GuestIndices;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::ServiceIndices;
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpCtxView};

use super::{Live, State, drop_abandoned, failure};
use crate::component::Component;
use crate::error::Error;

/// What a guest answers: a response whose body may still come, or an error code of `wasi:http`.
pub type Answer = Result<Response<WasiBody>, ErrorCode>;

/// Where the handler is in a component.
pub(crate) enum HandlerIndices {
    P2(GuestIndices),
    P3(ServiceIndices),
}

/// Where the handler is in `component`, and of which WASI.
pub(crate) fn find_handler(component: &Component) -> Result<HandlerIndices, Error> {
    let prepared = component.prepared()?;
    let found = if component.handles_http_of_p3() {
        ServiceIndices::new(prepared).map(HandlerIndices::P3)
    } else {
        GuestIndices::new(prepared).map(HandlerIndices::P2)
    };
    found.map_err(|error| Error::Link(format!("{error:#}")))
}

fn http_of(state: &mut State) -> WasiHttpCtxView<'_> {
    state.wasi.http_view()
}

impl Live {
    /// Let the guest handle `request`. `respond` is told what it answers, if it does, and the guest may go on after
    /// that.
    ///
    /// # Errors
    /// [`Error::Link`] where the component exports no handler; else as [`Live::call`].
    pub async fn handle<B>(
        &mut self,
        request: Request<B>,
        respond: impl FnOnce(Answer) + Send + Sync + 'static,
    ) -> Result<(), Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<HttpError>,
    {
        let component = self.component.clone();
        let handler = component.handler()?;
        self.usage.calls += 1;
        self.store.set_epoch_deadline(1);
        drop_abandoned(&mut self.abandoned, &mut self.store).await?;
        let handled = match handler {
            HandlerIndices::P2(handler) => self.handle_p2(handler, request, respond).await,
            HandlerIndices::P3(handler) => self.handle_p3(handler, request, respond).await,
        };
        handled.map_err(|error| failure(&error, &mut self.store))
    }

    async fn handle_p2<B>(
        &mut self,
        handler: &GuestIndices,
        request: Request<B>,
        respond: impl FnOnce(Answer) + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<HttpError>,
    {
        let guest = handler.load(&mut self.store, &self.instance)?;
        let mut view = http_of(self.store.data_mut());
        let request = view.new_incoming_request(Scheme::Http, request)?;
        let answer = view.new_response_outparam_from_callback(respond)?;
        guest.call_handle(&mut self.store, request, answer).await
    }

    /// The guest's tasks run until the body of its answer has gone, or nobody wants it any more.
    async fn handle_p3<B>(
        &mut self,
        handler: &ServiceIndices,
        request: Request<B>,
        respond: impl FnOnce(Answer) + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<HttpError>,
    {
        let guest = handler.load(&mut self.store, &self.instance)?;
        let view = http_of(self.store.data_mut());
        let (request, _) = p3::Request::from_http(view.hooks, absolute(request));
        let request = view.table.push(request)?;
        self.store
            .run_concurrent(async move |accessor| {
                let answer = guest
                    .wasi_http_handler()
                    .call_handle(accessor, request)
                    .await?;
                let response = match answer {
                    Ok(response) => response,
                    Err(code) => {
                        respond(Err(ErrorCode::InternalError(Some(format!("{code:?}")))));
                        return Ok(());
                    }
                };
                let (passing, passed) = oneshot::channel::<()>();
                let response = accessor.with(|mut store| {
                    let response = http_of(store.data_mut()).table.delete(response)?;
                    response.into_http_with_getter(&mut store, async { Ok(()) }, http_of)
                })?;
                respond(Ok(response.map(|body| {
                    let passing = Passing {
                        body,
                        _until: passing,
                    };
                    passing.boxed_unsync()
                })));
                // Told by its end alone.
                let _ = passed.await;
                Ok(())
            })
            .await?
    }
}

/// The request with a scheme and the authority that it was sent to, where a server gets neither in its head.
fn absolute<B>(request: Request<B>) -> Request<B> {
    let (mut head, body) = request.into_parts();
    let mut uri = head.uri.into_parts();
    let named = head.headers.get(HOST);
    uri.authority = uri.authority.or_else(|| {
        let named = named?.to_str().ok()?;
        named.parse::<Authority>().ok()
    });
    if uri.authority.is_some() {
        uri.scheme.get_or_insert(UriScheme::HTTP);
    } else {
        uri.scheme = None;
    }
    head.uri = Uri::from_parts(uri).unwrap_or_default();
    Request::from_parts(head, body)
}

/// A body that tells by its end that it has passed.
struct Passing {
    body: WasiBody,
    _until: oneshot::Sender<()>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
