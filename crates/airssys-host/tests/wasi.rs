//! Governed WASI, exercised by real guests.
//!
//! The guests are the crates of `components/`, built on first use.

#[path = "wasi/support.rs"]
mod support;

#[path = "wasi/approval.rs"]
mod approval;
#[path = "wasi/files.rs"]
mod files;
#[path = "wasi/http.rs"]
mod http;
#[path = "wasi/http_limits.rs"]
mod http_limits;
#[path = "wasi/linked.rs"]
mod linked;
#[path = "wasi/network.rs"]
mod network;
#[path = "wasi/rules.rs"]
mod rules;
#[path = "wasi/secrets.rs"]
mod secrets;
#[path = "wasi/settings.rs"]
mod settings;
#[path = "wasi/version3.rs"]
mod version3;
#[path = "wasi/ways_in.rs"]
mod ways_in;
