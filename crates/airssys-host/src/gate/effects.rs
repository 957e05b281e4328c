//! What an access does beyond telling: refused where something is tried out, and nobody outside may notice.

use super::kind::Kind;
use super::{Access, Bar, StorageAccess};

/// The instance is one on trial.
pub const WITHOUT_EFFECTS: Bar = Bar {
    rule: "effect-free",
    reason: "the component runs on trial, where nothing has effects outside of it",
};

impl Access<'_> {
    /// Whether anything outside of the instance would be changed by it, or hear of it.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        match self {
            Access::File { access, .. } => {
                access.changes() || matches!(access, super::FileAccess::Execute)
            }
            Access::Storage { access, apart, .. } => {
                !apart && matches!(access, StorageAccess::Write | StorageAccess::Delete)
            }
            // A name is looked up by asking others.
            Access::Connect { .. }
            | Access::Listen { .. }
            | Access::Resolve { .. }
            | Access::Http { .. }
            | Access::Secret { .. }
            | Access::Message { .. } => true,
            Access::Environment { .. }
            | Access::Config { .. }
            | Access::Given { .. }
            | Access::NoTarget { .. } => false,
            Access::Stated { kind, access, .. } => match kind {
                Kind::Filesystem => !matches!(*access, "read" | "list" | "metadata"),
                Kind::Storage => !matches!(*access, "read" | "list"),
                Kind::Environment | Kind::Config | Kind::Clock | Kind::Random | Kind::Log => false,
                Kind::Network
                | Kind::Http
                | Kind::Messaging
                | Kind::Process
                | Kind::Secret
                | Kind::Custom => true,
            },
        }
    }
}
