//! What every instance is given unless a rule denies it: clocks, random numbers, the log.
//!
//! Decided at the first use and again when rights change, not with each reading. These functions have no
//! errors, so what is denied has a substitute that tells nothing of the outside and is the same in every
//! run: a clock of the instance's own, and numbers from a fixed seed. With both denied a guest that has no
//! other input computes the same each time.

use std::time::Duration;

use wasmtime::component::{Accessor, Resource};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings as p2;
use wasmtime_wasi::p3::bindings as p3;

use super::state::{Governance, WasiState};
use crate::gate::kind::Kind;
use crate::gate::{Access, Decision, Gate};

/// How far each reading moves the clock of an instance that is denied the host's, so that one that waits
/// for it by reading it gets on.
const STEP: u64 = 1_000;

/// As much as a guest of WASI 0.2 gets of the stock implementation in one call.
const MOST_RANDOM: u64 = 64 << 20;

const SEED: &[u8] = b"random numbers of an instance that is denied random numbers";

/// What the gate said about what is given, and in which generation.
pub(super) struct Answers([Answer; 3]);

#[derive(Clone, Copy)]
struct Answer {
    generation: u64,
    allowed: bool,
}

impl Answers {
    pub fn new() -> Self {
        let unasked = Answer {
            generation: u64::MAX,
            allowed: false,
        };
        Self([unasked; 3])
    }

    /// Whether `kind` may be used; a comparison while no right has changed.
    pub fn may_use(&mut self, gate: &dyn Gate, kind: Kind) -> bool {
        let place = match kind {
            Kind::Clock => 0,
            Kind::Random => 1,
            _ => 2,
        };
        let answer = &mut self.0[place];
        let generation = gate.generation().current();
        if answer.generation != generation {
            // Where somebody would have to be asked it is denied: reading a clock does not wait.
            let allowed = matches!(gate.decide(&Access::Given { kind }), Decision::Allow);
            *answer = Answer {
                generation,
                allowed,
            };
        }
        answer.allowed
    }
}

/// What one instance is given.
pub(super) struct Given {
    answers: Answers,
    /// The instance's own time, in nanoseconds since it began in 1970.
    time: u64,
    numbers: Option<Box<blake3::OutputReader>>,
}

impl Given {
    pub fn new() -> Self {
        Self {
            answers: Answers::new(),
            time: 0,
            numbers: None,
        }
    }

    fn numbers(&mut self) -> &mut blake3::OutputReader {
        self.numbers
            .get_or_insert_with(|| Box::new(blake3::Hasher::new().update(SEED).finalize_xof()))
    }
}

impl WasiState {
    /// Whether the instance may use what is given by default; a comparison while no right has changed.
    pub(crate) fn may_use(&mut self, kind: Kind) -> bool {
        self.given.answers.may_use(&**self.fs.gate(), kind)
    }

    /// The time for an instance that is denied the host's, in nanoseconds.
    pub(crate) fn own_time(&mut self) -> u64 {
        self.given.time = self.given.time.saturating_add(STEP);
        self.given.time
    }

    /// Let the instance's own time go on by as long as it waits.
    pub(crate) fn wait_in_own_time(&mut self, duration: u64) {
        self.given.time = self.given.time.saturating_add(duration);
    }

    /// Let the instance's own time be `moment`, once it has waited for that; how long it has to wait.
    fn wait_for_own(&mut self, moment: u64) -> u64 {
        let time = &mut self.given.time;
        let wait = moment.saturating_sub(*time);
        *time = moment.max(*time);
        wait
    }

    fn own_bytes(&mut self, length: u64) -> Vec<u8> {
        let length = usize::try_from(length.min(MOST_RANDOM)).expect("64 MiB can be addressed");
        let mut bytes = vec![0; length];
        self.given.numbers().fill(&mut bytes);
        bytes
    }

