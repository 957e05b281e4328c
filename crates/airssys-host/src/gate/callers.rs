//! For whom a principal acts: the chain of those who called it, set by the host alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::subject::{Enforcement, Subject};

/// The most principals that a chain names.
pub const MOST_CALLERS: usize = 16;
/// Those of them that are kept from its beginning when it grows longer.
const KEPT_FIRST: usize = 8;
/// Stands in the middle of a chain for those that are not named. No principal's name has a blank.
pub const LEFT_OUT: &str = "… more";

/// A chain of callers, the original one first and each principal once, at its first place. Immutable and shared:
/// a message carries a pointer to it.
///
/// Beyond [`MOST_CALLERS`] the middle is left out: the first eight and the last eight stay. Rules count what was
/// left out as matching where that refuses, and as not matching where that allows.
#[derive(Debug)]
pub struct Callers {
    /// Never used for another chain, never 0.
    number: u64,
    /// The same for all chains of the same principals.
    shape: u64,
    chain: Box<[Arc<Subject>]>,
    /// How strictly rules are enforced for those that were left out.
    left_out: Option<Enforcement>,
}

impl Callers {
    fn of(chain: Box<[Arc<Subject>]>, left_out: Option<Enforcement>) -> Arc<Callers> {
        const SPREAD: u64 = 0x517c_c1b7_2722_0a95;
        let shape = chain.iter().fold(1_u64, |shape, subject| {
            (shape.rotate_left(5) ^ Arc::as_ptr(subject).addr() as u64).wrapping_mul(SPREAD)
        });
        Arc::new(Callers {
            number: next_number(),
            shape,
            chain,
            left_out,
        })
    }

    /// The chain for whoever `subject` calls while it acts for `earlier` (and for its own callers).
    #[must_use]
    pub fn with(earlier: Option<&Arc<Callers>>, subject: &Arc<Subject>) -> Arc<Callers> {
        let before = join(earlier, subject.callers.as_ref());
        if let Some(before) = &before
            && before.chain.iter().any(|known| same(known, subject))
        {
            return Arc::clone(before);
        }
        extended(before.as_deref(), std::slice::from_ref(subject), None)
    }

    /// The chain without `subject` where that is its end; `None` if nobody is left.
    pub fn before(self: &Arc<Self>, subject: &Subject) -> Option<Arc<Callers>> {
        let (last, before) = self.chain.split_last()?;
        if last.id != subject.id || last.name != subject.name {
            return Some(Arc::clone(self));
        }
        if before.is_empty() {
            return None;
        }
        Some(Callers::of(before.into(), self.left_out))
    }

    pub const fn number(&self) -> u64 {
        self.number
    }

    /// A number that chains of the same principals have in common, and rarely others.
    pub const fn shape(&self) -> u64 {
        self.shape
    }

    /// Who began.
    pub fn original(&self) -> &Arc<Subject> {
        &self.chain[0]
    }

    /// Those that the chain names, the original caller first.
    pub fn named(&self) -> &[Arc<Subject>] {
        &self.chain
    }

    /// Whether some of the middle are not named.
    pub const fn is_cut(&self) -> bool {
        self.left_out.is_some()
    }

    /// The names as they are recorded.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (first, last) = if self.is_cut() {
            self.chain.split_at(KEPT_FIRST)
        } else {
            self.chain.split_at(self.chain.len())
        };
        first
            .iter()
            .map(|subject| subject.name.as_str())
            .chain(self.is_cut().then_some(LEFT_OUT))
            .chain(last.iter().map(|subject| subject.name.as_str()))
    }

    /// How strictly rules are enforced for each, those that are not named included.
    pub fn enforcements(&self) -> impl Iterator<Item = Enforcement> {
        let named = self.chain.iter().map(|subject| subject.enforcement.now());
        named.chain(self.left_out.map(Enforcement::now))
    }

    /// Whether the chain is of the same principals.
    pub fn is_like(&self, other: &Callers) -> bool {
        self.number == other.number
            || self.left_out == other.left_out
                && self.chain.len() == other.chain.len()
                && self
                    .chain
                    .iter()
                    .zip(&other.chain)
                    .all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// Whether two subjects are one principal.
fn same(one: &Arc<Subject>, other: &Arc<Subject>) -> bool {
    Arc::ptr_eq(one, other) || one.id == other.id && one.name == other.name
}

/// One chain after the other.
pub fn join(first: Option<&Arc<Callers>>, then: Option<&Arc<Callers>>) -> Option<Arc<Callers>> {
    match (first, then) {
        (first, None) => first.cloned(),
        (None, then) => then.cloned(),
        (Some(first), Some(then)) => {
            let new: Vec<Arc<Subject>> = then
                .chain
                .iter()
                .filter(|subject| !first.chain.iter().any(|known| same(known, subject)))
                .cloned()
                .collect();
            Some(extended(Some(first), &new, then.left_out))
        }
    }
}

fn extended(
    before: Option<&Callers>,
    new: &[Arc<Subject>],
    also_left_out: Option<Enforcement>,
) -> Arc<Callers> {
    let mut chain: Vec<Arc<Subject>> = before.map_or_else(Vec::new, |before| before.chain.to_vec());
    chain.extend_from_slice(new);
    let left_out = before.and_then(|before| before.left_out);
    let mut left_out = stricter(left_out, also_left_out);
    if chain.len() > MOST_CALLERS {
        let end = KEPT_FIRST + chain.len() - MOST_CALLERS;
        for subject in chain.drain(KEPT_FIRST..end) {
            left_out = stricter(left_out, Some(subject.enforcement.now()));
        }
    }
    Callers::of(chain.into(), left_out)
}

fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

fn stricter(one: Option<Enforcement>, other: Option<Enforcement>) -> Option<Enforcement> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.stricter(other)),
        (one, other) => one.or(other),
    }
}

