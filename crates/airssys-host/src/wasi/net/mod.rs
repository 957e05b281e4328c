//! Governed names and sockets.
//!
//! Sockets are the stock ones; each asks its own [`socket::SocketRight`] before it uses an address, and the
//! streams of a connection rest on it. Names are looked up here, since what a name resolved to decides
//! which address may be connected.

pub(crate) mod connections;
pub(crate) mod names;
mod p2;
mod p3;
mod relay;
pub(crate) mod socket;
mod stream;

use std::sync::Arc;

use crate::gate::Gate;

/// The network of one instance.
pub(crate) struct Net {
    pub gate: Arc<dyn Gate>,
    pub names: names::Names,
    pub connections: Arc<connections::Connections>,
}

impl Net {
    pub fn new(gate: Arc<dyn Gate>) -> Self {
        Self {
            gate,
            names: names::Names::new(),
            connections: Arc::default(),
        }
    }
}
