//! How many instances the process can carry: address space and memory mappings, one budget for all engines.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Profile;
use crate::error::Error;

/// Mappings a pool takes for each slot when it is made.
pub const MAPPINGS_PER_SLOT: i64 = 2;
/// Mappings a live instance takes besides.
pub const MAPPINGS_PER_INSTANCE: i64 = 4;
/// Left to the program itself: its libraries, threads and heap.
const RESERVE: i64 = 2_500;
const CONCURRENT_SLOTS: u32 = 500;
const MOST_SLOTS: u32 = 40_000;
/// Reserved by the engine for each memory of a slot, guard pages included.
const BYTES_PER_SLOT: u64 = (4 << 30) + (32 << 20);

static BUDGET: OnceLock<AtomicI64> = OnceLock::new();

/// The kernel's bound on mappings of a process, where it tells.
#[must_use]
pub fn max_map_count() -> i64 {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(65_530)
}

fn mappings_now() -> i64 {
    std::fs::read("/proc/self/maps").map_or(1_000, |maps| {
        i64::try_from(maps.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(i64::MAX)
    })
}

fn budget() -> &'static AtomicI64 {
    BUDGET.get_or_init(|| AtomicI64::new(max_map_count() - mappings_now() - RESERVE))
}

/// Whether the kernel lets the process reserve `bytes` of addresses.
#[must_use]
pub fn can_reserve(bytes: u64) -> bool {
    use rustix::mm::{MapFlags, ProtFlags};
    let Ok(length) = usize::try_from(bytes) else {
        return false;
    };
    // SAFETY: an anonymous mapping at an address of the kernel's choice, unmapped at once; nothing refers to it.
    unsafe {
        match rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            length,
            ProtFlags::empty(),
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        ) {
            Ok(address) => rustix::mm::munmap(address, length).is_ok(),
            Err(_) => false,
        }
    }
}

/// Slots for the pool of `profile`; 0 where the address space is too small for a pool.
#[must_use]
pub fn slots(profile: Profile) -> u32 {
    let left = budget().load(Ordering::Acquire);
    let by_mappings =
        u32::try_from(left / (MAPPINGS_PER_SLOT + MAPPINGS_PER_INSTANCE)).unwrap_or(0);
    let mut slots = match profile {
        Profile::Plain => by_mappings.min(MOST_SLOTS),
        Profile::Concurrent => by_mappings.min(CONCURRENT_SLOTS),
    };
    while slots >= 16 && !can_reserve(u64::from(slots) * BYTES_PER_SLOT) {
        slots /= 2;
    }
    if slots < 16 { 0 } else { slots }
}

/// Take mappings without asking: what a pool uses when it is made.
pub fn take(mappings: i64) {
    budget().fetch_sub(mappings, Ordering::AcqRel);
}

/// How many more instances the mappings allow.
#[must_use]
pub fn room() -> u64 {
    u64::try_from(budget().load(Ordering::Relaxed) / MAPPINGS_PER_INSTANCE).unwrap_or(0)
}

/// A live instance's share of the mappings; given back when dropped.
#[derive(Debug)]
pub struct Admission(());

impl Admission {
    /// # Errors
    /// [`Error::PoolExhausted`] when the process cannot carry another instance.
    pub fn new() -> Result<Self, Error> {
        let budget = budget();
        if budget.fetch_sub(MAPPINGS_PER_INSTANCE, Ordering::AcqRel) < MAPPINGS_PER_INSTANCE {
            budget.fetch_add(MAPPINGS_PER_INSTANCE, Ordering::AcqRel);
            return Err(Error::PoolExhausted);
        }
        Ok(Self(()))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        budget().fetch_add(MAPPINGS_PER_INSTANCE, Ordering::AcqRel);
    }
}
