//! Calls that no caller waits for, or hears of: made where they have no effects.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::line::Line;
use super::passage::Passage;
use super::statistics::Outcome;
use crate::component::Component;
use crate::error::Error;
use crate::instance::{Call, Ended, Live, Progress, now_nanos};
use crate::storage::{Base, Overlay};
use crate::value::{Type, Value};

/// What became of a call on one of the lines.
#[derive(Debug)]
pub(super) enum Tried<T> {
    Came {
        result: Result<T, Error>,
        nanos: u64,
    },
    /// It wrote more than is kept: how it would have gone on is not known.
    Overflowed,
    /// The line takes no call any more, or ended this one.
    Ended,
}

impl<T> Tried<T> {
    /// What came of it, as something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Tried<U> {
        match self {
            Self::Came { result, nanos } => Tried::Came {
                result: result.map(change),
                nanos,
            },
            Self::Overflowed => Tried::Overflowed,
            Self::Ended => Tried::Ended,
        }
    }
}

/// Ends an overlay with the call that it is of, however that ends.
pub(super) struct Apart(Option<Arc<Overlay>>);

impl Apart {
    pub fn over(base: Option<&Arc<Base>>) -> Self {
        Self(base.map(Overlay::over))
    }

    pub fn overlay(&self) -> Option<Arc<Overlay>> {
        self.0.clone()
    }

    /// What became of a call that came to `result`, and began at `began`.
    pub fn tried<T>(self, result: Result<T, Error>, began: u64) -> Tried<T> {
        let nanos = now_nanos() - began;
        if self.0.as_ref().is_some_and(|overlay| !overlay.end()) {
            return Tried::Overflowed;
        }
        match result {
            Err(error) if Outcome::of(&error) == Outcome::Cancelled => Tried::Ended,
            result => Tried::Came { result, nanos },
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(overlay) = &self.0 {
            overlay.end();
        }
    }
}

/// Make a call over the storage as it was in `base`.
pub(super) async fn call(
    line: &Arc<Line>,
    export: usize,
    arguments: Vec<Value>,
    base: Option<&Arc<Base>>,
) -> Tried<Option<Value>> {
    let Some(mut passage) = Passage::enter(line.clone(), None) else {
        return Tried::Ended;
    };
    let began = now_nanos();
    let apart = Apart::over(base);
    let (live, result) = match passage.begin_under(export, arguments, apart.overlay()) {
        Ok(call) => Unheard::new(call).await,
        Err(error) => (None, Err(error)),
    };
    passage.conclude(live, &result);
    apart.tried(result, began)
}

/// By export of `one`, the position of the same function in `other`, where nothing of it belongs to an instance.
pub(super) fn common_exports(one: &Component, other: &Component) -> Box<[Option<usize>]> {
    one.exports
        .iter()
        .map(|function| {
            if function.ty.any(&belongs_to_instance) {
                return None;
            }
            let found = other.export(&function.path()).ok()?;
            let shape = function.ty.shape()?;
            (other.exports[found].ty.shape()? == shape).then_some(found)
        })
        .collect()
}

/// Whether it means something to one instance alone.
pub(super) fn belongs_to_instance(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Own(_) | Type::Borrow(_) | Type::Stream(_) | Type::Future(_) | Type::ErrorContext
    )
}

/// Drives a call to its end; what it asks the embedder for is refused.
pub(super) struct Unheard {
    call: Call,
    patience: Pin<Box<Sleep>>,
}

impl Unheard {
    pub fn new(call: Call) -> Self {
        let patience = Box::pin(sleep_until(Instant::now() + call.time_left()));
        Self { call, patience }
    }
}

impl Future for Unheard {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.call.slice(context, true) {
            Progress::Done(live, result) => Poll::Ready((live, result)),
            Progress::HostFunctions => Poll::Ready((None::<Box<Live>>, Err(Error::HostFunction))),
            Progress::Suspended if self.patience.as_mut().poll(context).is_ready() => {
                Poll::Ready((None, Err(self.call.overdue())))
            }
            Progress::Suspended => Poll::Pending,
        }
    }
}
