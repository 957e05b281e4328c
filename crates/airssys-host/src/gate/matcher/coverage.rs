//! What rules say of more than one target at once.

use std::net::IpAddr;

use super::super::condition::Attributes;
use super::super::index::{BOUNDARY, Clause, Tokens};
use super::super::kind::{AccessBits, Kind};
use super::super::pattern::Segment;
use super::super::rules::{Effect, Part, Rule};
use super::super::target::{Domain, Target};
use super::judge::is_for;
use super::rule_set::RulesFor;
use super::tally::Parts;
use super::{Outcome, Request};

impl RulesFor<'_> {
    /// Whether every target below `directory` is allowed, as [`Self::subtree_rule`] says.
    pub fn covers_subtree(&self, request: &Request<'_>) -> bool {
        self.subtree_rule(request).is_some()
    }

    /// The rule by which every target below `directory` is allowed, as far as patterns alone can tell: a
    /// condition, an approval or a deny that might touch any of them counts against it.
    pub fn subtree_rule(&self, request: &Request<'_>) -> Option<&Rule> {
        let (mut covering, mut endangered) = (Parts::default(), false);
        for concerned in self.all() {
            let tokens = Tokens::of(&request.target, &concerned.compiled.segments);
            let concerns = |clause: &Clause| {
                let rule = concerned.rule(clause.rule);
                (self.counts(rule) && rule.access & request.access != 0).then_some(rule)
            };
            for indices in concerned.indices {
                let Some(index) = &indices.domains[request.target.domain as usize] else {
                    continue;
                };
                index.walk_subtree(
                    &request.target,
                    &tokens,
                    |clause| {
                        if let Some(rule) = concerns(clause)
                            && rule.effect == Effect::Allow
                            && rule.when.is_none()
                        {
                            covering.add(rule, concerned.number(clause.rule));
                        }
                    },
                    |clause| {
                        endangered |= concerns(clause).is_some_and(|rule| {
                            rule.effect != Effect::Allow || rule.when.is_some()
                        });
                    },
                );
            }
        }
        let number = covering.allow(self.subject.guest, self.ceiling()).ok()?;
        if endangered { None } else { self.rule(number) }
    }

    /// Whether a rule that allows HTTP to `host` lists `address` among those that the name may mean.
    pub fn lists_http_address(&self, host: &str, address: IpAddr) -> bool {
        let Ok(target) =
            Target::parse(Kind::Http, 1, format!("https://{host}/").as_bytes()).map(|target| {
                Target {
                    text: target.text.into_owned().into(),
                    ..target
                }
            })
        else {
            return false;
        };
        let mut listing = Parts::default();
        for concerned in self.all() {
            let mut tokens = Tokens::of(&target, &concerned.compiled.segments);
            tokens.list.truncate(
                tokens
                    .list
                    .iter()
                    .position(|token| token.id == BOUNDARY)
                    .map_or(0, |end| end + 1),
            );
            for indices in concerned.indices {
                let Some(index) = &indices.domains[Domain::Http as usize] else {
                    continue;
                };
                index.walk_subtree(
                    &target,
                    &tokens,
                    |_| {},
                    |clause| {
                        let rule = concerned.rule(clause.rule);
                        if self.counts(rule)
                            && rule.effect != Effect::Deny
                            && rule.addresses.iter().any(|range| range.contains(address))
                        {
                            listing.add(rule, concerned.number(clause.rule));
                        }
                    },
                );
            }
        }
        listing.allow(self.subject.guest, self.ceiling()).is_ok()
    }

    /// What rules allow, as it is written: kind, access (`*` for all) and pattern of targets. A condition or a deny
    /// may still refuse it.
    pub fn rights(&self) -> Vec<(Kind, &'static str, String)> {
        let subject = self.subject;
        let mut rights = Vec::new();
        for rule in self.theirs() {
            // What it asked for is no right, and neither is what it may be granted at most.
            let right = match rule.part {
                Part::Whole | Part::Grant => true,
                Part::Ceiling => !subject.guest,
                Part::Request => false,
            };
            if !right || rule.effect != Effect::Allow || !self.counts(rule) {
                continue;
            }
            let accesses = rule.kind.accesses().iter().enumerate();
            let mut named: Vec<&'static str> = accesses
                .filter(|(position, _)| rule.access & (1 << position) != 0)
                .map(|(_, name)| *name)
                .collect();
            if rule.access == AccessBits::MAX {
                named = vec!["*"];
            }
            for access in named {
                for target in &rule.targets {
                    rights.push((rule.kind, access, target.clone()));
                }
            }
        }
        rights
    }

    /// The filesystem rights that are whole files or whole trees, for the kernel to enforce: path, whether all
    /// below it, accesses. What a deny, a condition or an approval touches is left out.
    pub fn path_grants(&self) -> Vec<(Vec<u8>, bool, AccessBits)> {
        let mut claims: Vec<(Vec<u8>, bool)> = Vec::new();
        for rule in self.theirs() {
            if rule.kind != Kind::Filesystem || rule.effect != Effect::Allow {
                continue;
            }
            claims.extend(
                rule.patterns
                    .iter()
                    .filter_map(|pattern| whole(pattern.segments.as_deref()?)),
            );
        }
        claims.sort();
        claims.dedup();
        let attributes = Attributes::new();
        let mut grants = Vec::new();
        for (path, tree) in claims {
            let mut bits = 0;
            for position in 0..Kind::Filesystem.accesses().len() {
                let access = 1 << position;
                let Ok(target) = Target::path(Domain::Path, &path) else {
                    continue;
                };
                let request = Request::new(Kind::Filesystem, access, target, &attributes);
                let granted = if tree {
                    self.covers_subtree(&request)
                } else {
                    self.decide(&request).outcome == Outcome::Allow
                };
                if granted {
                    bits |= access;
                }
            }
            if bits != 0 {
                grants.push((path, tree, bits));
            }
        }
        grants
    }

    /// The rules that name the subject, in the order of ids.
    fn theirs(&self) -> impl Iterator<Item = &Rule> {
        let all = self.all().flat_map(|concerned| &concerned.compiled.rules);
        all.filter(|rule| {
            let mut selectors = rule.selectors.iter();
            selectors.any(|selector| selector.selects(self.subject))
        })
    }

    /// Whether a rule that names the subject counts now, for those for whom it acts.
    fn counts(&self, rule: &Rule) -> bool {
        is_for(rule, self.subject)
            && rule.expiry.is_none_or(|expiry| !expiry.is_over())
            && rule.fits_callers(self.subject)
    }
}

/// The path of a pattern that is one file, or one directory with everything below it.
fn whole(segments: &[Segment]) -> Option<(Vec<u8>, bool)> {
    let (tree, names) = match segments {
        [names @ .., Segment::Deep] => (true, names),
        names => (false, names),
    };
    let mut path = Vec::new();
    for name in names {
        let Segment::Literal(name) = name else {
            return None;
        };
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Some((path, tree))
}
