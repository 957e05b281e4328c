//! Copies of calls, made where they have no effects, and compared with what the callers were answered.
//!
//! A copy runs twice: on the live revision, to learn how often that differs from itself, and on the candidate. Both
//! find the storage as it was when the call came, and what either writes is thrown away with it. No caller waits for
//! either, or hears of them. Where as many run already as may, a call is not copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::runtime::Handle;

use super::attempt::{self, Tried, common_exports};
use super::line::Line;
use super::statistics::Outcome;
use super::trial::{Fault, Side, Stage};
use crate::error::Error;
use crate::storage::{Base, Namespace};
use crate::value::Value;

/// Copies that are held or run at once; what they hold is bounded by it.
const MOST_AT_ONCE: usize = 4;
/// Bytes of arguments, or of the body of a request or an answer, that are copied at most.
pub(super) const MOST_BYTES: usize = 1 << 20;

pub(super) type Digest = [u8; blake3::OUT_LEN];

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

    /// No copy is made in the end.
    pub fn leave_out(&self) {
        self.copies.leave_out();
    }

    /// Where the live revision's copy and the candidate's run.
    pub fn lines(&self) -> &[Arc<Line>; 2] {
        &self.copies.lines
    }

    /// The storage as the call found it, where anything is stored.
    pub fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    /// Whether the components of both revisions answer HTTP requests.
    pub fn handles_http(&self) -> bool {
        self.lines()
            .iter()
            .all(|line| line.component.handles_http())
    }

    /// Run the copy, on some other thread, and compare it with what the call was answered.
    pub fn run(mut self, answer: Option<&Value>) {
        let Some((export, arguments)) = self.call.take() else {
            self.leave_out();
            return;
        };
        let Some(other) = self.copies.exports[export] else {
            unreachable!("only what both have is kept")
        };
        let expected = Value::digest(answer);
        self.spawn(move |copy| async move {
            let digest = |answer: Option<Value>| Value::digest(answer.as_ref());
            let [control, candidate] = copy.lines();
            let live = attempt::call(control, export, arguments.clone(), copy.base()).await;
            let new = attempt::call(candidate, other, arguments, copy.base()).await;
            copy.settle(live.map(digest), new.map(digest), &expected);
        });
    }

    /// Do `work` on some other thread; nothing runs any more where there is no runtime.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(self, work: impl FnOnce(Self) -> F) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(work(self));
        }
    }

    /// Count what became of the copy on both lines, beside what the call was answered.
    pub fn settle(&self, live: Tried<Digest>, new: Tried<Digest>, expected: &Digest) {
        match (live, new) {
            (
                Tried::Came {
                    result: live,
                    nanos: live_nanos,
                },
                Tried::Came { result, nanos },
            ) => {
                self.copies.compared.fetch_add(1, Ordering::Relaxed);
                self.count(Side::Live, &live, live_nanos, expected);
                self.count(Side::Candidate, &result, nanos, expected);
            }
            (Tried::Overflowed, _) | (_, Tried::Overflowed) => self.leave_out(),
            _ => {}
        }
    }

    fn count(&self, side: Side, result: &Result<Digest, Error>, nanos: u64, expected: &Digest) {
        let fault = match result {
            Ok(_) => Fault::None,
            Err(error) => Outcome::of(error).fault(),
        };
        self.stage.record(side, None, fault, nanos);
        if result.as_ref().is_ok_and(|answer| answer != expected) {
            self.stage.differs(side);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.copies.room.fetch_add(1, Ordering::AcqRel);
    }
}
