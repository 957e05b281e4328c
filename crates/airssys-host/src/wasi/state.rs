//! What one instance has of WASI.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::{ResourceTableError, WasiCtx};

use super::fs::Fs;
use super::fs::object::Object;
use super::given::Given;
use super::http::Http;
use super::net::Net;
use super::net::socket::SocketRight;
use super::settings::Settings;
use crate::gate::Gate;
use crate::gate::callers::Acting;
use crate::gate::subject::Subject;
use crate::instance::Pauses;
use crate::services::Service;
use crate::storage::Namespace;
use crate::storage::guest::{GuestStorage, View};

/// The directories that a guest sees, with what it calls them.
pub(crate) struct Mounts<'a>(pub &'a [(Arc<Object>, String)]);

/// The data of a store whose guest uses WASI.
pub trait Governed: Send + 'static {
    fn wasi(&mut self) -> &mut WasiState;
}

/// The state behind WASI in one store; made by [`Builder`](super::Builder).
pub struct WasiState {
    /// Standard streams, and the host's clocks and random numbers.
    pub(crate) ctx: WasiCtx,
    pub(super) arguments: Arc<[String]>,
    pub(super) settings: Arc<Settings>,
    pub(super) given: Given,
    /// Everything the guest holds a handle to.
    pub(crate) table: ResourceTable,
    pub(crate) fs: Arc<Fs>,
    pub(crate) mounts: Vec<(Arc<Object>, String)>,
    pub(crate) net: Arc<Net>,
    /// The right of each socket, by the number of its handle.
    pub(crate) rights: HashMap<u32, Arc<SocketRight>>,
    /// The rights of the sockets that listen, for the connections that come out of their streams.
    pub(crate) listeners: Vec<Arc<SocketRight>>,
    pub(crate) http: Http,
    pub(crate) may_block: Arc<AtomicBool>,
    pub(crate) acting: Arc<Acting>,
    /// What stops the clock of calls, where the gate may ask somebody.
    pub(crate) pauses: Option<Arc<Pauses>>,
    /// Attached to the instance when it is made.
    pub(crate) services: Vec<Arc<dyn Service>>,
}

impl WasiState {
    /// What the guest has of storage, which is `namespace`.
    pub fn storage<'a>(&'a mut self, namespace: Option<&'a Namespace>) -> View<'a> {
        View {
            storage: GuestStorage {
                gate: self.fs.gate(),
                may_block: &self.may_block,
                namespace,
                account: None,
                actor: None,
                owner: None,
            },
            offers: None,
            table: &mut self.table,
        }
    }

    /// Everything the guest holds a handle to, for host services that give it further resources.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// The host's clocks.
    pub(super) fn clocks(&mut self) -> WasiClocksCtxView<'_> {
        WasiClocksCtxView {
            ctx: self.ctx.clocks(),
            table: &mut self.table,
        }
    }

    /// What decides for the instance.
    pub fn gate(&self) -> &Arc<dyn Gate> {
        self.fs.gate()
    }

    /// The directories that the guest sees.
    pub(crate) fn mounts(&self) -> Mounts<'_> {
        Mounts(&self.mounts)
    }

    /// Whose instance it is, where the gate knows.
    pub fn principal(&self) -> Option<&Arc<Subject>> {
        self.fs.gate().principal()
    }

    /// For whom the instance acts; whoever lets it handle a call or message sets it.
    pub fn acting(&self) -> &Arc<Acting> {
        &self.acting
    }

    /// What stops the clock of calls while the guest waits for an approver; `None` where nobody is ever asked.
    pub fn pauses(&self) -> Option<&Arc<Pauses>> {
        self.pauses.as_ref()
    }

    /// Whether the thread that polls may block in file operations; it may unless told otherwise.
    ///
    /// While it is `false` a file operation answers `Pending`, with its waker woken, before it begins, so
    /// that whoever polls can first move to a thread that may block (or let go of what others wait for),
    /// and store `true`.
    pub fn may_block(&self) -> &Arc<AtomicBool> {
        &self.may_block
    }
}

/// Whether a call failed because the guest held as many handles as it may.
pub fn is_handle_limit(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        matches!(
            cause.downcast_ref::<ResourceTableError>(),
            Some(ResourceTableError::Full)
        )
    })
}

/// Selects [`WasiState`] as the implementation of the governed interfaces.
pub(crate) struct Governance;

impl HasData for Governance {
    type Data<'a> = &'a mut WasiState;
}
