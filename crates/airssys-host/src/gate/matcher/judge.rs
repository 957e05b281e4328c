//! Whether one rule whose pattern matches counts for an access.

use super::super::address::is_global;
use super::super::condition::{Facts, Truth};
use super::super::index::Clause;
use super::super::kind::{AccessBits, Kind};
use super::super::pattern::matches_sequence;
use super::super::rules::{Effect, Part, Rule};
use super::super::subject::Subject;
use super::super::target::Host;
use super::{Reason, Request};

/// Requests and grants are for components; code never has a right through them.
pub(super) fn is_for(rule: &Rule, subject: &Subject) -> bool {
    subject.guest || !matches!(rule.part, Part::Request | Part::Grant)
}

pub(super) fn judge(
    rule: &Rule,
    clause: &Clause,
    subject: &Subject,
    request: &Request<'_>,
) -> Reason {
    if !is_for(rule, subject) {
        return Reason::OtherAudience;
    }
    if rule.access & request.access == 0 {
        return Reason::OtherAccess;
    }
    let (first, last) = clause.ports;
    let port_matches = request
        .target
        .port
        .is_none_or(|port| (first..=last).contains(&port));
    if !port_matches
        || request.target.scheme != 0 && clause.schemes & request.target.scheme == 0
        || rule.kind == Kind::Network && clause.transports & request.transport == 0
    {
        return Reason::OtherPlace;
    }
    if rule.expiry.is_some_and(|expiry| expiry.is_over()) {
        return Reason::Expired;
    }
    if !rule.fits_callers(subject) {
        return Reason::OtherCallers;
    }
    if rule.effect != Effect::Deny
        && let Some(reason) = judge_address(rule, clause, request)
    {
        return reason;
    }
    if let Some(patterns) = &rule.arguments {
        match request.arguments {
            Some(arguments) if !matches_sequence(patterns, arguments) => {
                return Reason::OtherArguments;
            }
            // A deny covers what was not said; an allow covers only what was.
            None if rule.effect != Effect::Deny && request.access & 1 != 0 => {
                return Reason::OtherArguments;
            }
            _ => {}
        }
    }
    let Some(condition) = &rule.when else {
        return Reason::Applies;
    };
    let facts = Facts {
        principal: &subject.name,
        namespace: subject.namespace.as_deref().unwrap_or_default(),
        callers: subject.callers.as_deref(),
        subject: &subject.attributes,
        call: request.attributes,
    };
    match condition.decide(&facts) {
        Truth::True => Reason::Applies,
        Truth::False => Reason::ConditionFalse,
        Truth::Error => Reason::ConditionError,
    }
}

/// A name may lead only to addresses that the whole internet can mean, or that the rule lists.
fn judge_address(rule: &Rule, clause: &Clause, request: &Request<'_>) -> Option<Reason> {
    const CONNECT: AccessBits = 1;
    let by_name = matches!(request.target.host, Some(Host::Name(_)));
    match request.address {
        Some(address) if by_name => {
            let listed = rule.addresses.iter().any(|range| range.contains(address));
            (!listed && !clause.by_address && !is_global(address))
                .then_some(Reason::AddressNotAllowed)
        }
        None if by_name && rule.kind == Kind::Network && request.access == CONNECT => {
            Some(Reason::AddressMissing)
        }
        _ => None,
    }
}
