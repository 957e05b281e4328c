//! Calls of components that answer HTTP requests (`wasi:http/incoming-handler`).

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler::GuestIndices;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::{Live, drop_abandoned, failure};
use crate::component::Component;
use crate::error::Error;

/// What a guest answers: a response whose body may still come, or an error code of `wasi:http`.
pub type Answer = Result<Response<WasiBody>, ErrorCode>;

/// Where the handler is in a component.
pub(crate) fn find_handler(component: &Component) -> Result<GuestIndices, Error> {
    GuestIndices::new(component.prepared()?).map_err(|error| Error::Link(format!("{error:#}")))
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
        let guest = component
            .handler()?
            .load(&mut self.store, &self.instance)
            .map_err(|error| Error::Link(format!("{error:#}")))?;
        self.usage.calls += 1;
        self.store.set_epoch_deadline(1);
        drop_abandoned(&mut self.abandoned, &mut self.store).await?;
        let mut view = self.store.data_mut().wasi.http_view();
        let given = view
            .new_incoming_request(Scheme::Http, request)
            .and_then(|request| {
                let answer = view.new_response_outparam_from_callback(respond)?;
                Ok((request, answer))
            });
        let handled = match given {
            Ok((request, answer)) => guest.call_handle(&mut self.store, request, answer).await,
            Err(error) => Err(error),
        };
        handled.map_err(|error| failure(&error, &mut self.store))
    }
}
