//! Copies of calls, made where they have no effects, and compared with what the callers were answered.
//!
//! A copy runs twice: on the live revision, to learn how often that differs from itself, and on the candidate. Both
//! find the storage as it was when the call came, and what either writes is thrown away with it. No caller waits for
//! either, or hears of them. Where as many run already as may, a call is not copied.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::line::Line;
use super::passage::Passage;
use super::statistics::Outcome;
use super::trial::{Fault, Side, Stage};
use crate::component::Component;
use crate::error::Error;
use crate::instance::{Call, Live, Progress, now_nanos};
use crate::storage::{Base, Namespace, Overlay};
use crate::value::{Type, Value};

/// Copies that are held or run at once; what they hold is bounded by it.
const MOST_AT_ONCE: usize = 4;
/// Bytes of arguments that are copied at most.
const MOST_BYTES: usize = 1 << 20;

type Digest = [u8; blake3::OUT_LEN];

/// Where copies of calls run.
#[derive(Debug)]
pub struct Copies {
    /// The live revision, and the candidate, without effects.
    lines: [Arc<Line>; 2],
    /// Of what they store in, if they store anything.
    storage: Option<Namespace>,
    /// By export of the live component: that of the candidate, where both take and give the same.
    exports: Box<[Option<usize>]>,
    room: AtomicUsize,
    compared: AtomicU64,
    left_out: AtomicU64,
}

/// What became of the calls that were to be copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Answered by both, and compared.
    pub compared: u64,
    /// Not copied: too many ran already, the arguments are too large, the candidate has no such function, what it
    /// takes or gives belongs to one instance, the storage could not be held as it was, or too much was written to it.
    pub left_out: u64,
}

impl Copies {
    /// `control` runs what the live line does and `candidate` what is compared with it, both without effects, over
    /// what is in `storage`.
    #[must_use]
    pub fn new(control: Arc<Line>, candidate: Arc<Line>, storage: Option<Namespace>) -> Self {
        let exports = common_exports(&control.component, &candidate.component);
        Self {
            lines: [control, candidate],
            storage,
            exports,
            room: AtomicUsize::new(MOST_AT_ONCE),
            compared: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Copied {
        Copied {
            compared: self.compared.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
        }
    }

    fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Take no copy any more, and end those that run.
    pub(super) fn retire(&self) {
        for line in &self.lines {
            line.retire();
            line.kill();
        }
    }
}

/// By export of `live`, the position of the same function in `candidate`.
fn common_exports(live: &Component, candidate: &Component) -> Box<[Option<usize>]> {
    live.exports
        .iter()
        .map(|function| {
            if function.ty.any(&belongs_to_instance) {
                return None;
            }
            let other = candidate.export(&function.path()).ok()?;
            let shape = function.ty.shape()?;
            (candidate.exports[other].ty.shape()? == shape).then_some(other)
        })
        .collect()
}

fn belongs_to_instance(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Own(_) | Type::Borrow(_) | Type::Stream(_) | Type::Future(_) | Type::ErrorContext
    )
}

/// A call of which a copy is to be made, once it is answered.
#[derive(Debug)]
pub(super) struct Copy {
    copies: Arc<Copies>,
    stage: Arc<Stage>,
    /// The storage as the call finds it.
    base: Option<Arc<Base>>,
    call: Option<(usize, Vec<Value>)>,
}

impl Copy {
    /// Keep room for a copy, where there is any.
    pub fn reserve(copies: &Arc<Copies>, stage: &Arc<Stage>) -> Option<Self> {
        let taken = copies
            .room
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| {
                room.checked_sub(1)
            });
        if taken.is_err() {
            copies.leave_out();
            return None;
        }
        let mut reserved = Self {
            copies: copies.clone(),
            stage: stage.clone(),
            base: None,
            call: None,
        };
        if let Some(storage) = &copies.storage {
            reserved.base = storage.hold().ok().flatten();
            if reserved.base.is_none() {
                copies.leave_out();
                return None;
            }
        }
        Some(reserved)
    }

    /// The call that is made.
    pub fn keep(&mut self, export: usize, arguments: &[Value]) {
        let fits = arguments.iter().map(Value::weight).sum::<usize>() <= MOST_BYTES;
        if fits && self.copies.exports[export].is_some() {
            self.call = Some((export, arguments.to_vec()));
        }
    }

