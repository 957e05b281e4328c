//! The index that finds the rules whose patterns match a target, one for each domain.
//!
//! Patterns that match one text only are looked up by it. All others make an automaton: segments are
//! interned once per rule set, so a walk compares integers. All states that a target can be in are followed
//! at once and kept without doubles, which bounds a walk by segments times states however the patterns are
//! written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use memchr::{memchr_iter, memrchr_iter};
use smallvec::SmallVec;

use super::network::Network;
use super::pattern::{Glob, Segment};
use super::rules::{HostPattern, TargetPattern};
use super::target::{Host, Target};

type Map<K, V> = std::collections::HashMap<K, V, RandomState>;

/// An interned segment.
pub type SegmentId = u32;

/// The end of a host; only patterns that end their host there go on.
pub const BOUNDARY: SegmentId = 0;
/// The principal's own id, written `self` in a pattern.
pub const OWN: SegmentId = 1;
/// A segment that no pattern names.
pub const UNKNOWN: SegmentId = SegmentId::MAX;
const NONE: u32 = u32::MAX;

/// The segments that patterns name literally.
#[derive(Debug, Default)]
pub struct Segments {
    ids: Map<Box<[u8]>, SegmentId>,
}

impl Segments {
    fn intern(&mut self, text: &[u8]) -> SegmentId {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = OWN + 1 + u32::try_from(self.ids.len()).expect("fewer segments than a u32 counts");
        self.ids.insert(text.into(), id);
        id
    }

    pub fn find(&self, text: &[u8]) -> SegmentId {
        self.ids.get(text).copied().unwrap_or(UNKNOWN)
    }
}

/// One segment of a target, looked up.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub id: SegmentId,
    pub text: &'a [u8],
}

/// A target as a walk reads it.
#[derive(Debug, Default)]
pub struct Tokens<'a> {
    pub list: SmallVec<[Token<'a>; 16]>,
    /// The address where the target's host is one; the tokens then begin with [`BOUNDARY`] or are empty.
    pub address: Option<IpAddr>,
}

impl<'a> Tokens<'a> {
    /// Look up the segments of `target`.
    pub fn of(target: &'a Target<'_>, segments: &Segments) -> Tokens<'a> {
        let mut tokens = Tokens::default();
        match &target.host {
            Some(Host::Name(range)) => {
                let name = &target.text[range.clone()];
                let mut end = name.len();
                for dot in memrchr_iter(b'.', name) {
                    tokens.push(&name[dot + 1..end], segments);
                    end = dot;
                }
                tokens.push(&name[..end], segments);
            }
            Some(Host::Address(address)) => tokens.address = Some(*address),
            None => {}
        }
        if target.segments.is_empty() {
            return tokens;
        }
        if target.host.is_some() {
            tokens.list.push(Token {
                id: BOUNDARY,
                text: b"",
            });
        }
        let separator = target.domain.separator();
        let path = &target.text[target.segments.clone()];
        let path = if separator == b'/' {
            path.strip_prefix(b"/").unwrap_or(path)
        } else {
            path
        };
        if !path.is_empty() {
            let mut start = 0;
            for end in memchr_iter(separator, path) {
                tokens.push(&path[start..end], segments);
                start = end + 1;
            }
            tokens.push(&path[start..], segments);
        }
        tokens
    }

    fn push(&mut self, text: &'a [u8], segments: &Segments) {
        let id = segments.find(text);
        self.list.push(Token { id, text });
    }
}

/// One rule's claim on the targets that lead to a state.
#[derive(Clone, Copy, Debug)]
pub struct Clause {
    pub rule: u32,
    pub ports: (u16, u16),
    pub schemes: u8,
    pub transports: u8,
    /// Whether the pattern names addresses rather than names.
    pub by_address: bool,
}

#[derive(Debug)]
struct State {
    any: u32,
    deep: u32,
    boundary: u32,
    /// Whether the state follows `**` and so stays through any segment.
    stays: bool,
    /// Whether literal edges leave it.
    literals: bool,
    globs: Option<Box<Globs>>,
    clauses: Vec<Clause>,
}

/// The globs of a state and where each leads, told apart by a byte that every match has at its edge.
#[derive(Debug, Default)]
struct Globs {
    /// Those with a text before their first star, by its first byte.
    by_first: BTreeMap<u8, Vec<(Glob, u32)>>,
    /// Of the others, those with a text behind their last star, by its last byte.
    by_last: BTreeMap<u8, Vec<(Glob, u32)>>,
    others: Vec<(Glob, u32)>,
}

impl Globs {
    /// Those that are kept together with `glob`.
    fn beside(&mut self, glob: &Glob) -> &mut Vec<(Glob, u32)> {
        let (first, last) = glob.ends();
        match (first.first(), last.last()) {
            (Some(byte), _) => self.by_first.entry(*byte).or_default(),
            (None, Some(byte)) => self.by_last.entry(*byte).or_default(),
            (None, None) => &mut self.others,
        }
    }

