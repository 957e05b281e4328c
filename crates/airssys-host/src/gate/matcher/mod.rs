//! Compiled rules and their decisions.
//!
//! Deny wins over an error, an error over a required approval, that over allow; nothing else counts, in
//! particular not the order in which rules are written. Where the subject is a component, allow takes a request,
//! a grant and, if its rules have a ceiling, a rule of the policy: see [`Part`](super::rules::Part).

mod compiled;
mod coverage;
mod judge;
mod rule_set;
mod tally;
mod verdict;

use std::net::IpAddr;

use super::address::canonical;
use super::condition::Attributes;
use super::kind::{AccessBits, Kind};
use super::network::canonical_listen;
use super::target::{Host, LISTEN, TCP, Target};

pub use rule_set::{Bound, OwnRules, RuleSet, RulesFor};
pub use verdict::{Lack, Outcome, Reason, Verdict};

/// One access as rules see it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub kind: Kind,
    pub access: AccessBits,
    pub target: Target<'a>,
    /// What the target's name led to, in canonical form: see [`Self::leading_to`].
    pub address: Option<IpAddr>,
    pub transport: u8,
    /// The arguments of a command, without its name.
    pub arguments: Option<&'a [&'a [u8]]>,
    pub attributes: &'a Attributes,
}

impl<'a> Request<'a> {
    /// An access without the facts that only some kinds have.
    pub fn new(
        kind: Kind,
        access: AccessBits,
        target: Target<'a>,
        attributes: &'a Attributes,
    ) -> Request<'a> {
        Request {
            kind,
            access,
            target,
            address: None,
            transport: TCP,
            arguments: None,
            attributes,
        }
    }

    /// The same access, to what the target's name led to.
    ///
    /// # Errors
    /// The target is itself an address, and another one: rules for either would decide about both.
    pub fn leading_to(self, address: IpAddr) -> Result<Request<'a>, String> {
        let address = if self.kind == Kind::Network && self.access & LISTEN != 0 {
            canonical_listen(address)
        } else {
            canonical(address)
        };
        match self.target.host {
            Some(Host::Address(own)) if own != address => Err(format!(
                "the target is {own}, and not the address {address}"
            )),
            _ => Ok(Request {
                address: Some(address),
                ..self
            }),
        }
    }
}

#[cfg(test)]
mod tests;
