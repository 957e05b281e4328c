//! Turning a gate's answer into the outcome of one attempt.

use std::future::Future;
use std::pin::Pin;

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
pub(crate) async fn settle<T>(mut attempt: impl FnMut() -> Result<T, Fail>) -> Result<T, Errno> {
    loop {
        match attempt() {
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
