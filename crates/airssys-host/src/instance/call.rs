//! A call in progress, driven in slices by whoever owns it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::component::ResourceAny;

use super::{Incoming, Kill, Link, Live, now_nanos};
use crate::component::Component;
use crate::engine::slice_begins;
use crate::error::Error;
use crate::limits::Limits;
use crate::value::Value;
use crate::wasi::WasiState;

/// What the guest came to, and its store unless that is lost.
pub type Ended = (Option<Box<Live>>, Result<Option<Value>, Error>);

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
    kill: Option<Arc<Kill>>,
    started: u64,
    first: bool,
    /// The last slice ended at a host function.
    answered: bool,
}

impl Call {
    /// Drive `future`, a call whose store is linked by `link`. Its clock begins now.
    #[must_use]
    pub fn driving(link: Arc<Link>, future: impl Future<Output = Ended> + Send + 'static) -> Self {
        let started = link.begin_call();
        Self {
            future: Box::pin(future),
            link,
            kill: None,
            started,
            first: true,
            answered: false,
        }
    }

    /// As [`Call::driving`]; the call ends with [`Error::Drained`] when `kill` is told, wherever it stands then.
    #[must_use]
    pub fn driving_until(
        kill: Arc<Kill>,
        link: Arc<Link>,
        future: impl Future<Output = Ended> + Send + 'static,
    ) -> Self {
        Self {
            kill: Some(kill.clone()),
            ..Self::driving(link, unless_told(kill, future))
        }
    }

    /// What may end the call from outside.
    #[must_use]
    pub fn kill(&self) -> Option<&Arc<Kill>> {
        self.kill.as_ref()
    }

    /// Call an export of a live store.
    #[must_use]
    pub fn export(mut live: Box<Live>, export: usize, arguments: Vec<Value>) -> Self {
        Self::driving(live.link.clone(), async move {
            let result = live.call(export, arguments).await;
            if result.is_ok() {
                (Some(live), result)
            } else {
                (None, result)
            }
        })
    }

    /// Drop a guest's resource.
    #[must_use]
    pub fn drop_resource(mut live: Box<Live>, resource: ResourceAny) -> Self {
        Self::driving(live.link.clone(), async move {
            match live.drop_resource(resource).await {
                Ok(()) => (Some(live), Ok(None)),
                Err(error) => (None, Err(error)),
            }
        })
    }

    /// Run until `incoming` has something to be taken. The result is nothing.
    #[must_use]
    pub fn read(mut live: Box<Live>, incoming: Arc<Incoming>) -> Self {
        Self::driving(live.link.clone(), async move {
            match live.read(&incoming).await {
                Ok(()) => (Some(live), Ok(None)),
                Err(error) => (None, Err(error)),
            }
        })
    }

    /// Let the guest learn what was closed. The result is nothing.
    #[must_use]
    pub fn settle(mut live: Box<Live>) -> Self {
        Self::driving(live.link.clone(), async move {
            match live.settle().await {
                Ok(()) => (Some(live), Ok(None)),
                Err(error) => (None, Err(error)),
            }
        })
    }

    /// Instantiate a component, then call one of its exports if `call` says so. The store is kept.
    #[must_use]
    pub fn fresh(
        component: Arc<Component>,
        wasi: WasiState,
        limits: impl Into<Arc<Limits>>,
        call: Option<(usize, Vec<Value>)>,
    ) -> Self {
        let link = Link::new(limits, wasi.may_block().clone());
        let for_store = link.clone();
        Self::driving(link, async move {
            let mut live = match Live::instantiate(component, wasi, for_store).await {
                Ok(live) => live,
                Err(error) => return (None, Err(error)),
            };
            let Some((export, arguments)) = call else {
                return (Some(live), Ok(None));
            };
            let result = live.call(export, arguments).await;
            if result.is_ok() {
                (Some(live), result)
            } else {
                (None, result)
            }
        })
    }

    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn is_killed(&self) -> bool {
        self.kill.as_ref().is_some_and(|kill| kill.is_told())
    }

    /// How long the call may still take.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        if self.is_killed() {
            return Duration::ZERO;
        }
        self.link.time_left()
    }

    /// The error of a call that has no time left.
    #[must_use]
    pub fn overdue(&self) -> Error {
        if self.is_killed() {
            return Error::Drained;
        }
        Error::Limit(self.link.timed_out())
    }

    /// Run one slice: until the guest ends, waits, or its tick is over. `may_block` says whether this thread may
    /// block in file operations (it may not while it holds what other threads wait for).
    pub fn slice(&mut self, context: &mut Context<'_>, may_block: bool) -> Progress {
        slice_begins();
        self.link.set_may_block(may_block);
        if !std::mem::take(&mut self.first) {
            if self.time_left().is_zero() {
                // A host function took the rest of the call's time.
                return Progress::Done(None, Err(self.overdue()));
            }
            if std::mem::take(&mut self.answered) {
                self.link.begin_short_slice();
            } else {
                self.link.begin_slice();
            }
        }
        let polled = self.future.as_mut().poll(context);
        self.link.end_slice();
        match polled {
            Poll::Ready((mut live, result)) => {
                if let Some(live) = &mut live {
                    live.usage.cpu_nanos += self.link.cpu_nanos();
                }
                Progress::Done(live, result)
            }
            Poll::Pending if self.link.has_requests() => {
                self.answered = true;
                Progress::HostFunctions
            }
            Poll::Pending => Progress::Suspended,
        }
    }

    /// Nanoseconds since the call began.
    #[must_use]
    pub fn elapsed_nanos(&self) -> u64 {
        now_nanos() - self.started
    }
}

/// Drop what is awaited, and the store in it, when `kill` is told.
async fn unless_told(kill: Arc<Kill>, ending: impl Future<Output = Ended>) -> Ended {
    let mut ending = pin!(ending);
    let mut told = pin!(kill.told());
    std::future::poll_fn(|context| {
        if kill.is_told() {
            return Poll::Ready((None, Err(Error::Drained)));
        }
        if let Poll::Ready(ended) = ending.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        // Only a call that suspends listens for the end: most never do.
        told.as_mut()
            .poll(context)
            .map(|()| (None, Err(Error::Drained)))
    })
    .await
}
