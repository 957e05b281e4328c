//! A call in progress, driven in slices by whoever owns it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Link, Live, now_nanos, timed_out};
use crate::component::Component;
use crate::engine::Running;
use crate::error::Error;
use crate::limits::Limits;
use crate::value::Value;
use crate::wasi::WasiState;

/// What the guest came to, and its store unless that is lost.
type Ended = (Option<Box<Live>>, Result<Option<Value>, Error>);

/// Where a call stands after a slice.
pub enum Progress {
    /// The result, and the store for the next call. No store after an error.
    Done(Option<Box<Live>>, Result<Option<Value>, Error>),
    /// The guest waits for host functions: take the link's requests and answer them.
    HostFunctions,
    /// The guest yielded its thread or waits for something; the waker tells when to go on.
    Suspended,
}

/// A call that owns its store until it ends. Dropping it drops the store.
pub struct Call {
    future: Pin<Box<dyn Future<Output = Ended> + Send>>,
    link: Arc<Link>,
    may_block: Arc<AtomicBool>,
    limits: Limits,
    started: u64,
    first: bool,
}

impl Call {
    /// Call an export of a live store.
    #[must_use]
    pub fn export(mut live: Box<Live>, export: usize, arguments: Vec<Value>) -> Self {
        let link = live.link.clone();
        let state = live.store.data();
        let (limits, may_block) = (state.limits.clone(), state.wasi.may_block().clone());
        let started = link.begin_call(&limits);
        let future = Box::pin(async move {
            let result = live.call(export, arguments).await;
            if result.is_ok() { (Some(live), result) } else { (None, result) }
        });
        Self { future, link, may_block, limits, started, first: true }
    }

    /// Drop a guest's resource.
    #[must_use]
    pub fn drop_resource(mut live: Box<Live>, resource: wasmtime::component::ResourceAny) -> Self {
        let link = live.link.clone();
        let state = live.store.data();
        let (limits, may_block) = (state.limits.clone(), state.wasi.may_block().clone());
        let started = link.begin_call(&limits);
        let future = Box::pin(async move {
            match live.drop_resource(resource).await {
                Ok(()) => (Some(live), Ok(None)),
                Err(error) => (None, Err(error)),
            }
        });
        Self { future, link, may_block, limits, started, first: true }
    }

    /// Instantiate a component, then call one of its exports if `call` says so. The store is kept.
    #[must_use]
    pub fn fresh(component: Arc<Component>, wasi: WasiState, limits: Limits, call: Option<(usize, Vec<Value>)>) -> Self {
        let link = Link::new();
        let may_block = wasi.may_block().clone();
        let started = link.begin_call(&limits);
        let for_store = (limits.clone(), link.clone());
        let future = Box::pin(async move {
            let mut live = match Live::instantiate(component, wasi, for_store.0, for_store.1).await {
                Ok(live) => live,
                Err(error) => return (None, Err(error)),
            };
            let Some((export, arguments)) = call else { return (Some(live), Ok(None)) };
            let result = live.call(export, arguments).await;
            if result.is_ok() { (Some(live), result) } else { (None, result) }
        });
        Self { future, link, may_block, limits, started, first: true }
    }

    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How long the call may still take.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.link.time_left()
    }

    /// The error of a call that ran out of its time while it waited.
    #[must_use]
    pub fn timed_out(&self) -> Error {
        Error::Limit(timed_out(&self.limits))
    }

    /// Run one slice: until the guest ends, waits, or its tick is over. `may_block` says whether this thread may
    /// block in file operations (it may not while it holds what other threads wait for).
    pub fn slice(&mut self, context: &mut Context<'_>, may_block: bool) -> Progress {
        let _running = Running::begin();
        self.may_block.store(may_block, Ordering::Relaxed);
        if !std::mem::take(&mut self.first) {
            self.link.begin_slice();
        }
        match self.future.as_mut().poll(context) {
            Poll::Ready((live, result)) => {
                self.link.end_slice();
                let live = live.map(|mut live| {
                    live.usage.cpu_nanos += self.link.cpu_nanos();
                    live
                });
                Progress::Done(live, result)
            }
            Poll::Pending => {
                self.link.end_slice();
                if self.link.has_requests() { Progress::HostFunctions } else { Progress::Suspended }
            }
        }
    }

    /// Nanoseconds since the call began.
    #[must_use]
    pub fn elapsed_nanos(&self) -> u64 {
        now_nanos() - self.started
    }
}
