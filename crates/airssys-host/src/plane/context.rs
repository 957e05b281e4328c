//! What one incarnation has of the plane: the part of a store that its host functions work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;

use super::ask::{Answer, Ask};
use super::cell::Cell;
use super::failure::{Failure, Reason};
use super::mailbox::{Envelope, Source};
use super::shared::{Options, Shared};
use super::target::Target;
use crate::gate::callers::{Acting, Callers};
use crate::gate::subject::Subject;
use crate::gate::{Access, Decision, Gate, MessageAccess};
use crate::limits::Limit;
use crate::quota::{Account, Bucket};

/// Routes that are remembered; beyond that all are looked up again.
const ROUTES: usize = 256;
/// Chains of callers that are remembered; beyond that all are made again.
const CHAINS: usize = 128;
/// Asks without waiting, and deferred replies, that one actor may have open.
const OPEN: usize = 1000;

/// A way to a receiver that the gate has allowed: held open like a file, and decided again when rights change.
struct Route {
    target: Target,
    /// A bit for each [`MessageAccess`].
    allowed: u8,
    mark: u64,
}

/// What keeps a send from being made.
pub(super) enum Refusal {
    Failure(Failure),
    /// Somebody is asked; afterwards the attempt is made again.
    Ask(std::pin::Pin<Box<dyn Future<Output = bool> + Send>>),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The gate that decides for one instance, and for those for whom it acts.
pub(super) fn bound(gate: &Arc<dyn Gate>, acting: &Arc<Acting>) -> Arc<dyn Gate> {
    gate.of_instance(acting).unwrap_or_else(|| gate.clone())
}

/// The plane's part of a store.
pub struct ActorContext {
    pub(super) cell: Arc<Cell>,
    pub(super) shared: Arc<Shared>,
    pub(super) incarnation: u64,
    gate: Arc<dyn Gate>,
    rights_number: u64,
    routes: HashMap<Box<str>, Route>,
    /// Of the message that is being handled.
    trace: Option<Arc<str>>,
    /// Who waits for the answer to it.
    reply: Option<Arc<Ask>>,
    /// Ordered, so that they end in the same order every time.
    pub(super) deferred: BTreeMap<u64, Arc<Ask>>,
    /// Whether the present message's answer was put off.
    put_off: bool,
    /// With those for whom each was asked.
    pub(super) asks: BTreeMap<u64, (Arc<Ask>, Option<Arc<Callers>>)>,
    /// For whom the actor acts; the instance's other gates look there too.
    pub(super) acting: Arc<Acting>,
    /// Itself, where the gate does not know it.
    own: Option<Arc<Subject>>,
    /// The chain that its messages carry while it acts for the one of this number.
    onward: Option<(u64, Arc<Callers>)>,
    /// The same for others that it acted for, by their shapes.
    chains: HashMap<u64, (Option<Arc<Callers>>, Arc<Callers>)>,
    next_number: u64,
    pub(super) host_calls: u64,
    /// How fast it may send.
    pace: Option<Arc<Bucket>>,
}

impl ActorContext {
    pub(super) fn new(
        cell: Arc<Cell>,
        incarnation: u64,
        acting: Arc<Acting>,
        pace: Option<Arc<Bucket>>,
    ) -> Self {
        let (gate, rights_number) = cell.rights();
        let gate = bound(&gate, &acting);
        Self {
            shared: cell.shared.clone(),
            cell,
            incarnation,
            gate,
            rights_number,
            acting,
            own: None,
            onward: None,
            chains: HashMap::default(),
            routes: HashMap::default(),
            trace: None,
            reply: None,
            deferred: BTreeMap::new(),
            put_off: false,
            asks: BTreeMap::new(),
            next_number: 1,
            host_calls: 0,
            pace,
        }
    }

    /// Let one more message be sent, unless that is faster than it may. Refusals are for `account`.
    pub(super) fn may_send(&self, account: Option<&Arc<Account>>) -> Result<(), Failure> {
        match &self.pace {
            Some(pace) if !pace.take(|| self.shared.clock.now()) => {
                if let Some(account) = account {
                    account.refuse(Limit::MessagesPerSecond, pace.per_second());
                }
                Err(Failure::TooMany)
            }
            _ => Ok(()),
        }
    }

    /// Whether guests run to the end of their call instead of giving way at a tick: what runs in virtual time must
    /// not depend on real time.
    pub(crate) fn runs_through(&self) -> bool {
        self.shared.clock.is_virtual()
    }

    /// The actor, where its time is virtual: whatever waits for real time or for another thread on its behalf has to
    /// do so by the plane.
    pub(crate) fn in_virtual_time(&self) -> Option<&Arc<Cell>> {
        self.runs_through().then_some(&self.cell)
    }

    pub(super) fn gate(&mut self) -> &Arc<dyn Gate> {
        if self.rights_number != self.cell.rights_number() {
            let (gate, number) = self.cell.rights();
            (self.gate, self.rights_number) = (bound(&gate, &self.acting), number);
            self.routes.clear();
            self.onward = None;
            self.chains.clear();
        }
        &self.gate
    }

    /// Ask the gate.
    pub(super) fn permit(&mut self, access: MessageAccess, target: &str) -> Result<(), Refusal> {
        match self.gate().decide(&Access::Message { access, target }) {
            Decision::Allow => Ok(()),
            Decision::Deny(denial) => Err(Failure::NotPermitted(denial.rule).into()),
            Decision::Ask(approval) => Err(Refusal::Ask(approval)),
        }
    }

