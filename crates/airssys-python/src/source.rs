//! Python's iterables and awaitables that guests read as streams and futures. The store knows a source by its
//! number; its next item is fetched when the guest reads, on the thread or event loop of the caller.

use std::sync::{Arc, Mutex, MutexGuard};

use airssys_host::instance::MOST_BYTES;
use airssys_host::value::{Type, Value};
use bytes::Bytes;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::apart::Delivery;
use crate::convert::{Carried, Handles, Place, buffer};

/// Where items come from.
enum Feed {
    /// Of a future: something to be awaited once.
    Awaitable(Py<PyAny>),
    Iterator(Py<PyAny>),
    AsyncIterator(Py<PyAny>),
    /// Of an async iterator, in a task of its own.
    Pump(Py<PyAny>),
    Ended,
}

/// What a source has for the guest that reads.
pub enum Next {
    /// At once.
    Item(Option<Value>),
    /// This came of the source, or it is its end.
    Came(PyResult<Py<PyAny>>),
    Awaitable(Py<PyAny>),
    /// Ask by [`Source::want`].
    Async,
}

struct State {
    feed: Feed,
    /// How many items came of it.
    count: usize,
    /// What is left of a chunk of bytes that is too large to be handed over at once.
    rest: Bytes,
}

/// A stream or a future that Python gave.
pub struct Source {
    carried: Arc<Carried>,
    /// Where it stood in the call, for errors.
    place: String,
    state: Mutex<State>,
}

