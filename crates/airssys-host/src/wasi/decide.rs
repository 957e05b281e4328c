//! Turning a gate's answer into the outcome of one attempt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;

use crate::gate::{Access, Decision, Gate};

/// Resolves to whether the approver said yes.
pub(crate) type Approval = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Why an attempt did not succeed.
pub(crate) enum Fail {
    /// The operating system, or the gate (`EPERM`), refused it.
    Errno(Errno),
    /// An approver decides; afterwards the whole attempt, resolution included, is made again.
    Ask(Approval),
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<std::io::Error> for Fail {
    fn from(error: std::io::Error) -> Self {
        Self::Errno(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// What a refused access looks like to the guest: `not-permitted` or `access-denied`.
pub(crate) const REFUSED: Errno = Errno::PERM;

pub(crate) fn permit(gate: &dyn Gate, access: &Access<'_>) -> Result<(), Fail> {
    outcome(gate.decide(access))
}

pub(crate) fn outcome(decision: Decision) -> Result<(), Fail> {
    match decision {
        Decision::Allow => Ok(()),
        Decision::Deny(_) => Err(Fail::Errno(REFUSED)),
        Decision::Ask(approval) => Err(Fail::Ask(approval)),
    }
}

/// Make `attempt` until it has an outcome, waiting for an approver in between.
///
/// An attempt must have no effect before its last decision, since it is repeated as a whole: what the
/// approver agreed to is resolved and decided again.
pub(crate) async fn settle<T>(
    gate: &dyn Gate,
    mut attempt: impl FnMut() -> Result<T, Fail>,
) -> Result<T, Errno> {
    loop {
        let outcome = attempt();
        let pause = gate.pause();
        if !pause.is_zero() {
            // Its own task, since whoever polls the guest may do so outside of a runtime.
            wasmtime_wasi::runtime::spawn(tokio::time::sleep(pause)).await;
        }
        match outcome {
            Ok(value) => return Ok(value),
            Err(Fail::Errno(errno)) => return Err(errno),
            Err(Fail::Ask(approval)) => {
                if !approval.await {
                    return Err(REFUSED);
                }
            }
        }
    }
}

/// The right on which something open rests: decided again when rights have changed.
pub(crate) trait Right: Send + 'static {
    fn gate(&self) -> &Arc<dyn Gate>;

    /// Whether it still holds; one comparison while no right has changed.
    fn check(&self) -> Result<(), Fail>;
}

/// A right in use by something that can only sometimes wait for an approver.
pub(crate) struct Standing<R> {
    pub right: R,
    approval: Option<Approval>,
    refused: bool,
    /// Resolves when rights have changed; made by [`Standing::poll_held`].
    change: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<R: Right> Standing<R> {
    pub fn new(right: R) -> Self {
        Self {
            right,
            approval: None,
            refused: false,
            change: None,
        }
    }

    /// Whether the right holds now. `Ok(false)`: an approver decides, [`Standing::settled`] tells when.
    pub fn now(&mut self) -> Result<bool, Errno> {
        if self.refused {
            return Err(REFUSED);
        }
        if self.approval.is_some() {
            return Ok(false);
        }
        match self.right.check() {
            Ok(()) => Ok(true),
            Err(Fail::Errno(errno)) => Err(errno),
            Err(Fail::Ask(approval)) => {
                self.approval = Some(approval);
                Ok(false)
            }
        }
    }

    /// Wait until no approver is waited for, then say whether the right holds.
    pub async fn settled(&mut self) -> Result<(), Errno> {
        std::future::poll_fn(|context| self.poll_settled(context)).await
    }

    /// [`Standing::settled`] for what is itself polled.
    pub fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        loop {
            if let Some(approval) = &mut self.approval {
                self.refused = !ready!(approval.as_mut().poll(context));
                self.approval = None;
            }
            if self.now()? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Say whether the right holds, and see to it that the task is woken when rights change.
    pub fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        loop {
            let seen = self.right.gate().generation().current();
            ready!(self.poll_settled(context))?;
            let gate = self.right.gate();
            let change = self.change.get_or_insert_with(|| {
                let gate = Arc::clone(gate);
                Box::pin(async move { gate.generation().changed_since(seen).await })
            });
            if change.as_mut().poll(context).is_pending() {
                return Poll::Ready(Ok(()));
            }
            self.change = None;
        }
    }

    /// Wait for `event`, or until the right is lost.
    pub async fn while_held<T>(
        &mut self,
        event: impl Future<Output = T> + Send,
    ) -> Result<T, Errno> {
        tokio::pin!(event);
        loop {
            let seen = self.right.gate().generation().current();
            self.settled().await?;
            tokio::select! {
                biased;
                value = &mut event => return Ok(value),
                () = self.right.gate().generation().changed_since(seen) => {}
            }
        }
    }
}
