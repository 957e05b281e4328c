//! Write components for AirsSys in Rust.
//!
//! ```ignore
//! use airssys_component::{Actor, Refused};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Counter {
//!     count: i64,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "kebab-case")]
//! enum Message {
//!     Add(i64), // {"add": 2}
//!     Get,      // "get"
//! }
//!
//! impl Actor for Counter {
//!     type Message = Message;
//!     type Answer = i64;
//!
//!     fn handle(&mut self, message: Message) -> Result<i64, Refused> {
//!         if let Message::Add(amount) = message {
//!             self.count += amount;
//!         }
//!         Ok(self.count)
//!     }
//! }
//!
//! airssys_component::actor!(Counter);
//! ```
//!
//! A message is JSON. The fields of the type are the state, which is written down when the host asks for a snapshot
//! and read back where an actor goes on. A panic ends the instance; its supervisor starts another one.
//!
//! With the feature `http`, and without the default feature `actor`, a component answers HTTP requests: see
//! [`http!`].

#[cfg(feature = "actor")]
mod actor;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "actor")]
mod logging;
mod refused;
#[cfg(feature = "actor")]
mod talking;

#[cfg(feature = "actor")]
pub use actor::{Actor, Config};
pub use refused::Refused;
#[cfg(feature = "actor")]
pub use talking::{Delivery, ask, publish, subscribe, tell};

/// What `actor!` needs; not for direct use.
#[cfg(feature = "actor")]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["wit/core", "wit/messaging"],
        inline: "
            package airssys:component;
            world actor {
                include airssys:messaging/actor@1.0.0;
                export airssys:core/state@1.0.0;
            }
        ",
        world: "airssys:component/actor",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "airssys_component::bindings",
    });
}

/// What the macros need; not for direct use.
#[doc(hidden)]
pub mod glue {
    #[cfg(feature = "actor")]
    pub use super::actor::Cell;
    #[cfg(feature = "http")]
    pub use wasip2;
}
