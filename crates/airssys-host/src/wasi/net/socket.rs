//! What one socket may do, beneath both versions of `wasi:sockets`.
//!
//! The stock implementation asks [`SocketRight`] before each system call that names an address. Each
//! socket has its own, so that it is known which bind is real and which one the system would do by itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtx};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::Net;
use super::connections::Connection;
use crate::gate::address::canonical_socket;
use crate::gate::{Access, Gate, Transport};
use crate::wasi::decide::{Fail, REFUSED, Right, permit, settle};

/// With how many peers a UDP socket can be in exchange; after that all must be sent to again.
const MAX_PEERS: usize = 1024;

/// The rights of one socket.
pub(crate) struct SocketRight {
    net: Arc<Net>,
    transport: Transport,
    state: Mutex<State>,
    _connection: Connection,
}

#[derive(Default)]
struct State {
    /// The guest itself asked for the bind that is going on.
    binding: bool,
    /// What the guest asked to be bound to.
    bound: Option<SocketAddr>,
    /// The address on which it may be reached by anyone, and the generation in which that was decided.
    listening: Option<(SocketAddr, u64)>,
    /// The generation in which listening was refused for what strangers sent.
    strangers_refused: Option<u64>,
    /// To whom a TCP socket is connected, under which name, and when that was decided.
    connected: Option<(SocketAddr, Option<Arc<str>>, u64)>,
    /// To whom a UDP socket sent, under which name.
    peers: HashMap<SocketAddr, Option<Arc<str>>>,
    /// The generation in which the peers were decided.
    peers_decided: u64,
    /// All of them were lost when rights changed.
    peers_lost: bool,
}

impl SocketRight {
    /// The right of a new socket; `None` if the guest has as many as it may.
    pub fn new(net: &Arc<Net>, transport: Transport) -> Option<Arc<Self>> {
        let connection = net.connections.open()?;
        Some(Arc::new(Self {
            net: Arc::clone(net),
            transport,
            state: Mutex::default(),
            _connection: connection,
        }))
    }

    /// The right of a connection that a listening socket accepted; `None` as above.
    pub fn accepted(&self) -> Option<Arc<Self>> {
        let connection = self.net.connections.open()?;
        let state = State {
            listening: self.state().listening,
            ..State::default()
        };
        Some(Arc::new(Self {
            net: Arc::clone(&self.net),
            transport: self.transport,
            state: Mutex::new(state),
            _connection: connection,
        }))
    }

    /// Whether a connection to `local` may have come in through this socket.
    pub fn listens_on(&self, local: SocketAddr) -> bool {
        self.state().listening.is_some_and(|(address, _)| {
            address.port() == local.port()
                && (address.ip() == local.ip() || address.ip().is_unspecified())
        })
    }

    /// A context for making this one socket, which asks this right about each address.
    pub fn context(self: &Arc<Self>) -> WasiSocketsCtx {
        let right = Arc::clone(self);
        let mut builder: WasiCtxBuilder = WasiCtx::builder();
        builder
            .allow_tcp(true)
            .allow_udp(true)
            .socket_addr_check(move |address, purpose| {
                let right = Arc::clone(&right);
                Box::pin(Shared(Mutex::new(Box::pin(async move {
                    settle(&*right.net.gate, || right.decide(address, purpose))
                        .await
                        .is_ok()
                }))))
            });
        builder.build().sockets().clone()
    }

    /// Mark the bind that `bind` carries out as the guest's own.
    pub fn begin_bind(&self) {
        self.state().binding = true;
    }

    pub fn end_bind(&self) {
        self.state().binding = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self) -> u64 {
        self.net.gate.mark()
    }

    fn decide(&self, address: SocketAddr, purpose: SocketAddrUse) -> Result<(), Fail> {
        match purpose {
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => self.bind(address),
            SocketAddrUse::TcpListen => self.listen(address),
            SocketAddrUse::TcpAccept => self.still_listening(),
            SocketAddrUse::TcpConnect => self.connect(address),
            SocketAddrUse::UdpSend => self.send_to(address),
            SocketAddrUse::UdpReceive => self.receive_from(address),
        }
    }

    /// A bind that the system does by itself, or one to a port that the system chooses, makes nobody reach
    /// the guest: that is decided when it listens, and for UDP with each datagram.
    fn bind(&self, address: SocketAddr) -> Result<(), Fail> {
        if !self.state().binding {
            return Ok(());
        }
        if address.port() != 0 {
            self.listen(address)?;
        }
        self.state().bound = Some(address);
        Ok(())
    }

    fn listen(&self, address: SocketAddr) -> Result<(), Fail> {
        let generation = self.generation();
        if self.state().listening == Some((address, generation)) {
            return Ok(());
        }
        permit(
            &*self.net.gate,
            &Access::Listen {
                transport: self.transport,
                address,
            },
        )?;
        self.state().listening = Some((address, generation));
        Ok(())
    }

