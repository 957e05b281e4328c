//! Streams and futures that guests give to the host: what was taken from the guest and nobody has read yet.
//!
//! A guest's write waits until somebody reads: items are taken while a read is under way, and of one write no more
//! than [`MOST_BYTES`]. The store holds the consumer, whoever reads holds the [`Incoming`]; they share the queue.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use wasmtime::component::{
    FutureAny, FutureConsumer, FutureReader, Lift, Source, StreamAny, StreamConsumer, StreamReader,
    StreamResult,
};
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::Link;
use crate::value::{Item, Reading, Type, Value, copy_bytes};

/// Bytes that are taken of one write at most, and the size of a chunk of a `stream<u8>`.
pub const MOST_BYTES: usize = 1 << 20;
/// Items that are taken of one write at most.
const MOST_ITEMS: usize = 256;

/// The guest's end, until the first read.
#[derive(Clone, Debug)]
pub enum End {
    Stream(StreamAny),
    Future(FutureAny),
}

impl End {
    /// Tell the guest that nobody will read.
    pub(super) fn close(self, store: impl AsContextMut) -> Result<()> {
        match self {
            Self::Stream(mut stream) => stream.close(store),
            Self::Future(mut future) => future.close(store),
        }
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Value>,
    /// A read is under way.
    wanted: bool,
    /// The guest will write no more.
    ended: bool,
    /// The store is gone, and with it what the guest would have written.
    lost: bool,
    /// Nobody will read any more.
    closed: bool,
    /// The read that is under way is to end without an item.
    interrupted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Those who wait for what a call that somebody else runs brings.
    watchers: Vec<Waker>,
}

impl Queue {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
        self.watchers.drain(..).for_each(Waker::wake);
    }

