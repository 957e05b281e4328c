//! The rules in force: those for everybody, and those of each component, compiled apart.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::Guard;

use super::super::rules::{Rule, RuleError, Selector};
use super::super::subject::Subject;
use super::compiled::{Compiled, Indices};
use super::judge::judge;
use super::tally::Tally;
use super::{Reason, Request, Verdict};

/// What the number of a rule has beside its place where it is of a principal's own rules.
const OWN_RULE: u32 = 1 << 31;

/// The rules of one principal alone, to replace those that it has; none to take them away.
#[derive(Clone, Copy, Debug)]
pub struct OwnRules<'a> {
    pub principal: &'a str,
    pub json: Option<&'a [u8]>,
}

/// Rules, compiled. Immutable; a change makes a new set, which shares with this one what did not change.
#[derive(Debug)]
pub struct RuleSet {
    number: u64,
    /// For everybody.
    common: Arc<Compiled>,
    /// For one principal each, by its name.
    own: HashMap<Arc<str>, Arc<Compiled>>,
    /// How many rules that expire had not done so when somebody last looked.
    seen_unexpired: AtomicUsize,
}

impl Default for RuleSet {
    fn default() -> Self {
        RuleSet::made_of(Arc::default(), HashMap::new())
    }
}

impl RuleSet {
    /// Compile a document of rules for everybody.
    ///
    /// # Errors
    /// The first rule that is not understood, and why.
    pub fn compile(json: &[u8]) -> Result<RuleSet, RuleError> {
        RuleSet::default().with_common(json)
    }

    /// This set with other rules for everybody.
    ///
    /// # Errors
    /// The first rule that is not understood, and why.
    pub fn with_common(&self, json: &[u8]) -> Result<RuleSet, RuleError> {
        let common = Compiled::of(json)?;
        for own in self.own.values() {
            refuse_twins(&own.rules, &common)?;
        }
        Ok(RuleSet::made_of(Arc::new(common), self.own.clone()))
    }

    /// This set with other rules for some principals; nothing else is compiled.
    ///
    /// # Errors
    /// The first rule that is not understood, or is not for that principal alone.
    pub fn with_own(&self, changes: &[OwnRules<'_>]) -> Result<RuleSet, RuleError> {
        let mut own = self.own.clone();
        for change in changes {
            let Some(json) = change.json else {
                own.remove(change.principal);
                continue;
            };
            let compiled = Compiled::of(json)?;
            refuse_strangers(&compiled.rules, change.principal)?;
            refuse_twins(&compiled.rules, &self.common)?;
            own.insert(change.principal.into(), Arc::new(compiled));
        }
        Ok(RuleSet::made_of(Arc::clone(&self.common), own))
    }

    fn made_of(common: Arc<Compiled>, own: HashMap<Arc<str>, Arc<Compiled>>) -> RuleSet {
        static SETS: AtomicU64 = AtomicU64::new(1);
        let set = RuleSet {
            number: SETS.fetch_add(1, Ordering::Relaxed),
            common,
            own,
            seen_unexpired: AtomicUsize::new(0),
        };
        set.expired();
        set
    }

    fn all(&self) -> impl Iterator<Item = &Compiled> {
        iter::once(&*self.common).chain(self.own.values().map(|own| &**own))
    }

    pub fn len(&self) -> usize {
        self.all().map(|compiled| compiled.rules.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rules are for everybody.
    pub fn common_count(&self) -> usize {
        self.common.rules.len()
    }

    /// How many rules a principal has alone.
    pub fn own_count(&self, principal: &str) -> usize {
        self.own.get(principal).map_or(0, |own| own.rules.len())
    }

    /// The time until the next rule expires.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.all().filter_map(Compiled::next_expiry).min()
    }

    /// Whether a rule expired since this was asked last, or since the set was made.
    pub fn expired(&self) -> bool {
        let unexpired = self.all().map(Compiled::unexpired).sum();
        self.seen_unexpired.swap(unexpired, Ordering::Relaxed) != unexpired
    }

    /// The rules that concern `subject`.
    pub fn of<'a>(&'a self, subject: &'a Subject) -> RulesFor<'a> {
        let known = subject.bound().load();
        if known.as_ref().is_some_and(|bound| bound.set == self.number) {
            return RulesFor {
                set: self,
                subject,
                bound: known,
            };
        }
        let own = self.own.get(&*subject.name);
        let bound = Arc::new(Bound {
            set: self.number,
            common: self.common.indices(subject),
            own: own.map(|own| (Arc::clone(own), own.indices(subject))),
        });
        subject.bound().store(Some(Arc::clone(&bound)));
        RulesFor {
            set: self,
            subject,
            bound: Guard::from_inner(Some(bound)),
        }
    }
}

/// Refuse a document in which a rule has an id that a rule in force has.
fn refuse_twins(own: &[Rule], common: &Compiled) -> Result<(), RuleError> {
    match own.iter().find_map(|rule| common.named(&rule.id)) {
        None => Ok(()),
        Some(rule) => Err(RuleError {
            rule: Some(rule.id.to_string()),
            index: None,
            position: rule.position.clone(),
            field: Some("id"),
            message: "another rule has this id; ids are unique".to_owned(),
        }),
    }
}

/// Refuse rules that would be looked for only where `principal` acts, and are for somebody else.
fn refuse_strangers(rules: &[Rule], principal: &str) -> Result<(), RuleError> {
    let is_own = |selector: &Selector| match selector {
        Selector::Name(name) => name == principal,
        Selector::Revision(revision) => revision
            .rsplit_once('@')
            .is_some_and(|(name, _)| name == principal),
        _ => false,
    };
    match rules.iter().find(|rule| !rule.selectors.iter().all(is_own)) {
        None => Ok(()),
        Some(rule) => Err(RuleError {
            rule: Some(rule.id.to_string()),
            index: None,
            position: rule.position.clone(),
            field: Some("principals"),
            message: format!("the rules of `{principal}` are for it alone"),
        }),
    }
}

/// What concerns one subject, found once per set of rules.
#[derive(Debug)]
pub struct Bound {
    set: u64,
    common: Indices,
    own: Option<(Arc<Compiled>, Indices)>,
}

/// The rules that concern one subject.
pub struct RulesFor<'a> {
    pub(super) set: &'a RuleSet,
    pub(super) subject: &'a Subject,
    bound: Guard<Option<Arc<Bound>>>,
}

/// Rules that were compiled together, and which of them concern a subject.
#[derive(Clone, Copy)]
pub(super) struct Concerned<'a> {
    pub compiled: &'a Compiled,
    pub indices: &'a Indices,
    /// What is added to the place of a rule, so that its number is its own among all.
    base: u32,
}

