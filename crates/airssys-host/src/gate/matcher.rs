//! A compiled set of rules and its decisions.
//!
//! Deny wins over an error, an error over a required approval, that over allow; nothing else counts, in
//! particular not the order in which rules are written. Where the subject is a component, allow takes a request,
//! a grant and, if the set has a ceiling, a rule of the policy: see [`Part`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::Guard;
use smallvec::SmallVec;

use super::address::{canonical, is_global};
use super::condition::{Attributes, Facts, Truth};
use super::index::{BOUNDARY, Clause, Index, OWN, Segments, Token, Tokens};
use super::kind::{AccessBits, Kind};
use super::network::canonical_listen;
use super::pattern::{Segment, matches_sequence};
use super::rules::{Effect, Part, Rule, RuleError, Rules, Selector, parse_rules};
use super::subject::Subject;
use super::target::{Domain, Host, LISTEN, TCP, Target};

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

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A rule allows it; or, without a rule, the kind is given by default.
    Allow,
    Deny,
    /// A rule could not be decided, which denies.
    RuleError,
    RequireApproval,
    NotGranted,
}

/// An outcome, and the rule it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    rule: u32,
    /// A rule erred, whatever the outcome.
    pub alarm: bool,
    /// Some rule that matched wants its record durable before the effect.
    pub must_audit: bool,
    /// What is missing where the outcome is [`Outcome::NotGranted`] and something is there.
    pub lack: Option<Lack>,
}

/// The part that a component lacks of a right that it has in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Request,
    Grant,
    Ceiling,
}

impl Lack {
    /// What stands in the place of a rule in records.
    pub const fn rule(self) -> &'static str {
        match self {
            Lack::Request => "not-requested",
            Lack::Grant => "not-granted",
            Lack::Ceiling => "beyond-policy",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Lack::Request => "it is granted, but the component does not ask for it",
            Lack::Grant => "the component asks for it, but it is not granted",
            Lack::Ceiling => "it is granted, but no rule of the policy allows it",
        }
    }
}

const NO_RULE: u32 = u32::MAX;

/// Why a rule counted or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Applies,
    OtherAudience,
    OtherAccess,
    OtherPlace,
    OtherArguments,
    AddressNotAllowed,
    AddressMissing,
    Expired,
    OtherCallers,
    ConditionFalse,
    ConditionError,
}

impl Reason {
    pub const fn text(self) -> &'static str {
        match self {
            Reason::Applies => "applies",
            Reason::OtherAudience => "is for components",
            Reason::OtherAccess => "names other accesses",
            Reason::OtherPlace => "names another port, scheme or transport",
            Reason::OtherArguments => "names other arguments",
            Reason::AddressNotAllowed => {
                "the name leads to an address outside the rule's addresses"
            }
            Reason::AddressMissing => "the name was not resolved to an address yet",
            Reason::Expired => "has expired",
            Reason::OtherCallers => "names other callers",
            Reason::ConditionFalse => "its condition is false",
            Reason::ConditionError => "its condition could not be decided",
        }
    }
}

#[derive(Debug, Default)]
struct SelectorIndex {
    domains: [Option<Box<Index>>; Domain::COUNT],
}

/// The indices that concern one subject, found once per set of rules.
#[derive(Debug)]
pub struct Bound {
    set: u64,
    indices: SmallVec<[Arc<SelectorIndex>; 4]>,
}

/// The indices of a [`Bound`], which stays counted by its subject.
struct Concerned(Guard<Option<Arc<Bound>>>);

impl Deref for Concerned {
    type Target = [Arc<SelectorIndex>];

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().map_or(&[], |bound| &bound.indices)
    }
}

/// Rules, compiled. Immutable; a change makes a new set.
#[derive(Debug)]
pub struct RuleSet {
    number: u64,
    rules: Vec<Rule>,
    ceiling: bool,
    segments: Segments,
    selectors: HashMap<Selector, Arc<SelectorIndex>>,
    /// Those of them that are patterns of names.
    patterned: Vec<Selector>,
}

impl Default for RuleSet {
    fn default() -> Self {
        RuleSet::from_rules(Rules::default())
    }
}