impl Source {
    /// What `object` at `place` gives.
    ///
    /// # Errors
    /// `TypeError` for what is neither iterable nor awaitable.
    pub fn new(
        carried: &Arc<Carried>,
        object: &Bound<'_, PyAny>,
        place: &Place<'_>,
    ) -> PyResult<Self> {
        let has = |name: &str| object.get_type().hasattr(name);
        let mut rest = Bytes::new();
        let feed = if matches!(carried.ty, Type::Future(_)) {
            if !has("__await__")? {
                return Err(place.wrong_type(format!("{}, an awaitable", carried.ty), object));
            }
            Feed::Awaitable(object.clone().unbind())
        } else if let Some(bytes) = carried
            .of_bytes()
            .then(|| buffer(object))
            .transpose()?
            .flatten()
        {
            rest = bytes;
            Feed::Ended
        } else if has("__aiter__")? {
            Feed::AsyncIterator(object.call_method0("__aiter__")?.unbind())
        } else if has("__iter__")? && !object.is_instance_of::<PyString>() {
            Feed::Iterator(object.try_iter()?.into_any().unbind())
        } else {
            let kinds = if carried.of_bytes() {
                "an async iterable or iterable of chunks of bytes, or an object with a buffer"
            } else {
                "an async iterable or iterable"
            };
            return Err(place.wrong_type(format!("{}, {kinds}", carried.ty), object));
        };
        Ok(Self {
            carried: carried.clone(),
            place: place.to_string(),
            state: Mutex::new(State {
                feed,
                count: 0,
                rest,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }

    /// Begin to fetch the next item.
    pub fn fetch(&self, py: Python<'_>) -> Next {
        let iterator = {
            let mut state = self.state();
            if !state.rest.is_empty() {
                return Next::Item(Some(chunk(&mut state.rest)));
            }
            match &state.feed {
                Feed::Ended => return Next::Item(None),
                Feed::Iterator(iterator) => iterator.clone_ref(py),
                Feed::AsyncIterator(_) | Feed::Pump(_) => return Next::Async,
                Feed::Awaitable(_) => {
                    let Feed::Awaitable(awaitable) =
                        std::mem::replace(&mut state.feed, Feed::Ended)
                    else {
                        unreachable!("it was looked at under the same lock")
                    };
                    return Next::Awaitable(awaitable);
                }
            }
        };
        Next::Came(iterator.call_method0(py, "__next__"))
    }

    /// Let the async iterator's task take the next item, which `delivery` answers with.
    ///
    /// # Errors
    /// `RuntimeError` without the event loop that it runs on.
    pub fn want(&self, py: Python<'_>, delivery: Py<Delivery>) -> PyResult<()> {
        let (pump, iterator) = match &self.state().feed {
            Feed::Pump(pump) => (Some(pump.clone_ref(py)), None),
            Feed::AsyncIterator(iterator) => (None, Some(iterator.clone_ref(py))),
            _ => (None, None),
        };
        let pump = match (pump, iterator) {
            (Some(pump), _) => pump,
            (None, iterator) => {
                let made = py
                    .import("airssys.wasm._apart")?
                    .call_method1("Pump", (iterator,))?
                    .unbind();
                self.state().feed = Feed::Pump(made.clone_ref(py));
                made
            }
        };
        pump.call_method1(py, "want", (delivery,)).map(drop)
    }

    /// Turn what came of the source into the guest's item; `None` at the end.
    ///
    /// # Errors
    /// What the source raised, or that what came is no item; names its position.
    pub fn finish(
        &self,
        py: Python<'_>,
        came: PyResult<Py<PyAny>>,
        handles: &dyn Handles,
    ) -> PyResult<Option<Value>> {
        let future = matches!(self.carried.ty, Type::Future(_));
        let object = match came {
            Ok(object) => object.into_bound(py),
            Err(error)
                if !future
                    && (error.is_instance_of::<PyStopAsyncIteration>(py)
                        || error.is_instance_of::<PyStopIteration>(py)) =>
            {
                self.state().feed = Feed::Ended;
                return Ok(None);
            }
            Err(error) => {
                self.state().feed = Feed::Ended;
                let what = if future { "future" } else { "stream" };
                error.value(py).call_method1(
                    "add_note",
                    (format!("in the {what} that is {}", self.place),),
                )?;
                return Err(error);
            }
        };
        let whole = Place::Within(&self.place);
        if future {
            let place = Place::Awaited(&whole);
            return self.carried.item(&object, &place, handles).map(Some);
        }
        let position = {
            let mut state = self.state();
            state.count += 1;
            state.count - 1
        };
        let place = Place::Item(&whole, position);
        if self.carried.of_bytes() {
            let Some(mut rest) = buffer(&object)? else {
                let expected = "a chunk of bytes, an object with a buffer";
                return Err(place.wrong_type(expected, &object));
            };
            let first = chunk(&mut rest);
            self.state().rest = rest;
            return Ok(Some(first));
        }
        self.carried.item(&object, &place, handles).map(Some)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.state.try_lock().as_deref().map(|state| &state.feed) {
            Ok(
                Feed::Awaitable(object)
                | Feed::Iterator(object)
                | Feed::AsyncIterator(object)
                | Feed::Pump(object),
            ) => visit.call(object),
            _ => Ok(()),
        }
    }

    /// No guest reads it any more.
    pub fn release(&self, py: Python<'_>) {
        let feed = std::mem::replace(&mut self.state().feed, Feed::Ended);
        // A coroutine that was not begun would say so as a warning. Whatever has no `close` needs none, and what the
        // closing of somebody else's source raises is for nobody.
        let _ = match feed {
            Feed::Awaitable(awaitable) => awaitable.call_method0(py, "close"),
            Feed::Pump(pump) => pump.call_method0(py, "stop"),
            Feed::Iterator(_) | Feed::AsyncIterator(_) | Feed::Ended => return,
        };
    }
}

/// A piece of `rest`, of a size that is handed over at once. It is copied: what the store holds must not be Python's.
fn chunk(rest: &mut Bytes) -> Value {
    let piece = rest.split_to(rest.len().min(MOST_BYTES));
    Value::Bytes(Bytes::copy_from_slice(&piece))
}

/// The sources of one instance, by number.
#[derive(Default)]
pub struct Sources(Mutex<Table>);

#[derive(Default)]
struct Table {
    given: Vec<Option<Arc<Source>>>,
    free: Vec<u32>,
}

impl Sources {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("no code under this lock panics")
    }

    /// Keep a source; the guest asks for its items by the number.
    pub fn put(&self, source: Source) -> u32 {
        let source = Some(Arc::new(source));
        let mut table = self.table();
        if let Some(number) = table.free.pop() {
            table.given[number as usize] = source;
            return number;
        }
        table.given.push(source);
        u32::try_from(table.given.len() - 1).expect("handles are limited far below 2^32")
    }

    pub fn get(&self, number: u32) -> Option<Arc<Source>> {
        self.table().given.get(number as usize)?.clone()
    }

    pub fn is_empty(&self) -> bool {
        self.table().given.iter().all(Option::is_none)
    }

    /// Forget those with these numbers.
    pub fn release(&self, py: Python<'_>, numbers: &[u32]) {
        for &number in numbers {
            let source = {
                let mut table = self.table();
                let source = table.given.get_mut(number as usize).and_then(Option::take);
                if source.is_some() {
                    table.free.push(number);
                }
                source
            };
            if let Some(source) = source {
                source.release(py);
            }
        }
    }

    /// Forget them all.
    pub fn release_all(&self, py: Python<'_>) {
        let given = std::mem::take(&mut *self.table()).given;
        for source in given.into_iter().flatten() {
            source.release(py);
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(table) => table
                .given
                .iter()
                .flatten()
                .try_for_each(|source| source.traverse(visit)),
            Err(_) => Ok(()),
        }
    }
}
