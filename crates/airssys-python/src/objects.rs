//! Python objects that guests hold handles to. Stores know their numbers only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use airssys_host::instance::Link;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

#[derive(Default)]
struct Free {
    next: u32,
    returned: Vec<u32>,
}

/// Numbers for objects. What may come to be held together takes them from one source.
#[derive(Default)]
pub struct Numbers(Mutex<Free>);

impl Numbers {
    fn free(&self) -> MutexGuard<'_, Free> {
        self.0.lock().expect("no code under this lock panics")
    }

    fn take(&self) -> u32 {
        let mut free = self.free();
        free.returned.pop().unwrap_or_else(|| {
            free.next += 1;
            free.next - 1
        })
    }

    fn give_back(&self, number: u32) {
        self.free().returned.push(number);
    }
}

/// What one instance holds. Where the instance is one of a pool the objects go from call to call with its link,
/// and end with it.
pub struct Objects {
    numbers: Arc<Numbers>,
    held: Mutex<HashMap<u32, Py<PyAny>>>,
}

impl Objects {
    pub fn new(numbers: Arc<Numbers>) -> Arc<Self> {
        Arc::new(Self {
            numbers,
            held: Mutex::default(),
        })
    }

    /// The objects of the instance behind `link`, if it has any from earlier calls.
    pub fn of(link: &Link) -> Option<Arc<Self>> {
        link.companion()?.clone().downcast().ok()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u32, Py<PyAny>>> {
        self.held.lock().expect("no code under this lock panics")
    }

    pub fn put(&self, object: Py<PyAny>) -> u32 {
        let number = self.numbers.take();
        self.held().insert(number, object);
        number
    }

    pub fn take(&self, number: u32) -> Option<Py<PyAny>> {
        let object = self.held().remove(&number)?;
        self.numbers.give_back(number);
        Some(object)
    }

    pub fn get(&self, py: Python<'_>, number: u32) -> Option<Py<PyAny>> {
        self.held().get(&number).map(|object| object.clone_ref(py))
    }

    /// Hand everything over to `other`, which takes its numbers from the same source.
    pub fn move_to(&self, other: &Self) {
        let moved = std::mem::take(&mut *self.held());
        other.held().extend(moved);
    }

    /// Let go of everything.
    pub fn clear(&self) {
        // What is dropped may run Python, which may come back here.
        let held = std::mem::take(&mut *self.held());
        for (number, object) in held {
            self.numbers.give_back(number);
            drop(object);
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(held) = self.held.try_lock() else {
            return Ok(());
        };
        held.values().try_for_each(|object| visit.call(object))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        self.clear();
    }
}