    fn has_news(&self) -> bool {
        !self.items.is_empty() || self.ended || self.lost || self.closed
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

type Shared = Arc<Mutex<Queue>>;

fn locked(shared: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    shared.lock().expect("no code under this lock panics")
}

/// What stands at the front of the queue.
#[derive(Debug)]
pub enum Front {
    Item(Value),
    /// Nothing was written that was not read: read on.
    Nothing,
    End,
}

/// The host's end of a guest's stream or future.
pub struct Incoming {
    end: Mutex<Option<End>>,
    element: Option<Arc<Type>>,
    link: Arc<Link>,
    queue: Shared,
}

impl Incoming {
    /// Of the stream or future `end` of the store that `link` belongs to, whose items are `element`s.
    #[must_use]
    pub fn new(end: End, element: Option<Arc<Type>>, link: Arc<Link>) -> Arc<Self> {
        Arc::new(Self {
            end: Mutex::new(Some(end)),
            element,
            link,
            queue: Shared::default(),
        })
    }

    fn end(&self) -> MutexGuard<'_, Option<End>> {
        self.end.lock().expect("no code under this lock panics")
    }

    /// Take the next item, if there is one.
    #[must_use]
    pub fn take(&self) -> Front {
        let mut queue = locked(&self.queue);
        match queue.items.pop_front() {
            Some(item) => Front::Item(item),
            None if queue.ended || queue.closed => Front::End,
            None => Front::Nothing,
        }
    }

    /// Give the end back for another use. `None` once a read began, or after [`Incoming::close`].
    #[must_use]
    pub fn give_up(&self) -> Option<End> {
        let end = self.end().take();
        if end.is_some() {
            locked(&self.queue).closed = true;
        }
        end
    }

    /// Take back what was given up for a call that did not begin.
    pub fn restore(&self, end: End) {
        *self.end() = Some(end);
        locked(&self.queue).closed = false;
    }

    /// Read no more. Whether the guest could still write: it learns that it cannot when its store runs next. The end
    /// is returned if no read had begun; it is to be closed with its store.
    #[must_use]
    pub fn close(&self) -> (bool, Option<End>) {
        let mut queue = locked(&self.queue);
        let open = !(queue.ended || queue.lost || queue.closed);
        queue.closed = true;
        let unread = std::mem::take(&mut queue.items);
        queue.wake_reader();
        queue.wake_writer();
        drop(queue);
        drop(unread);
        (open, self.end().take())
    }

    /// Let the read that is under way end without an item, as soon as the guest waits.
    pub fn interrupt(&self) {
        let mut queue = locked(&self.queue);
        queue.interrupted = true;
        queue.wake_reader();
    }

    /// Want an item of whoever runs the store: `waker` is woken when there is one, or there will be none.
    pub fn watch(&self, waker: Waker) {
        let mut queue = locked(&self.queue);
        if queue.has_news() {
            drop(queue);
            return waker.wake();
        }
        queue.watchers.push(waker);
        queue.wanted = true;
        queue.wake_writer();
    }

    /// Let the guest write into the queue.
    fn attach(&self, mut store: impl AsContextMut) -> Result<()> {
        let Some(end) = self.end().take() else {
            return Ok(());
        };
        let sink = Sink {
            queue: self.queue.clone(),
            link: self.link.clone(),
        };
        match (end, self.element.as_deref()) {
            (End::Stream(stream), Some(Type::U8)) => stream
                .try_into_stream_reader::<u8>()?
                .pipe(&mut store, Bytes(sink)),
            (End::Stream(stream), Some(_)) => {
                StreamReader::<Item>::try_from_stream_any(stream)?.pipe(&mut store, Items(sink))
            }
            (End::Stream(stream), None) => {
                StreamReader::<()>::try_from_stream_any(stream)?.pipe(&mut store, Units(sink))
            }
            (End::Future(future), Some(_)) => {
                FutureReader::<Item>::try_from_future_any(future)?.pipe(&mut store, One::new(sink))
            }
            (End::Future(future), None) => {
                FutureReader::<()>::try_from_future_any(future)?.pipe(&mut store, One::new(sink))
            }
        }
    }

    /// Begin a read. The future that is returned ends when there is something to [`Incoming::take`], or after
    /// [`Incoming::interrupt`].
    pub(super) fn read(&self, store: impl AsContextMut) -> Result<Ready> {
        self.attach(store)?;
        locked(&self.queue).interrupted = false;
        Ok(Ready(self.queue.clone()))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Incoming({:?})", self.end())
    }
}

impl PartialEq for Incoming {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// Make all streams and futures in `value`, which has the type `ty`, ready to be read while their store is in use.
///
/// # Errors
/// When one belongs to another store.
pub fn attach_all(
    value: &mut Value,
    ty: &Type,
    store: &mut impl AsContextMut,
    link: &Arc<Link>,
) -> Result<()> {
    let inside =
        |value: &mut Option<Box<Value>>, ty: Option<&Type>, store: &mut _| match (value, ty) {
            (Some(value), Some(ty)) => attach_all(value, ty, store, link),
            _ => Ok(()),
        };
    match (value, ty) {
        (value @ (Value::Stream(_) | Value::Future(_)), Type::Stream(ty) | Type::Future(ty)) => {
            let end = match std::mem::replace(value, Value::UNIT) {
                Value::Stream(stream) => End::Stream(*stream),
                Value::Future(future) => End::Future(*future),
                _ => unreachable!("it was matched above"),
            };
            let incoming = Incoming::new(end, ty.clone(), link.clone());
            incoming.attach(store)?;
            *value = Value::Incoming(incoming);
            Ok(())
        }
        (Value::List(values), Type::List(ty) | Type::FixedList(ty, _)) => values
            .iter_mut()
            .try_for_each(|value| attach_all(value, ty, store, link)),
        (Value::Map(entries), Type::Map(entry)) => entries
            .iter_mut()
            .try_for_each(|(_, value)| attach_all(value, &entry.1, store, link)),
        (Value::Record(values), Type::Record(record)) => values
            .iter_mut()
            .zip(&record.fields)
            .try_for_each(|(value, field)| attach_all(value, &field.ty, store, link)),
        (Value::Record(values), Type::Tuple(types)) => values
            .iter_mut()
            .zip(types.iter())
            .try_for_each(|(value, ty)| attach_all(value, ty, store, link)),
        (Value::Variant(case, value), Type::Variant(variant)) => {
            let case = variant.cases.get(*case as usize);
            inside(value, case.and_then(|case| case.ty.as_ref()), store)
        }
        (Value::Option(value), Type::Option(ty)) => inside(value, Some(ty), store),
        (Value::Result(Ok(value)), Type::Result(result)) => {
            inside(value, result.ok.as_ref(), store)
        }
        (Value::Result(Err(value)), Type::Result(result)) => {
            inside(value, result.err.as_ref(), store)
        }
        _ => Ok(()),
    }
}

/// Ends when a read ends.
pub(super) struct Ready(Shared);

impl Future for Ready {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = locked(&self.0);
        if !(queue.has_news() || queue.interrupted) {
            queue.reader = Some(context.waker().clone());
            // Again at each look: what came may have been taken by somebody else.
            queue.wanted = true;
            queue.wake_writer();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let mut queue = locked(&self.0);
        queue.wanted = false;
        queue.reader = None;
    }
}

/// The store's side of the queue.
struct Sink {
    queue: Shared,
    link: Arc<Link>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        let mut queue = locked(&self.queue);
        if self.link.is_store_gone() {
            queue.lost = true;
        } else {
            queue.ended = true;
        }
        queue.wake_reader();
    }
}

/// What a consumer does with a write.
enum Answer {
    Take,
    Say(Poll<Result<StreamResult>>),
}

impl Sink {
    /// Whether to take of a write of `count` items.
    fn offered(&self, context: &mut Context<'_>, count: usize, finish: bool) -> Answer {
        let mut queue = locked(&self.queue);
        if queue.closed {
            return Answer::Say(Poll::Ready(Ok(StreamResult::Dropped)));
        }
        if !queue.wanted {
            if finish {
                return Answer::Say(Poll::Ready(Ok(StreamResult::Cancelled)));
            }
            queue.writer = Some(context.waker().clone());
            return Answer::Say(Poll::Pending);
        }
        if count == 0 {
            return Answer::Say(Poll::Ready(Ok(StreamResult::Completed)));
        }
        Answer::Take
    }