impl RuleSet {
    /// Compile a document of rules.
    ///
    /// # Errors
    /// The first rule that is not understood, and why.
    pub fn compile(json: &[u8]) -> Result<RuleSet, RuleError> {
        parse_rules(json).map(Self::from_rules)
    }

    fn from_rules(rules: Rules) -> RuleSet {
        let Rules {
            list: rules,
            ceiling,
        } = rules;
        static SETS: AtomicU64 = AtomicU64::new(1);
        let mut segments = Segments::default();
        let mut selectors: HashMap<Selector, SelectorIndex> = HashMap::new();
        for (number, rule) in rules.iter().enumerate() {
            let number = u32::try_from(number).expect("fewer rules than a u32 counts");
            for selector in &rule.selectors {
                let known = selectors.entry(selector.clone()).or_default();
                for pattern in &rule.patterns {
                    known.domains[pattern.domain as usize]
                        .get_or_insert_default()
                        .insert(pattern, number, &mut segments);
                }
            }
        }
        let selectors: HashMap<_, _> = selectors
            .into_iter()
            .map(|(selector, index)| (selector, Arc::new(index)))
            .collect();
        let patterned = selectors
            .keys()
            .filter(|selector| matches!(selector, Selector::Names(_)))
            .cloned()
            .collect();
        RuleSet {
            number: SETS.fetch_add(1, Ordering::Relaxed),
            rules,
            ceiling,
            segments,
            selectors,
            patterned,
        }
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule that a verdict rests on.
    pub fn rule_of(&self, verdict: &Verdict) -> Option<&Rule> {
        self.rules.get(verdict.rule as usize)
    }

    /// The time until the next rule expires.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.rules
            .iter()
            .filter_map(|rule| rule.expiry.and_then(|expiry| expiry.remaining()))
            .min()
    }

    /// How many rules that expire have not done so.
    pub fn unexpired(&self) -> usize {
        let expires = |rule: &&Rule| rule.expiry.is_some_and(|expiry| !expiry.is_over());
        self.rules.iter().filter(expires).count()
    }

    fn bind(&self, subject: &Subject) -> Arc<Bound> {
        let names = [Selector::Everybody, Selector::Name(subject.name.clone())];
        let namespace = subject
            .namespace
            .iter()
            .map(|name| Selector::Namespace(name.clone()));
        let roles = subject
            .roles
            .iter()
            .map(|name| Selector::Role(name.clone()));
        let revision = subject
            .revision
            .map(|number| Selector::Revision(format!("{}@{number}", subject.name)));
        let name: SmallVec<[&[u8]; 4]> = subject
            .name
            .as_bytes()
            .split(|byte| *byte == b'/')
            .collect();
        let patterns = self.patterned.iter().filter(|selector| {
            matches!(selector, Selector::Names(pattern) if matches_sequence(pattern, &name))
        });
        let indices = names
            .into_iter()
            .chain(namespace)
            .chain(roles)
            .chain(revision)
            .chain(patterns.cloned())
            .filter_map(|selector| self.selectors.get(&selector).cloned())
            .collect();
        Arc::new(Bound {
            set: self.number,
            indices,
        })
    }

    /// Decide one access of `subject`.
    pub fn decide(&self, subject: &Subject, request: &Request<'_>) -> Verdict {
        let mut tally = Tally::of(subject);
        self.candidates(subject, request, |clause| {
            let rule = &self.rules[clause.rule as usize];
            let reason = judge(rule, clause, subject, request);
            tally.count(rule, clause.rule, reason);
        });
        tally.verdict(request.kind, self.ceiling)
    }

    /// Decide like [`Self::decide`], and say for every rule whose pattern matches why it counted or not.
    pub fn explain(
        &self,
        subject: &Subject,
        request: &Request<'_>,
    ) -> (Verdict, Vec<(&Rule, Reason)>) {
        let mut tally = Tally::of(subject);
        let mut considered = Vec::new();
        self.candidates(subject, request, |clause| {
            let rule = &self.rules[clause.rule as usize];
            let reason = judge(rule, clause, subject, request);
            tally.count(rule, clause.rule, reason);
            considered.push((clause.rule, reason));
        });
        considered.sort_by_key(|(rule, reason)| (*rule, *reason != Reason::Applies));
        considered.dedup_by_key(|(rule, _)| *rule);
        let considered = considered
            .into_iter()
            .map(|(rule, reason)| (&self.rules[rule as usize], reason))
            .collect();
        (tally.verdict(request.kind, self.ceiling), considered)
    }

