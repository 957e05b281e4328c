//! Rules as they are written down, and their checked form.

mod error;
mod expiry;
mod selector;
mod target_pattern;
mod text;

use std::sync::Arc;

use serde::Deserialize;

use super::condition::Condition;
use super::kind::{AccessBits, Kind};
use super::network::Network;
use super::pattern::Segment;
use super::subject::Subject;

pub use error::RuleError;
pub use expiry::Expiry;
pub use selector::Selector;
pub use target_pattern::{HostPattern, TargetPattern};
pub use text::parse_rules;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    Allow,
    Deny,
    RequireApproval,
}

/// What a rule is worth by itself. A component may do what it asked for, was granted and the policy allows: one
/// rule of each of the three parts has to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The rule counts by itself, for everybody.
    #[default]
    Whole,
    /// What a component asked for; counts for components only.
    Request,
    /// What was granted to a component; counts for components only.
    Grant,
    /// What may be granted at most; for everybody who is no component the rule counts by itself.
    Ceiling,
}

/// A document of rules, checked.
#[derive(Debug, Default)]
pub struct Rules {
    /// Ordered by id.
    pub list: Vec<Rule>,
    /// Whether components may do only what a rule of [`Part::Ceiling`] allows.
    pub ceiling: bool,
}

/// A rule that is known to be well formed.
#[derive(Debug)]
pub struct Rule {
    pub id: Arc<str>,
    pub effect: Effect,
    pub selectors: Vec<Selector>,
    pub kind: Kind,
    pub access: AccessBits,
    pub patterns: Vec<TargetPattern>,
    /// The targets as they were written.
    pub targets: Vec<String>,
    pub when: Option<Condition>,
    /// The rule counts only for these callers: see [`Rule::fits_callers`].
    pub callers: Option<Vec<Selector>>,
    pub must_audit: bool,
    pub act_as_self: bool,
    pub expiry: Option<Expiry>,
    pub addresses: Vec<Network>,
    pub arguments: Option<Vec<Segment>>,
    pub position: Option<String>,
    pub part: Part,
    /// A grant by which a person answered for good what the policy asks.
    pub approves: bool,
}

impl Rule {
    /// Whether those for whom `subject` acts are the ones that the rule names: each of them where it allows, any
    /// of them where it refuses or asks. What a chain leaves out never makes a rule allow, and always makes it
    /// refuse. Nobody is not named by any rule.
    pub fn fits_callers(&self, subject: &Subject) -> bool {
        let Some(selectors) = &self.callers else {
            return true;
        };
        let Some(callers) = &subject.callers else {
            return false;
        };
        let named = |who: &Arc<Subject>| selectors.iter().any(|selector| selector.selects(who));
        if selectors.contains(&Selector::Everybody) {
            true
        } else if self.effect == Effect::Allow {
            !callers.is_cut() && callers.named().iter().all(named)
        } else {
            callers.is_cut() || callers.named().iter().any(named)
        }
    }
}
