//! Governed WASI: every file, socket, name, HTTP request, secret, variable and configuration key of a guest
//! goes through one [`Gate`](crate::gate::Gate), in WASI 0.2 and 0.3 alike.
//!
//! [`Builder`] makes the [`WasiState`] of one instance, which grants nothing by itself; the store's data
//! hands it out as [`Governed`]; [`link::add_to_linker`] is the only place that links an interface of WASI.

mod builder;
mod decide;
mod fs;
#[doc(hidden)]
pub mod fuzzing;
mod given;
mod http;
pub mod link;
mod net;
pub mod secrets;
mod settings;
mod state;

pub use builder::{Builder, Capture, Input, Output};
pub use http::{HttpLimits, tls_trusting};
/// How the HTTPS requests of a guest authenticate servers.
pub use rustls::ClientConfig as Tls;
pub use settings::Settings;
pub(crate) use state::Mounts;
pub use state::{Governed, WasiState, is_handle_limit};
