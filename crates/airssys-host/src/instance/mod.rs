//! One store with its memory, and calls into it.

mod call;
mod handler;
mod incoming;
mod kill;
mod link;
mod outgoing;
mod pauses;
mod shared;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use wasmtime::component::{Instance as ComponentInstance, ResourceAny};
use wasmtime::{Store, UpdateDeadline};

use crate::component::Component;
use crate::engine::address_space::Admission;
use crate::error::Error;
use crate::gate::callers::Callers;
use crate::limits::Limiter;
use crate::plane::ActorContext;
use crate::route::Held;
use crate::services::{Identity, Service, Services};
use crate::storage::{Namespace, Overlay};
use crate::value::{Callable, Value};
use crate::wasi::{Governed, WasiState};

pub use call::{Call, Ended, Progress};
pub use handler::Answer;
pub(crate) use handler::{HandlerIndices, find_handler};
pub(crate) use incoming::attach_all;
pub use incoming::{End, Front, Incoming, MOST_BYTES};
pub use kill::Kill;
pub use link::{
    Companion, Link, Owner, Reply, Request, Wanted, is_shut_down, now_nanos, shut_down,
    thread_cpu_nanos,
};
pub use outgoing::Outgoing;
pub use pauses::Pauses;
pub use shared::{Instance, Lease};

/// The data of every store.
pub struct State {
    pub wasi: WasiState,
    pub limiter: Limiter,
    pub link: Arc<Link>,
    /// What the instance has of host services beyond WASI.
    pub services: Services,
    /// What makes it an actor, if it is one.
    pub actor: Option<Box<ActorContext>>,
}

impl Governed for State {
    fn wasi(&mut self) -> &mut WasiState {
        &mut self.wasi
    }
}

/// What an instance has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub calls: u64,
    pub cpu_nanos: u64,
    pub host_calls: u64,
    /// Bytes of linear memory now, and the most so far.
    pub memory: u64,
    pub memory_peak: u64,
}

/// A handle that the host forgot.
#[derive(Debug)]
pub enum Abandoned {
    Resource(ResourceAny),
    End(End),
}

struct Gone(Arc<Link>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store_is_gone();
    }
}

/// A store that is ready for calls. Owned by whoever calls into it; see [`Instance`] for sharing.
pub struct Live {
    /// Dropped before the store, so that ends of streams can tell that from an end that the guest made.
    _gone: Gone,
    pub store: Store<State>,
    pub(crate) instance: ComponentInstance,
    /// By the position of the export; empty until the first call by position, which an actor never gets.
    callables: Vec<Option<Callable>>,
    pub component: Arc<Component>,
    pub link: Arc<Link>,
    pub usage: Usage,
    /// Where the instance is one of many, its share of what they hold.
    pub held: Option<Held>,
    /// Handles that the host forgot; their destructors run with the next call.
    abandoned: Vec<Abandoned>,
    _admission: Admission,
}

impl Live {
    /// Instantiate `component`. Guest code may run.
    ///
    /// # Errors
    /// What [`Error::from_call`] says, [`Error::PoolExhausted`], [`Error::Link`].
    pub async fn instantiate(
        component: Arc<Component>,
        wasi: WasiState,
        link: Arc<Link>,
    ) -> Result<Box<Self>, Error> {
        Self::make(component, wasi, link, &Identity::default(), &[], None).await
    }

    /// Instantiate `component` as an actor: `services` attach to it besides those of `wasi`, and `context` makes it
    /// reachable. Guest code may run.
    ///
    /// # Errors
    /// As [`Live::instantiate`].
    pub async fn instantiate_actor(
        component: Arc<Component>,
        wasi: WasiState,
        link: Arc<Link>,
        identity: &Identity,
        services: &[Arc<dyn Service>],
        context: Box<ActorContext>,
    ) -> Result<Box<Self>, Error> {
        Self::make(component, wasi, link, identity, services, Some(context)).await
    }