    /// Call `found` with the state behind each glob that matches `text`.
    fn matching(&self, text: &[u8], mut found: impl FnMut(u32)) {
        let first = text.first().and_then(|byte| self.by_first.get(byte));
        let last = text.last().and_then(|byte| self.by_last.get(byte));
        let some = [first, last].into_iter().flatten().flatten();
        for (glob, to) in some.chain(&self.others) {
            if glob.matches(text) {
                found(*to);
            }
        }
    }

    fn states(&self) -> impl Iterator<Item = u32> {
        let by_byte = self.by_first.values().chain(self.by_last.values());
        let all = by_byte.flatten().chain(&self.others);
        all.map(|(_, to)| *to)
    }
}

/// The patterns of one domain for one selector of principals.
#[derive(Debug)]
pub struct Index {
    /// The clauses of patterns without wildcards, by [`TargetPattern::only_text`].
    exact: Map<Box<[u8]>, SmallVec<[Clause; 1]>>,
    /// Those of all other patterns. The first is where a walk begins.
    states: Vec<State>,
    edges: Map<u64, u32>,
    /// Ranges of addresses by family and length, each a start of its own.
    networks: Vec<(bool, u8, Map<u128, u32>)>,
}

impl Default for Index {
    fn default() -> Self {
        let mut index = Index {
            exact: Map::default(),
            states: Vec::new(),
            edges: Map::default(),
            networks: Vec::new(),
        };
        index.new_state();
        index
    }
}

type Active = SmallVec<[u32; 8]>;

impl Index {
    fn new_state(&mut self) -> u32 {
        self.states.push(State {
            any: NONE,
            deep: NONE,
            boundary: NONE,
            stays: false,
            literals: false,
            globs: None,
            clauses: Vec::new(),
        });
        u32::try_from(self.states.len() - 1).expect("fewer states than a u32 counts")
    }

    /// Add the claim of `rule` on the targets of `pattern`.
    pub fn insert(&mut self, pattern: &TargetPattern, rule: u32, segments: &mut Segments) {
        let clause = Clause {
            rule,
            ports: pattern.ports,
            schemes: pattern.schemes,
            transports: pattern.transports,
            by_address: matches!(pattern.host, Some(HostPattern::Network(_))),
        };
        if let Some(text) = pattern.only_text() {
            self.exact.entry(text.into()).or_default().push(clause);
            return;
        }
        let mut state = match &pattern.host {
            None => 0,
            Some(HostPattern::Network(network)) => self.network_start(network),
            Some(HostPattern::Labels(labels)) => labels
                .iter()
                .fold(0, |state, label| self.follow(state, label, segments)),
        };
        if let Some(path) = &pattern.segments {
            if pattern.host.is_some() {
                state = self.follow_boundary(state);
            }
            for (position, segment) in path.iter().enumerate() {
                let own = position == 0
                    && pattern.domain.knows_self()
                    && *segment == Segment::Literal(b"self"[..].into());
                state = if own {
                    self.follow_literal(state, OWN)
                } else {
                    self.follow(state, segment, segments)
                };
            }
        }
        self.states[state as usize].clauses.push(clause);
    }

    fn network_start(&mut self, network: &Network) -> u32 {
        let place = self
            .networks
            .iter()
            .position(|(v4, length, _)| (*v4, *length) == (network.v4, network.length));
        let place = place.unwrap_or_else(|| {
            self.networks
                .push((network.v4, network.length, Map::default()));
            self.networks.len() - 1
        });
        if let Some(state) = self.networks[place].2.get(&network.bits) {
            return *state;
        }
        let state = self.new_state();
        self.networks[place].2.insert(network.bits, state);
        state
    }

    fn follow_boundary(&mut self, from: u32) -> u32 {
        if self.states[from as usize].boundary == NONE {
            let state = self.new_state();
            self.states[from as usize].boundary = state;
        }
        self.states[from as usize].boundary
    }

    fn follow_literal(&mut self, from: u32, segment: SegmentId) -> u32 {
        if let Some(state) = self.edges.get(&edge(from, segment)) {
            return *state;
        }
        let state = self.new_state();
        self.edges.insert(edge(from, segment), state);
        self.states[from as usize].literals = true;
        state
    }

    fn follow(&mut self, from: u32, segment: &Segment, segments: &mut Segments) -> u32 {
        match segment {
            Segment::Literal(text) => {
                let id = segments.intern(text);
                self.follow_literal(from, id)
            }
            Segment::Any => {
                if self.states[from as usize].any == NONE {
                    let state = self.new_state();
                    self.states[from as usize].any = state;
                }
                self.states[from as usize].any
            }
            Segment::Deep => {
                if self.states[from as usize].deep == NONE {
                    let state = self.new_state();
                    self.states[state as usize].stays = true;
                    self.states[from as usize].deep = state;
                }
                self.states[from as usize].deep
            }
            Segment::Glob(glob) => {
                let next =
                    u32::try_from(self.states.len()).expect("fewer states than a u32 counts");
                let beside = self.states[from as usize]
                    .globs
                    .get_or_insert_default()
                    .beside(glob);
                if let Some((_, state)) = beside.iter().find(|(other, _)| other == glob) {
                    return *state;
                }
                beside.push((glob.clone(), next));
                self.new_state()
            }
        }
    }