impl<'a> Concerned<'a> {
    pub fn rule(self, place: u32) -> &'a Rule {
        &self.compiled.rules[place as usize]
    }

    pub const fn number(self, place: u32) -> u32 {
        self.base | place
    }
}

impl RulesFor<'_> {
    /// Those for everybody, then the subject's own.
    pub(super) fn all(&self) -> impl Iterator<Item = Concerned<'_>> {
        let bound = self.bound.as_ref();
        let common = bound.map(|bound| Concerned {
            compiled: &self.set.common,
            indices: &bound.common,
            base: 0,
        });
        let own = bound.and_then(|bound| bound.own.as_ref());
        let own = own.map(|(compiled, indices)| Concerned {
            compiled,
            indices,
            base: OWN_RULE,
        });
        common.into_iter().chain(own)
    }

    /// Whether a component may do only what a rule of the policy allows.
    pub(super) fn ceiling(&self) -> bool {
        self.all().any(|concerned| concerned.compiled.ceiling)
    }

    /// The rule of this number.
    pub(super) fn rule(&self, number: u32) -> Option<&Rule> {
        let base = number & OWN_RULE;
        let of = self.all().find(|concerned| concerned.base == base)?;
        of.compiled.rules.get((number & !OWN_RULE) as usize)
    }

    /// The rule that a verdict rests on.
    pub fn rule_of(&self, verdict: &Verdict) -> Option<&Rule> {
        self.rule(verdict.rule)
    }

    /// Decide one access.
    pub fn decide(&self, request: &Request<'_>) -> Verdict {
        self.tallied(request, |_, _| ())
    }

    /// Decide like [`Self::decide`], and say for every rule whose pattern matches why it counted or not.
    pub fn explain(&self, request: &Request<'_>) -> (Verdict, Vec<(&Rule, Reason)>) {
        let mut considered = Vec::new();
        let verdict = self.tallied(request, |number, reason| considered.push((number, reason)));
        considered.sort_by_key(|(number, reason)| (*number, *reason != Reason::Applies));
        considered.dedup_by_key(|(number, _)| *number);
        let considered = considered
            .into_iter()
            .filter_map(|(number, reason)| Some((self.rule(number)?, reason)))
            .collect();
        (verdict, considered)
    }

    fn tallied(&self, request: &Request<'_>, mut considered: impl FnMut(u32, Reason)) -> Verdict {
        let subject = self.subject;
        let mut tally = Tally::of(subject);
        let mut ceiling = false;
        for concerned in self.all() {
            let (compiled, indices) = (concerned.compiled, concerned.indices);
            ceiling |= compiled.ceiling;
            compiled.candidates(indices, subject, request, |clause| {
                let rule = concerned.rule(clause.rule);
                let reason = judge(rule, clause, subject, request);
                let number = concerned.number(clause.rule);
                tally.count(rule, number, reason);
                considered(number, reason);
            });
        }
        tally.verdict(request.kind, ceiling)
    }
}
