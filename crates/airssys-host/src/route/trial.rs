//! A revision beside the live one: which calls it takes, and what is counted of both.
//!
//! What may be concluded from the counts is decided elsewhere; it depends on nothing but the counts of each
//! [`Stage`], a time over which the weight stayed the same.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::copies::{Copied, Copies, Copy};
use super::line::Line;
use super::recording::Record;
use super::{Arms, Route};
use crate::error::Error;

/// Most keys that a trial judges, on each side. The calls of further ones count as nothing: by then there is more
/// evidence than any test asks for, and forgetting one would count it twice.
const MOST_KEYS: usize = 1 << 16;

/// Which of two revisions a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Live = 0,
    Candidate = 1,
}

/// How a call went, as far as it says something about its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It went well, or badly by no fault of the revision.
    None,
    /// A limit, a failed host function, an answer that says so.
    Error,
    /// A trap, which counts as an error too.
    Trap,
}

/// A share of the calls, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Weight(f64);

impl Weight {
    /// `None` where it is no number from 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// What the stages of a trial have in common.
#[derive(Debug)]
struct Common {
    /// Of the hash that decides for a key; and where the row of numbers for calls without a key begins.
    key: [u8; blake3::KEY_LEN],
    draws: Draws,
    /// Nanoseconds above which a call is slow.
    slow: Box<[u64]>,
    /// By side, the keys that were seen.
    keys: [Mutex<HashSet<u64>>; 2],
    /// By signal, the keys that were bad already.
    bad_keys: Box<[Mutex<HashSet<u64>>]>,
    /// Whether each call goes to both sides, of which both are compared with an answer that is known.
    paired: bool,
    stop: Stop,
    bell: Bell,
}

/// Ends the candidate's part by itself: whoever decides about the trial may be slow to hear of it.
#[derive(Debug)]
struct Stop {
    /// Traps of the candidate that are let pass, where the live revision has none; `None` for any.
    most_traps: Option<u64>,
    traps: [AtomicU64; 2],
    stopped: AtomicBool,
}

impl Stop {
    fn count_trap(&self, side: Side) {
        let traps = self.traps[side as usize].fetch_add(1, Ordering::SeqCst) + 1;
        if side == Side::Candidate
            && self.most_traps.is_some_and(|most| traps > most)
            && self.traps[Side::Live as usize].load(Ordering::SeqCst) == 0
        {
            self.stopped.store(true, Ordering::Release);
        }
    }
}

/// By what a trial decides and counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Of the hash that decides for a key.
    pub salt: &'a [u8],
    /// Nanoseconds above which a call is slow, a signal each.
    pub slow: &'a [u64],
    /// Traps of the candidate that are let pass where the live revision has none. One more, and the candidate takes
    /// no call any more. `None` for any number.
    pub most_traps: Option<u64>,
}

/// Calls that are counted together: those that came while the weight stayed the same.
#[derive(Debug)]
pub struct Stage {
    pub weight: Weight,
    common: Arc<Common>,
    calls: [AtomicU64; 2],
    /// By signal.
    bad: Box<[[AtomicU64; 2]]>,
}

/// What was counted in a stage so far: of the live revision and of the candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct StageCounts {
    pub weight: f64,
    /// Units that ended: calls without a key, and keys, each in the stage in which its first call ended.
    pub calls: (u64, u64),
    /// By signal: its name, and the units that were bad of it.
    pub bad: Vec<(String, (u64, u64))>,
}

/// The signals that come before those of slowness.
const ERROR: usize = 0;
const TRAP: usize = 1;
const SLOW: usize = 2;

impl Stage {
    fn new(weight: Weight, common: Arc<Common>) -> Arc<Self> {
        let signals = common.bad_keys.len();
        Arc::new(Self {
            weight,
            common,
            calls: Default::default(),
            bad: (0..signals).map(|_| Default::default()).collect(),
        })
    }

    /// Whether a call is one of the share, as calls without a key are.
    pub(super) fn draws(&self) -> bool {
        self.common.draws.draw_below(self.weight)
    }

