//! One actor: its mailbox, its state, and the incarnations that come and go behind them.

mod endings;
mod guest_timers;
mod hand_over;
mod hooks;
mod inspection;
mod messages;
mod orders;
mod requests;
mod rights;
mod steps;
mod stopping;
mod turns;
mod waits;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;

use self::guest_timers::GuestTimer;
use self::orders::Order;
use self::rights::Rights;
use self::stopping::Stopping;
use self::turns::{IDLE, Task};
use crate::gate::Gate;
use crate::instance::{Link, Usage};
use crate::plane::address::Address;
use crate::plane::ask::{Ask, Desk, Health};
use crate::plane::blueprint::Blueprint;
use crate::plane::events::{Event, Stage};
use crate::plane::failure::Ending;
use crate::plane::mailbox::{Bounds, Mailbox, Overflow};
use crate::plane::shared::Shared;
use crate::plane::succession::Decision;
use crate::plane::target::Target;
use crate::quota::Bucket;

pub use inspection::Inspection;
pub(in crate::plane) use orders::KillReason;
pub use requests::Request;
pub(in crate::plane) use steps::Step;
pub use stopping::ShutdownReason;

struct Life {
    stage: Stage,
    incarnation: u64,
    link: Option<Arc<Link>>,
    orders: VecDeque<Order>,
    starting: Option<Arc<Ask>>,
    stopping: Option<Stopping>,
    requests: VecDeque<(Request, Arc<Ask>)>,
    suspended: bool,
    last_failure: Option<Ending>,
    health: Health,
    started_at: u64,
    usage: Usage,
    next_stop: u64,
    /// The incarnation that gets ready beside the present one.
    successor: Option<u64>,
    decision: Option<Decision>,
}

/// One actor.
pub struct Cell {
    pub address: Address,
    pub(in crate::plane) shared: Arc<Shared>,
    pub(in crate::plane) desk: Arc<Desk>,
    pub(in crate::plane) message_size: usize,
    pub(in crate::plane) asks_wait: bool,
    run: AtomicU8,
    /// Orders wait for whoever runs the actor.
    ordered: AtomicBool,
    /// Something besides messages wants the incarnation's attention.
    attention: AtomicBool,
    /// The mailbox takes nothing any more; said here too, so that senders need not lock it.
    closed: AtomicBool,
    budget: AtomicU32,
    ids: AtomicU64,
    /// Until when the one wake-up that is set sleeps; 0 for none.
    armed: AtomicU64,
    mailbox: Mutex<Mailbox>,
    life: Mutex<Life>,
    task: Mutex<Option<Task>>,
    blueprint: ArcSwap<Blueprint>,
    rights: ArcSwap<Rights>,
    rights_number: AtomicU64,
    waits_for: Mutex<Option<Target>>,
    timers: Mutex<HashMap<u64, GuestTimer>>,
    next_timer: AtomicU64,
    timers_missed: AtomicU64,
    /// How fast it may send; outlives incarnations.
    pace: Mutex<Option<Arc<Bucket>>>,
    /// Whether an incarnation that ends in order leaves its state.
    keeps_state: AtomicBool,
    parting: Mutex<Option<Bytes>>,
    hooked: AtomicBool,
    hook_answer: Mutex<Option<(u64, Option<String>)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code under this lock panics")
}

impl Cell {
    pub(in crate::plane) fn new(
        shared: Arc<Shared>,
        address: Address,
        bounds: Bounds,
        blueprint: Arc<Blueprint>,
        gate: Arc<dyn Gate>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            shared,
            desk: Arc::default(),
            message_size: bounds.message_size,
            asks_wait: bounds.overflow == Overflow::Wait,
            run: AtomicU8::new(IDLE),
            ordered: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            budget: AtomicU32::new(0),
            ids: AtomicU64::new(1),
            armed: AtomicU64::new(0),
            mailbox: Mutex::new(Mailbox::new(bounds)),
            life: Mutex::new(Life {
                stage: Stage::Starting,
                incarnation: 0,
                link: None,
                orders: VecDeque::new(),
                starting: None,
                stopping: None,
                requests: VecDeque::new(),
                suspended: false,
                last_failure: None,
                health: Health {
                    status: "unknown",
                    detail: String::new(),
                },
                started_at: 0,
                usage: Usage::default(),
                next_stop: 0,
                successor: None,
                decision: None,
            }),
            task: Mutex::new(None),
            blueprint: ArcSwap::new(blueprint),
            rights: ArcSwap::from_pointee(Rights { gate }),
            rights_number: AtomicU64::new(0),
            waits_for: Mutex::new(None),
            timers: Mutex::default(),
            next_timer: AtomicU64::new(1),
            timers_missed: AtomicU64::new(0),
            pace: Mutex::default(),
            keeps_state: AtomicBool::new(false),
            parting: Mutex::new(None),
            hooked: AtomicBool::new(false),
            hook_answer: Mutex::default(),
        })
    }

    pub fn stage(&self) -> Stage {
        locked(&self.life).stage
    }

    pub fn incarnation(&self) -> u64 {
        locked(&self.life).incarnation
    }

    #[must_use]
    pub fn blueprint(&self) -> Arc<Blueprint> {
        self.blueprint.load_full()
    }

    /// Look at the blueprint without holding on to it: for what is done with every message.
    pub(in crate::plane) fn with_blueprint<R>(&self, look: impl FnOnce(&Blueprint) -> R) -> R {
        look(&self.blueprint.load())
    }

    /// What the next incarnation is made of.
    pub fn upgrade(&self, blueprint: Arc<Blueprint>) {
        self.blueprint.store(blueprint);
    }

    fn set_stage(&self, stage: Stage) {
        let (previous, incarnation) = {
            let mut life = locked(&self.life);
            let previous = std::mem::replace(&mut life.stage, stage);
            (previous, life.incarnation)
        };
        if previous != stage {
            self.shared.tell(Event::Stage {
                address: self.address.text.clone(),
                incarnation,
                stage,
                previous,
            });
        }
    }
}
