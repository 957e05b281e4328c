//! The message plane: actors made of components, their mailboxes, and the messages between them.
//!
//! An actor is an address with a mailbox; instances of a component come and go behind it. Whoever supervises
//! decides when (Python does); the plane carries it out and tells what happened ([`Event`]). Messages between
//! two components stay within; others take part through a [`Port`].

pub mod address;
mod ask;
mod bindings;
mod blueprint;
mod bounded;
mod cell;
pub mod clock;
pub mod codec;
mod context;
mod convert;
mod events;
mod failure;
mod guest_requests;
mod hook;
mod host;
mod incarnation;
pub(crate) mod link;
mod mailbox;
mod output;
pub mod pattern;
mod port;
mod scheduler;
mod shared;
mod succession;
mod target;
mod timers;
mod topics;
pub(crate) mod wasi_clocks;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use address::Address;
pub use ask::{Answer, Ask, Foreign, Health, Metadata, Outcome, Waiter};
pub use blueprint::{Blueprint, Exports, MakeWasi, Outputs, Setting};
pub use cell::{Cell, Inspection, Request, ShutdownReason};
pub use context::ActorContext;
pub use events::{Event, LogLine, Observer, Stage};
pub use failure::{Ending, EndingKind, Failure, Reason};
pub use mailbox::{Bounds, Counts, Envelope, LANES, Overflow, Source};
pub use port::{Port, PortSink, PortSpec};
pub use shared::{Options, Shared};
pub use succession::{HandOver, Inheritance, Successor};
pub use target::Target;

use crate::gate::Gate;

/// How a plane is made.
#[derive(Clone, Debug)]
pub struct PlaneSpec {
    /// Threads that run guests; none where time is virtual.
    pub threads: usize,
    /// Time moves only when told, and nothing runs but in [`Plane::run`].
    pub virtual_time: bool,
    /// Lines kept of each deployment.
    pub log_ring: usize,
    /// What guests need for sockets and timers of WASI.
    pub runtime: Option<tokio::runtime::Handle>,
}

impl Default for PlaneSpec {
    fn default() -> Self {
        Self {
            threads: 2,
            virtual_time: false,
            log_ring: 1000,
            runtime: None,
        }
    }
}

/// One message plane with its threads.
pub struct Plane {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The process that has the threads.
    process: u32,
}

/// Figures of a whole plane.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaneStatistics {
    pub actors: usize,
    pub ports: usize,
    pub timers: usize,
    /// Turns that actors had.
    pub slices: u64,
}

impl Plane {
    #[must_use]
    pub fn new(spec: PlaneSpec) -> Self {
        let shared = Shared::new(spec.virtual_time, spec.log_ring);
        let mut threads = Vec::new();
        if !spec.virtual_time {
            for number in 0..spec.threads.max(1) {
                let shared = shared.clone();
                let runtime = spec.runtime.clone();
                let work = move || {
                    let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
                    shared.queue.work();
                };
                threads.push(start_thread(&format!("airssys-plane-{number}"), work));
            }
            let timed = shared.clone();
            threads.push(start_thread("airssys-timers", move || {
                while timed.timers.wait(|| timed.clock.now()) {
                    timed.fire();
                }
            }));
        }
        Self {
            shared,
            threads: Mutex::new(threads),
            process: std::process::id(),
        }
    }

    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Reserve an address for an actor and make its mailbox. It takes messages from now on; [`Cell::start`] makes
    /// the first instance.
    ///
    /// # Errors
    /// [`Failure::NameTaken`], [`Failure::InvalidAddress`], [`Failure::Closed`].
    pub fn spawn(
        &self,
        address: &str,
        blueprint: Arc<Blueprint>,
        bounds: Bounds,
        gate: Arc<dyn Gate>,
    ) -> Result<Arc<Cell>, Failure> {
        let address = Address::parse(address).map_err(Failure::InvalidAddress)?;
        let cell = Cell::new(self.shared.clone(), address, bounds, blueprint, gate);
        self.shared.add(Target::Actor(cell.clone()))?;
        Ok(cell)
    }

    /// Make something outside the plane reachable under an address.
    ///
    /// # Errors
    /// As [`Plane::spawn`].
    pub fn port(
        &self,
        address: &str,
        spec: PortSpec,
        sink: Arc<dyn PortSink>,
    ) -> Result<Arc<Port>, Failure> {
        let address = Address::parse(address).map_err(Failure::InvalidAddress)?;
        let port = Port::new(self.shared.clone(), address, spec, sink);
        self.shared.add(Target::Port(port.clone()))?;
        Ok(port)
    }

    /// The lines that guests of `deployment` wrote, after number `since`.
    #[must_use]
    pub fn logs(&self, deployment: &str, since: u64) -> Vec<Arc<LogLine>> {
        self.shared.logs.since(deployment, since)
    }

    #[must_use]
    pub fn statistics(&self) -> PlaneStatistics {
        let mut statistics = PlaneStatistics {
            timers: self.shared.timers.len(),
            slices: self.shared.slices.load(Ordering::Relaxed),
            ..PlaneStatistics::default()
        };
        for target in self.shared.targets() {
            match target {
                Target::Actor(_) => statistics.actors += 1,
                Target::Port(_) => statistics.ports += 1,
            }
        }
        statistics
    }

    /// Run, on this thread, until nobody has anything to do at the present time; for planes with virtual time.
    /// Returns how many turns were taken.
    pub fn run(&self) -> u64 {
        let mut turns = 0;
        loop {
            while let Some(cell) = self.shared.queue.pop() {
                cell.run();
                turns += 1;
            }
            if !self.shared.fire() {
                return turns;
            }
        }
    }

    /// Whether [`Plane::run`] has something to do.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.shared.queue.is_empty()
            || self
                .next_timer()
                .is_some_and(|at| at <= self.shared.clock.now())
    }

    /// When the next timer is due.
    #[must_use]
    pub fn next_timer(&self) -> Option<u64> {
        self.shared.timers.next()
    }

    /// Move virtual time to `to`, never back.
    pub fn advance(&self, to: u64) {
        self.shared.clock.set(to);
    }

    /// Be told, where time is virtual, that [`Plane::run`] has something to do.
    pub fn on_ready(&self, wake: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.shared.set_wake(wake);
    }

    /// End everything: guests are killed, addresses are free, threads end. Twice is once. Nothing in a process that
    /// was forked off: the threads did not come along.
    pub fn close(&self) {
        if std::process::id() != self.process {
            return;
        }
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let targets = self.shared.targets();
        let mut ends = Vec::new();
        for target in &targets {
            match target {
                Target::Actor(cell) => {
                    ends.push(cell.kill(Waiter::Nobody));
                }
                Target::Port(port) => port.close(),
            }
        }
        let virtual_time = self.shared.clock.is_virtual();
        if virtual_time {
            self.run();
        }
        for (target, end) in targets
            .iter()
            .filter_map(|target| match target {
                Target::Actor(cell) => Some(cell),
                Target::Port(_) => None,
            })
            .zip(ends)
        {
            // A guest ends at its next tick, so this is a matter of milliseconds.
            while !virtual_time && !end.is_done() {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            // Somebody may have ordered another start meanwhile; the queue is closed below in any case.
            drop(target.discard());
        }
        self.shared.timers.close();
        self.shared.queue.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().expect("no code under this lock panics"));
        for thread in threads {
            // A worker that panicked has said so already.
            drop(thread.join());
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.close();
    }
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .expect("threads can be had when a plane is made")
}
