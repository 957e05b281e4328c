//! The message plane, by guests that do what their messages say (`components/actor-puppet`).
//!
//! Nearly every test runs in virtual time on its own thread, so that it is the same each time.

#[path = "plane/edges.rs"]
mod edges;
#[path = "plane/lifecycle.rs"]
mod lifecycle;
#[path = "plane/messages.rs"]
mod messages;
#[path = "plane/outside.rs"]
mod outside;
#[path = "plane/succession.rs"]
mod succession;
#[path = "plane/support.rs"]
mod support;
#[path = "plane/threads.rs"]
mod threads;
#[path = "plane/time.rs"]
mod time;
