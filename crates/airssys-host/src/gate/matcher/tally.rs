//! What the rules that count come to.

use super::super::kind::Kind;
use super::super::rules::{Effect, Part, Rule};
use super::super::subject::Subject;
use super::{Lack, Outcome, Reason, Verdict};

const NO_RULE: u32 = u32::MAX;

/// For each part, the first rule by id that allows.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    whole: u32,
    request: u32,
    grant: u32,
    ceiling: u32,
}

impl Default for Parts {
    fn default() -> Self {
        Parts {
            whole: NO_RULE,
            request: NO_RULE,
            grant: NO_RULE,
            ceiling: NO_RULE,
        }
    }
}

impl Parts {
    pub(super) fn add(&mut self, rule: &Rule, number: u32) {
        let first = match rule.part {
            Part::Whole => &mut self.whole,
            Part::Request => &mut self.request,
            Part::Grant => &mut self.grant,
            Part::Ceiling => &mut self.ceiling,
        };
        *first = number.min(*first);
    }

    /// The rule by which all parts together allow, or what lacks where any is there.
    pub(super) fn allow(&self, component: bool, ceiling: bool) -> Result<u32, Option<Lack>> {
        if self.whole != NO_RULE {
            let other = if component { NO_RULE } else { self.ceiling };
            return Ok(self.whole.min(other));
        }
        if !component {
            return if self.ceiling == NO_RULE {
                Err(None)
            } else {
                Ok(self.ceiling)
            };
        }
        match (self.request != NO_RULE, self.grant != NO_RULE) {
            (false, false) => Err(None),
            (false, true) => Err(Some(Lack::Request)),
            (true, false) => Err(Some(Lack::Grant)),
            (true, true) if ceiling && self.ceiling == NO_RULE => Err(Some(Lack::Ceiling)),
            (true, true) => Ok(self.grant),
        }
    }
}

/// What the rules that matched come to, with the first rule by id for each outcome.
pub(super) struct Tally {
    component: bool,
    allow: Parts,
    ask: u32,
    /// Asked for by the policy; of a component only what it requests is put to a person.
    ask_within: u32,
    /// A grant that answers what is asked.
    approved: u32,
    error: u32,
    deny: u32,
    must_audit: bool,
}

impl Tally {
    pub(super) fn of(subject: &Subject) -> Tally {
        Tally {
            component: subject.guest,
            allow: Parts::default(),
            ask: NO_RULE,
            ask_within: NO_RULE,
            approved: NO_RULE,
            error: NO_RULE,
            deny: NO_RULE,
            must_audit: false,
        }
    }

    pub(super) fn count(&mut self, rule: &Rule, number: u32, reason: Reason) {
        let first = match (reason, rule.effect) {
            (Reason::Applies, Effect::Allow) => {
                self.allow.add(rule, number);
                self.must_audit |= rule.must_audit;
                if rule.approves {
                    self.approved = number.min(self.approved);
                }
                return;
            }
            (Reason::Applies, Effect::RequireApproval)
                if self.component && rule.part == Part::Ceiling =>
            {
                &mut self.ask_within
            }
            (Reason::Applies, Effect::RequireApproval) => &mut self.ask,
            (Reason::Applies, Effect::Deny) => &mut self.deny,
            (Reason::ConditionError, _) => &mut self.error,
            _ => return,
        };
        *first = number.min(*first);
        self.must_audit |= rule.must_audit;
    }

    pub(super) fn verdict(self, kind: Kind, ceiling: bool) -> Verdict {
        let ask = if self.allow.request == NO_RULE {
            self.ask
        } else {
            self.ask.min(self.ask_within)
        };
        let mut lack = None;
        let (outcome, rule) = if self.deny != NO_RULE {
            (Outcome::Deny, self.deny)
        } else if self.error != NO_RULE {
            (Outcome::RuleError, self.error)
        } else if ask != NO_RULE && self.approved != NO_RULE && self.allow.request != NO_RULE {
            (Outcome::Allow, self.approved)
        } else if ask != NO_RULE {
            (Outcome::RequireApproval, ask)
        } else {
            match self.allow.allow(self.component, ceiling) {
                Ok(rule) => (Outcome::Allow, rule),
                Err(_) if kind.given_by_default() => (Outcome::Allow, NO_RULE),
                Err(missing) => {
                    lack = missing;
                    (Outcome::NotGranted, NO_RULE)
                }
            }
        };
        Verdict {
            outcome,
            rule,
            alarm: self.error != NO_RULE,
            must_audit: self.must_audit,
            lack,
        }
    }
}