    /// Decide for a call, with the number of its key if it has one; `None` once the candidate takes none any more.
    pub(super) fn decide(&self, key: Option<&[u8]>) -> Option<(Side, Option<u64>)> {
        if self.common.stop.stopped.load(Ordering::Acquire) {
            return None;
        }
        let unit = key.map(|key| self.common.hash(key));
        let number = unit.unwrap_or_else(|| self.common.draws.draw());
        // Of the key alone, so that a larger weight only adds keys.
        let side = if share(number) < self.weight.0 {
            Side::Candidate
        } else {
            Side::Live
        };
        Some((side, unit))
    }

    /// Count a call that ended after so many nanoseconds.
    pub(super) fn record(&self, side: Side, unit: Option<u64>, fault: Fault, nanos: u64) {
        if let Some(unit) = unit {
            let mut keys = lock(&self.common.keys[side as usize]);
            if !keys.contains(&unit) {
                if keys.len() >= MOST_KEYS {
                    return;
                }
                keys.insert(unit);
                self.calls[side as usize].fetch_add(1, Ordering::Relaxed);
            }
        } else {
            self.calls[side as usize].fetch_add(1, Ordering::Relaxed);
        }
        let mut bad = false;
        if fault != Fault::None {
            bad |= self.count(ERROR, side, unit);
        }
        if fault == Fault::Trap && self.count(TRAP, side, unit) {
            bad = true;
            self.common.stop.count_trap(side);
        }
        for (index, most) in self.common.slow.iter().enumerate() {
            if nanos > *most {
                bad |= self.count(SLOW + index, side, unit);
            }
        }
        if bad {
            self.common.bell.ring();
        }
    }

