//! What an instance is given: arguments, environment, standard streams, mounts, and a gate.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{AsyncStdinStream, AsyncStdoutStream, IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::fs::Fs;
use super::given::{Answers, Given};
use super::http::{Http, HttpLimits, default_tls};
use super::net::Net;
use super::secrets::{Handed, Secrets};
use super::settings::Settings;
use super::state::WasiState;
use crate::gate::callers::Acting;
use crate::gate::kind::Kind;
use crate::gate::{Gate, Pausing};
use crate::instance::Pauses;
use crate::services::Service;

/// How many handles (descriptors, streams, sockets, pollables) a guest may hold unless told otherwise.
const DEFAULT_HANDLES: usize = 1024;

/// How much of a stream is buffered on the way to a slow reader.
const PIPE_BYTES: usize = 64 * 1024;

/// Where a guest's standard input comes from.
pub enum Input {
    /// The input of this process, read on a thread of its own.
    Inherit,
    Bytes(Bytes),
    Reader(Box<dyn AsyncRead + Send + Sync + Unpin>),
}

/// Where a guest's standard output, or standard error, goes to.
pub enum Output {
    /// The output of this process.
    Inherit,
    /// A buffer that keeps the beginning.
    Capture(Capture),
    /// A function that is given each piece as it is written; it must not wait.
    Callback(Arc<dyn Fn(Bytes) + Send + Sync>),
    /// The same, for what goes to the host's log: it vanishes where a rule denies that.
    Log(Arc<dyn Fn(Bytes) + Send + Sync>),
    /// Something that may be slow: the guest waits while its buffer is full.
    Writer(Box<dyn AsyncWrite + Send + Sync + Unpin>),
}

/// A bounded buffer for output: what does not fit is counted and dropped, and the guest goes on.
#[derive(Clone, Debug)]
pub struct Capture {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    capacity: usize,
    dropped: u64,
}

impl Capture {
    /// A buffer of at most `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        let kept = Kept {
            bytes: Vec::new(),
            capacity,
            dropped: 0,
        };
        Self {
            kept: Arc::new(Mutex::new(kept)),
        }
    }

    /// What was written so far, and how many bytes did not fit.
    pub fn contents(&self) -> (Vec<u8>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.bytes.clone(), kept.dropped)
    }

    fn append(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = bytes.len().min(kept.capacity - kept.bytes.len());
        kept.bytes.extend_from_slice(&bytes[..fits]);
        kept.dropped += (bytes.len() - fits) as u64;
    }
}

/// A standard output that takes everything at once.
#[derive(Clone)]
struct Sink(Arc<dyn Fn(Bytes) + Send + Sync>);

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Sink {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        (self.0)(Bytes::copy_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

impl OutputStream for Sink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        (self.0)(bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIPE_BYTES)
    }
}

/// Makes the [`WasiState`] of one instance. Without further calls the guest has no arguments, environment,
/// input or files, its output vanishes, and whatever it asks for goes to the gate.
pub struct Builder {
    ctx: WasiCtxBuilder,
    gate: Arc<dyn Gate>,
    mounts: Vec<(std::path::PathBuf, String, bool)>,
    handles: usize,
    tls: Arc<rustls::ClientConfig>,
    services: Vec<Arc<dyn Service>>,
    arguments: Arc<[String]>,
    settings: Arc<Settings>,
    secrets: Option<Arc<Secrets>>,
    http_limits: HttpLimits,
}

impl Builder {
    pub fn new(gate: Arc<dyn Gate>) -> Self {
        Self {
            ctx: WasiCtx::builder(),
            gate,
            mounts: Vec::new(),
            handles: DEFAULT_HANDLES,
            tls: default_tls(),
            services: Vec::new(),
            arguments: Arc::default(),
            settings: Arc::default(),
            secrets: None,
            http_limits: HttpLimits::default(),
        }
    }

    /// The arguments, the program's name included.
    pub fn arguments(&mut self, arguments: impl Into<Arc<[String]>>) -> &mut Self {
        self.arguments = arguments.into();
        self
    }

    /// The environment and configuration.
    pub fn settings(&mut self, settings: Arc<Settings>) -> &mut Self {
        self.settings = settings;
        self
    }

    /// What stands for the secrets that have a place in the settings.
    pub fn secrets(&mut self, secrets: Arc<Secrets>) -> &mut Self {
        self.secrets = Some(secrets);
        self
    }

    /// How large requests and responses may be.
    pub fn http_limits(&mut self, limits: HttpLimits) -> &mut Self {
        self.http_limits = limits;
        self
    }

    pub fn stdin(&mut self, input: Input) -> &mut Self {
        match input {
            Input::Inherit => self.ctx.stdin(wasmtime_wasi::cli::stdin()),
            Input::Bytes(bytes) => self.ctx.stdin(MemoryInputPipe::new(bytes)),
            Input::Reader(reader) => self.ctx.stdin(AsyncStdinStream::new(reader)),
        };
        self
    }

