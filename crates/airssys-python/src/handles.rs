//! Handles of one instance: Python objects that guests hold, and guests' resources that Python holds.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use airssys_host::instance::{End, Incoming, Instance, Link, Outgoing};
use airssys_host::value::{Resource, Type, Value};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::component::Described;
use crate::convert::{Carried, Classes, Handles, Place};
use crate::incoming::PyIncoming;
use crate::instance::Shared;
use crate::resource::GuestResource;
use crate::source::Source;

/// What converting the arguments of a call did to handles, to be undone if a later argument fails, or when the
/// call ends.
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

/// Objects in the table that go when their call ends.
pub type Lent = Vec<u32>;

#[derive(Default)]
struct Table {
    objects: Vec<Option<Py<PyAny>>>,
    free: Vec<u32>,
}

/// The handle table of one instance.
pub struct InstanceHandles {
    described: Arc<Described>,
    /// Python objects that the guest holds, by representation. The store knows the numbers only.
    table: Mutex<Table>,
    instance: OnceLock<Weak<Instance>>,
    /// The Python object of the instance, which guests' resources refer to.
    owner: OnceLock<Py<pyo3::types::PyWeakrefReference>>,
    /// What streams and futures of guests are read by.
    shared: OnceLock<Weak<Shared>>,
    /// Where guests ask for items of streams that they were given.
    link: OnceLock<Arc<Link>>,
    /// Streams and futures that guests were given, by number. The store knows the numbers only.
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    given: Vec<Option<Arc<Source>>>,
    free: Vec<u32>,
}

impl InstanceHandles {
    pub fn new(described: Arc<Described>) -> Self {
        Self {
            described,
            table: Mutex::default(),
            instance: OnceLock::new(),
            owner: OnceLock::new(),
            shared: OnceLock::new(),
            link: OnceLock::new(),
            sources: Mutex::default(),
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

    fn put_source(&self, source: Source) -> u32 {
        let source = Some(Arc::new(source));
        let mut sources = self.sources.lock().expect("no code under this lock panics");
        if let Some(number) = sources.free.pop() {
            sources.given[number as usize] = source;
            return number;
        }
        sources.given.push(source);
        u32::try_from(sources.given.len() - 1).expect("handles are limited far below 2^32")
    }

    /// The source with this number.
    pub fn source(&self, number: u32) -> Option<Arc<Source>> {
        let sources = self.sources.lock().expect("no code under this lock panics");
        sources.given.get(number as usize)?.clone()
    }

    /// Forget all sources: the store is gone.
    pub fn release_all(&self, py: Python<'_>) {
        let given = {
            let mut sources = self.sources.lock().expect("no code under this lock panics");
            std::mem::take(&mut *sources).given
        };
        for source in given.into_iter().flatten() {
            source.release(py);
        }
    }

    /// Forget the sources that no guest reads any more.
    pub fn release_sources(&self, py: Python<'_>) {
        let Some(link) = self.link.get() else { return };
        for number in link.take_released() {
            let source = {
                let mut sources = self.sources.lock().expect("no code under this lock panics");
                let source = sources
                    .given
                    .get_mut(number as usize)
                    .and_then(Option::take);
                if source.is_some() {
                    sources.free.push(number);
                }
                source
            };
            if let Some(source) = source {
                source.release(py);
            }
        }
    }

    /// Say which instance this is, once it exists.
    pub fn belong_to(&self, instance: &Arc<Instance>, owner: Py<pyo3::types::PyWeakrefReference>) {
        let _ = self.instance.set(Arc::downgrade(instance));
        let _ = self.owner.set(owner);
    }

    fn put(&self, object: Py<PyAny>) -> u32 {
        let mut table = self.table.lock().expect("no code under this lock panics");
        if let Some(representation) = table.free.pop() {
            table.objects[representation as usize] = Some(object);
            return representation;
        }
        table.objects.push(Some(object));
        u32::try_from(table.objects.len() - 1).expect("handles are limited far below 2^32")
    }

    /// Take an object out of the table.
    pub fn take(&self, representation: u32) -> Option<Py<PyAny>> {
        let mut table = self.table.lock().expect("no code under this lock panics");
        let object = table.objects.get_mut(representation as usize)?.take();
        if object.is_some() {
            table.free.push(representation);
        }
        object
    }

    fn get(&self, py: Python<'_>, representation: u32) -> Option<Py<PyAny>> {
        let table = self.table.lock().expect("no code under this lock panics");
        table
            .objects
            .get(representation as usize)?
            .as_ref()
            .map(|object| object.clone_ref(py))
    }

    /// Convert the arguments of a call. Conversions run user code, which may convert others meanwhile: the effects
    /// are a stack.
    ///
    /// # Errors
    /// What `convert` raises; its effects on handles are undone.
    pub fn converting<T>(&self, convert: impl FnOnce() -> PyResult<T>) -> PyResult<(T, Lent)> {
        let mark = EFFECTS.with_borrow(Vec::len);
        let converted = convert();
        let effects = EFFECTS.with_borrow_mut(|effects| {
            if effects.len() == mark {
                Vec::new()
            } else {
                effects.split_off(mark)
            }
        });
        match converted {
            Ok(converted) => {
                let lent = effects.into_iter().filter_map(|effect| match effect {
                    Effect::Lent(representation) => Some(representation),
                    _ => None,
                });
                Ok((converted, lent.collect()))
            }
            Err(error) => {
                for effect in effects {
                    match effect {
                        Effect::Put(representation) | Effect::Lent(representation) => {
                            drop(self.take(representation))
                        }
                        Effect::Given(resource, any) => resource.get().restore(any),
                        Effect::GivenBack(incoming, end) => incoming.restore(end),
                    }
                }
                Err(error)
            }
        }
    }

    /// A call ended: forget what was lent for it.
    pub fn end(&self, lent: Lent) {
        for representation in lent {
            drop(self.take(representation));
        }
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
        let number = self.put_source(Source::new(carried, object, place)?);
        Ok(Value::Outgoing(Outgoing::new(link.clone(), number)))
    }

    fn receive<'py>(
        &self,
        py: Python<'py>,
        carried: &Arc<Carried>,
        value: Value,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (Some(shared), Some(link)) = (
            self.shared.get().and_then(Weak::upgrade),
            self.link.get().cloned(),
        ) else {
            return Err(PyTypeError::new_err(format!(
                "a {} can be read from an instance of your own only (`component.instantiate`), once it is made: \
                 the instance that writes it is not kept here",
                carried.ty
            )));
        };
        let incoming = Bound::new(py, PyIncoming::new(value, carried, shared, link)?)?;
        let classes = Classes::get(py)?;
        let class = match &carried.ty {
            Type::Future(_) => &classes.guest_future,
            _ => &classes.guest_stream,
        };
        class.bind(py).call1((incoming,))
    }
}