    fn count(&self, signal: usize, side: Side, unit: Option<u64>) -> bool {
        if let Some(unit) = unit
            && !lock(&self.common.bad_keys[signal]).insert(unit)
        {
            return false;
        }
        self.bad[signal][side as usize].fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Count an answer of one side that is not the one that is known.
    pub(super) fn differs(&self, side: Side) {
        debug_assert!(
            self.common.paired,
            "only pairs have an answer to compare with"
        );
        self.count(self.bad.len() - 1, side, None);
        self.common.bell.ring();
    }

    fn counts(&self) -> StageCounts {
        // The bad ones first, so that no call is seen as bad and not as a call.
        let bad = self.bad.iter().enumerate();
        let bad = bad
            .map(|(signal, counts)| (self.common.signal_name(signal), pair(counts)))
            .collect();
        StageCounts {
            // Of two that get the same call either is as likely to be the worse one.
            weight: if self.common.paired {
                0.5
            } else {
                self.weight.0
            },
            bad,
            calls: pair(&self.calls),
        }
    }
}

fn pair(counts: &[AtomicU64; 2]) -> (u64, u64) {
    let [live, candidate] = counts.each_ref().map(|count| count.load(Ordering::Acquire));
    (live, candidate)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Common {
    fn new(terms: Terms<'_>, paired: bool) -> Result<Self, Error> {
        let Terms {
            salt,
            slow,
            most_traps,
        } = terms;
        let key = *blake3::hash(salt).as_bytes();
        let signals = SLOW + slow.len() + usize::from(paired);
        let (seed, _) = key.split_first_chunk().expect("32 bytes are more than 8");
        Ok(Self {
            key,
            draws: Draws {
                seed: u64::from_le_bytes(*seed),
                drawn: AtomicU64::new(0),
            },
            slow: slow.into(),
            keys: Default::default(),
            bad_keys: (0..signals).map(|_| Mutex::default()).collect(),
            paired,
            stop: Stop {
                most_traps,
                traps: Default::default(),
                stopped: AtomicBool::new(false),
            },
            bell: Bell::new()?,
        })
    }

    fn signal_name(&self, signal: usize) -> String {
        match signal {
            ERROR => "error".to_owned(),
            TRAP => "trap".to_owned(),
            slow if slow < SLOW + self.slow.len() => format!("slow{}", slow - SLOW),
            _ => "answer".to_owned(),
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        let hash = blake3::keyed_hash(&self.key, key);
        let (first, _) = hash
            .as_bytes()
            .split_first_chunk()
            .expect("32 bytes are more than 8");
        u64::from_le_bytes(*first)
    }
}

/// A row of numbers that look independent of each other.
#[derive(Debug, Default)]
pub(super) struct Draws {
    seed: u64,
    drawn: AtomicU64,
}

impl Draws {
    /// Whether the next one is of the share.
    pub fn draw_below(&self, weight: Weight) -> bool {
        weight.0 > 0.0 && share(self.draw()) < weight.0
    }

    /// The next one (SplitMix64).
    fn draw(&self) -> u64 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut number = self
            .seed
            .wrapping_add(count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }
}

/// A number as a share: from 0 to below 1.
#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits fit the mantissa exactly"
)]
fn share(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// Tells whoever watches a descriptor that there is something to look at; once, until somebody looked.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    descriptor: OwnedFd,
}

impl Bell {
    fn new() -> Result<Self, Error> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        Ok(Self {
            rung: AtomicBool::new(false),
            descriptor: rustix::event::eventfd(0, flags).map_err(std::io::Error::from)?,
        })
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A full counter would mean that nobody has looked yet, and they will.
            let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// Before one looks: what is counted from here on rings again.
    fn rearm(&self) {
        // In this order: a ring that this took away was for something that is seen now.
        let _ = rustix::io::read(&self.descriptor, &mut [0; 8]);
        self.rung.swap(false, Ordering::AcqRel);
    }
}

/// What a call that came under a trial is counted as.
#[derive(Debug)]
pub(super) struct Counted {
    pub stage: Arc<Stage>,
    pub side: Side,
    pub unit: Option<u64>,
}

impl Counted {
    pub fn record(&self, fault: Fault, nanos: u64) {
        self.stage.record(self.side, self.unit, fault, nanos);
    }
}

/// What a call is for the trial under which it came.
#[derive(Debug)]
pub(super) enum Part {
    Counted(Counted),
    /// Another is made of it, which counts.
    Copied(Copy),
    /// It is kept, to be made again some day; no trial runs.
    Recorded(Record),
}

/// The candidate of a route, and the stage in which calls come now.
#[derive(Clone, Debug)]
pub(super) struct Arm {
    pub line: Arc<Line>,
    pub stage: Arc<Stage>,
    /// Where copies of the calls are made, and none is the candidate's.
    pub copies: Option<Arc<Copies>>,
}

impl Arm {
    /// Whether this is of `trial`.
    pub fn is_of(&self, trial: &Trial) -> bool {
        Arc::ptr_eq(&self.stage.common, &trial.common)
    }
}

/// A candidate beside the live revision, from [`Route::split`] to [`Trial::finish`].
#[derive(Debug)]
pub struct Trial {
    route: Arc<Route>,
    common: Arc<Common>,
    stages: Mutex<Vec<Arc<Stage>>>,
    copies: Option<Arc<Copies>>,
}

impl Route {
    /// Let `candidate` take the share `weight` of the calls, beside the live line. Calls with a key are decided by
    /// a hash of the salt and the key, the others independently of each other. A call that takes longer than one of
    /// the times for slow ones is bad of that signal.
    ///
    /// # Errors
    /// [`Error::RouteClosed`] where nothing is live; [`Error::TrialRunning`]; no descriptor can be had.
    pub fn split(
        self: &Arc<Self>,
        candidate: Arc<Line>,
        weight: Weight,
        terms: Terms<'_>,
    ) -> Result<Trial, Error> {
        self.try_beside(candidate, weight, terms, None)
    }

    /// Copy the share `weight` of the calls to `copies`; `candidate` takes none before [`Trial::finish`]. Beside the
    /// signals of a split there is `answer`: calls that were answered otherwise than on the live line.
    ///
    /// # Errors
    /// As [`Route::split`].
    pub fn shadow(
        self: &Arc<Self>,
        candidate: Arc<Line>,
        weight: Weight,
        terms: Terms<'_>,
        copies: Copies,
    ) -> Result<Trial, Error> {
        self.try_beside(candidate, weight, terms, Some(Arc::new(copies)))
    }