/// For whom an instance acts at this moment. Whoever lets it handle a message or call says so; its gates look.
#[derive(Debug, Default)]
pub struct Acting {
    number: AtomicU64,
    callers: Mutex<Option<Arc<Callers>>>,
}

impl Acting {
    /// Act for `callers` and nobody else for ever.
    #[must_use]
    pub fn only_for(callers: Option<Arc<Callers>>) -> Arc<Self> {
        let acting = Self::default();
        acting.begin(callers.as_ref());
        Arc::new(acting)
    }

    /// From now on the instance acts for `callers`. A comparison where it did before.
    pub fn begin(&self, callers: Option<&Arc<Callers>>) {
        let number = callers.map_or(0, |callers| callers.number);
        if number != self.number() {
            let mut present = self.locked();
            *present = callers.cloned();
            self.number.store(number, Ordering::Release);
        }
    }

    /// The number of the chain; 0 where it acts for nobody.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub fn callers(&self) -> Option<Arc<Callers>> {
        match self.number() {
            0 => None,
            _ => self.locked().clone(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<Callers>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Arc<Subject> {
        Arc::new(Subject::named(name))
    }

    fn chain(names: &[&str]) -> Arc<Callers> {
        let mut callers = None;
        for name in names {
            callers = Some(Callers::with(callers.as_ref(), &subject(name)));
        }
        callers.expect("at least one name")
    }

    #[test]
    fn each_principal_stands_where_it_came_in() {
        let callers = chain(&["a", "b", "a", "c", "b"]);
        assert_eq!(callers.names().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(callers.original().name, "a");
        let again = Callers::with(Some(&callers), &subject("b"));
        assert!(Arc::ptr_eq(&callers, &again), "nothing new, nothing made");
    }

    #[test]
    fn chains_of_the_same_principals_are_alike() {
        let [one, other] = [subject("a"), subject("b")];
        let chain = |subjects: [&Arc<Subject>; 2]| {
            let first = Callers::with(None, subjects[0]);
            Callers::with(Some(&first), subjects[1])
        };
        let [left, right] = [chain([&one, &other]), chain([&one, &other])];
        assert_ne!(left.number(), right.number());
        assert!(left.is_like(&right) && left.shape() == right.shape());
        let turned = chain([&other, &one]);
        assert!(!left.is_like(&turned) && left.shape() != turned.shape());
    }

    #[test]
    fn two_that_play_ball_push_nobody_out() {
        let mut callers = chain(&["attacker"]);
        for _ in 0..1000 {
            for name in ["left", "right"] {
                callers = Callers::with(Some(&callers), &subject(name));
            }
        }
        assert_eq!(
            callers.names().collect::<Vec<_>>(),
            ["attacker", "left", "right"]
        );
    }

    #[test]
    fn a_long_chain_loses_its_middle_and_no_strictness() {
        let observed = |name: &str| {
            let mut subject = Subject::named(name);
            subject.enforcement = Enforcement::Learn;
            Arc::new(subject)
        };
        let mut callers = Callers::with(None, &observed("p0"));
        for number in 1..40 {
            let next = if number == 20 {
                subject("p20")
            } else {
                observed(&format!("p{number}"))
            };
            callers = Callers::with(Some(&callers), &next);
        }
        let names: Vec<_> = callers.names().collect();
        assert_eq!(names.len(), MOST_CALLERS + 1);
        assert_eq!(
            names[..9],
            ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", LEFT_OUT]
        );
        assert_eq!(
            names[9..],
            ["p32", "p33", "p34", "p35", "p36", "p37", "p38", "p39"]
        );
        assert!(
            callers
                .enforcements()
                .any(|one| one == Enforcement::Enforce)
        );
    }

    #[test]
    fn the_callers_of_a_subject_follow_those_it_acts_for() {
        let mut deputy = Subject::named("deputy");
        deputy.callers = Some(chain(&["x", "y"]));
        let deputy = Arc::new(deputy);
        let callers = Callers::with(Some(&chain(&["y", "z"])), &deputy);
        assert_eq!(
            callers.names().collect::<Vec<_>>(),
            ["y", "z", "x", "deputy"]
        );
    }

    #[test]
    fn acting_is_for_one_chain_at_a_time() {
        let acting = Acting::default();
        assert!(acting.callers().is_none());
        let (one, other) = (chain(&["one"]), chain(&["other"]));
        acting.begin(Some(&one));
        assert!(Arc::ptr_eq(&acting.callers().unwrap(), &one));
        acting.begin(Some(&other));
        assert_eq!(acting.number(), other.number());
        acting.begin(None);
        assert!(acting.callers().is_none());
    }
}
