//! What takes the calls of a deployment: one atomic pointer to the revision that is live.
//!
//! A call enters the [`Route`], is bound to the [`Line`] of the revision that is live at that moment, and ends
//! on it, whatever the route is switched to meanwhile.

mod again;
mod attempt;
mod copies;
mod guard;
mod histogram;
mod line;
mod memory;
mod passage;
mod pool;
mod recording;
mod replay;
mod replay_text;
mod requests;
mod script;
mod statistics;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::error::Error;
use copies::Copy;
pub use copies::{Copied, Copies};
pub use guard::Guard;
pub use line::{Lifetime, Line, MakeWasi};
pub use memory::Held;
pub use passage::Passage;
pub use recording::{Holds, Recording};
pub use replay::{Difference, Replayed, replay};
pub(crate) use requests::Overheard;
pub use statistics::{Outcome, Snapshot, Statistics, Used};
use trial::{Arm, Counted, Part};
pub use trial::{Fault, Side, Stage, StageCounts, Terms, Trial, Weight};

/// What decides about a call, all of it behind one pointer.
#[derive(Debug)]
struct Arms {
    live: Arc<Line>,
    /// A candidate that takes a share of the calls.
    trial: Option<Arm>,
    /// Where calls are kept while no trial runs.
    recording: Option<Arc<Recording>>,
}

impl Arms {
    /// The same with other lines.
    fn with(&self, live: &Arc<Line>, trial: Option<Arm>) -> Self {
        Self {
            live: live.clone(),
            trial,
            recording: self.recording.clone(),
        }
    }

    fn retire(&self) {
        self.live.retire();
        if let Some(arm) = &self.trial {
            arm.line.retire();
            if let Some(copies) = &arm.copies {
                copies.retire();
            }
        }
    }
}

/// The live revision of a deployment, and the one that is tried beside it, exchanged atomically.
#[derive(Debug, Default)]
pub struct Route {
    arms: ArcSwapOption<Arms>,
    /// Held while the arms are exchanged.
    lasting: Mutex<Lasting>,
}

/// What outlasts the arms.
#[derive(Debug, Default)]
struct Lasting {
    /// Whether no arms come any more.
    closed: bool,
    recording: Option<Arc<Recording>>,
}

impl Route {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Let `line` take every call from now on. The line that did before takes none any more, ends those it
    /// has, and is returned. A trial ends with it.
    ///
    /// # Errors
    /// [`Error::RouteClosed`] after [`Route::close`].
    pub fn switch(&self, line: Arc<Line>) -> Result<Option<Arc<Line>>, Error> {
        let Some(previous) = self.exchange(Some(&line), false) else {
            line.retire();
            return Err(Error::RouteClosed);
        };
        Ok(previous)
    }

    /// Take no call until the next switch.
    pub fn hold(&self) {
        self.exchange(None, false);
    }

    /// Take no call any more. Returns the line that was live.
    pub fn close(&self) -> Option<Arc<Line>> {
        self.exchange(None, true).flatten()
    }

    /// Keep calls in `recording` from now on, whatever is live; none where there is none.
    pub fn record(&self, recording: Option<Arc<Recording>>) {
        let mut lasting = self.lasting();
        lasting.recording.clone_from(&recording);
        if let Some(present) = self.arms.load_full() {
            let trial = present.trial.clone();
            self.arms.store(Some(Arc::new(Arms {
                recording,
                ..present.with(&present.live, trial)
            })));
        }
    }

    fn lasting(&self) -> MutexGuard<'_, Lasting> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put `next` in the place of what is there, which retires; nothing once closed.
    fn exchange(&self, next: Option<&Arc<Line>>, close: bool) -> Option<Option<Arc<Line>>> {
        let previous = {
            let mut lasting = self.lasting();
            if lasting.closed {
                return None;
            }
            lasting.closed = close;
            let next = next.map(|live| Arms {
                live: live.clone(),
                trial: None,
                recording: lasting.recording.clone(),
            });
            self.arms.swap(next.map(Arc::new))
        };
        Some(previous.map(|previous| {
            previous.retire();
            previous.live.clone()
        }))
    }

    /// Put something else in the place of what is there, unless `change` refuses.
    fn change<T>(
        &self,
        change: impl FnOnce(Option<&Arms>) -> Result<(Arms, T), Error>,
    ) -> Result<T, Error> {
        // Nothing is there once closed, and every change refuses then.
        let _changing = self.lasting();
        let present = self.arms.load_full();
        let (next, value) = change(present.as_deref())?;
        self.arms.store(Some(Arc::new(next)));
        Ok(value)
    }

    #[must_use]
    pub fn live(&self) -> Option<Arc<Line>> {
        self.arms.load().as_ref().map(|arms| arms.live.clone())
    }

    /// Begin a call on the live revision, or on the one that is tried: by `key`, if the call has one.
    ///
    /// # Errors
    /// [`Error::RouteClosed`] where there is none; [`Error::Limit`] where calls come faster than they may.
    pub fn enter(&self, key: Option<&[u8]>) -> Result<Passage, Error> {
        loop {
            let arms = self.arms.load();
            let arms = arms.as_ref().ok_or(Error::RouteClosed)?;
            let (line, part) = match (&arms.trial, &arms.recording) {
                (None, None) => (&arms.live, None),
                (None, Some(recording)) => (&arms.live, keep(recording)),
                (Some(arm @ Arm { copies: None, .. }), _) => choose(&arms.live, arm, key),
                (Some(arm), _) => (&arms.live, copy(arm)),
            };
            // A line that was retired between the load and the count may count as drained already.
            if let Some(passage) = Passage::enter(line.clone(), part) {
                if let Some(account) = &passage.line().limits.account {
                    account.admit_call().map_err(Error::Limit)?;
                }
                return Ok(passage);
            }
        }
    }
}

/// Decide between the live line and the candidate.
#[cold]
fn choose<'a>(
    live: &'a Arc<Line>,
    arm: &'a Arm,
    key: Option<&[u8]>,
) -> (&'a Arc<Line>, Option<Box<Part>>) {
    let Some((side, unit)) = arm.stage.decide(key) else {
        return (live, None);
    };
    let line = match side {
        Side::Live => live,
        Side::Candidate => &arm.line,
    };
    let stage = arm.stage.clone();
    (
        line,
        Some(Box::new(Part::Counted(Counted { stage, side, unit }))),
    )
}

/// Decide whether a call is kept.
#[cold]
fn keep(recording: &Arc<Recording>) -> Option<Box<Part>> {
    Some(Box::new(Part::Recorded(recording.draw()?)))
}

/// Decide whether a call is copied.
#[cold]
fn copy(arm: &Arm) -> Option<Box<Part>> {
    let copies = arm.copies.as_ref().filter(|_| arm.stage.draws())?;
    let copy = Copy::reserve(copies, &arm.stage)?;
    Some(Box::new(Part::Copied(copy)))
}