    /// Call `found` with every clause whose pattern matches `target` and no other text.
    pub fn look_up(&self, target: &Target<'_>, found: impl FnMut(&Clause)) {
        if !self.exact.is_empty()
            && let Some(text) = target.whole_text()
            && let Some(clauses) = self.exact.get(text)
        {
            clauses.iter().for_each(found);
        }
    }

    /// Whether there is something to find by a walk.
    pub fn has_wildcards(&self) -> bool {
        self.states.len() > 1
    }

    /// Call `found` with every other clause whose pattern matches `tokens`, or the address `also`.
    pub fn walk(&self, tokens: &Tokens<'_>, also: Option<IpAddr>, mut found: impl FnMut(&Clause)) {
        let active = self.reach(tokens, also);
        for state in active {
            self.states[state as usize]
                .clauses
                .iter()
                .for_each(&mut found);
        }
    }

    /// Call `matched` with the clauses that match every target below `target`, of which `tokens` are, and
    /// `possible` with those that may match some of them, or it.
    pub fn walk_subtree(
        &self,
        target: &Target<'_>,
        tokens: &Tokens<'_>,
        mut matched: impl FnMut(&Clause),
        mut possible: impl FnMut(&Clause),
    ) {
        if let Some(top) = target.whole_text() {
            let separator = target.domain.separator();
            let below = |text: &[u8]| {
                text.strip_prefix(top).is_some_and(|rest| {
                    rest.is_empty() || rest[0] == separator || top.ends_with(&[separator])
                })
            };
            for (text, clauses) in &self.exact {
                if below(text) {
                    clauses.iter().for_each(&mut possible);
                }
            }
        }
        let active = self.reach(tokens, None);
        for state in &active {
            let state = &self.states[*state as usize];
            if state.stays {
                state.clauses.iter().for_each(&mut matched);
            }
        }
        let mut children: Map<u32, Vec<u32>> = Map::default();
        for (edge, to) in &self.edges {
            children.entry((*edge >> 32) as u32).or_default().push(*to);
        }
        let mut pending: Vec<u32> = active.to_vec();
        let mut seen = vec![false; self.states.len()];
        while let Some(number) = pending.pop() {
            if std::mem::replace(&mut seen[number as usize], true) {
                continue;
            }
            let state = &self.states[number as usize];
            state.clauses.iter().for_each(&mut possible);
            pending.extend(children.get(&number).into_iter().flatten());
            pending.extend([state.any, state.deep].into_iter().filter(|to| *to != NONE));
            pending.extend(state.globs.iter().flat_map(|globs| globs.states()));
        }
    }

    /// The states that a target leads to, by its own host and by the address `also` of that host.
    fn reach(&self, tokens: &Tokens<'_>, also: Option<IpAddr>) -> Active {
        let boundary = tokens.list.iter().position(|token| token.id == BOUNDARY);
        let (first, rest) = tokens.list.split_at(boundary.unwrap_or(tokens.list.len()));
        let mut active = Active::new();
        if tokens.address.is_none() {
            self.enter(0, &mut active);
            active = self.step_all(active, first);
        }
        for address in [tokens.address, also].into_iter().flatten() {
            self.enter_networks(address, &mut active);
        }
        self.step_all(active, rest)
    }

    fn step_all(&self, mut active: Active, tokens: &[Token<'_>]) -> Active {
        for token in tokens {
            if active.is_empty() {
                break;
            }
            active = self.step(&active, token);
        }
        active
    }

    fn enter_networks(&self, address: IpAddr, active: &mut Active) {
        let exact = Network::of(address);
        for (v4, length, starts) in &self.networks {
            if *v4 == exact.v4
                && let Some(state) = starts.get(&exact.widened(*length).bits)
            {
                self.enter(*state, active);
            }
        }
    }

    fn step(&self, active: &Active, token: &Token<'_>) -> Active {
        let mut next = Active::new();
        for number in active {
            let state = &self.states[*number as usize];
            if token.id == BOUNDARY {
                if state.boundary != NONE {
                    self.enter(state.boundary, &mut next);
                }
                continue;
            }
            if state.literals
                && token.id != UNKNOWN
                && let Some(to) = self.edges.get(&edge(*number, token.id))
            {
                self.enter(*to, &mut next);
            }
            if state.any != NONE {
                self.enter(state.any, &mut next);
            }
            if let Some(globs) = &state.globs {
                globs.matching(token.text, |to| self.enter(to, &mut next));
            }
            if state.stays {
                self.enter(*number, &mut next);
            }
        }
        next
    }

    /// Add a state, and what follows it without a segment, unless it is there.
    fn enter(&self, mut number: u32, active: &mut Active) {
        while number != NONE {
            let state = &self.states[number as usize];
            // Every state has one way in, but those that stay have themselves as a second.
            if state.stays && active.contains(&number) {
                return;
            }
            active.push(number);
            number = state.deep;
        }
    }
}

fn edge(from: u32, segment: SegmentId) -> u64 {
    u64::from(from) << 32 | u64::from(segment)
}