    pub fn stdout(&mut self, output: Output) -> &mut Self {
        match output {
            Output::Inherit => self.ctx.stdout(wasmtime_wasi::cli::stdout()),
            Output::Capture(capture) => self.ctx.stdout(sink(capture)),
            Output::Callback(callback) => self.ctx.stdout(Sink(callback)),
            Output::Log(log) => self.ctx.stdout(logged(&self.gate, log)),
            Output::Writer(writer) => self.ctx.stdout(AsyncStdoutStream::new(PIPE_BYTES, writer)),
        };
        self
    }

    pub fn stderr(&mut self, output: Output) -> &mut Self {
        match output {
            Output::Inherit => self.ctx.stderr(wasmtime_wasi::cli::stderr()),
            Output::Capture(capture) => self.ctx.stderr(sink(capture)),
            Output::Callback(callback) => self.ctx.stderr(Sink(callback)),
            Output::Log(log) => self.ctx.stderr(logged(&self.gate, log)),
            Output::Writer(writer) => self.ctx.stderr(AsyncStdoutStream::new(PIPE_BYTES, writer)),
        };
        self
    }

    /// Show the directory `host` to the guest as `guest`. Each access beneath it still goes to the gate;
    /// a mount that is not `writable` refuses changes even where the gate would allow them.
    pub fn mount(&mut self, host: &Path, guest: &str, writable: bool) -> &mut Self {
        self.mounts
            .push((host.to_path_buf(), guest.to_owned(), writable));
        self
    }

    /// How the guest's HTTPS requests authenticate servers; by the certificate authorities of the web unless
    /// told otherwise, for example with [`tls_trusting`](super::tls_trusting).
    pub fn tls(&mut self, config: Arc<rustls::ClientConfig>) -> &mut Self {
        self.tls = config;
        self
    }

    /// Give the instance its part of a host service.
    pub fn service(&mut self, service: Arc<dyn Service>) -> &mut Self {
        self.services.push(service);
        self
    }

    /// How many handles the guest may hold at once; one more is a
    /// [handle limit](super::is_handle_limit) error.
    pub fn handles(&mut self, handles: usize) -> &mut Self {
        self.handles = handles;
        self
    }

    /// Make the state; once per builder.
    ///
    /// # Errors
    /// When a mounted directory cannot be opened, or this kernel lacks `openat2` (Linux 5.6) or `/proc`.
    pub fn build(&mut self) -> std::io::Result<WasiState> {
        let acting = Arc::<Acting>::default();
        if let Some(gate) = self.gate.of_instance(&acting) {
            self.gate = gate;
        }
        let may_block = Arc::new(AtomicBool::new(true));
        let pauses = self.gate.may_ask().then(Arc::<Pauses>::default);
        let gate = match &pauses {
            None => Arc::clone(&self.gate),
            Some(pauses) => Arc::new(Pausing::new(Arc::clone(&self.gate), Arc::clone(pauses))),
        };
        let fs = Arc::new(Fs::new(Arc::clone(&gate), Arc::clone(&may_block)));
        let mut mounts = Vec::with_capacity(self.mounts.len());
        for (host, guest, writable) in self.mounts.drain(..) {
            let object = fs.open_mount(&host, writable).map_err(|errno| {
                let error = std::io::Error::from(errno);
                std::io::Error::new(
                    error.kind(),
                    format!("cannot mount {}: {error}", host.display()),
                )
            })?;
            mounts.push((Arc::new(object), guest));
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(self.handles);
        let net = Arc::new(Net::new(gate));
        let handed = self.secrets.as_ref().map(|secrets| {
            let names = self.settings.secrets();
            let names = names.into_iter().map(str::to_owned).collect();
            Arc::new(Handed::new(Arc::clone(secrets), names))
        });
        let http = Http::new(
            Arc::clone(&net),
            Arc::clone(&self.tls),
            self.http_limits,
            handed,
        );
        Ok(WasiState {
            ctx: self.ctx.build(),
            arguments: Arc::clone(&self.arguments),
            settings: Arc::clone(&self.settings),
            given: Given::new(),
            table,
            fs,
            mounts,
            http,
            net,
            rights: HashMap::new(),
            listeners: Vec::new(),
            may_block,
            acting,
            pauses,
            services: std::mem::take(&mut self.services),
        })
    }
}

fn logged(gate: &Arc<dyn Gate>, log: Arc<dyn Fn(Bytes) + Send + Sync>) -> Sink {
    let answers = Mutex::new(Answers::new());
    let gate = Arc::clone(gate);
    Sink(Arc::new(move |bytes| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.may_use(&*gate, Kind::Log) {
            log(bytes);
        }
    }))
}

fn sink(capture: Capture) -> Sink {
    Sink(Arc::new(move |bytes| capture.append(&bytes)))
}
