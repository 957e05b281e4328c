//! A stream of WASI 0.3 that ends when the right to its connection does.
//!
//! The stock implementation keeps its ends of a socket's streams to itself. So the bytes pass through a
//! small buffer here, and both sides of it look at the right: what waits is woken when it is lost.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult};

use super::socket::SocketRight;
use crate::wasi::decide::Standing;

/// How much may wait between the two sides.
const CAPACITY: usize = 64 * 1024;

/// The two ends of a relay, and what resolves when the right was lost.
pub(super) fn relay(right: &Arc<SocketRight>) -> (Intake, Outlet, oneshot::Receiver<Errno>) {
    let (lost, is_lost) = oneshot::channel();
    let shared = Arc::new(Mutex::new(Shared {
        bytes: BytesMut::new(),
        closed: false,
        waiting: None,
        lost: Some(lost),
    }));
    let end = || End {
        shared: Arc::clone(&shared),
        right: Standing::new(Arc::clone(right)),
    };
    (Intake(end()), Outlet(end()), is_lost)
}

struct Shared {
    bytes: BytesMut,
    /// Either side is gone; the outlet still delivers what is left.
    closed: bool,
    /// The side that waits for the other one.
    waiting: Option<Waker>,
    lost: Option<oneshot::Sender<Errno>>,
}

impl Shared {
    fn wait(&mut self, context: &Context<'_>) {
        self.waiting = Some(context.waker().clone());
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.wake();
    }
}

struct End {
    shared: Arc<Mutex<Shared>>,
    right: Standing<Arc<SocketRight>>,
}

impl End {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Ready(false)` when the right is lost, which ends both sides.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.right.poll_held(context).map(|held| match held {
            Ok(()) => true,
            Err(errno) => {
                let mut shared = self.shared();
                shared.bytes.clear();
                if let Some(lost) = shared.lost.take() {
                    // Nobody has to listen.
                    let _ = lost.send(errno);
                }
                shared.close();
                false
            }
        })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared().close();
    }
}

fn pending(finish: bool) -> Poll<wasmtime::Result<StreamResult>> {
    if finish {
        Poll::Ready(Ok(StreamResult::Cancelled))
    } else {
        Poll::Pending
    }
}

/// Takes what one side writes.
pub(super) struct Intake(End);

impl<D: 'static> StreamConsumer<D> for Intake {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.0.poll_held(context) {
            Poll::Ready(true) => {}
            Poll::Ready(false) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending => return pending(finish),
        }
        let mut shared = self.0.shared();
        if shared.closed {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let room = CAPACITY - shared.bytes.len();
        if room == 0 {
            shared.wait(context);
            return pending(finish);
        }
        let mut source = source.as_direct(store);
        let count = source.remaining().len().min(room);
        shared.bytes.extend_from_slice(&source.remaining()[..count]);
        source.mark_read(count);
        shared.wake();
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// Gives it to the other side.
pub(super) struct Outlet(End);

impl<D: 'static> StreamProducer<D> for Outlet {
    type Item = u8;
    type Buffer = BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, BytesMut>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.0.poll_held(context) {
            Poll::Ready(true) => {}
            Poll::Ready(false) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending => return pending(finish),
        }
        let mut shared = self.0.shared();
        if shared.bytes.is_empty() {
            if shared.closed {
                return Poll::Ready(Ok(StreamResult::Dropped));
            }
            shared.wait(context);
            return pending(finish);
        }
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut destination = destination.as_direct(store, CAPACITY);
        let room = destination.remaining();
        let count = shared.bytes.len().min(room.len());
        room[..count].copy_from_slice(&shared.bytes[..count]);
        shared.bytes.advance(count);
        destination.mark_written(count);
        shared.wake();
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
