//! Where an ingress listens, and the connections that come there.

use std::io;
use std::net::ToSocketAddrs;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::connection::serve;

/// Connections that the system may keep until they are taken.
const BACKLOG: i32 = 1024;
/// Before the next try where the system has no descriptor left.
const BREATH: Duration = Duration::from_millis(50);

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1:8080`, `[::1]:0`, `localhost:8080`.
    Tcp(String),
    Unix(PathBuf),
}

pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Gone already where somebody else tidied up.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Begin to listen.
///
/// # Errors
/// What the system says.
pub(super) fn bind(listen: &Listen) -> io::Result<(Listener, String)> {
    match listen {
        Listen::Tcp(address) => {
            let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in address.to_socket_addrs()? {
                match std::net::TcpListener::bind(address) {
                    Ok(listener) => {
                        rustix::net::listen(&listener, BACKLOG)?;
                        listener.set_nonblocking(true)?;
                        let address = listener.local_addr()?.to_string();
                        return Ok((Listener::Tcp(TcpListener::from_std(listener)?), address));
                    }
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        }
        Listen::Unix(path) => {
            let stale = |error: &io::Error| {
                error.kind() == io::ErrorKind::AddrInUse
                    && StdUnixStream::connect(path)
                        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
            };
            let listener = match UnixListener::bind(path) {
                // Whoever listened there did not get to tidy up.
                Err(error) if stale(&error) => {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)?
                }
                other => other?,
            };
            let address = format!("unix:{}", path.display());
            Ok((Listener::Unix(listener, path.clone()), address))
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn next(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A client that left meanwhile is found out at the first read.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Take connections until told to end, then wait for those that there are.
pub(super) async fn accept(
    shared: Arc<Shared>,
    listener: Listener,
    mut told: watch::Receiver<Option<Duration>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = listener.next() => stream,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            // Gone without a word is as good as told.
            _ = told.wait_for(Option::is_some) => break,
        };
        let Ok(stream) = stream else {
            sleep(BREATH).await;
            continue;
        };
        shared.statistics.connections_accepted.add();
        if connections.len() >= shared.limits.connections {
            shared.statistics.connections_refused.add();
            continue;
        }
        let (shared, told) = (shared.clone(), told.clone());
        match stream {
            Stream::Tcp(stream) => connections.spawn(serve(shared, stream, told)),
            Stream::Unix(stream) => connections.spawn(serve(shared, stream, told)),
        };
    }
    drop(listener);
    drain(connections, told).await;
}

/// Wait for connections to end, as long as the drain deadline says, which may come nearer meanwhile.
async fn drain(mut connections: JoinSet<()>, mut told: watch::Receiver<Option<Duration>>) {
    let began = Instant::now();
    while !connections.is_empty() {
        let patience = told.borrow_and_update().unwrap_or_default();
        tokio::select! {
            joined = timeout_at(began + patience, connections.join_next()) => {
                if joined.is_err() {
                    return connections.shutdown().await;
                }
            }
            changed = told.changed() => {
                if changed.is_err() {
                    return connections.shutdown().await;
                }
            }
        }
    }
}
