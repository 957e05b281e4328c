//! `wasi:sockets` 0.3: the stock sockets, each with its own right, and names of our own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;
use tokio::sync::oneshot;
use wasmtime::component::{
    Access, Accessor, FutureConsumer, FutureReader, Resource, Source, StreamReader,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup, types};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};
use wasmtime_wasi::sockets::{TcpSocket, UdpSocket, WasiSockets, WasiSocketsCtxView};

use super::names::LookupError;
use super::relay::relay;
use super::socket::SocketRight;
use crate::gate::Transport;
use crate::wasi::WasiState;
use crate::wasi::decide::Standing;
use crate::wasi::state::{Governance, Governed};

use types::{
    ErrorCode, HostTcpSocket, HostTcpSocketWithStore, HostUdpSocket, HostUdpSocketWithStore,
};
use types::{IpAddressFamily, IpSocketAddress};

type Outcome = Result<(), ErrorCode>;

/// How many listening sockets are remembered for the connections that come out of their streams.
const MAX_LISTENERS: usize = 64;

fn stock<T: Governed>(state: &mut T) -> WasiSocketsCtxView<'_> {
    state.wasi().stock_sockets()
}

fn code(errno: Errno) -> ErrorCode {
    std::io::Error::from(errno).into()
}

impl ip_name_lookup::Host for WasiState {}

impl<T: Governed> ip_name_lookup::HostWithStore<T> for Governance {
    async fn resolve_addresses(
        store: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<types::IpAddress>, ip_name_lookup::ErrorCode>> {
        let net = store.with(|mut store| Arc::clone(&store.get().net));
        // Its own task, since whoever polls the guest may do so outside of a runtime.
        let task =
            wasmtime_wasi::runtime::spawn(
                async move { net.names.resolve(&*net.gate, &name).await },
            );
        Ok(match task.await {
            Ok(addresses) => Ok(addresses.into_iter().map(Into::into).collect()),
            Err(LookupError::Refused) => Err(ip_name_lookup::ErrorCode::AccessDenied),
            Err(LookupError::Invalid) => Err(ip_name_lookup::ErrorCode::InvalidArgument),
            Err(LookupError::Unresolvable) => Err(ip_name_lookup::ErrorCode::NameUnresolvable),
            Err(LookupError::Timeout) => Err(ip_name_lookup::ErrorCode::TemporaryResolverFailure),
        })
    }
}

impl types::Host for WasiState {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl WasiState {
    /// The right of a socket; for one that came out of a listening socket's stream, made from that one's.
    fn right_of(&mut self, socket: &Resource<TcpSocket>) -> Result<Arc<SocketRight>, ErrorCode> {
        if let Some(right) = self.rights.get(&socket.rep()) {
            return Ok(Arc::clone(right));
        }
        let borrowed = Resource::new_borrow(socket.rep());
        let local = HostTcpSocket::get_local_address(&mut self.stock_sockets(), borrowed)
            .map_err(|_| ErrorCode::InvalidState)?;
        let listener = self
            .listeners
            .iter()
            .find(|listener| listener.listens_on(local.into()))
            .ok_or(ErrorCode::AccessDenied)?;
        let right = listener.accepted().ok_or(ErrorCode::OutOfMemory)?;
        self.rights.insert(socket.rep(), Arc::clone(&right));
        Ok(right)
    }
}

impl<T: Governed> HostTcpSocketWithStore<T> for Governance {
    async fn connect(
        store: &Accessor<T, Self>,
        socket: Resource<TcpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let stock = store.with_getter::<WasiSockets>(stock);
        <WasiSockets as HostTcpSocketWithStore<T>>::connect(&stock, socket, address).await
    }

    async fn listen(
        mut store: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        let wasi = store.get();
        let right = wasi.right_of(&socket)?;
        let stock = Access::<T, WasiSockets>::new(store.as_context_mut(), stock);
        let stream = <WasiSockets as HostTcpSocketWithStore<T>>::listen(stock, socket).await?;
        let listeners = &mut store.get().listeners;
        if listeners.len() == MAX_LISTENERS {
            listeners.remove(0);
        }
        listeners.push(right);
        Ok(stream)
    }

