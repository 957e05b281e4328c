//! Handles of one instance: Python objects that guests hold, and guests' resources that Python holds.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use airssys_host::instance::{Instance, Link, Live};
use airssys_host::value::{Resource, Type, Value};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::component::Described;
use crate::convert::Handles;
use crate::objects::{Numbers, Objects};
use crate::resource::GuestResource;

/// What converting values did to handles.
pub enum Effect {
    /// An object was put into the table for the guest to own.
    Put(u32),
    /// An object was put into the table for the time of the call.
    Lent(u32),
    /// A guest's resource was given away.
    Given(Py<GuestResource>, wasmtime::component::ResourceAny),
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
                Effect::Put(_) | Effect::Given(..) => {}
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
}

impl InstanceHandles {
    pub fn new(described: Arc<Described>, numbers: Arc<Numbers>) -> Self {
        Self {
            described,
            numbers,
            objects: Mutex::default(),
            instance: OnceLock::new(),
            owner: OnceLock::new(),
        }
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
                "a value of type {ty} cannot be handed to Python; streams and futures need an async function"
            ))),
        }
    }
}
