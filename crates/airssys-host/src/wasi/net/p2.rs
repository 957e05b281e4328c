//! `wasi:sockets` 0.2: the stock sockets, each with its own right, and names of our own.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, ip_name_lookup, network, tcp, tcp_create_socket, udp, udp_create_socket,
};
use wasmtime_wasi::p2::pipe::{ClosedInputStream, ClosedOutputStream};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Network, Pollable, SocketError, SocketResult,
    TcpSocket, UdpSocket, subscribe,
};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi::sockets::WasiSocketsCtxView;

use super::names::LookupError;
use super::socket::SocketRight;
use super::stream::{SocketInput, SocketOutput};
use crate::gate::Transport;
use crate::wasi::WasiState;
use crate::wasi::decide::Standing;

use ip_name_lookup::ResolveAddressStream;
use network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress};
use udp::{IncomingDatagram, IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream};

impl WasiState {
    pub(super) fn stock_sockets(&mut self) -> WasiSocketsCtxView<'_> {
        WasiSocketsCtxView {
            ctx: self.ctx.sockets(),
            table: &mut self.table,
        }
    }

    fn right(&self, socket: u32) -> SocketResult<Arc<SocketRight>> {
        self.rights
            .get(&socket)
            .cloned()
            .ok_or_else(|| ErrorCode::InvalidState.into())
    }

    /// Put streams that rest on `right` in place of the stock ones.
    fn rest_on(
        &mut self,
        right: &Arc<SocketRight>,
        input: &Resource<DynInputStream>,
        output: &Resource<DynOutputStream>,
    ) -> SocketResult<()> {
        let slot = self.table.get_mut(input)?;
        let inner = std::mem::replace(slot, Box::new(ClosedInputStream));
        *slot = Box::new(SocketInput::new(inner, Arc::clone(right)));
        let slot = self.table.get_mut(output)?;
        let inner = std::mem::replace(slot, Box::new(ClosedOutputStream));
        *slot = Box::new(SocketOutput::new(inner, Arc::clone(right)));
        Ok(())
    }
}

impl network::Host for WasiState {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.stock_sockets(), error)
    }
}

impl network::HostNetwork for WasiState {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.stock_sockets(), network)
    }
}

impl instance_network::Host for WasiState {
    /// A handle without meaning: the gate decides, not who holds this.
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        instance_network::Host::instance_network(&mut self.stock_sockets())
    }
}

/// A look-up that is going on, or its remaining addresses.
enum Lookup {
    Running(AbortOnDropJoinHandle<Result<Vec<std::net::IpAddr>, LookupError>>),
    Found(std::vec::IntoIter<std::net::IpAddr>),
    Failed(LookupError),
}

impl Lookup {
    fn finish(&mut self, result: Result<Vec<std::net::IpAddr>, LookupError>) {
        *self = match result {
            Ok(addresses) => Self::Found(addresses.into_iter()),
            Err(error) => Self::Failed(error),
        };
    }
}

#[async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Running(task) = self {
            let result = task.await;
            self.finish(result);
        }
    }
}

fn lookup_error(error: LookupError) -> ErrorCode {
    match error {
        LookupError::Refused => ErrorCode::AccessDenied,
        LookupError::Invalid => ErrorCode::InvalidArgument,
        LookupError::Unresolvable => ErrorCode::NameUnresolvable,
        LookupError::Timeout => ErrorCode::TemporaryResolverFailure,
    }
}

impl ip_name_lookup::Host for WasiState {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.table.get(&network)?;
        let net = Arc::clone(&self.net);
        let task =
            wasmtime_wasi::runtime::spawn(
                async move { net.names.resolve(&*net.gate, &name).await },
            );
        let lookup = self.table.push(Lookup::Running(task))?;
        // What stands in the table is ours: each method that takes this handle is below.
        Ok(Resource::new_own(lookup.rep()))
    }
}

