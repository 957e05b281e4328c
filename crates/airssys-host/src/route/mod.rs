//! What takes the calls of a deployment: one atomic pointer to the revision that is live.
//!
//! A call enters the [`Route`], is bound to the [`Line`] of the revision that is live at that moment, and ends
//! on it, whatever the route is switched to meanwhile.

mod histogram;
mod line;
mod memory;
mod passage;
mod pool;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::error::Error;
pub use line::{Lifetime, Line, MakeWasi};
pub use memory::Held;
pub use passage::Passage;
pub use statistics::{Outcome, Snapshot, Statistics, Used};

/// The live revision of a deployment, exchanged atomically.
#[derive(Debug, Default)]
pub struct Route {
    live: ArcSwapOption<Line>,
    closed: AtomicBool,
}

impl Route {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Let `line` take every call from now on. The line that did before takes none any more, ends those it
    /// has, and is returned.
    ///
    /// # Errors
    /// [`Error::RouteClosed`] after [`Route::close`].
    pub fn switch(&self, line: Arc<Line>) -> Result<Option<Arc<Line>>, Error> {
        let previous = self.live.swap(Some(line));
        if let Some(previous) = &previous {
            previous.retire();
        }
        // Closing may have come between: whoever swaps last sees the flag.
        if self.closed.load(Ordering::SeqCst) {
            self.close();
            return Err(Error::RouteClosed);
        }
        Ok(previous)
    }

    /// Take no call until the next switch.
    pub fn hold(&self) {
        if let Some(line) = self.live.swap(None) {
            line.retire();
        }
    }

    /// Take no call any more. Returns the line that was live.
    pub fn close(&self) -> Option<Arc<Line>> {
        self.closed.store(true, Ordering::SeqCst);
        let line = self.live.swap(None);
        if let Some(line) = &line {
            line.retire();
        }
        line
    }

    #[must_use]
    pub fn live(&self) -> Option<Arc<Line>> {
        self.live.load_full()
    }

    /// Begin a call on the live revision.
    ///
    /// # Errors
    /// [`Error::RouteClosed`] where there is none; [`Error::Limit`] where calls come faster than they may.
    pub fn enter(&self) -> Result<Passage, Error> {
        loop {
            let line = self.live.load_full().ok_or(Error::RouteClosed)?;
            // A line that was retired between the load and the count may count as drained already.
            if let Some(passage) = Passage::enter(line) {
                if let Some(account) = &passage.line().limits.account {
                    account.admit_call().map_err(Error::Limit)?;
                }
                return Ok(passage);
            }
        }
    }
}