    /// The receiver at `address`, if this actor may reach it so.
    pub(super) fn route(
        &mut self,
        access: MessageAccess,
        address: &str,
    ) -> Result<Target, Refusal> {
        let mark = self.gate().mark();
        let bit = 1_u8 << access as u8;
        if let Some(route) = self.routes.get(address)
            && route.allowed & bit != 0
            && route.mark == mark
            && !route.target.is_closed()
        {
            return Ok(route.target.clone());
        }
        let (deployment, _) = super::address::split(address);
        self.permit(access, deployment)?;
        // Only now: whether somebody is there is nothing for those who may not send.
        let target = self.shared.find(address).ok_or(Failure::NoActor)?;
        match self.routes.get_mut(address) {
            Some(route) if route.mark == mark && route.target.is(&target) => {
                route.allowed |= bit;
            }
            _ => {
                if self.routes.len() == ROUTES {
                    self.routes.clear();
                }
                let route = Route {
                    target: target.clone(),
                    allowed: bit,
                    mark,
                };
                self.routes.insert(address.into(), route);
            }
        }
        Ok(target)
    }

    pub(super) fn source(&self) -> Source {
        Source::Actor(self.cell.address.text.clone())
    }

    /// The chain that a message of this actor carries: those for whom it acts, then itself.
    pub(super) fn onward(&mut self) -> Arc<Callers> {
        let number = self.acting.number();
        if let Some((known, onward)) = &self.onward
            && *known == number
        {
            return onward.clone();
        }
        let callers = self.acting.callers();
        let onward = self.onward_from(callers);
        self.onward = Some((number, onward.clone()));
        onward
    }

    fn onward_from(&mut self, callers: Option<Arc<Callers>>) -> Arc<Callers> {
        let shape = callers.as_ref().map_or(0, |callers| callers.shape());
        match (self.chains.get_mut(&shape), &callers) {
            (Some((None, onward)), None) => return onward.clone(),
            // What goes round comes back in a new chain of the same principals.
            (Some((Some(known), onward)), Some(callers)) if known.is_like(callers) => {
                if known.number() != callers.number() {
                    known.clone_from(callers);
                }
                return onward.clone();
            }
            _ => {}
        }
        let own = match self.gate().principal() {
            Some(principal) => principal.clone(),
            None => self.nameless().clone(),
        };
        let onward = Callers::with(callers.as_ref(), &own);
        if self.chains.len() == CHAINS {
            self.chains.clear();
        }
        self.chains.insert(shape, (callers, onward.clone()));
        onward
    }

    /// Who the actor is where the gate does not know.
    fn nameless(&mut self) -> &Arc<Subject> {
        let deployment = &self.cell.address.deployment;
        self.own
            .get_or_insert_with(|| Arc::new(Subject::named(&**deployment)))
    }

    /// What a message of this actor carries besides its payload.
    pub(super) fn options(&mut self) -> Options {
        Options {
            trace: self.trace(),
            callers: Some(self.onward()),
            ..Options::default()
        }
    }

    /// The incarnation with which a message to `target` dies.
    pub(super) fn dies_with(&self, target: &Target) -> u64 {
        match target {
            Target::Actor(cell) if Arc::ptr_eq(cell, &self.cell) => self.incarnation,
            _ => 0,
        }
    }

    /// A message is handled from now on.
    pub(super) fn begin(&mut self, message: &Envelope) {
        self.trace.clone_from(&message.trace);
        self.reply = message.reply().cloned();
        self.put_off = false;
        self.acting.begin(message.callers.as_ref());
    }

    /// The message is handled. Whether its answer was put off.
    pub(super) fn end(&mut self) -> bool {
        self.trace = None;
        self.reply = None;
        self.put_off
    }

    pub(super) fn trace(&self) -> Option<Arc<str>> {
        self.trace.clone()
    }

    /// Put off the answer to the present message.
    pub(super) fn put_off(&mut self) -> Result<u64, Failure> {
        let ask = self.reply.clone().ok_or(Failure::UnknownToken)?;
        if self.put_off {
            return Err(Failure::UnknownToken);
        }
        self.deferred.retain(|_, ask| !ask.is_done());
        if self.deferred.len() >= OPEN {
            return Err(Failure::TooMany);
        }
        let token = self.number();
        self.deferred.insert(token, ask);
        self.put_off = true;
        Ok(token)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    pub(super) fn settle_deferred(
        &mut self,
        token: u64,
        outcome: Result<Answer, Failure>,
    ) -> Result<(), Failure> {
        let ask = self.deferred.remove(&token).ok_or(Failure::UnknownToken)?;
        if ask.complete(outcome) {
            Ok(())
        } else {
            Err(Failure::Timeout)
        }
    }

    pub(super) fn room_for_ask(&mut self) -> Result<(), Failure> {
        if self.asks.len() >= OPEN {
            return Err(Failure::TooMany);
        }
        Ok(())
    }
}

impl Drop for ActorContext {
    fn drop(&mut self) {
        for ask in self.deferred.values() {
            ask.complete(Err(Failure::Dropped(Reason::Stale)));
        }
        for (ask, _) in self.asks.values() {
            ask.cancel();
        }
    }
}
