//! What the rules say of an access, enforced as the subject's deployment says.

use std::sync::Arc;
use std::time::Duration;

use super::super::matcher::{Outcome, Request, RuleSet};
use super::super::rules::Rule;
use super::super::subject::{Enforcement, Subject};
use super::{Answer, Circumstances, Decided, RuleName};

/// What is given because no rule speaks of it.
pub(super) const BY_DEFAULT: RuleName = RuleName::Fixed("default-allow");

pub(super) struct Opinion {
    pub answer: Answer,
    pub rule: RuleName,
    pub reason: String,
    pub observed: bool,
    pub approved: bool,
    pub alarm: bool,
    pub must_audit: bool,
}

impl Opinion {
    pub fn unrecorded(self, generation: u64) -> Decided {
        Decided {
            answer: self.answer,
            rule: self.rule,
            reason: self.reason,
            sequence: 0,
            observed: self.observed,
            alarm: self.alarm,
            delay: Duration::ZERO,
            generation,
            wait_for: None,
        }
    }

    pub fn refuse(rule: RuleName, reason: String) -> Opinion {
        Opinion {
            answer: Answer::Deny,
            rule,
            reason,
            observed: false,
            approved: false,
            alarm: false,
            must_audit: false,
        }
    }
}

pub(super) fn judge(
    rules: &RuleSet,
    subject: &Subject,
    request: &Request<'_>,
    with: &Circumstances<'_>,
) -> Opinion {
    if let Some(bar) = with.barred {
        return Opinion::refuse(RuleName::Fixed(bar.rule), bar.reason.to_owned());
    }
    let mut opinion = judge_for(rules, subject, subject, request, with);
    let acts_for_caller =
        opinion.answer != Answer::Deny && request.kind.guards_against_deputies(request.access);
    if acts_for_caller && let Some(caller) = subject.original_caller() {
        let own = rules.of(subject);
        let verdict = own.decide(request);
        let acts_as_self = own.rule_of(&verdict).is_some_and(|rule| rule.act_as_self);
        let theirs = judge_for(rules, caller, subject, request, with);
        if !acts_as_self && theirs.answer != Answer::Allow {
            opinion.must_audit |= theirs.must_audit;
            opinion.alarm |= theirs.alarm;
            opinion.observed = false;
            if opinion.answer == Answer::Allow || theirs.answer == Answer::Deny {
                opinion.answer = theirs.answer;
                opinion.rule = theirs.rule;
                opinion.reason = format!(
                    "the original caller `{}` does not hold the right: {}",
                    caller.name, theirs.reason
                );
            }
        }
    }
    opinion
}

/// What the rules say of `request` by `who`, enforced as for `subject` and its callers.
fn judge_for(
    rules: &RuleSet,
    who: &Subject,
    subject: &Subject,
    request: &Request<'_>,
    with: &Circumstances<'_>,
) -> Opinion {
    let rules = rules.of(who);
    let verdict = rules.decide(request);
    let rule = rules.rule_of(&verdict);
    let named = |rule: Option<&Rule>| match rule {
        Some(rule) => RuleName::Written(Arc::clone(&rule.id)),
        None => BY_DEFAULT,
    };
    let mut opinion = Opinion {
        answer: Answer::Allow,
        rule: named(rule),
        reason: String::new(),
        observed: false,
        approved: false,
        alarm: verdict.alarm,
        must_audit: verdict.must_audit,
    };
    match verdict.outcome {
        Outcome::Allow => {}
        Outcome::Deny => {
            opinion.answer = Answer::Deny;
            "a rule denies it".clone_into(&mut opinion.reason);
        }
        Outcome::RuleError => {
            opinion.answer = Answer::Deny;
            let id = rule.map_or("", |rule| &rule.id);
            opinion.rule = RuleName::Fixed("rule-error");
            opinion.reason = format!("the condition of rule `{id}` could not be decided");
        }
        Outcome::RequireApproval if with.approved_by.is_some() => opinion.approved = true,
        Outcome::RequireApproval => {
            opinion.answer = Answer::Ask;
            "a rule requires approval".clone_into(&mut opinion.reason);
        }
        Outcome::NotGranted => {
            let (name, reason) = verdict
                .lack
                .map_or(("default-deny", "no rule grants it"), |lack| {
                    (lack.rule(), lack.text())
                });
            opinion.rule = RuleName::Fixed(name);
            reason.clone_into(&mut opinion.reason);
            opinion.observed = subject.effective_enforcement() != Enforcement::Enforce
                && request.kind.may_be_observed(request.access);
            if !opinion.observed {
                opinion.answer = Answer::Deny;
            }
        }
    }
    opinion
}
