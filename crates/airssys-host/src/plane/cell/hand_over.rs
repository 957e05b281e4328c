//! Another incarnation beside the present one, until it is decided which of the two goes on.

use std::sync::Arc;

use super::requests::Request;
use super::{Cell, locked};
use crate::instance::Link;
use crate::plane::ask::{Ask, Waiter};
use crate::plane::blueprint::Blueprint;
use crate::plane::failure::Failure;
use crate::plane::mailbox::Aftermath;
use crate::plane::succession::{Decision, Successor};

impl Cell {
    /// Get an instance of another revision ready beside the present one, which is not given anything meanwhile. The
    /// answer is the state that it was handed, if any; then [`Cell::decide`] says which of the two goes on.
    pub fn prepare(
        self: &Arc<Self>,
        successor: Arc<Successor>,
        timeout: u64,
        waiter: Waiter,
    ) -> Arc<Ask> {
        self.request(Request::Prepare(successor), timeout, waiter)
    }

    /// Let the successor that is ready take over, or drop it.
    pub fn decide(self: &Arc<Self>, takes: bool, waiter: Waiter) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        let ready = {
            let mut life = locked(&self.life);
            if life.successor.is_some() {
                life.decision = Some(Decision {
                    takes,
                    done: done.clone(),
                });
                None
            } else {
                Some(life.stage)
            }
        };
        match ready {
            None => self.wake(),
            Some(stage) => {
                done.complete(Err(Failure::State(stage.name())));
            }
        }
        done
    }

    /// Incarnation `number` gets ready; a kill reaches it through `link`.
    pub(in crate::plane) fn successor_begins(&self, number: u64, link: Arc<Link>) {
        let mut life = locked(&self.life);
        life.successor = Some(number);
        life.decision = None;
        life.link = Some(link);
    }

    /// What was decided about the successor, once.
    pub(in crate::plane) fn take_decision(&self) -> Option<Decision> {
        locked(&self.life).decision.take()
    }

    /// A kill reaches the present one through `link` from now on.
    pub(in crate::plane) fn set_link(&self, link: Arc<Link>) {
        locked(&self.life).link = Some(link);
    }

    /// There is one incarnation again: the successor if it `took` over. What belonged to the other ends.
    pub(in crate::plane) fn succession_over(
        &self,
        blueprint: Option<Arc<Blueprint>>,
        link: Arc<Link>,
    ) {
        let took = blueprint.is_some();
        if let Some(blueprint) = blueprint {
            self.blueprint.store(blueprint);
        }
        let gone = {
            let mut life = locked(&self.life);
            life.link = Some(link);
            let Some(number) = life.successor.take() else {
                return;
            };
            if took {
                std::mem::replace(&mut life.incarnation, number)
            } else {
                number
            }
        };
        locked(&self.timers).retain(|_, timer| {
            let stays = timer.incarnation != gone;
            if !stays {
                self.shared.timers.remove(timer.entry);
            }
            stays
        });
        let mut aftermath = Aftermath::default();
        locked(&self.mailbox).purge(gone, &mut aftermath);
        self.settle(aftermath);
        if took {
            self.started();
        }
    }
}
