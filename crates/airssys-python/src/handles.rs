//! Handles of one instance: Python objects that guests hold, and guests' resources that Python holds.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use airssys_host::instance::{End, Incoming, Instance, Link, Live, Outgoing};
use airssys_host::value::{Resource, Type, Value};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefMethods;

use crate::component::Described;
use crate::convert::{Carried, Classes, Handles, Place};
use crate::incoming::PyIncoming;
use crate::instance::{PyInstance, Shared};
use crate::objects::{Numbers, Objects};
use crate::resource::GuestResource;
use crate::source::{Source, Sources};

/// What converting values did to handles.
pub enum Effect {
    /// An object was put into the table for the guest to own.
    Put(u32),
    /// An object was put into the table for the time of the call.
    Lent(u32),
    /// A guest's resource was given away.
    Given(Py<GuestResource>, wasmtime::component::ResourceAny),
    /// A guest's stream or future was given back.
    GivenBack(Arc<Incoming>, End),
}

thread_local!(static EFFECTS: RefCell<Vec<Effect>> = const { RefCell::new(Vec::new()) });

/// What the arguments of a call did to handles. Dropped before the call began it is all undone; dropped afterwards,
/// what was lent comes back.
#[derive(Default)]
pub struct Lent {
    effects: Vec<Effect>,
    handles: Option<Arc<InstanceHandles>>,
    begun: bool,
}

impl Lent {
    /// The guest has them now.
    pub fn begun(&mut self) {
        self.begun = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(handles) = self.handles.take() else {
            return;
        };
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Lent(number) => drop(handles.take(number)),
                Effect::Put(number) if !self.begun => drop(handles.take(number)),
                Effect::Given(resource, any) if !self.begun => resource.get().restore(any),
                Effect::GivenBack(incoming, end) if !self.begun => incoming.restore(end),
                Effect::Put(_) | Effect::Given(..) | Effect::GivenBack(..) => {}
            }
        }
    }
}

/// The handles of one instance, or of one call where calls take turns with the instances of a pool.
pub struct InstanceHandles {
    described: Arc<Described>,
    numbers: Arc<Numbers>,
    /// Made when the first is needed.
    objects: Mutex<Option<Arc<Objects>>>,
    instance: OnceLock<Weak<Instance>>,
    /// The Python object of the instance, which guests' resources refer to.
    owner: OnceLock<Py<pyo3::types::PyWeakrefReference>>,
    /// What streams and futures of guests are read by.
    shared: OnceLock<Weak<Shared>>,
    /// Where guests ask for items of streams that they were given.
    link: OnceLock<Arc<Link>>,
    /// Streams and futures that guests were given.
    sources: Sources,
}

impl InstanceHandles {
    pub fn new(described: Arc<Described>, numbers: Arc<Numbers>) -> Self {
        Self {
            described,
            numbers,
            objects: Mutex::default(),
            instance: OnceLock::new(),
            owner: OnceLock::new(),
            shared: OnceLock::new(),
            link: OnceLock::new(),
            sources: Sources::default(),
        }
    }

    /// Say what the store of this instance asks by.
    pub fn ask_by(&self, link: Arc<Link>) {
        let _ = self.link.set(link);
    }

