//! One incarnation takes the place of another without a gap: the new one is made and given the state while the old one
//! still stands, and nothing of the old one ends before it is decided that the new one takes over.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use bytes::Bytes;

use super::ask::{Answer, Ask};
use super::blueprint::Blueprint;
use super::cell::{Cell, Request, ShutdownReason};
use super::failure::{Ending, Failure};
use super::incarnation::{Life, begin};
use crate::instance::Link;

/// What an incarnation continues from.
#[derive(Clone, Debug)]
pub struct Inheritance {
    pub snapshot: Bytes,
    /// The version of the component that wrote it, if it is to be migrated first where it is another.
    pub version: Option<String>,
}

impl From<Bytes> for Inheritance {
    fn from(snapshot: Bytes) -> Self {
        Self {
            snapshot,
            version: None,
        }
    }
}

/// What becomes of the state of the one that makes room.
#[derive(Clone, Debug)]
pub enum HandOver {
    /// The successor begins anew.
    Nothing,
    /// It restores the snapshot as it is.
    Restore,
    /// It migrates the snapshot of this version, and restores what comes of it.
    Migrate(String),
    /// It continues from something else.
    Given(Inheritance),
}

/// What takes the place of the present incarnation.
pub struct Successor {
    pub blueprint: Arc<Blueprint>,
    pub hand_over: HandOver,
    /// Nanoseconds that the old one has for its `shutdown`.
    pub shutdown: u64,
}

impl fmt::Debug for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successor")
            .field("hand_over", &self.hand_over)
            .finish_non_exhaustive()
    }
}

/// Which of the two goes on.
pub(super) struct Decision {
    pub takes: bool,
    pub done: Arc<Ask>,
}

/// What `future` comes to, or `None` once it is `over`; looked at whenever the actor is woken.
async fn unless<R>(over: impl Fn() -> bool, future: impl Future<Output = R>) -> Option<R> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if over() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

impl Life {
    /// Get a successor ready, and let it take over if that is decided. What goes wrong with it leaves this one as it
    /// was; only a trap in its own `snapshot` ends it.
    pub(super) async fn make_room(
        &mut self,
        successor: &Successor,
        ask: &Arc<Ask>,
    ) -> Result<(), Ending> {
        let state = match self.state_to_leave(ask).await? {
            Ok(state) => state,
            Err(failure) => {
                ask.complete(Err(failure));
                return Ok(());
            }
        };
        let inherits = match (&successor.hand_over, state.clone()) {
            (HandOver::Given(inheritance), _) => Some(inheritance.clone()),
            (HandOver::Restore, Some(snapshot)) => Some(snapshot.into()),
            (HandOver::Migrate(version), Some(snapshot)) => Some(Inheritance {
                snapshot,
                version: Some(version.clone()),
            }),
            _ => None,
        };
        let cell = self.cell.clone();
        let number = self.context().incarnation + 1;
        let limits = successor.blueprint.limits.clone();
        let link = Link::new(limits, Arc::new(AtomicBool::new(true)));
        cell.successor_begins(number, link.clone());
        cell.arm(ask.deadline);
        let making = begin(
            cell.clone(),
            successor.blueprint.clone(),
            number,
            link,
            inherits,
        );
        let made = unless(|| ask.is_done(), making).await;
        let life = match made {
            Some(Ok(life)) => life,
            Some(Err(ending)) => {
                cell.succession_over(None, self.link.clone());
                ask.complete(Err(Failure::StartFailed(ending)));
                return Ok(());
            }
            None => {
                cell.succession_over(None, self.link.clone());
                return Ok(());
            }
        };
        if !ask.complete(Ok(Answer::Payload(state))) {
            cell.succession_over(None, self.link.clone());
            return Ok(());
        }
        let decision = poll_fn(|_| cell.take_decision().map_or(Poll::Pending, Poll::Ready)).await;
        if !decision.takes {
            drop(life);
            cell.succession_over(None, self.link.clone());
            decision.done.complete(Ok(Answer::Done));
            return Ok(());
        }
        let old = std::mem::replace(self, life);
        let how = part_with(old, &cell, successor.shutdown).await;
        cell.succession_over(Some(successor.blueprint.clone()), self.link.clone());
        decision.done.complete(Ok(Answer::Ended(how)));
        Ok(())
    }

    /// The state, or why the guest does not give it.
    async fn state_to_leave(
        &mut self,
        ask: &Arc<Ask>,
    ) -> Result<Result<Option<Bytes>, Failure>, Ending> {
        if !self.exports_state() {
            return Ok(Ok(None));
        }
        match self.ask_guest(Request::Snapshot).await {
            Ok(Ok(Answer::Payload(state))) => Ok(Ok(state)),
            Ok(Ok(_)) => unreachable!("a snapshot answers with bytes"),
            Ok(Err(failure)) => Ok(Err(failure)),
            Err(ending) => {
                ask.complete(Err(Failure::Failed(ending.to_string())));
                Err(ending)
            }
        }
    }
}

/// Shut an incarnation down that another one has replaced; it is dropped in any case.
async fn part_with(mut old: Life, cell: &Arc<Cell>, time: u64) -> &'static str {
    cell.set_link(old.link.clone());
    let until = cell.shared.after(time);
    cell.arm(until);
    let over = || cell.shared.clock.now() >= until;
    match unless(over, old.shut_down(ShutdownReason::Replaced)).await {
        Some(Ok(())) => "normal",
        _ => "killed",
    }
}
