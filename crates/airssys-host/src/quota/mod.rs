//! What is used and how much may be: by a deployment, by its namespace, by the host.
//!
//! The limits of one instance are in [`crate::limits`]; here is what instances share.

mod account;
mod bucket;
mod gauge;
mod notices;

pub use account::{Account, Ceilings};
pub use bucket::Bucket;
pub use gauge::{Gauge, UNBOUNDED};
pub use notices::{Happened, Notice, Notices};