    /// Say what reads of this instance's streams run by, once it exists.
    pub fn read_by(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// The stream or future with this number that the guest was given.
    pub fn source(&self, number: u32) -> Option<Arc<Source>> {
        self.sources.get(number)
    }

    /// Forget the sources that no guest reads any more.
    pub fn release_sources(&self, py: Python<'_>) {
        if let Some(link) = self.link.get() {
            self.sources.release(py, &link.take_released());
        }
    }

    pub fn has_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Forget all sources: the store is gone.
    pub fn release_all(&self, py: Python<'_>) {
        self.sources.release_all(py);
    }

    /// Say which instance this is, once it exists.
    pub fn belong_to(&self, instance: &Arc<Instance>, owner: Py<pyo3::types::PyWeakrefReference>) {
        let _ = self.instance.set(Arc::downgrade(instance));
        let _ = self.owner.set(owner);
    }

    fn objects(&self) -> Option<Arc<Objects>> {
        self.objects
            .lock()
            .expect("no code under this lock panics")
            .clone()
    }

    fn put(&self, object: Py<PyAny>) -> u32 {
        let objects = self
            .objects
            .lock()
            .expect("no code under this lock panics")
            .get_or_insert_with(|| Objects::new(self.numbers.clone()))
            .clone();
        objects.put(object)
    }

    /// Take an object out of the table.
    pub fn take(&self, number: u32) -> Option<Py<PyAny>> {
        self.objects()?.take(number)
    }

    fn get(&self, py: Python<'_>, number: u32) -> Option<Py<PyAny>> {
        self.objects()?.get(py, number)
    }

    /// Let go of every object: the store that knew their numbers is gone.
    pub fn clear(&self) {
        if let Some(objects) = self.objects() {
            objects.clear();
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.sources.traverse(visit)?;
        match self.objects.try_lock().as_deref() {
            Ok(Some(objects)) => objects.traverse(visit),
            _ => Ok(()),
        }
    }

    /// A call found its instance: what that holds from earlier calls belongs to this one's handles too.
    pub fn join(&self, link: &Link) {
        if self.described.component.resources.is_empty() {
            return;
        }
        let Some(kept) = Objects::of(link) else {
            return;
        };
        let own = self
            .objects
            .lock()
            .expect("no code under this lock panics")
            .replace(kept.clone());
        if let Some(own) = own
            && !Arc::ptr_eq(&own, &kept)
        {
            own.move_to(&kept);
        }
    }

    /// A call ended and its instance stays: what that holds stays with it, for later calls.
    pub fn leave_with(&self, live: &Live) {
        self.join(&live.link);
        if let Some(objects) = self.objects() {
            live.link.accompany(objects);
        }
    }

    /// Convert the arguments of a call. Conversions run user code, which may convert others meanwhile: the effects
    /// are a stack.
    ///
    /// # Errors
    /// What `convert` raises; its effects on handles are undone.
    pub fn converting<T>(
        self: &Arc<Self>,
        convert: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<(T, Lent)> {
        let mark = EFFECTS.with_borrow(Vec::len);
        let converted = convert();
        let lent = EFFECTS.with_borrow_mut(|effects| {
            if effects.len() == mark {
                return Lent::default();
            }
            Lent {
                effects: effects.split_off(mark),
                handles: Some(self.clone()),
                begun: false,
            }
        });
        Ok((converted?, lent))
    }

    fn imported(&self, resource: &Resource) -> Option<usize> {
        self.described
            .component
            .resources
            .iter()
            .position(|imported| imported.ty == resource.ty)
    }
}

impl Handles for InstanceHandles {
    fn from_python(&self, ty: &Type, object: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
        let (resource, owned) = match ty {
            Type::Own(resource) => (resource, true),
            Type::Borrow(resource) => (resource, false),
            _ => return Ok(None),
        };
        if let Some(position) = self.imported(resource) {
            let rep = self.put(object.clone().unbind());
            let kind = u32::try_from(position).expect("static limits bound the imports");
            EFFECTS.with_borrow_mut(|effects| {
                effects.push(if owned {
                    Effect::Put(rep)
                } else {
                    Effect::Lent(rep)
                })
            });
            return Ok(Some(Value::HostResource { rep, kind, owned }));
        }
        let Ok(handle) = object.cast::<GuestResource>() else {
            return Ok(None);
        };
        let any = handle.get().lend(owned, self.instance.get())?;
        if owned {
            EFFECTS.with_borrow_mut(|effects| {
                effects.push(Effect::Given(handle.clone().unbind(), any))
            });
        }
        Ok(Some(Value::Resource(Box::new(any))))
    }

    fn to_python<'py>(
        &self,
        py: Python<'py>,
        ty: &Type,
        handle: Value,
    ) -> PyResult<Bound<'py, PyAny>> {
        match handle {
            Value::HostResource { rep, owned, .. } => {
                let object = if owned {
                    self.take(rep)
                } else {
                    self.get(py, rep)
                };
                object.map(|object| object.into_bound(py)).ok_or_else(|| {
                    PyRuntimeError::new_err(format!("the guest used a {ty} that it had dropped"))
                })
            }
            Value::Resource(any) => {
                let (Some(instance), Some(owner)) = (self.instance.get(), self.owner.get()) else {
                    return Err(PyRuntimeError::new_err(
                        "a guest gave a resource away before it was instantiated",
                    ));
                };
                let resource = GuestResource::new(*any, ty, instance.clone(), owner.clone_ref(py));
                Ok(Bound::new(py, resource)?.into_any())
            }
            _ => Err(PyTypeError::new_err(format!(
                "a value of type {ty} cannot be handed to Python"
            ))),
        }
    }

    fn give(
        &self,
        carried: &Arc<Carried>,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
    ) -> PyResult<Value> {
        if let (Ok(own), Some(shared)) = (
            object.getattr(intern!(object.py(), "_incoming")),
            self.shared.get().and_then(Weak::upgrade),
        ) && let Ok(own) = own.cast::<PyIncoming>()
            && let Some((incoming, end)) = own.get().give_back(&shared, carried)
        {
            let value = match end.clone() {
                End::Stream(any) => Value::Stream(Box::new(any)),
                End::Future(any) => Value::Future(Box::new(any)),
            };
            EFFECTS.with_borrow_mut(|effects| effects.push(Effect::GivenBack(incoming, end)));
            return Ok(value);
        }
        let Some(link) = self.link.get() else {
            return Err(PyTypeError::new_err(format!(
                "{place}: a {} can be given to an instance of your own only (`component.instantiate`): a call of a \
                 deployment cannot be asked for more once it returned",
                carried.ty
            )));
        };
        self.release_sources(object.py());
        let number = self.sources.put(Source::new(carried, object, place)?);
        Ok(Value::Outgoing(Outgoing::new(link.clone(), number)))
    }

    fn receive<'py>(
        &self,
        py: Python<'py>,
        carried: &Arc<Carried>,
        value: Value,
    ) -> PyResult<Bound<'py, PyAny>> {
        let owner = self.owner.get().and_then(|owner| owner.bind(py).upgrade());
        let (Some(shared), Some(link), Some(owner)) = (
            self.shared.get().and_then(Weak::upgrade),
            self.link.get().cloned(),
            owner,
        ) else {
            return Err(PyTypeError::new_err(format!(
                "a {} can be read from an instance of your own only (`component.instantiate`), once it is made: \
                 the instance that writes it is not kept here",
                carried.ty
            )));
        };
        let owner = owner.cast_into::<PyInstance>()?.unbind();
        let incoming = PyIncoming::new(value, carried, (shared, owner), link)?;
        let classes = Classes::get(py)?;
        let class = match &carried.ty {
            Type::Future(_) => &classes.guest_future,
            _ => &classes.guest_stream,
        };
        class.bind(py).call1((Bound::new(py, incoming)?,))
    }
}
