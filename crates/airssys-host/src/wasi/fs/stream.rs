//! `wasi:io` streams on open files.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, ReadWriteFlags};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::Fs;
use super::object::Object;
use crate::gate::{FileAccess, Gate};
use crate::wasi::decide::{Fail, Right, Standing};

/// The most that one operation reads or takes: bounds what the host allocates for a guest.
pub(crate) const MAX_CHUNK: usize = 64 * 1024;

/// The right to an open file.
pub(super) struct OpenFile {
    pub fs: Arc<Fs>,
    pub object: Arc<Object>,
    pub access: FileAccess,
}

impl Right for OpenFile {
    fn gate(&self) -> &Arc<dyn Gate> {
        self.fs.gate()
    }

    fn check(&self) -> Result<(), Fail> {
        self.fs.permit_open(&self.object, self.access)
    }
}

/// The right to a directory's list of entries.
pub(super) struct Listed {
    pub fs: Arc<Fs>,
    pub object: Arc<Object>,
    /// One more than the generation in which it was allowed; 0 before that.
    decided: AtomicU64,
}

impl Listed {
    pub fn new(fs: Arc<Fs>, object: Arc<Object>) -> Self {
        Self {
            fs,
            object,
            decided: AtomicU64::new(0),
        }
    }
}

impl Right for Listed {
    fn gate(&self) -> &Arc<dyn Gate> {
        self.fs.gate()
    }

    fn check(&self) -> Result<(), Fail> {
        let mark = self.fs.gate().mark().wrapping_add(1);
        if self.decided.load(Ordering::Acquire) != mark {
            self.fs.permit_object(&self.object, FileAccess::List)?;
            self.decided.store(mark, Ordering::Release);
        }
        Ok(())
    }
}

/// What both directions have in common.
struct Open(Standing<OpenFile>);

impl Open {
    fn new(fs: Arc<Fs>, object: Arc<Object>, access: FileAccess) -> Self {
        Self(Standing::new(OpenFile { fs, object, access }))
    }

    fn object(&self) -> &Object {
        &self.0.right.object
    }

    /// `Ok(false)`: nothing can be done yet, [`Open::ready`] tells when.
    fn permitted(&mut self) -> StreamResult<bool> {
        Ok(self.0.right.fs.may_block_now() && self.0.now().map_err(failed)?)
    }

    /// Wait, then decide: for operations that may wait themselves.
    async fn permit(&mut self) -> StreamResult<()> {
        self.0.right.fs.wait_until_blocking_allowed().await;
        self.0.settled().await.map_err(failed)
    }

    async fn ready(&mut self) {
        // What came of it shows at the next operation.
        let _ = self.permit().await;
    }
}

/// The form in which `filesystem-error-code` finds the cause again.
fn failed(errno: Errno) -> StreamError {
    StreamError::LastOperationFailed(io::Error::from(errno).into())
}

pub(crate) struct FileInput {
    open: Open,
    position: u64,
}

impl FileInput {
    pub fn new(fs: Arc<Fs>, object: Arc<Object>, position: u64) -> Self {
        Self {
            open: Open::new(fs, object, FileAccess::Read),
            position,
        }
    }

    fn read_now(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = BytesMut::zeroed(size.min(MAX_CHUNK));
        let count = read_at(self.open.object(), &mut buffer, self.position).map_err(failed)?;
        if count == 0 {
            return Err(StreamError::Closed);
        }
        self.position += count as u64;
        buffer.truncate(count);
        Ok(buffer.freeze())
    }
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.open.permitted()? {
            self.read_now(size)
        } else {
            Ok(Bytes::new())
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.open.permit().await?;
        self.read_now(size)
    }
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {
        self.open.ready().await;
    }
}

/// Where a stream writes.
#[derive(Clone, Copy)]
pub(crate) enum WriteAt {
    Position(u64),
    End,
}

pub(crate) struct FileOutput {
    open: Open,
    at: WriteAt,
}

impl FileOutput {
    pub fn new(fs: Arc<Fs>, object: Arc<Object>, at: WriteAt) -> Self {
        Self {
            open: Open::new(fs, object, FileAccess::Write),
            at,
        }
    }

    fn write_now(&mut self, mut bytes: &[u8]) -> StreamResult<()> {
        while !bytes.is_empty() {
            let count = write_at(self.open.object(), bytes, self.at).map_err(failed)?;
            if let WriteAt::Position(position) = &mut self.at {
                *position += count as u64;
            }
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.open.permitted()? {
            self.write_now(&bytes)
        } else {
            Err(StreamError::trap(
                "write not permitted: check-write did not return a permit",
            ))
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.open.permitted()? { MAX_CHUNK } else { 0 })
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.open.permit().await?;
        self.write_now(&bytes)
    }
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {
        self.open.ready().await;
    }
}

pub(crate) fn read_at(object: &Object, buffer: &mut [u8], position: u64) -> Result<usize, Errno> {
    again(|| object.file.read_at(buffer, position))
}

pub(crate) fn write_at(object: &Object, bytes: &[u8], at: WriteAt) -> Result<usize, Errno> {
    again(|| match at {
        WriteAt::Position(position) => object.file.write_at(bytes, position),
        WriteAt::End => {
            let parts = [io::IoSlice::new(bytes)];
            Ok(rustix::io::pwritev2(
                &object.file,
                &parts,
                0,
                ReadWriteFlags::APPEND,
            )?)
        }
    })
}

fn again(mut operation: impl FnMut() -> io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match operation() {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
}