    fn candidates(&self, subject: &Subject, request: &Request<'_>, mut found: impl FnMut(&Clause)) {
        let bound = self.bound(subject);
        let domain = request.target.domain;
        let mut tokens = None;
        for indices in &*bound {
            let Some(index) = &indices.domains[domain as usize] else {
                continue;
            };
            index.look_up(&request.target, &mut found);
            if !index.has_wildcards() {
                continue;
            }
            let tokens = tokens.get_or_insert_with(|| Tokens::of(&request.target, &self.segments));
            index.walk(tokens, request.address, &mut found);
            if domain.knows_self()
                && let Some(own) = own_tokens(subject, request, tokens)
            {
                index.walk(&own, None, &mut found);
            }
        }
    }

    fn bound(&self, subject: &Subject) -> Concerned {
        let known = subject.bound().load();
        if known.as_ref().is_some_and(|bound| bound.set == self.number) {
            return Concerned(known);
        }
        let bound = self.bind(subject);
        subject.bound().store(Some(Arc::clone(&bound)));
        Concerned(Guard::from_inner(Some(bound)))
    }

    /// Whether every target below `directory` is allowed, as far as patterns alone can tell: a condition,
    /// an approval or a deny that might touch any of them counts against it.
    pub fn covers_subtree(&self, subject: &Subject, request: &Request<'_>) -> bool {
        let bound = self.bound(subject);
        let tokens = Tokens::of(&request.target, &self.segments);
        let (mut covering, mut endangered) = (Parts::default(), false);
        for indices in &*bound {
            let Some(index) = &indices.domains[request.target.domain as usize] else {
                continue;
            };
            let concerns = |clause: &Clause| {
                let rule = &self.rules[clause.rule as usize];
                let concerned = is_for(rule, subject)
                    && rule.access & request.access != 0
                    && rule.expiry.is_none_or(|expiry| !expiry.is_over())
                    && rule.fits_callers(subject);
                concerned.then_some(rule)
            };
            index.walk_subtree(
                &request.target,
                &tokens,
                |clause| {
                    if let Some(rule) = concerns(clause)
                        && rule.effect == Effect::Allow
                        && rule.when.is_none()
                    {
                        covering.add(rule, clause.rule);
                    }
                },
                |clause| {
                    endangered |= concerns(clause)
                        .is_some_and(|rule| rule.effect != Effect::Allow || rule.when.is_some());
                },
            );
        }
        covering.allow(subject.guest, self.ceiling).is_ok() && !endangered
    }

    /// Whether a rule that allows HTTP to `host` lists `address` among those that the name may mean.
    pub fn lists_http_address(&self, subject: &Subject, host: &str, address: IpAddr) -> bool {
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
        let mut tokens = Tokens::of(&target, &self.segments);
        tokens.list.truncate(
            tokens
                .list
                .iter()
                .position(|token| token.id == BOUNDARY)
                .map_or(0, |end| end + 1),
        );
        let mut listing = Parts::default();
        for indices in &*self.bound(subject) {
            if let Some(index) = &indices.domains[Domain::Http as usize] {
                index.walk_subtree(
                    &target,
                    &tokens,
                    |_| {},
                    |clause| {
                        let rule = &self.rules[clause.rule as usize];
                        if is_for(rule, subject)
                            && rule.effect != Effect::Deny
                            && rule.expiry.is_none_or(|expiry| !expiry.is_over())
                            && rule.fits_callers(subject)
                            && rule.addresses.iter().any(|range| range.contains(address))
                        {
                            listing.add(rule, clause.rule);
                        }
                    },
                );
            }
        }
        listing.allow(subject.guest, self.ceiling).is_ok()
    }

