//! Orders to begin and to end incarnations: given from any thread, obeyed by whoever runs the actor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::turns::Task;
use super::{Cell, locked};
use crate::instance::Link;
use crate::plane::ask::{Answer, Ask, Kind, Waiter};
use crate::plane::events::Stage;
use crate::plane::failure::Failure;
use crate::plane::incarnation::{self, End};
use crate::plane::succession::Inheritance;

/// How an incarnation is ended from outside.
#[derive(Clone, Debug)]
pub(super) enum How {
    Kill,
    Fail(String),
    Restart(Option<Inheritance>),
}

pub(super) enum Order {
    Start {
        inherits: Option<Inheritance>,
        done: Arc<Ask>,
    },
    Kill {
        how: How,
        done: Arc<Ask>,
    },
}

/// Keeps how an incarnation was ended within this folder.
pub(in crate::plane) struct KillReason(pub(super) How);

impl Cell {
    pub(super) fn take_order(&self) -> Option<Order> {
        let mut life = locked(&self.life);
        let order = life.orders.pop_front();
        let more = !life.orders.is_empty();
        if !more {
            // Orders are few and actors many.
            life.orders = VecDeque::new();
        }
        self.ordered.store(more, Ordering::Release);
        order
    }

    pub(super) fn take_kill(&self) -> Option<(How, Arc<Ask>)> {
        let mut life = locked(&self.life);
        let position = life
            .orders
            .iter()
            .position(|order| matches!(order, Order::Kill { .. }))?;
        let Some(Order::Kill { how, done }) = life.orders.remove(position) else {
            unreachable!("found above")
        };
        self.ordered
            .store(!life.orders.is_empty(), Ordering::Release);
        Some((how, done))
    }

    pub(super) fn order(self: &Arc<Self>, order: Order) {
        {
            let mut life = locked(&self.life);
            if let (Order::Kill { .. }, Some(link)) = (&order, &life.link) {
                link.interrupt();
            }
            life.orders.push_back(order);
            self.ordered.store(true, Ordering::Release);
        }
        self.wake();
    }

    pub(super) fn obey(self: &Arc<Self>, order: Order, task: &mut Option<Task>) {
        match order {
            Order::Start { inherits, done } => {
                if task.is_some() {
                    done.complete(Err(Failure::State(self.stage().name())));
                    return;
                }
                let blueprint = self.blueprint();
                let link = Link::new(blueprint.limits.clone(), Arc::new(AtomicBool::new(true)));
                let incarnation = {
                    let mut life = locked(&self.life);
                    life.incarnation += 1;
                    life.link = Some(link.clone());
                    life.starting = Some(done);
                    life.incarnation
                };
                *task = Some(Task {
                    future: Box::pin(incarnation::live(
                        self.clone(),
                        blueprint,
                        incarnation,
                        link,
                        inherits,
                    )),
                    waker: Waker::from(self.clone()),
                });
            }
            Order::Kill { how, done } => {
                let lived = task.take().is_some();
                if lived || matches!(how, How::Restart(_)) {
                    self.ended(End::Killed {
                        how: KillReason(how),
                        done,
                    });
                } else {
                    done.complete(Ok(Answer::Ended("killed")));
                }
            }
        }
    }

    pub(super) fn command(&self, deadline: u64, waiter: Waiter) -> Arc<Ask> {
        Ask::begin(
            Kind::Command,
            deadline,
            &self.desk,
            &self.shared.timers,
            waiter,
        )
    }

    /// Begin an incarnation, from a snapshot if there is one.
    pub fn start(self: &Arc<Self>, inherits: Option<Inheritance>, waiter: Waiter) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        match self.stage() {
            Stage::Starting | Stage::Restarting => {
                self.order(Order::Start {
                    inherits,
                    done: done.clone(),
                });
            }
            stage => {
                done.complete(Err(Failure::State(stage.name())));
            }
        }
        done
    }

    fn end(self: &Arc<Self>, how: How, waiter: Waiter) -> Arc<Ask> {
        let done = self.command(u64::MAX, waiter);
        if self.stage() == Stage::Stopped {
            done.complete(Err(Failure::Stopped));
        } else {
            self.order(Order::Kill {
                how,
                done: done.clone(),
            });
        }
        done
    }

    /// Drop the instance, whatever it does; the mailbox stays.
    pub fn kill(self: &Arc<Self>, waiter: Waiter) -> Arc<Ask> {
        self.end(How::Kill, waiter)
    }

    /// Drop the instance because it failed in a way that only its supervisor saw.
    pub fn fail(self: &Arc<Self>, message: String, waiter: Waiter) -> Arc<Ask> {
        self.end(How::Fail(message), waiter)
    }

    /// Drop the instance and start another.
    pub fn restart(self: &Arc<Self>, inherits: Option<Inheritance>, waiter: Waiter) -> Arc<Ask> {
        self.end(How::Restart(inherits), waiter)
    }
}