    fn try_beside(
        self: &Arc<Self>,
        candidate: Arc<Line>,
        weight: Weight,
        terms: Terms<'_>,
        copies: Option<Arc<Copies>>,
    ) -> Result<Trial, Error> {
        let common = Arc::new(Common::new(terms, copies.is_some())?);
        let stage = Stage::new(weight, common.clone());
        self.change(|arms| match arms {
            None => Err(Error::RouteClosed),
            Some(Arms { trial: Some(_), .. }) => Err(Error::TrialRunning),
            Some(arms) => {
                let trial = Some(Arm {
                    line: candidate,
                    stage: stage.clone(),
                    copies: copies.clone(),
                });
                Ok((arms.with(&arms.live, trial), ()))
            }
        })?;
        Ok(Trial {
            route: self.clone(),
            common,
            stages: Mutex::new(vec![stage]),
            copies,
        })
    }
}

impl Trial {
    /// Let the candidate take another share of the calls; a new stage begins.
    ///
    /// # Errors
    /// [`Error::TrialOver`] once it was finished, or the route was switched, held or closed.
    pub fn set_weight(&self, weight: Weight) -> Result<(), Error> {
        let mut stages = lock(&self.stages);
        let stage = Stage::new(weight, self.common.clone());
        self.route.change(|arms| {
            let (arms, arm) = self.of(arms)?;
            let trial = Some(Arm {
                stage: stage.clone(),
                ..arm.clone()
            });
            Ok((arms.with(&arms.live, trial), ()))
        })?;
        stages.push(stage);
        Ok(())
    }

    /// What was counted in each stage so far, the first one first. Calls in flight count, once they end, where they
    /// began. The descriptor of [`Trial::watch`] is silent until the next bad call.
    pub fn stages(&self) -> Vec<StageCounts> {
        self.common.bell.rearm();
        lock(&self.stages)
            .iter()
            .map(|stage| stage.counts())
            .collect()
    }

    /// Readable once a call was bad that [`Trial::stages`] did not tell yet. It is the trial's own.
    #[must_use]
    pub fn watch(&self) -> BorrowedFd<'_> {
        self.common.bell.descriptor.as_fd()
    }

    /// End it: `promote` makes the candidate the live line. The other line takes no calls any more and is returned;
    /// it ends those that it has.
    ///
    /// # Errors
    /// [`Error::TrialOver`], as [`Trial::set_weight`].
    pub fn finish(&self, promote: bool) -> Result<Arc<Line>, Error> {
        let loser = self.route.change(|arms| {
            let (arms, arm) = self.of(arms)?;
            let (live, loser) = if promote {
                (&arm.line, &arms.live)
            } else {
                (&arms.live, &arm.line)
            };
            Ok((arms.with(live, None), loser.clone()))
        })?;
        loser.retire();
        if let Some(copies) = &self.copies {
            copies.retire();
        }
        Ok(loser)
    }

