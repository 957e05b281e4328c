//! Handles of one instance: Python objects that guests hold, and guests' resources that Python holds.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use airssys_host::instance::Instance;
use airssys_host::value::{Resource, Type, Value};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::component::Described;
use crate::convert::Handles;
use crate::resource::GuestResource;

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
}

impl InstanceHandles {
    pub fn new(described: Arc<Described>) -> Self {
        Self {
            described,
            table: Mutex::default(),
            instance: OnceLock::new(),
            owner: OnceLock::new(),
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
            return Ok(Some(Value::HostResource { rep, kind, owned }));
        }
        let Ok(handle) = object.cast::<GuestResource>() else {
            return Ok(None);
        };
        let any = handle.get().lend(owned, self.instance.get())?;
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
