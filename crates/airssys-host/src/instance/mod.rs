//! One store with its memory, and calls into it.

mod call;
mod link;

use std::sync::{Arc, Mutex};

use wasmtime::component::{Instance as ComponentInstance, ResourceAny};
use wasmtime::{Store, UpdateDeadline};

use crate::component::Component;
use crate::engine::address_space::Admission;
use crate::error::Error;
use crate::limits::{Limiter, Limits};
use crate::value::{Callable, Value};
use crate::wasi::{Governed, WasiState};

pub use call::{Call, Progress};
pub use link::{Link, Reply, Request, is_shut_down, now_nanos, shut_down, thread_cpu_nanos, timed_out};

/// The data of every store.
pub struct State {
    pub wasi: WasiState,
    pub limiter: Limiter,
    pub limits: Limits,
    pub link: Arc<Link>,
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

/// A store that is ready for calls. Owned by whoever calls into it; see [`Instance`] for sharing.
pub struct Live {
    pub store: Store<State>,
    instance: ComponentInstance,
    callables: Vec<Option<Callable>>,
    pub component: Arc<Component>,
    pub link: Arc<Link>,
    pub usage: Usage,
    /// Handles that the host forgot; their destructors run with the next call.
    abandoned: Vec<ResourceAny>,
    _admission: Admission,
}

impl Live {
    /// Instantiate `component`. Guest code may run.
    ///
    /// # Errors
    /// What [`Error::from_call`] says, [`Error::PoolExhausted`], [`Error::Link`].
    pub async fn instantiate(component: Arc<Component>, wasi: WasiState, limits: Limits, link: Arc<Link>) -> Result<Box<Self>, Error> {
        let admission = Admission::new()?;
        let prepared = component.prepared()?;
        let (fuel, handles) = (limits.host_call_bytes, limits.open_handles);
        let limiter = Limiter::new(limits.clone());
        let state = State { wasi, limiter, limits, link: link.clone() };
        let mut store = Store::new(&component.native.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(fuel);
        store.set_max_component_handles(handles);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            state.link.check(&state.limits)?;
            Ok(UpdateDeadline::Yield(1))
        });
        let instance = match prepared.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(failure(&error, &mut store)),
        };
        let callables = (0..component.exports.len()).map(|_| None).collect();
        let usage = Usage::default();
        Ok(Box::new(Self { store, instance, callables, component, link, usage, abandoned: Vec::new(), _admission: admission }))
    }

    /// Call an export by its position in [`Component::exports`].
    ///
    /// # Errors
    /// What [`Error::from_call`] says. The store must be dropped after any.
    pub async fn call(&mut self, export: usize, arguments: Vec<Value>) -> Result<Option<Value>, Error> {
        if self.callables[export].is_none() {
            let index = &self.component.export_indices[export];
            let func = self
                .instance
                .get_func(&mut self.store, index)
                .ok_or_else(|| Error::Internal("an export of the component is missing in its instance".into()))?;
            let ty = self.component.exports[export].ty.clone();
            let callable = Callable::new(func, &self.store, ty).map_err(|error| Error::Internal(format!("{error:#}")))?;
            self.callables[export] = Some(callable);
        }
        let callable = self.callables[export].as_ref().expect("made above");
        self.usage.calls += 1;
        self.store.set_epoch_deadline(1);
        while let Some(resource) = self.abandoned.pop() {
            if let Err(error) = resource.resource_drop_async(&mut self.store).await {
                return Err(failure(&error, &mut self.store));
            }
        }
        match callable.call(&mut self.store, arguments).await {
            Ok(value) => Ok(value),
            Err(error) => Err(failure(&error, &mut self.store)),
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

fn failure(error: &wasmtime::Error, store: &mut Store<State>) -> Error {
    let mut failure = Error::from_call(error, &store.data().limits);
    if let Error::Trap(trap) = &mut failure
        && store.data().limits.coredump
        && let Some(dump) = error.downcast_ref::<wasmtime::WasmCoreDump>()
    {
        trap.coredump = Some(dump.serialize(store, "guest"));
    }
    failure
}

/// What stands in an instance's place.
enum Slot {
    Idle(Box<Live>),
    Running,
    Poisoned(String),
}

/// A live store that several threads may try to call into; one call at a time.
pub struct Instance {
    slot: Mutex<Slot>,
    /// Handles dropped while a call had the store.
    abandoned: Mutex<Vec<ResourceAny>>,
}

impl Instance {
    #[must_use]
    pub fn new(live: Box<Live>) -> Arc<Self> {
        Arc::new(Self { slot: Mutex::new(Slot::Idle(live)), abandoned: Mutex::default() })
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().expect("no code under this lock panics")
    }

    /// Take the store for one call.
    ///
    /// # Errors
    /// [`Error::Busy`] while another call has it, [`Error::Poisoned`] after a failure.
    pub fn take(self: &Arc<Self>) -> Result<(Box<Live>, Lease), Error> {
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, Slot::Running) {
            Slot::Idle(mut live) => {
                let mut abandoned = self.abandoned.lock().expect("no code under this lock panics");
                if !abandoned.is_empty() {
                    live.abandoned.append(&mut abandoned);
                }
                Ok((live, Lease { instance: Some(self.clone()) }))
            }
            Slot::Running => Err(Error::Busy),
            Slot::Poisoned(reason) => {
                *slot = Slot::Poisoned(reason.clone());
                Err(Error::Poisoned(reason))
            }
        }
    }

    /// Drop a guest's resource with the next call.
    pub fn drop_later(&self, resource: ResourceAny) {
        self.abandoned.lock().expect("no code under this lock panics").push(resource);
    }

    /// Use the store without calling into it.
    ///
    /// # Errors
    /// As [`Instance::take`].
    pub fn with<R>(&self, use_it: impl FnOnce(&mut Live) -> R) -> Result<R, Error> {
        match &mut *self.slot() {
            Slot::Idle(live) => Ok(use_it(live)),
            Slot::Running => Err(Error::Busy),
            Slot::Poisoned(reason) => Err(Error::Poisoned(reason.clone())),
        }
    }

    /// Drop the store, if no call has it; no further call is taken.
    ///
    /// # Errors
    /// [`Error::Busy`] while a call runs.
    pub fn close(&self) -> Result<(), Error> {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Running) {
            return Err(Error::Busy);
        }
        *slot = Slot::Poisoned("it was closed".into());
        Ok(())
    }
}

/// The duty to say how a call ended. Dropped without that, the call was abandoned and the store with it.
pub struct Lease {
    instance: Option<Arc<Instance>>,
}

impl Lease {
    /// The call ended well: the store is ready for the next.
    pub fn give_back(mut self, live: Box<Live>) {
        if let Some(instance) = self.instance.take() {
            *instance.slot() = Slot::Idle(live);
        }
    }

    /// The call failed and its store is gone.
    pub fn poison(mut self, reason: String) {
        if let Some(instance) = self.instance.take() {
            *instance.slot() = Slot::Poisoned(reason);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            *instance.slot() = Slot::Poisoned("a call was cancelled".into());
        }
    }
}
