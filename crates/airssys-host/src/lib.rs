//! The native core of AirsSys: engine, gate, governed WASI and host services.
//!
//! Nothing here knows of Python. What a guest did wrong is a value with a type ([`error::Error::Trap`],
//! [`error::Error::Limit`], a denied [`gate::Decision`]); what the host did wrong is an error.

pub mod authoring;
pub mod component;
pub mod engine;
pub mod error;
pub mod gate;
pub mod guest_log;
pub mod ingress;
pub mod instance;
pub mod limits;
pub mod osl;
pub mod plane;
pub mod quota;
pub mod route;
pub mod security;
pub mod services;
pub mod storage;
pub mod value;
pub mod wasi;