    fn put(&self, items: impl IntoIterator<Item = Value>) -> Poll<Result<StreamResult>> {
        let mut queue = locked(&self.queue);
        if !queue.closed {
            queue.items.extend(items);
        }
        queue.wanted = false;
        queue.wake_reader();
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn most_bytes(&self) -> usize {
        self.link.limits().host_call_bytes.clamp(1, MOST_BYTES)
    }
}

/// Consumes a `stream<u8>`.
struct Bytes(Sink);

impl<D> StreamConsumer<D> for Bytes {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        match self
            .0
            .offered(context, source.remaining(&mut store), finish)
        {
            Answer::Say(answer) => answer,
            Answer::Take => {
                let mut source = source.as_direct(store);
                let offered = source.remaining();
                let count = offered.len().min(self.0.most_bytes());
                let chunk = copy_bytes(&offered[..count]);
                source.mark_read(count);
                self.0.put([Value::Bytes(chunk)])
            }
        }
    }
}

/// Consumes a stream of anything else.
struct Items(Sink);

impl<D: 'static> StreamConsumer<D> for Items {
    type Item = Item;

    fn poll_consume(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'_, D>,
        mut source: Source<'_, Item>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let count = source.remaining(&mut store);
        match self.0.offered(context, count, finish) {
            Answer::Say(answer) => answer,
            Answer::Take => {
                let (mut items, mut bytes) = (Vec::new(), 0);
                // One at a time, so that `host_call_bytes` bounds each item and not what happens to be written with it.
                while items.len() < count.min(MOST_ITEMS) && bytes < self.0.most_bytes() {
                    let item: Item = one(&mut source, &mut store, items.len())?;
                    bytes += item.0.weight();
                    items.push(item.0);
                }
                self.0.put(items)
            }
        }
    }
}

/// Consumes a `stream` whose items are nothing.
struct Units(Sink);

impl<D: 'static> StreamConsumer<D> for Units {
    type Item = ();

    fn poll_consume(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'_, D>,
        mut source: Source<'_, ()>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let count = source.remaining(&mut store);
        match self.0.offered(context, count, finish) {
            Answer::Say(answer) => answer,
            Answer::Take => {
                let mut items = Vec::with_capacity(count.min(MOST_ITEMS));
                source.read(&mut store, &mut items)?;
                self.0.put(items.into_iter().map(|()| Value::UNIT))
            }
        }
    }
}

/// What a future's value is for whoever reads.
trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for Item {
    fn into_value(self) -> Value {
        self.0
    }
}

impl IntoValue for () {
    fn into_value(self) -> Value {
        Value::UNIT
    }
}

/// Consumes a future.
struct One<T>(Sink, std::marker::PhantomData<fn() -> T>);

impl<T> One<T> {
    fn new(sink: Sink) -> Self {
        Self(sink, std::marker::PhantomData)
    }
}

impl<D: 'static, T: Lift + IntoValue + Send + Sync + 'static> FutureConsumer<D> for One<T> {
    type Item = T;

    fn poll_consume(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut store: StoreContextMut<'_, D>,
        mut source: Source<'_, T>,
        _finish: bool,
    ) -> Poll<Result<()>> {
        // A future has one value: it is taken whoever waits, and nothing more can follow.
        let value: T = one(&mut source, &mut store, 0)?;
        self.0
            .put([value.into_value()])
            .map(|taken| taken.map(drop))
    }
}

fn one<D: 'static, T: Lift + Send + Sync + 'static>(
    source: &mut Source<'_, T>,
    store: &mut StoreContextMut<'_, D>,
    position: usize,
) -> Result<T> {
    let mut item = None;
    let _reading = Reading::from(position);
    source.read(store, &mut item)?;
    item.ok_or_else(|| wasmtime::Error::msg("the guest wrote fewer items than it said"))
}