impl ip_name_lookup::HostResolveAddressStream for WasiState {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> SocketResult<Option<IpAddress>> {
        let lookup = self
            .table
            .get_mut(&Resource::<Lookup>::new_borrow(stream.rep()))?;
        if let Lookup::Running(task) = lookup {
            match wasmtime_wasi::runtime::poll_noop(std::pin::Pin::new(task)) {
                Some(result) => lookup.finish(result),
                None => return Err(ErrorCode::WouldBlock.into()),
            }
        }
        match lookup {
            Lookup::Found(addresses) => Ok(addresses.next().map(IpAddress::from)),
            Lookup::Failed(error) => Err(lookup_error(*error).into()),
            Lookup::Running(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(
            &mut self.table,
            Resource::<Lookup>::new_borrow(stream.rep()),
        )
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Lookup>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl tcp_create_socket::Host for WasiState {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let right = SocketRight::new(&self.net, Transport::Tcp).ok_or(ErrorCode::NewSocketLimit)?;
        let mut view = WasiSocketsCtxView {
            ctx: &mut right.context(),
            table: &mut self.table,
        };
        let socket = tcp_create_socket::Host::create_tcp_socket(&mut view, family)?;
        self.rights.insert(socket.rep(), right);
        Ok(socket)
    }
}

impl udp_create_socket::Host for WasiState {
    async fn create_udp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        let right = SocketRight::new(&self.net, Transport::Udp).ok_or(ErrorCode::NewSocketLimit)?;
        let mut view = WasiSocketsCtxView {
            ctx: &mut right.context(),
            table: &mut self.table,
        };
        let socket = udp_create_socket::Host::create_udp_socket(&mut view, family).await?;
        self.rights.insert(socket.rep(), right);
        Ok(socket)
    }
}

/// Methods that neither name an address nor move data, left to the stock implementation.
macro_rules! delegate {
    ($module:ident::$interface:ident, $handle:ty: $(
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;
    )*) => {
        $(
            fn $name(&mut self, socket: Resource<$handle>, $($argument: $type),*) -> $result {
                $module::$interface::$name(&mut self.stock_sockets(), socket, $($argument),*)
            }
        )*
    };
}

impl tcp::Host for WasiState {}

impl tcp::HostTcpSocket for WasiState {
    async fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let right = self.right(socket.rep())?;
        right.begin_bind();
        let result =
            tcp::HostTcpSocket::start_bind(&mut self.stock_sockets(), socket, network, address)
                .await;
        right.end_bind();
        result
    }

    fn finish_connect(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let right = self.right(socket.rep())?;
        let (input, output) =
            tcp::HostTcpSocket::finish_connect(&mut self.stock_sockets(), socket)?;
        self.rest_on(&right, &input, &output)?;
        Ok((input, output))
    }

    async fn start_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        tcp::HostTcpSocket::start_listen(&mut self.stock_sockets(), socket).await
    }

    fn accept(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(
        Resource<TcpSocket>,
        Resource<DynInputStream>,
        Resource<DynOutputStream>,
    )> {
        let right = self.right(socket.rep())?.accepted();
        let right = right.ok_or(ErrorCode::NewSocketLimit)?;
        let (accepted, input, output) =
            tcp::HostTcpSocket::accept(&mut self.stock_sockets(), socket)?;
        self.rest_on(&right, &input, &output)?;
        self.rights.insert(accepted.rep(), right);
        Ok((accepted, input, output))
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        let rep = socket.rep();
        tcp::HostTcpSocket::drop(&mut self.stock_sockets(), socket)?;
        self.rights.remove(&rep);
        Ok(())
    }

    delegate! { tcp::HostTcpSocket, TcpSocket:
        fn finish_bind() -> SocketResult<()>;
        fn start_connect(network: Resource<Network>, address: IpSocketAddress) -> SocketResult<()>;
        fn finish_listen() -> SocketResult<()>;
        fn local_address() -> SocketResult<IpSocketAddress>;
        fn remote_address() -> SocketResult<IpSocketAddress>;
        fn is_listening() -> wasmtime::Result<bool>;
        fn address_family() -> wasmtime::Result<IpAddressFamily>;
        fn set_listen_backlog_size(value: u64) -> SocketResult<()>;
        fn keep_alive_enabled() -> SocketResult<bool>;
        fn set_keep_alive_enabled(value: bool) -> SocketResult<()>;
        fn keep_alive_idle_time() -> SocketResult<u64>;
        fn set_keep_alive_idle_time(value: u64) -> SocketResult<()>;
        fn keep_alive_interval() -> SocketResult<u64>;
        fn set_keep_alive_interval(value: u64) -> SocketResult<()>;
        fn keep_alive_count() -> SocketResult<u32>;
        fn set_keep_alive_count(value: u32) -> SocketResult<()>;
        fn hop_limit() -> SocketResult<u8>;
        fn set_hop_limit(value: u8) -> SocketResult<()>;
        fn receive_buffer_size() -> SocketResult<u64>;
        fn set_receive_buffer_size(value: u64) -> SocketResult<()>;
        fn send_buffer_size() -> SocketResult<u64>;
        fn set_send_buffer_size(value: u64) -> SocketResult<()>;
        fn subscribe() -> wasmtime::Result<Resource<DynPollable>>;
        fn shutdown(how: tcp::ShutdownType) -> SocketResult<()>;
    }
}

impl udp::Host for WasiState {}

impl udp::HostUdpSocket for WasiState {
    async fn start_bind(
        &mut self,
        socket: Resource<UdpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let right = self.right(socket.rep())?;
        right.begin_bind();
        let result =
            udp::HostUdpSocket::start_bind(&mut self.stock_sockets(), socket, network, address)
                .await;
        right.end_bind();
        result
    }

