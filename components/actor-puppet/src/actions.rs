//! The actions, by what they touch. Each module answers whether it knows the action.

pub mod host;
pub mod messages;
pub mod misbehave;
pub mod own;
pub mod reach;
