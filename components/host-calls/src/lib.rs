//! Calls functions of the host: several types, results, byte lists, and many times.

wit_bindgen::generate!({ path: "wit" });

use std::sync::atomic::{AtomicU64, Ordering};

use demo::host::log::{self, Level};
use demo::host::math;
use demo::host::store::{self, Entry, Failure};

struct HostCalls;

static TOTAL: AtomicU64 = AtomicU64::new(0);

fn text(failure: Failure) -> String {
    match failure {
        Failure::NotFound(key) => format!("not found: {key}"),
        Failure::TooLarge(size) => format!("too large: {size}"),
        Failure::Unavailable => "unavailable".into(),
    }
}

impl Guest for HostCalls {
    fn log_once(message: String) {
        log::log(&message);
    }

    fn log_all_levels(message: String) {
        for level in [Level::Debug, Level::Info, Level::Warning] {
            let name = format!("{level:?}");
            log::log_at(level, &message, &[("level".into(), name)]);
        }
    }

    fn append(key: String, byte: u8) -> Result<u64, String> {
        let mut value = store::get(&key).map_err(text)?;
        value.push(byte);
        let entry = Entry {
            key,
            value,
            version: None,
        };
        store::put(&entry).map_err(text)
    }

    fn keys(prefix: String, limit: Option<u32>) -> Vec<String> {
        let found = store::find(&prefix, limit);
        found.into_iter().map(|entry| entry.key).collect()
    }

    fn get(key: String) -> Result<Vec<u8>, String> {
        store::get(&key).map_err(text)
    }

    fn count(times: u32) -> u32 {
        (0..times).fold(0, |value, _| math::next(value))
    }

    fn scale(bytes: Vec<u8>, factor: u8) -> Vec<u8> {
        math::scale(&bytes, factor)
    }

    fn slow(milliseconds: u32) -> u32 {
        math::slow(milliseconds)
    }

    fn slow_total(milliseconds: u32) -> u64 {
        let waited = math::slow(milliseconds);
        TOTAL.fetch_add(waited.into(), Ordering::Relaxed) + u64::from(waited)
    }
}

export!(HostCalls);
