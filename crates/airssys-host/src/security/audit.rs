//! Records in the words of a component.

use super::wit::audit::{AuditError, Host};
use crate::gate::authority::Said;
use crate::instance::State;

/// The longest name of an event, and the most of everything together, in bytes.
const EVENT: usize = 256;
const RECORD: usize = 4096;

impl Host for State {
    fn emit(&mut self, event: String, fields: Vec<(String, String)>) -> Result<(), AuditError> {
        let rules = self.rules().ok_or(AuditError::Unavailable)?;
        let size = fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + "\"\":\"\",".len())
            .sum::<usize>();
        if event.is_empty() || event.len() > EVENT || event.len() + size > RECORD {
            return Err(AuditError::TooLarge);
        }
        let fields: serde_json::Map<String, serde_json::Value> = fields
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let detail = serde_json::Value::Object(fields).to_string();
        match rules.say(&event, &detail) {
            Said::Recorded => Ok(()),
            Said::TooMany => Err(AuditError::TooMany),
            Said::Unavailable => Err(AuditError::Unavailable),
        }
    }
}
