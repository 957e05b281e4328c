//! Storage of components: durable key-value namespaces, one for each deployment.
//!
//! A [`Backend`](backend::Backend) keeps ordered bytes in atomic transactions: [`RedbFile`](redb_file::RedbFile) in a
//! file, [`Memory`](memory::Memory) in memory, [`Relaxed`](relaxed::Relaxed) over either with writes that are durable
//! a little later. What the bytes mean ([`records`]: versions, expiry, exact totals, quotas) is decided once, above
//! them. [`Storage`] is what a host opens; [`Namespace`] is all that a deployment is given of it.

mod backend;
mod copy;
mod error;
mod group;
pub mod guest;
mod layer;
mod memory;
mod overlay;
mod owned_file;
mod quota;
mod record;
mod records;
mod redb_file;
mod relaxed;
pub mod shared;
mod store;
mod watch;

#[cfg(test)]
mod tests;

pub use copy::Copied;
pub use error::StorageError;
pub use overlay::{Base, Overlay};
pub use quota::Quota;
pub use record::{Entry, Millis};
pub use records::{BATCH_OPERATIONS, Operation, Outcome, PAGE_ENTRIES, Page, Usage};
pub use redb_file::FileOptions;
pub use store::{Clock, Durability, Namespace, Storage, block_on, wall_clock};
pub use watch::{Change, Event, Watcher};