    fn own_number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.given.numbers().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl p2::clocks::wall_clock::Host for WasiState {
    fn now(&mut self) -> wasmtime::Result<p2::clocks::wall_clock::Datetime> {
        if self.may_use(Kind::Clock) {
            return p2::clocks::wall_clock::Host::now(&mut self.clocks());
        }
        let time = Duration::from_nanos(self.own_time());
        Ok(p2::clocks::wall_clock::Datetime {
            seconds: time.as_secs(),
            nanoseconds: time.subsec_nanos(),
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<p2::clocks::wall_clock::Datetime> {
        if self.may_use(Kind::Clock) {
            return p2::clocks::wall_clock::Host::resolution(&mut self.clocks());
        }
        let step = Duration::from_nanos(STEP);
        Ok(p2::clocks::wall_clock::Datetime {
            seconds: step.as_secs(),
            nanoseconds: step.subsec_nanos(),
        })
    }
}

impl p2::clocks::monotonic_clock::Host for WasiState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        if self.may_use(Kind::Clock) {
            return p2::clocks::monotonic_clock::Host::now(&mut self.clocks());
        }
        Ok(self.own_time())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        if self.may_use(Kind::Clock) {
            return p2::clocks::monotonic_clock::Host::resolution(&mut self.clocks());
        }
        Ok(STEP)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if self.may_use(Kind::Clock) {
            return self.clocks().subscribe_instant(when);
        }
        let wait = self.wait_for_own(when);
        self.clocks().subscribe_duration(wait)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if !self.may_use(Kind::Clock) {
            self.wait_in_own_time(duration);
        }
        self.clocks().subscribe_duration(duration)
    }
}

impl p3::clocks::types::Host for WasiState {}

impl p3::clocks::system_clock::Host for WasiState {
    fn now(&mut self) -> wasmtime::Result<p3::clocks::system_clock::Instant> {
        if self.may_use(Kind::Clock) {
            return p3::clocks::system_clock::Host::now(&mut self.clocks());
        }
        let time = Duration::from_nanos(self.own_time());
        Ok(p3::clocks::system_clock::Instant {
            seconds: time.as_secs().try_into()?,
            nanoseconds: time.subsec_nanos(),
        })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        if self.may_use(Kind::Clock) {
            return p3::clocks::system_clock::Host::get_resolution(&mut self.clocks());
        }
        Ok(STEP)
    }
}

impl<U> p3::clocks::monotonic_clock::HostWithStore<U> for Governance {
    async fn wait_until(store: &Accessor<U, Self>, when: u64) -> wasmtime::Result<()> {
        let wait = store.with(|mut view| {
            let state = view.get();
            if state.may_use(Kind::Clock) {
                let now = p3::clocks::monotonic_clock::Host::now(&mut state.clocks());
                now.map(|now| when.saturating_sub(now))
            } else {
                Ok(state.wait_for_own(when))
            }
        })?;
        sleep(wait).await;
        Ok(())
    }

    async fn wait_for(store: &Accessor<U, Self>, duration: u64) -> wasmtime::Result<()> {
        store.with(|mut view| {
            let state = view.get();
            if !state.may_use(Kind::Clock) {
                state.wait_in_own_time(duration);
            }
        });
        sleep(duration).await;
        Ok(())
    }
}

async fn sleep(nanoseconds: u64) {
    if nanoseconds > 0 {
        tokio::time::sleep(Duration::from_nanos(nanoseconds)).await;
    }
}

impl p3::clocks::monotonic_clock::Host for WasiState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        if self.may_use(Kind::Clock) {
            return p3::clocks::monotonic_clock::Host::now(&mut self.clocks());
        }
        Ok(self.own_time())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        if self.may_use(Kind::Clock) {
            return p3::clocks::monotonic_clock::Host::get_resolution(&mut self.clocks());
        }
        Ok(STEP)
    }
}

/// Implements the interfaces of random numbers of one version of WASI, whose seed goes by the name `$seed`.
macro_rules! random {
    ($version:ident, $seed:ident) => {
        impl $version::random::random::Host for WasiState {
            fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
                if self.may_use(Kind::Random) {
                    let stock = self.ctx.random();
                    return $version::random::random::Host::get_random_bytes(stock, length);
                }
                Ok(self.own_bytes(length))
            }

            fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
                if self.may_use(Kind::Random) {
                    let stock = self.ctx.random();
                    return $version::random::random::Host::get_random_u64(stock);
                }
                Ok(self.own_number())
            }
        }

        impl $version::random::insecure::Host for WasiState {
            fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
                if self.may_use(Kind::Random) {
                    let stock = self.ctx.random();
                    return $version::random::insecure::Host::get_insecure_random_bytes(
                        stock, length,
                    );
                }
                Ok(self.own_bytes(length))
            }

            fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
                if self.may_use(Kind::Random) {
                    let stock = self.ctx.random();
                    return $version::random::insecure::Host::get_insecure_random_u64(stock);
                }
                Ok(self.own_number())
            }
        }

        impl $version::random::insecure_seed::Host for WasiState {
            fn $seed(&mut self) -> wasmtime::Result<(u64, u64)> {
                if self.may_use(Kind::Random) {
                    let stock = self.ctx.random();
                    return $version::random::insecure_seed::Host::$seed(stock);
                }
                Ok((self.own_number(), self.own_number()))
            }
        }
    };
}

random!(p2, insecure_seed);
random!(p3, get_insecure_seed);
