//! A gate whose questions do not cost the guest its time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::callers::Acting;
use super::rule_gate::RuleGate;
use super::subject::Subject;
use super::{Access, At, Decision, FileAccess, Gate, Generation};
use crate::instance::Pauses;

/// Stops the clock of one store's call while an approver is waited for.
pub struct Pausing {
    gate: Arc<dyn Gate>,
    pauses: Arc<Pauses>,
}

impl Pausing {
    pub fn new(gate: Arc<dyn Gate>, pauses: Arc<Pauses>) -> Self {
        Self { gate, pauses }
    }

    fn pausing(&self, decision: Decision) -> Decision {
        match decision {
            Decision::Ask(answer) => {
                Decision::Ask(Box::pin(Arc::clone(&self.pauses).during(answer)))
            }
            decided => decided,
        }
    }
}

impl Gate for Pausing {
    fn decide(&self, access: &Access<'_>) -> Decision {
        self.pausing(self.gate.decide(access))
    }

    fn generation(&self) -> &Generation {
        self.gate.generation()
    }

    fn mark(&self) -> u64 {
        self.gate.mark()
    }

    fn of_instance(&self, acting: &Arc<Acting>) -> Option<Arc<dyn Gate>> {
        let gate = self.gate.of_instance(acting)?;
        Some(Arc::new(Self::new(gate, Arc::clone(&self.pauses))))
    }

    fn rules(&self) -> Option<&RuleGate> {
        self.gate.rules()
    }

    fn principal(&self) -> Option<&Arc<Subject>> {
        self.gate.principal()
    }

    fn may_ask(&self) -> bool {
        self.gate.may_ask()
    }

    fn pause(&self) -> Duration {
        self.gate.pause()
    }

    fn decide_http_address(&self, host: &str, address: SocketAddr) -> Decision {
        self.pausing(self.gate.decide_http_address(host, address))
    }

    fn decide_tree(&self, path: &Path, access: FileAccess, at: At<'_>) -> Decision {
        self.pausing(self.gate.decide_tree(path, access, at))
    }
}
