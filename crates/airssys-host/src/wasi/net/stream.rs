//! Streams of connected sockets that end when the right to the connection does.

use bytes::Bytes;
use rustix::io::Errno;
use std::sync::Arc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::socket::SocketRight;
use crate::wasi::decide::Standing;

/// The form in which `network-error-code` finds the cause again.
fn failed(errno: Errno) -> StreamError {
    StreamError::LastOperationFailed(std::io::Error::from(errno).into())
}

pub(crate) struct SocketInput {
    inner: DynInputStream,
    right: Standing<Arc<SocketRight>>,
}

impl SocketInput {
    pub fn new(inner: DynInputStream, right: Arc<SocketRight>) -> Self {
        Self {
            inner,
            right: Standing::new(right),
        }
    }
}

#[async_trait]
impl InputStream for SocketInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.right.now().map_err(failed)? {
            self.inner.read(size)
        } else {
            Ok(Bytes::new())
        }
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for SocketInput {
    async fn ready(&mut self) {
        // A lost right shows at the next read.
        let _ = self.right.while_held(self.inner.ready()).await;
    }
}

pub(crate) struct SocketOutput {
    inner: DynOutputStream,
    right: Standing<Arc<SocketRight>>,
}

impl SocketOutput {
    pub fn new(inner: DynOutputStream, right: Arc<SocketRight>) -> Self {
        Self {
            inner,
            right: Standing::new(right),
        }
    }
}

#[async_trait]
impl OutputStream for SocketOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.right.now().map_err(failed)? {
            self.inner.write(bytes)
        } else {
            Err(StreamError::trap(
                "write not permitted: check-write did not return a permit",
            ))
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.right.now().map_err(failed)? {
            self.inner.check_write()
        } else {
            Ok(0)
        }
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for SocketOutput {
    async fn ready(&mut self) {
        // A lost right shows at the next write.
        let _ = self.right.while_held(self.inner.ready()).await;
    }
}
