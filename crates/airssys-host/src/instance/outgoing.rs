//! Streams and futures that the host gives to guests: what a guest reads is asked of the driver, item by item.
//!
//! The store holds a producer with the number of a source; the driver knows what the source is. A guest's read goes
//! out as a request like a call of a host function does, so that nothing is fetched before the guest wants it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use wasmtime::component::__internal::{InterfaceType, LowerContext};
use wasmtime::component::{
    Destination, FutureAny, FutureProducer, FutureReader, Lift, Lower, StreamAny, StreamProducer,
    StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, Result, StoreContextMut, bail};

use super::Link;
use super::link::HostCall;
use crate::error::HostFunctionFailed;
use crate::value::{Item, Value};

/// A source that a guest is given to read from. The source is released when the last of these is gone.
#[derive(Clone)]
pub struct Outgoing(Arc<Source>);

struct Source {
    link: Arc<Link>,
    number: u32,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.link.note_released(self.number);
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Outgoing({})", self.0.number)
    }
}

impl PartialEq for Outgoing {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Outgoing {
    /// The source that the driver of `link`'s store knows by `number`.
    #[must_use]
    pub fn new(link: Arc<Link>, number: u32) -> Self {
        Self(Arc::new(Source { link, number }))
    }

    /// The readable end of a new stream of type `ty`.
    pub(crate) fn stream<T: 'static>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
    ) -> Result<StreamAny> {
        let InterfaceType::Stream(index) = ty else {
            bail!("a stream does not have the type {ty:?} that it is passed as")
        };
        let feed = Feed::new(self.clone());
        let payload = cx.types[cx.types[index].ty].payload;
        let mut store = cx.store.as_context_mut();
        match payload {
            Some(InterfaceType::U8) => {
                StreamReader::new(&mut store, BytesFeed(feed, Bytes::new()))?
                    .try_into_stream_any(&mut store)
            }
            Some(_) => StreamReader::<Item>::new(&mut store, ItemsFeed::of(feed))?
                .try_into_stream_any(&mut store),
            None => StreamReader::<()>::new(&mut store, ItemsFeed::of(feed))?
                .try_into_stream_any(&mut store),
        }
    }

    /// The readable end of a new future of type `ty`.
    pub(crate) fn future<T: 'static>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
    ) -> Result<FutureAny> {
        let InterfaceType::Future(index) = ty else {
            bail!("a future does not have the type {ty:?} that it is passed as")
        };
        let feed = Feed::new(self.clone());
        let payload = cx.types[cx.types[index].ty].payload;
        let mut store = cx.store.as_context_mut();
        match payload {
            Some(_) => FutureReader::<Item>::new(&mut store, ItemsFeed::of(feed))?
                .try_into_future_any(&mut store),
            None => FutureReader::<()>::new(&mut store, ItemsFeed::of(feed))?
                .try_into_future_any(&mut store),
        }
    }
}

/// Fetches from a source.
struct Feed {
    source: Outgoing,
    fetching: Option<HostCall>,
}

impl Feed {
    fn new(source: Outgoing) -> Self {
        Self {
            source,
            fetching: None,
        }
    }

    /// The next item; `None` at the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Value>>> {
        let Source { link, number } = &*self.source.0;
        let fetching = self.fetching.get_or_insert_with(|| link.fetch(*number));
        let reply = ready!(Pin::new(fetching).poll(context));
        self.fetching = None;
        Poll::Ready(reply.map_err(|HostFunctionFailed| {
            // The store is dropped for it. Said now, because a guest may have handed the stream on to the host, whose
            // end is dropped first and must not be taken for the end of the stream.
            link.store_is_gone();
            HostFunctionFailed.into()
        }))
    }
}

/// Produces a `stream<u8>`: chunks, and what the guest had no room for of the last.
struct BytesFeed(Feed, Bytes);

impl<D: 'static> StreamProducer<D> for BytesFeed {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        while self.1.is_empty() {
            match self.0.poll_next(context) {
                Poll::Ready(Ok(Some(Value::Bytes(chunk)))) => self.1 = chunk,
                Poll::Ready(Ok(Some(other))) => {
                    return Poll::Ready(Err(wasmtime::format_err!(
                        "expected bytes, got {other:?}"
                    )));
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut destination = destination.as_direct(store, self.1.len());
        let room = destination.remaining();
        let count = room.len().min(self.1.len());
        room[..count].copy_from_slice(&self.1.split_to(count));
        destination.mark_written(count);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// What an item is made of.
trait FromValue: Lower + Lift + Send + Sync + Unpin + 'static {
    fn from_value(value: Value) -> Self;
}

impl FromValue for Item {
    fn from_value(value: Value) -> Self {
        Self(value)
    }
}

impl FromValue for () {
    fn from_value(_nothing: Value) -> Self {}
}

/// Produces a stream of anything else, or the value of a future.
struct ItemsFeed<T> {
    feed: Feed,
    /// An item that the guest has only asked after.
    ready: Option<T>,
}

impl<T> ItemsFeed<T> {
    fn of(feed: Feed) -> Self {
        Self { feed, ready: None }
    }
}

impl<D: 'static, T: FromValue> StreamProducer<D> for ItemsFeed<T> {
    type Item = T;
    type Buffer = Option<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, T, Option<T>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        if self.ready.is_none() {
            match self.feed.poll_next(context) {
                Poll::Ready(Ok(Some(value))) => self.ready = Some(T::from_value(value)),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if destination.remaining(store) != Some(0) {
            destination.set_buffer(self.ready.take());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl<D: 'static, T: FromValue> FutureProducer<D> for ItemsFeed<T> {
    type Item = T;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _store: StoreContextMut<'_, D>,
        finish: bool,
    ) -> Poll<Result<Option<T>>> {
        match self.feed.poll_next(context) {
            Poll::Ready(Ok(Some(value))) => Poll::Ready(Ok(Some(T::from_value(value)))),
            Poll::Ready(Ok(None)) => Poll::Ready(Err(wasmtime::format_err!(
                "a future that the host gave has no value"
            ))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if finish => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        }
    }
}