    /// Run the copy, on some other thread, and compare it with what the call was answered.
    pub fn run(mut self, answer: Option<&Value>) {
        let Some((export, arguments)) = self.call.take() else {
            self.copies.leave_out();
            return;
        };
        let Some(other) = self.copies.exports[export] else {
            unreachable!("only what both have is kept")
        };
        let expected = Value::digest(answer);
        // Nothing runs any more where there is no runtime.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let [control, candidate] = &self.copies.lines;
                let base = self.base.as_ref();
                let live = attempt(control, export, arguments.clone(), base).await;
                let new = attempt(candidate, other, arguments, base).await;
                match (live, new) {
                    (Tried::Came(live), Tried::Came(new)) => {
                        self.copies.compared.fetch_add(1, Ordering::Relaxed);
                        self.count(Side::Live, &live, &expected);
                        self.count(Side::Candidate, &new, &expected);
                    }
                    (Tried::Overflowed, _) | (_, Tried::Overflowed) => self.copies.leave_out(),
                    _ => {}
                }
            });
        }
    }

    fn count(&self, side: Side, attempt: &Attempt, expected: &Digest) {
        self.stage.record(side, None, attempt.fault, attempt.nanos);
        if attempt.answer.is_some_and(|answer| answer != *expected) {
            self.stage.differs(side);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.copies.room.fetch_add(1, Ordering::AcqRel);
    }
}

/// What a copy came to on one of the lines.
struct Attempt {
    fault: Fault,
    nanos: u64,
    /// `None` where it failed.
    answer: Option<Digest>,
}

/// What became of a copy on one of the lines.
enum Tried {
    Came(Attempt),
    /// It wrote more than is kept of a copy: how it would have gone on is not known.
    Overflowed,
    /// The line takes no call any more, or ended this one.
    Ended,
}

/// Ends an overlay with the copy that it is of, however that ends.
struct Apart(Arc<Overlay>);

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Make a call that no caller waits for, over the storage as it was in `base`.
async fn attempt(
    line: &Arc<Line>,
    export: usize,
    arguments: Vec<Value>,
    base: Option<&Arc<Base>>,
) -> Tried {
    let Some(mut passage) = Passage::enter(line.clone(), None) else {
        return Tried::Ended;
    };
    let began = now_nanos();
    let apart = base.map(|base| Apart(Overlay::over(base)));
    let overlay = apart.as_ref().map(|apart| apart.0.clone());
    let (live, result) = match passage.begin_under(export, arguments, overlay) {
        Ok(call) => Unheard::new(call).await,
        Err(error) => (None, Err(error)),
    };
    let nanos = now_nanos() - began;
    if apart.is_some_and(|apart| !apart.0.end()) {
        passage.conclude(live, &result);
        return Tried::Overflowed;
    }
    let fault = match &result {
        Ok(_) => Fault::None,
        Err(error) if Outcome::of(error) == Outcome::Cancelled => return Tried::Ended,
        Err(error) => Outcome::of(error).fault(),
    };
    let answer = result
        .as_ref()
        .ok()
        .map(|value| Value::digest(value.as_ref()));
    passage.conclude(live, &result);
    Tried::Came(Attempt {
        fault,
        nanos,
        answer,
    })
}

/// Drives a call to its end; what it asks the embedder for is refused.
struct Unheard {
    call: Call,
    patience: Pin<Box<Sleep>>,
}

impl Unheard {
    fn new(call: Call) -> Self {
        let patience = Box::pin(sleep_until(Instant::now() + call.time_left()));
        Self { call, patience }
    }
}

impl Future for Unheard {
    type Output = (Option<Box<Live>>, Result<Option<Value>, Error>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.call.slice(context, true) {
            Progress::Done(live, result) => Poll::Ready((live, result)),
            Progress::HostFunctions => Poll::Ready((None, Err(Error::HostFunction))),
            Progress::Suspended if self.patience.as_mut().poll(context).is_ready() => {
                Poll::Ready((None, Err(self.call.overdue())))
            }
            Progress::Suspended => Poll::Pending,
        }
    }
}