    fn send(
        mut store: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
        mut data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        let right = match store.get().right_of(&socket) {
            Ok(right) => right,
            Err(error) => {
                data.close(&mut store)?;
                return FutureReader::new(
                    &mut store,
                    async move { wasmtime::error::Ok(Err(error)) },
                );
            }
        };
        let (intake, outlet, lost) = relay(&right);
        data.pipe(&mut store, intake)?;
        let relayed = StreamReader::new(&mut store, outlet)?;
        let stock = Access::<T, WasiSockets>::new(store.as_context_mut(), stock);
        let outcome = <WasiSockets as HostTcpSocketWithStore<T>>::send(stock, socket, relayed)?;
        unless_lost(&mut store, outcome, lost)
    }

    fn receive(
        mut store: Access<T, Self>,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Outcome>)> {
        let right = match store.get().right_of(&socket) {
            Ok(right) => right,
            Err(error) => {
                let empty = StreamReader::new(&mut store, std::iter::empty())?;
                let outcome =
                    FutureReader::new(&mut store, async move { wasmtime::error::Ok(Err(error)) })?;
                return Ok((empty, outcome));
            }
        };
        let stock = Access::<T, WasiSockets>::new(store.as_context_mut(), stock);
        let (data, outcome) = <WasiSockets as HostTcpSocketWithStore<T>>::receive(stock, socket)?;
        let (intake, outlet, lost) = relay(&right);
        data.pipe(&mut store, intake)?;
        Ok((
            StreamReader::new(&mut store, outlet)?,
            unless_lost(&mut store, outcome, lost)?,
        ))
    }
}

/// What the stock implementation tells at the end, unless the right was lost before.
fn unless_lost(
    mut store: impl AsContextMut<Data: 'static>,
    outcome: FutureReader<Outcome>,
    lost: oneshot::Receiver<Errno>,
) -> wasmtime::Result<FutureReader<Outcome>> {
    let (sender, told) = oneshot::channel();
    outcome.pipe(&mut store, Teller(Some(sender)))?;
    FutureReader::new(store, async move {
        // Both ends of the relay are gone without a loss when the outcome alone matters.
        let lost = async {
            match lost.await {
                Ok(errno) => errno,
                Err(_) => std::future::pending().await,
            }
        };
        wasmtime::error::Ok(tokio::select! {
            biased;
            errno = lost => Err(code(errno)),
            outcome = told => outcome.unwrap_or(Ok(())),
        })
    })
}

/// Passes on what a future of the stock implementation resolves to.
struct Teller(Option<oneshot::Sender<Outcome>>);

impl<D: 'static> FutureConsumer<D> for Teller {
    type Item = Outcome;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: Source<'_, Outcome>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut outcome = None;
        source.read(store, &mut outcome)?;
        if let (Some(teller), Some(outcome)) = (self.0.take(), outcome) {
            // Nobody has to listen.
            let _ = teller.send(outcome);
        }
        Poll::Ready(Ok(()))
    }
}

/// Methods that neither name an address nor move data, left to the stock implementation.
macro_rules! delegate {
    ($interface:ident, $handle:ty: $(
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;
    )*) => {
        $(
            fn $name(&mut self, socket: Resource<$handle>, $($argument: $type),*) -> $result {
                $interface::$name(&mut self.stock_sockets(), socket, $($argument),*)
            }
        )*
    };
}

