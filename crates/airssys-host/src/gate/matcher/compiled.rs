//! Rules that are compiled together, and the indices that find them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::super::index::{Clause, Index, OWN, Segments, Token, Tokens, UNKNOWN};
use super::super::pattern::matches_sequence;
use super::super::rules::{Rule, RuleError, Rules, Selector, parse_rules};
use super::super::subject::Subject;
use super::super::target::Domain;
use super::Request;

/// The rules for one selector of principals, by domain.
#[derive(Debug, Default)]
pub(super) struct SelectorIndex {
    pub domains: [Option<Box<Index>>; Domain::COUNT],
}

/// The indices that concern one subject.
pub(super) type Indices = SmallVec<[Arc<SelectorIndex>; 4]>;

/// One document of rules, compiled. Immutable; a change compiles it anew.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    /// Ordered by id.
    pub rules: Vec<Rule>,
    pub ceiling: bool,
    pub segments: Segments,
    selectors: HashMap<Selector, Arc<SelectorIndex>>,
    /// Those of them that are patterns of names.
    patterned: Vec<Selector>,
}

impl Compiled {
    pub fn of(json: &[u8]) -> Result<Compiled, RuleError> {
        let Rules {
            list: rules,
            ceiling,
        } = parse_rules(json)?;
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
        Ok(Compiled {
            rules,
            ceiling,
            segments,
            selectors,
            patterned,
        })
    }

    /// The rule of this id.
    pub fn named(&self, id: &str) -> Option<&Rule> {
        let place = self
            .rules
            .binary_search_by(|rule| (*rule.id).cmp(id))
            .ok()?;
        Some(&self.rules[place])
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

    /// The indices of all selectors that select `subject`.
    pub fn indices(&self, subject: &Subject) -> Indices {
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
        names
            .into_iter()
            .chain(namespace)
            .chain(roles)
            .chain(revision)
            .chain(patterns.cloned())
            .filter_map(|selector| self.selectors.get(&selector).cloned())
            .collect()
    }

    /// Call `found` with every clause of `indices` whose pattern matches what `subject` accesses.
    pub fn candidates(
        &self,
        indices: &Indices,
        subject: &Subject,
        request: &Request<'_>,
        mut found: impl FnMut(&Clause),
    ) {
        let domain = request.target.domain;
        let mut tokens = None;
        for indices in indices {
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
                && let Some(mut own) = own_tokens(subject, request, tokens)
            {
                index.walk(&own, None, &mut found);
                // `self` behind a `**` is a segment like others, however the target was written.
                own.list[0].id = self.segments.find(b"self");
                let known = tokens.list.first().map(|token| token.id);
                if known != Some(own.list[0].id) && own.list[0].id != UNKNOWN {
                    index.walk(&own, None, &mut found);
                }
            }
        }
    }
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