    async fn make(
        component: Arc<Component>,
        mut wasi: WasiState,
        link: Arc<Link>,
        identity: &Identity,
        services: &[Arc<dyn Service>],
        actor: Option<Box<ActorContext>>,
    ) -> Result<Box<Self>, Error> {
        let admission = Admission::new()?;
        if let Some(pauses) = wasi.pauses() {
            link.pause_with(pauses);
        }
        let mut attached = Services::default();
        for service in std::mem::take(&mut wasi.services).iter().chain(services) {
            service.attach(identity, &mut attached)?;
        }
        let prepared = component.prepared()?;
        if let (Some(principal), Some(rules)) = (wasi.principal(), wasi.gate().rules()) {
            link.belongs_to(Owner {
                principal: principal.clone(),
                acting: wasi.acting().clone(),
                authority: rules.authority(),
            });
        }
        let limits = link.limits();
        wasi.net.connections.bound(limits);
        let limiter = Limiter::new(limits.clone()).map_err(Error::Limit)?;
        let state = State {
            wasi,
            limiter,
            link: link.clone(),
            services: attached,
            actor,
        };
        let mut store = Store::new(&component.native.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.host_call_bytes);
        store.set_max_component_handles(limits.open_handles);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            state.link.check()?;
            if state
                .actor
                .as_ref()
                .is_some_and(|actor| actor.runs_through())
            {
                return Ok(UpdateDeadline::Continue(1));
            }
            state.link.note_tick();
            Ok(UpdateDeadline::Yield(1))
        });
        let instance = match prepared.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(failure(&error, &mut store)),
        };
        let usage = Usage::default();
        Ok(Box::new(Self {
            _gone: Gone(link.clone()),
            store,
            instance,
            callables: Vec::new(),
            component,
            link,
            usage,
            held: None,
            abandoned: Vec::new(),
            _admission: admission,
        }))
    }

    /// Call an export by its position in [`Component::exports`].
    ///
    /// # Errors
    /// What [`Error::from_call`] says. The store must be dropped after any.
    pub async fn call(
        &mut self,
        export: usize,
        arguments: Vec<Value>,
    ) -> Result<Option<Value>, Error> {
        if self.callables.is_empty() {
            let exports = self.component.exports.len();
            self.callables.resize_with(exports, || None);
        }
        if self.callables[export].is_none() {
            let index = &self.component.export_indices[export];
            let func = self
                .instance
                .get_func(&mut self.store, index)
                .ok_or_else(|| {
                    Error::Internal("an export of the component is missing in its instance".into())
                })?;
            let ty = self.component.exports[export].ty.clone();
            let callable = Callable::new(func, &self.store, ty)
                .map_err(|error| Error::Internal(format!("{error:#}")))?;
            self.callables[export] = Some(callable);
        }
        let callable = self.callables[export].as_ref().expect("made above");
        self.usage.calls += 1;
        self.store.set_epoch_deadline(1);
        if !self.abandoned.is_empty() {
            drop_abandoned(&mut self.abandoned, &mut self.store).await?;
        }
        match callable.call(&mut self.store, arguments).await {
            Ok(value) => Ok(value),
            Err(error) => Err(failure(&error, &mut self.store)),
        }
    }

    /// Run on the clock of a call that began before it had an instance, until [`Live::return_link`].
    pub fn lend_link(&mut self, link: Arc<Link>) {
        if let Some(companion) = self.link.companion() {
            link.accompany(companion.clone());
        }
        link.is_of(&self.link);
        if let Some(pauses) = self.link.pauses() {
            link.pause_with(pauses);
        }
        self.store.data_mut().link = link;
    }

    /// Go back to the instance's own link.
    pub fn return_link(&mut self) {
        let lent = std::mem::replace(&mut self.store.data_mut().link, self.link.clone());
        for (import, representation) in lent.take_dropped() {
            self.link.note_dropped(import, representation);
        }
    }

    /// From now on the instance acts for `callers`.
    pub fn act_for(&self, callers: Option<&Arc<Callers>>) {
        self.store.data().wasi.acting().begin(callers);
    }

    /// From now on the instance sees of the storage what `overlay` shows, and writes nowhere else.
    pub fn lay(&mut self, overlay: &Arc<Overlay>) {
        let services = &mut self.store.data_mut().services;
        if let Some(own) = services.get::<Namespace>() {
            let under = own.under(overlay.clone());
            services.insert(under);
        }
    }

    /// Drop a guest's resource; its destructor runs.
    ///
    /// # Errors
    /// As [`Live::call`].
    pub async fn drop_resource(&mut self, resource: ResourceAny) -> Result<(), Error> {
        self.store.set_epoch_deadline(1);
        match resource.resource_drop_async(&mut self.store).await {
            Ok(()) => Ok(()),
            Err(error) => Err(failure(&error, &mut self.store)),
        }
    }

    /// Run until `incoming` has something to be taken.
    ///
    /// # Errors
    /// As [`Live::call`].
    pub async fn read(&mut self, incoming: &Incoming) -> Result<(), Error> {
        self.store.set_epoch_deadline(1);
        drop_abandoned(&mut self.abandoned, &mut self.store).await?;
        let read = match incoming.read(&mut self.store) {
            Ok(ready) => self.store.run_concurrent(async move |_| ready.await).await,
            Err(error) => Err(error),
        };
        read.map_err(|error| failure(&error, &mut self.store))
    }

    /// Run until the guest has learnt that nobody reads what was closed, and waits for something else.
    ///
    /// # Errors
    /// As [`Live::call`].
    pub async fn settle(&mut self) -> Result<(), Error> {
        self.store.set_epoch_deadline(1);
        drop_abandoned(&mut self.abandoned, &mut self.store).await?;
        let waits = AtomicBool::new(false);
        let settled = {
            let mut running = pin!(self.store.run_concurrent(async |_| {
                poll_fn(|_| match waits.load(Ordering::Relaxed) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .await;
            }));
            poll_fn(|context| match running.as_mut().poll(context) {
                Poll::Pending => {
                    // Everything that could run has run, or its tick is over.
                    waits.store(true, Ordering::Relaxed);
                    running.as_mut().poll(context)
                }
                done => done,
            })
            .await
        };
        settled.map_err(|error| failure(&error, &mut self.store))
    }

    /// Close an end with the next call.
    pub fn abandon(&mut self, end: End) {
        self.abandoned.push(Abandoned::End(end));
    }

    /// What the instance has used, up to the last finished call.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let limiter = &self.store.data().limiter;
        Usage {
            host_calls: self.link.host_calls(),
            memory: limiter.memory(),
            memory_peak: limiter.memory_peak(),
            ..self.usage
        }
    }
}

async fn drop_abandoned(
    abandoned: &mut Vec<Abandoned>,
    store: &mut Store<State>,
) -> Result<(), Error> {
    while let Some(handle) = abandoned.pop() {
        let dropped = match handle {
            Abandoned::Resource(resource) => resource.resource_drop_async(&mut *store).await,
            Abandoned::End(end) => end.close(&mut *store),
        };
        if let Err(error) = dropped {
            return Err(failure(&error, store));
        }
    }
    Ok(())
}

pub(crate) fn failure(error: &wasmtime::Error, store: &mut Store<State>) -> Error {
    let mut failure = Error::from_call(error, store.data().link.limits());
    if let Error::Trap(trap) = &mut failure
        && store.data().link.limits().coredump
        && let Some(dump) = error.downcast_ref::<wasmtime::WasmCoreDump>()
    {
        trap.coredump = Some(dump.serialize(store, "guest"));
    }
    failure
}