impl HostTcpSocket for WasiState {
    fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let right = SocketRight::new(&self.net, Transport::Tcp).ok_or(ErrorCode::OutOfMemory)?;
        let mut view = WasiSocketsCtxView {
            ctx: &mut right.context(),
            table: &mut self.table,
        };
        let socket = HostTcpSocket::create(&mut view, family)?;
        self.rights.insert(socket.rep(), right);
        Ok(socket)
    }

    async fn bind(
        &mut self,
        socket: Resource<TcpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let right = self.right_of(&socket)?;
        right.begin_bind();
        let result = HostTcpSocket::bind(&mut self.stock_sockets(), socket, address).await;
        right.end_bind();
        result
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.rights.remove(&socket.rep());
        HostTcpSocket::drop(&mut self.stock_sockets(), socket)
    }

    delegate! { HostTcpSocket, TcpSocket:
        fn get_local_address() -> SocketResult<IpSocketAddress>;
        fn get_remote_address() -> SocketResult<IpSocketAddress>;
        fn get_is_listening() -> wasmtime::Result<bool>;
        fn get_address_family() -> wasmtime::Result<IpAddressFamily>;
        fn set_listen_backlog_size(value: u64) -> SocketResult<()>;
        fn get_keep_alive_enabled() -> SocketResult<bool>;
        fn set_keep_alive_enabled(value: bool) -> SocketResult<()>;
        fn get_keep_alive_idle_time() -> SocketResult<u64>;
        fn set_keep_alive_idle_time(value: u64) -> SocketResult<()>;
        fn get_keep_alive_interval() -> SocketResult<u64>;
        fn set_keep_alive_interval(value: u64) -> SocketResult<()>;
        fn get_keep_alive_count() -> SocketResult<u32>;
        fn set_keep_alive_count(value: u32) -> SocketResult<()>;
        fn get_hop_limit() -> SocketResult<u8>;
        fn set_hop_limit(value: u8) -> SocketResult<()>;
        fn get_receive_buffer_size() -> SocketResult<u64>;
        fn set_receive_buffer_size(value: u64) -> SocketResult<()>;
        fn get_send_buffer_size() -> SocketResult<u64>;
        fn set_send_buffer_size(value: u64) -> SocketResult<()>;
    }
}

impl<T: Governed> HostUdpSocketWithStore<T> for Governance {
    async fn send(
        store: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
        data: Vec<u8>,
        remote: Option<IpSocketAddress>,
    ) -> SocketResult<()> {
        let stock = store.with_getter::<WasiSockets>(stock);
        <WasiSockets as HostUdpSocketWithStore<T>>::send(&stock, socket, data, remote).await
    }

    async fn receive(
        store: &Accessor<T, Self>,
        socket: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        let right = store.with(|mut store| store.get().rights.get(&socket.rep()).cloned());
        let mut right = Standing::new(right.ok_or(ErrorCode::InvalidState)?);
        let stock = store.with_getter::<WasiSockets>(stock);
        let receive = <WasiSockets as HostUdpSocketWithStore<T>>::receive(&stock, socket);
        right.while_held(receive).await.map_err(code)?
    }
}

impl HostUdpSocket for WasiState {
    async fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let right = SocketRight::new(&self.net, Transport::Udp).ok_or(ErrorCode::OutOfMemory)?;
        let mut view = WasiSocketsCtxView {
            ctx: &mut right.context(),
            table: &mut self.table,
        };
        let socket = HostUdpSocket::create(&mut view, family).await?;
        self.rights.insert(socket.rep(), right);
        Ok(socket)
    }

    async fn bind(
        &mut self,
        socket: Resource<UdpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let right = self
            .rights
            .get(&socket.rep())
            .cloned()
            .ok_or(ErrorCode::InvalidState)?;
        right.begin_bind();
        let result = HostUdpSocket::bind(&mut self.stock_sockets(), socket, address).await;
        right.end_bind();
        result
    }

    async fn connect(
        &mut self,
        socket: Resource<UdpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        HostUdpSocket::connect(&mut self.stock_sockets(), socket, address).await
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.rights.remove(&socket.rep());
        HostUdpSocket::drop(&mut self.stock_sockets(), socket)
    }

    delegate! { HostUdpSocket, UdpSocket:
        fn disconnect() -> SocketResult<()>;
        fn get_local_address() -> SocketResult<IpSocketAddress>;
        fn get_remote_address() -> SocketResult<IpSocketAddress>;
        fn get_address_family() -> wasmtime::Result<IpAddressFamily>;
        fn get_unicast_hop_limit() -> SocketResult<u8>;
        fn set_unicast_hop_limit(value: u8) -> SocketResult<()>;
        fn get_receive_buffer_size() -> SocketResult<u64>;
        fn set_receive_buffer_size(value: u64) -> SocketResult<()>;
        fn get_send_buffer_size() -> SocketResult<u64>;
        fn set_send_buffer_size(value: u64) -> SocketResult<()>;
    }
}