    fn still_listening(&self) -> Result<(), Fail> {
        let listening = self.state().listening;
        match listening {
            Some((address, _)) => self.listen(address),
            None => Err(REFUSED.into()),
        }
    }

    fn connect(&self, address: SocketAddr) -> Result<(), Fail> {
        let generation = self.generation();
        let name = self.net.permit_connection(self.transport, address)?;
        self.state().connected = Some((address, name, generation));
        Ok(())
    }

    fn send_to(&self, address: SocketAddr) -> Result<(), Fail> {
        self.recheck_peers()?;
        let name = self.net.permit_connection(self.transport, address)?;
        let mut state = self.state();
        state.peers_lost = false;
        if state.peers.len() >= MAX_PEERS && !state.peers.contains_key(&address) {
            state.peers.clear();
        }
        state.peers.insert(address, name);
        Ok(())
    }

    /// An answer from whom the guest sent to, or anything where it may listen. That it may not is
    /// decided once, not per datagram: strangers do not choose what fills the log.
    fn receive_from(&self, address: SocketAddr) -> Result<(), Fail> {
        self.recheck_peers()?;
        let generation = self.generation();
        let bound = {
            let state = self.state();
            if state.peers.contains_key(&address) {
                return Ok(());
            }
            let bound = state.listening.map(|(address, _)| address).or(state.bound);
            bound.filter(|_| state.strangers_refused != Some(generation))
        };
        let listening = bound.map_or(Err(REFUSED.into()), |bound| self.listen(bound));
        if let Err(Fail::Errno(_)) = listening {
            self.state().strangers_refused = Some(generation);
        }
        listening
    }

    /// Decide again about whom a UDP socket exchanges datagrams with, when rights have changed.
    fn recheck_peers(&self) -> Result<(), Fail> {
        let generation = self.generation();
        let peers: Vec<_> = {
            let mut state = self.state();
            if state.peers_decided == generation {
                return Ok(());
            }
            if state.peers.is_empty() {
                state.peers_decided = generation;
                return Ok(());
            }
            state
                .peers
                .iter()
                .map(|(address, name)| (*address, name.clone()))
                .collect()
        };
        let mut kept = HashMap::new();
        for (address, name) in peers {
            match self
                .net
                .permit_named(self.transport, address, name.as_deref())
            {
                Ok(()) => {
                    kept.insert(address, name);
                }
                Err(Fail::Errno(_)) => {}
                Err(ask) => return Err(ask),
            }
        }
        let mut state = self.state();
        state.peers_lost = kept.is_empty();
        state.peers = kept;
        state.peers_decided = generation;
        Ok(())
    }
}

/// The right on which an open socket rests: that of the connection, of the peers, or to listen.
impl Right for Arc<SocketRight> {
    fn gate(&self) -> &Arc<dyn Gate> {
        &self.net.gate
    }

    fn check(&self) -> Result<(), Fail> {
        let generation = self.generation();
        let (connected, listening) = {
            let state = self.state();
            (state.connected.clone(), state.listening)
        };
        if let Some((address, name, decided)) = connected {
            if decided == generation {
                return Ok(());
            }
            self.net
                .permit_named(self.transport, address, name.as_deref())?;
            self.state().connected = Some((address, name, generation));
            return Ok(());
        }
        if listening.is_some() {
            return self.still_listening();
        }
        self.recheck_peers()?;
        if self.state().peers_lost {
            Err(REFUSED.into())
        } else {
            Ok(())
        }
    }
}

impl Net {
    /// Decide about a peer under each name that the guest resolved to get it, or under none.
    fn permit_connection(
        &self,
        transport: Transport,
        address: SocketAddr,
    ) -> Result<Option<Arc<str>>, Fail> {
        let names = self.names.of(address.ip());
        let Some((last, others)) = names.split_last() else {
            self.permit_named(transport, address, None)?;
            return Ok(None);
        };
        for name in others {
            match self.permit_named(transport, address, Some(name)) {
                Ok(()) => return Ok(Some(Arc::clone(name))),
                Err(Fail::Errno(_)) => {}
                Err(ask) => return Err(ask),
            }
        }
        self.permit_named(transport, address, Some(last))?;
        Ok(Some(Arc::clone(last)))
    }

    fn permit_named(
        &self,
        transport: Transport,
        address: SocketAddr,
        name: Option<&str>,
    ) -> Result<(), Fail> {
        let address = canonical_socket(address);
        permit(
            &*self.gate,
            &Access::Connect {
                transport,
                address,
                name,
            },
        )
    }
}

/// A future that may be shared between threads because nobody can poll it through a shared reference.
struct Shared(Mutex<Pin<Box<dyn Future<Output = bool> + Send>>>);

impl Future for Shared {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        self.0
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .poll(context)
    }
}
