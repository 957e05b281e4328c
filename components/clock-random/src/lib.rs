//! Clocks, sleeping and randomness, as a guest sees them.

wit_bindgen::generate!({ path: "wit" });

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use wasip2::clocks::monotonic_clock;
use wasip2::random::{insecure, insecure_seed, random};

struct ClockRandom;

impl Guest for ClockRandom {
    fn wall_clock() -> u64 {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("the clock is past 1970");
        since_epoch.as_nanos() as u64
    }

    fn monotonic_clock() -> u64 {
        monotonic_clock::now()
    }

    fn resolution() -> u64 {
        monotonic_clock::resolution()
    }

    fn random_bytes(length: u64) -> Vec<u8> {
        random::get_random_bytes(length)
    }

    fn random_u64() -> u64 {
        random::get_random_u64()
    }

    fn insecure_bytes(length: u64) -> Vec<u8> {
        insecure::get_insecure_random_bytes(length)
    }

    fn insecure_seed() -> (u64, u64) {
        insecure_seed::insecure_seed()
    }

    fn sleep(milliseconds: u32) {
        std::thread::sleep(Duration::from_millis(milliseconds.into()));
    }

    fn first_timer(milliseconds: Vec<u32>) -> u32 {
        let timers: Vec<_> = milliseconds
            .iter()
            .map(|&each| monotonic_clock::subscribe_duration(u64::from(each) * 1_000_000))
            .collect();
        wasip2::io::poll::poll(&timers.iter().collect::<Vec<_>>())[0]
    }

    fn hash(text: String) -> u64 {
        RandomState::new().hash_one(text)
    }
}

export!(ClockRandom);