    async fn stream(
        &mut self,
        socket: Resource<UdpSocket>,
        remote: Option<IpSocketAddress>,
    ) -> SocketResult<(
        Resource<IncomingDatagramStream>,
        Resource<OutgoingDatagramStream>,
    )> {
        let right = self.right(socket.rep())?;
        // The stock implementation looks for its own type of incoming stream, which ours hides.
        if self
            .table
            .iter_children(&socket)?
            .any(|child| child.is::<Incoming>())
        {
            return Err(SocketError::trap(wasmtime::format_err!(
                "UDP streams not dropped yet"
            )));
        }
        let borrowed = Resource::new_borrow(socket.rep());
        let (incoming, outgoing) =
            udp::HostUdpSocket::stream(&mut self.stock_sockets(), borrowed, remote).await?;
        let inner = self.table.delete(incoming)?;
        let incoming = Incoming {
            inner: Some(inner),
            right: Standing::new(right),
        };
        let incoming = self.table.push_child(incoming, &socket)?;
        Ok((Resource::new_own(incoming.rep()), outgoing))
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        let rep = socket.rep();
        udp::HostUdpSocket::drop(&mut self.stock_sockets(), socket)?;
        self.rights.remove(&rep);
        Ok(())
    }

    delegate! { udp::HostUdpSocket, UdpSocket:
        fn finish_bind() -> SocketResult<()>;
        fn local_address() -> SocketResult<IpSocketAddress>;
        fn remote_address() -> SocketResult<IpSocketAddress>;
        fn address_family() -> wasmtime::Result<IpAddressFamily>;
        fn unicast_hop_limit() -> SocketResult<u8>;
        fn set_unicast_hop_limit(value: u8) -> SocketResult<()>;
        fn receive_buffer_size() -> SocketResult<u64>;
        fn set_receive_buffer_size(value: u64) -> SocketResult<()>;
        fn send_buffer_size() -> SocketResult<u64>;
        fn set_send_buffer_size(value: u64) -> SocketResult<()>;
        fn subscribe() -> wasmtime::Result<Resource<DynPollable>>;
    }
}

/// The stock stream of datagrams, woken when the right to it is lost.
struct Incoming {
    /// Absent only while the stock implementation reads from it.
    inner: Option<IncomingDatagramStream>,
    right: Standing<Arc<SocketRight>>,
}

#[async_trait]
impl Pollable for Incoming {
    async fn ready(&mut self) {
        if let Some(inner) = &mut self.inner {
            // A lost right shows at the next receive.
            let _ = self.right.while_held(inner.ready()).await;
        }
    }
}

impl udp::HostIncomingDatagramStream for WasiState {
    fn receive(
        &mut self,
        stream: Resource<IncomingDatagramStream>,
        max_results: u64,
    ) -> SocketResult<Vec<IncomingDatagram>> {
        let handle = Resource::<Incoming>::new_borrow(stream.rep());
        let incoming = self.table.get_mut(&handle)?;
        if !incoming.right.now().map_err(std::io::Error::from)? {
            return Ok(Vec::new());
        }
        let inner = incoming.inner.take().ok_or(ErrorCode::InvalidState)?;
        let inner = self.table.push(inner)?;
        let borrowed = Resource::new_borrow(inner.rep());
        let result = udp::HostIncomingDatagramStream::receive(
            &mut self.stock_sockets(),
            borrowed,
            max_results,
        );
        let inner = self.table.delete(inner)?;
        self.table.get_mut(&handle)?.inner = Some(inner);
        result
    }

    fn subscribe(
        &mut self,
        stream: Resource<IncomingDatagramStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(
            &mut self.table,
            Resource::<Incoming>::new_borrow(stream.rep()),
        )
    }

    fn drop(&mut self, stream: Resource<IncomingDatagramStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Incoming>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl udp::HostOutgoingDatagramStream for WasiState {
    async fn drop(&mut self, stream: Resource<OutgoingDatagramStream>) -> wasmtime::Result<()> {
        udp::HostOutgoingDatagramStream::drop(&mut self.stock_sockets(), stream).await
    }

    delegate! { udp::HostOutgoingDatagramStream, OutgoingDatagramStream:
        fn check_send() -> SocketResult<u64>;
        fn send(datagrams: Vec<OutgoingDatagram>) -> SocketResult<u64>;
        fn subscribe() -> wasmtime::Result<Resource<DynPollable>>;
    }
}
