//! Putting rules in force: those for everybody, or those of some principals alone.

use std::sync::{Arc, PoisonError};

use super::super::audit::{AuditError, Entry};
use super::super::matcher::{OwnRules, RuleSet};
use super::super::rules::RuleError;
use super::Authority;

/// Why rules were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl Authority {
    /// Replace all rules for everybody at once; the new generation. On an error the old rules stay.
    ///
    /// # Errors
    /// The first rule that is not understood.
    pub fn load(self: &Arc<Self>, json: &[u8]) -> Result<u64, LoadError> {
        let mut hash = blake3::Hasher::new();
        hash.update(json);
        self.replace(b"", &hash, |rules| {
            let rules = rules.with_common(json)?;
            Ok((rules.common_count(), rules))
        })
    }

    /// Replace the rules that some principals have alone, all at once; the new generation. Nothing else is compiled
    /// again. On an error the old rules stay.
    ///
    /// # Errors
    /// The first rule that is not understood, or is not for that principal alone.
    pub fn load_own(self: &Arc<Self>, changes: &[OwnRules<'_>]) -> Result<u64, LoadError> {
        let mut hash = blake3::Hasher::new();
        for json in changes.iter().filter_map(|change| change.json) {
            hash.update(json);
        }
        let whose = match changes {
            [one] => one.principal.to_owned(),
            several => format!("{} principals", several.len()),
        };
        self.replace(whose.as_bytes(), &hash, |rules| {
            let rules = rules.with_own(changes)?;
            let counts = changes
                .iter()
                .map(|change| rules.own_count(change.principal));
            Ok((counts.sum(), rules))
        })
    }

    /// Put what `change` makes of the rules in force, and says how many it compiled.
    fn replace(
        self: &Arc<Self>,
        whose: &[u8],
        hash: &blake3::Hasher,
        change: impl FnOnce(&RuleSet) -> Result<(usize, RuleSet), RuleError>,
    ) -> Result<u64, LoadError> {
        let _one_change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, rules) = change(&self.rules.load())?;
        let detail = format!("{count} rules, sha {}", &hash.finalize().to_hex()[..16]);
        // A change of rights that cannot be recorded does not happen.
        self.audit.append(&Entry {
            subject: None,
            operation: ("gate", "load"),
            target: whose,
            requested: None,
            decision: "done",
            rule: "",
            enforcement: "",
            detail: Some(&detail),
            approved_by: None,
            alarm: false,
            coalesce: false,
        })?;
        self.rules.store(Arc::new(rules));
        self.generation.advance();
        self.expiry.look(self);
        Ok(self.generation.current())
    }
}