    /// Whether the candidate takes no call any more, because it trapped more often than it may.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.common.stop.stopped.load(Ordering::Acquire)
    }

    /// What became of the calls that were to be copied, where they are.
    #[must_use]
    pub fn copied(&self) -> Option<Copied> {
        self.copies.as_ref().map(|copies| copies.counts())
    }

    /// What the route goes by and the candidate's arm, while that is of this trial.
    fn of<'a>(&self, arms: Option<&'a Arms>) -> Result<(&'a Arms, &'a Arm), Error> {
        let arm = arms.and_then(|arms| Some((arms, arms.trial.as_ref()?)));
        arm.filter(|(_, arm)| arm.is_of(self))
            .ok_or(Error::TrialOver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(stage: &Stage, key: &[u8]) -> usize {
        stage.decide(Some(key)).expect("not stopped").0 as usize
    }

    fn common_of(salt: &[u8], slow: &[u64]) -> Common {
        let terms = Terms {
            salt,
            slow,
            most_traps: Some(0),
        };
        Common::new(terms, false).expect("a descriptor")
    }

    fn stage(weight: f64, slow: &[u64]) -> Arc<Stage> {
        let common = common_of(b"salt", slow);
        Stage::new(Weight::new(weight).expect("a share"), Arc::new(common))
    }

    fn readable(stage: &Stage) -> bool {
        let mut waits = [rustix::event::PollFd::new(
            &stage.common.bell.descriptor,
            rustix::event::PollFlags::IN,
        )];
        let now = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut waits, Some(&now)).expect("poll") == 1
    }

    #[test]
    fn a_weight_is_a_share() {
        for none in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::new(none), None);
        }
        assert!(Weight::new(0.0).is_some() && Weight::new(1.0).is_some());
    }

    #[test]
    fn calls_without_a_key_fall_to_the_candidate_by_the_weight_and_do_not_repeat() {
        for weight in [0.0, 0.05, 0.5, 1.0] {
            let stage = stage(weight, &[]);
            let sides: Vec<_> = (0..40_000)
                .map(|_| stage.decide(None).expect("not stopped").0)
                .collect();
            let of_candidate = sides
                .iter()
                .filter(|side| **side == Side::Candidate)
                .count();
            let expected = 40_000.0 * weight;
            // Six standard deviations.
            let most = 6.0 * (40_000.0 * weight * (1.0 - weight)).sqrt();
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let off = (of_candidate as f64 - expected).abs();
            assert!(off <= most, "{of_candidate} of 40,000 at {weight}");
            let pairs = sides.windows(2).filter(|pair| pair[0] != pair[1]).count();
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let off = (pairs as f64 - 2.0 * 39_999.0 * weight * (1.0 - weight)).abs();
            assert!(off <= 700.0, "{pairs} changes of side at {weight}");
        }
    }

    #[test]
    fn a_key_stays_on_its_side_and_moves_only_to_the_candidate_as_the_weight_grows() {
        let common = Arc::new(common_of(b"salt", &[]));
        let at = |weight| Stage::new(Weight::new(weight).expect("a share"), common.clone());
        let stages = [at(0.0), at(0.01), at(0.25), at(0.6), at(1.0)];
        let other = stage(0.25, &[]);
        let salted = Stage::new(
            Weight::new(0.25).expect("a share"),
            Arc::new(common_of(b"another", &[])),
        );
        let mut moved = 0;
        for number in 0..4000_u32 {
            let key = number.to_le_bytes();
            let sides = stages.each_ref().map(|stage| side(stage, &key));
            assert!(sides.is_sorted(), "{sides:?}");
            assert_eq!(sides[2], side(&other, &key));
            moved += usize::from(sides[2] != side(&salted, &key));
            assert_eq!((sides[0], sides[4]), (0, 1));
        }
        assert!(moved > 1000, "another salt decides otherwise: {moved}");
    }

    #[test]
    fn a_key_counts_once_for_each_signal_over_all_stages() {
        let first = stage(0.5, &[10, 100]);
        let second = Stage::new(Weight::new(0.6).expect("a share"), first.common.clone());
        first.record(Side::Live, Some(1), Fault::Error, 5);
        first.record(Side::Live, Some(1), Fault::Error, 50);
        second.record(Side::Candidate, Some(1), Fault::Trap, 500);
        second.record(Side::Candidate, Some(2), Fault::Trap, 500);
        second.record(Side::Candidate, None, Fault::Error, 5);
        second.record(Side::Candidate, None, Fault::None, 10);
        let names = ["error", "trap", "slow0", "slow1"].map(str::to_owned);
        let counted = |bad: [(u64, u64); 4]| names.clone().into_iter().zip(bad).collect();
        assert_eq!(
            first.counts(),
            StageCounts {
                weight: 0.5,
                calls: (1, 0),
                bad: counted([(1, 0), (0, 0), (1, 0), (0, 0)]),
            }
        );
        assert_eq!(
            second.counts(),
            StageCounts {
                weight: 0.6,
                calls: (0, 4),
                bad: counted([(0, 2), (0, 2), (0, 1), (0, 2)]),
            }
        );
    }

    #[test]
    fn the_first_trap_of_the_candidate_stops_it_unless_the_live_revision_traps_too() {
        let stopped = stage(1.0, &[]);
        stopped.record(Side::Candidate, None, Fault::Error, 1);
        assert!(stopped.decide(None).is_some());
        stopped.record(Side::Candidate, None, Fault::Trap, 1);
        assert_eq!(stopped.decide(None), None);
        assert_eq!(stopped.decide(Some(b"key")), None);
        let shared = stage(1.0, &[]);
        shared.record(Side::Live, None, Fault::Trap, 1);
        shared.record(Side::Candidate, None, Fault::Trap, 1);
        assert!(shared.decide(None).is_some());
    }

    #[test]
    fn the_bell_rings_for_the_first_bad_call_since_one_looked() {
        let stage = stage(0.5, &[10]);
        stage.record(Side::Live, None, Fault::None, 10);
        assert!(!readable(&stage));
        stage.record(Side::Live, None, Fault::None, 11);
        assert!(readable(&stage));
        stage.record(Side::Live, None, Fault::Error, 1);
        stage.common.bell.rearm();
        assert!(!readable(&stage));
        stage.record(Side::Live, Some(7), Fault::Error, 1);
        assert!(readable(&stage));
        stage.common.bell.rearm();
        stage.record(Side::Live, Some(7), Fault::Error, 1);
        assert!(!readable(&stage), "the key was bad before");
    }
}
