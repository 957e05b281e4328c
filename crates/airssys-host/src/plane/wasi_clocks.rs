//! The clocks of WASI 0.2 for instances of actors: where a plane's time is virtual, so is what they show and how
//! long they sleep. Everybody else has the clocks of WASI itself.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::cell::Cell;
use crate::instance::State;
use crate::wasi::WasiState;

/// Put the plane's clocks in place of those that are linked.
///
/// # Errors
/// Never in practice: shadowing is allowed.
pub fn replace_in(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    wall_clock::add_to_linker::<State, Clocks>(linker, clocks)?;
    monotonic_clock::add_to_linker::<State, Clocks>(linker, clocks)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Clocks;

impl HasData for Clocks {
    type Data<'a> = GuestClocks<'a>;
}

fn clocks(state: &mut State) -> GuestClocks<'_> {
    let actor = state.actor.as_ref();
    GuestClocks {
        actor: actor
            .filter(|actor| actor.runs_through())
            .map(|actor| actor.cell.clone()),
        real: &mut state.wasi,
    }
}

/// What one guest sees of time.
struct GuestClocks<'a> {
    /// The actor, where its time is virtual.
    actor: Option<Arc<Cell>>,
    real: &'a mut WasiState,
}

impl wall_clock::Host for GuestClocks<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let Some(actor) = &self.actor else {
            return wall_clock::Host::now(self.real);
        };
        let nanos = actor.shared.clock.wall();
        Ok(wall_clock::Datetime {
            seconds: nanos / 1_000_000_000,
            nanoseconds: u32::try_from(nanos % 1_000_000_000)?,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        wall_clock::Host::resolution(self.real)
    }
}

impl monotonic_clock::Host for GuestClocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        match &self.actor {
            Some(actor) => Ok(actor.shared.clock.now()),
            None => monotonic_clock::Host::now(self.real),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        monotonic_clock::Host::resolution(self.real)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match &self.actor {
            Some(actor) => wait_until(self.real.table(), actor.clone(), when),
            None => monotonic_clock::Host::subscribe_instant(self.real, when),
        }
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match &self.actor {
            Some(actor) => {
                let until = actor.shared.after(duration);
                wait_until(self.real.table(), actor.clone(), until)
            }
            None => monotonic_clock::Host::subscribe_duration(self.real, duration),
        }
    }
}

/// A moment of virtual time that an actor waits for.
struct Moment {
    actor: Arc<Cell>,
    until: u64,
}

#[async_trait]
impl Pollable for Moment {
    async fn ready(&mut self) {
        poll_fn(|_| {
            if self.actor.shared.clock.now() >= self.until {
                return Poll::Ready(());
            }
            self.actor.arm(self.until);
            Poll::Pending
        })
        .await;
    }
}

fn wait_until(
    table: &mut ResourceTable,
    actor: Arc<Cell>,
    until: u64,
) -> wasmtime::Result<Resource<DynPollable>> {
    let moment = table.push(Moment { actor, until })?;
    subscribe(table, moment)
}