    /// What rules allow `subject`, as it is written: kind, access (`*` for all) and pattern of targets. A condition
    /// or a deny may still refuse it.
    pub fn rights(&self, subject: &Subject) -> Vec<(Kind, &'static str, String)> {
        let mut rights = Vec::new();
        for rule in &self.rules {
            let theirs = rule
                .selectors
                .iter()
                .any(|selector| selector.selects(subject));
            // What it asked for is no right, and neither is what it may be granted at most.
            let right = match rule.part {
                Part::Whole | Part::Grant => is_for(rule, subject),
                Part::Ceiling => !subject.guest,
                Part::Request => false,
            };
            if !theirs
                || !right
                || rule.effect != Effect::Allow
                || rule.expiry.is_some_and(|expiry| expiry.is_over())
                || !rule.fits_callers(subject)
            {
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

    /// The filesystem rights of `subject` that are whole files or whole trees, for the kernel to enforce:
    /// path, whether all below it, accesses. What a deny, a condition or an approval touches is left out.
    pub fn path_grants(&self, subject: &Subject) -> Vec<(Vec<u8>, bool, AccessBits)> {
        let bound = self.bound(subject);
        let mut claims: Vec<(Vec<u8>, bool)> = Vec::new();
        for rule in &self.rules {
            let theirs = rule.selectors.iter().any(|selector| {
                self.selectors
                    .get(selector)
                    .is_some_and(|index| bound.iter().any(|bound| Arc::ptr_eq(bound, index)))
            });
            if !theirs || rule.kind != Kind::Filesystem || rule.effect != Effect::Allow {
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
                    self.covers_subtree(subject, &request)
                } else {
                    self.decide(subject, &request).outcome == Outcome::Allow
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

/// The tokens of a target below the subject's own id, or below `self`, with the sign for it in its place.
fn own_tokens<'a>(
    subject: &Subject,
    request: &'a Request<'_>,
    tokens: &Tokens<'a>,
) -> Option<Tokens<'a>> {
    let separator = request.target.domain.separator();
    let below = |id: &[u8]| {
        let rest = request.target.text.strip_prefix(id)?;
        (rest.is_empty() || rest[0] == separator)
            .then(|| id.split(|byte| *byte == separator).count())
    };
    let taken = below(b"self").or_else(|| below(subject.id.as_bytes()))?;
    let mut own = Tokens::default();
    own.list.push(Token {
        id: OWN,
        text: b"self",
    });
    own.list.extend(tokens.list.iter().skip(taken).copied());
    Some(own)
}

/// Requests and grants are for components; code never has a right through them.
fn is_for(rule: &Rule, subject: &Subject) -> bool {
    subject.guest || !matches!(rule.part, Part::Request | Part::Grant)
}

fn judge(rule: &Rule, clause: &Clause, subject: &Subject, request: &Request<'_>) -> Reason {
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

/// For each part, the first rule by id that allows.
#[derive(Clone, Copy)]
struct Parts {
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
    fn add(&mut self, rule: &Rule, number: u32) {
        let first = match rule.part {
            Part::Whole => &mut self.whole,
            Part::Request => &mut self.request,
            Part::Grant => &mut self.grant,
            Part::Ceiling => &mut self.ceiling,
        };
        *first = number.min(*first);
    }

    /// The rule by which all parts together allow, or what lacks where any is there.
    fn allow(&self, component: bool, ceiling: bool) -> Result<u32, Option<Lack>> {
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
struct Tally {
    component: bool,
    allow: Parts,
    ask: u32,
    /// Asked for by the policy; of a component only what it requests is put to a person.
    ask_within: u32,
    error: u32,
    deny: u32,
    must_audit: bool,
}

impl Tally {
    fn of(subject: &Subject) -> Tally {
        Tally {
            component: subject.guest,
            allow: Parts::default(),
            ask: NO_RULE,
            ask_within: NO_RULE,
            error: NO_RULE,
            deny: NO_RULE,
            must_audit: false,
        }
    }

    fn count(&mut self, rule: &Rule, number: u32, reason: Reason) {
        let first = match (reason, rule.effect) {
            (Reason::Applies, Effect::Allow) => {
                self.allow.add(rule, number);
                self.must_audit |= rule.must_audit;
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

    fn verdict(self, kind: Kind, ceiling: bool) -> Verdict {
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

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
