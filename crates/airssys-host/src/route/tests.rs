//! Calls while what takes them changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};
use std::thread;

use super::{Copied, Copies, Lifetime, Line, Route, Snapshot, Statistics, Terms, Trial, Weight};
use crate::component::{Component, Loading, to_binary};
use crate::engine::static_limits::StaticLimits;
use crate::error::Error;
use crate::gate::AllowList;
use crate::instance::Progress;
use crate::limits::Limits;
use crate::value::Value;
use crate::wasi::Builder;

/// A component that says whether its revision's number is odd, and one that traps.
fn component(odd: u32) -> Arc<Component> {
    let text = format!(
        r#"(component
            (core module $m
                (func (export "odd") (result i32) i32.const {odd})
                (func (export "trap") unreachable))
            (core instance $i (instantiate $m))
            (func (export "odd") (result u32) (canon lift (core func $i "odd")))
            (func (export "trap") (canon lift (core func $i "trap"))))"#
    );
    let bytes = to_binary(text.as_bytes(), None).expect("text of a component");
    let loading = Loading {
        limits: StaticLimits::default(),
        cache: None,
        in_process: true,
        progress: &mut |_| {},
        interrupted: &mut || false,
        report: &mut |_| {},
    };
    Arc::new(Component::load(&bytes, loading).expect("a component"))
}

fn line(number: u64, lifetime: Lifetime) -> Arc<Line> {
    static COMPONENTS: LazyLock<[Arc<Component>; 2]> =
        LazyLock::new(|| [component(0), component(1)]);
    Line::new(
        number,
        COMPONENTS[usize::from(number % 2 == 1)].clone(),
        Limits::default(),
        lifetime,
        Arc::<Statistics>::default(),
        Box::new(|| Ok(Builder::new(Arc::new(AllowList::default())).build()?)),
        Box::new(()),
    )
}

fn terms() -> Terms<'static> {
    Terms {
        salt: b"salt",
        ..Terms::default()
    }
}

fn weight(share: f64) -> Weight {
    Weight::new(share).expect("a share")
}

/// Make a call; returns the number of the revision it was on, and what it came to.
fn call(route: &Route, path: &str, key: Option<&[u8]>) -> Result<u64, Error> {
    let mut passage = route.enter(key)?;
    let number = passage.line().number;
    let export = passage.component().export(path)?;
    let mut call = passage.begin(export, Vec::new(), None)?;
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match call.slice(&mut context, true) {
            Progress::Done(live, result) => {
                let odd = result.as_ref().ok().cloned().flatten();
                passage.conclude(live, &result);
                if let Some(Value::U32(odd)) = odd {
                    assert_eq!(u64::from(odd), number % 2, "another revision answered");
                }
                return result.map(|_| number);
            }
            Progress::Suspended => thread::yield_now(),
            Progress::HostFunctions => unreachable!("the component imports nothing"),
        }
    }
}

fn counts(line: &Line) -> Snapshot {
    line.statistics.snapshot()
}

#[test]
fn a_trial_takes_its_share_and_ends_with_the_candidate_or_without() {
    for promote in [false, true] {
        let route = Arc::new(Route::new());
        let (live, candidate) = (line(0, Lifetime::Call), line(1, Lifetime::Call));
        assert!(matches!(
            route.split(candidate.clone(), weight(0.5), terms()),
            Err(Error::RouteClosed)
        ));
        route.switch(live.clone()).expect("open");
        let trial = route
            .split(
                candidate.clone(),
                weight(0.0),
                Terms {
                    slow: &[u64::MAX],
                    ..terms()
                },
            )
            .expect("the first");
        assert!(matches!(
            route.split(line(3, Lifetime::Call), weight(0.5), terms()),
            Err(Error::TrialRunning)
        ));
        (0..20).for_each(|_| assert_eq!(call(&route, "odd", None).expect("answered"), 0));
        trial.set_weight(weight(1.0)).expect("running");
        (0..10).for_each(|_| assert_eq!(call(&route, "odd", None).expect("answered"), 1));
        assert!(matches!(call(&route, "trap", None), Err(Error::Trap(_))));
        trial.set_weight(weight(0.5)).expect("running");
        let in_flight = route.enter(None).expect("open");
        let stages = trial.stages();
        let calls: Vec<_> = stages.iter().map(|stage| stage.calls).collect();
        assert_eq!(calls, [(20, 0), (0, 11), (0, 0)]);
        let bad = [("error", (0, 1)), ("trap", (0, 1)), ("slow0", (0, 0))];
        assert_eq!(
            stages[1].bad,
            bad.map(|(name, counts)| (name.to_owned(), counts))
        );
        let loser = trial.finish(promote).expect("running");
        let of = if promote { &live } else { &candidate };
        assert_eq!(loser.number, of.number);
        assert!(matches!(
            trial.set_weight(weight(0.1)),
            Err(Error::TrialOver)
        ));
        assert!(matches!(trial.finish(true), Err(Error::TrialOver)));
        let winner = u64::from(promote);
        (0..5).for_each(|_| assert_eq!(call(&route, "odd", None).expect("answered"), winner));
        assert_eq!(in_flight.line().in_flight(), 1);
        drop(in_flight);
        assert_eq!((live.in_flight(), candidate.in_flight()), (0, 0));
        // A further candidate can be tried.
        let next = route.split(line(2, Lifetime::Call), weight(1.0), terms());
        assert_eq!(call(&route, "odd", None).expect("answered"), 2);
        route.close();
        assert!(matches!(
            next.expect("none runs").finish(true),
            Err(Error::TrialOver)
        ));
        assert!(matches!(call(&route, "odd", None), Err(Error::RouteClosed)));
    }
}

#[test]
fn a_switch_or_a_hold_in_a_trial_ends_both_of_its_lines() {
    for hold in [false, true] {
        let route = Arc::new(Route::new());
        let (live, candidate) = (line(0, Lifetime::Call), line(1, Lifetime::Call));
        route.switch(live.clone()).expect("open");
        let trial = route
            .split(candidate.clone(), weight(0.5), terms())
            .expect("the first");
        if hold {
            route.hold();
        } else {
            route.switch(line(2, Lifetime::Call)).expect("open");
        }
        assert!(matches!(trial.finish(true), Err(Error::TrialOver)));
        assert!(!live.count_in() && !candidate.count_in());
        match call(&route, "odd", None) {
            Err(Error::RouteClosed) => assert!(hold),
            answered => assert_eq!(answered.expect("the third"), 2),
        }
    }
}

/// Threads call without pause while trials come and go: no call is lost, each ends on the revision it began on,
/// and every count adds up.
#[test]
fn no_call_is_lost_while_weights_change_and_trials_finish() {
    const CALLERS: u64 = 3;
    const TRIALS: u64 = 60;
    let route = Arc::new(Route::new());
    let mut lines = vec![line(0, Lifetime::Call)];
    route.switch(lines[0].clone()).expect("open");
    let (over, made, trapped) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    // Each trial, its candidate's position in `lines`, and whether that was promoted.
    let mut trials = Vec::new();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (route, over, made, trapped) = (&route, &over, &made, &trapped);
            scope.spawn(move || {
                let mut number = caller;
                while !over.load(Ordering::Relaxed) {
                    number += CALLERS;
                    let key = number.to_le_bytes();
                    let key = (number % 3 == 0).then_some(&key[..]);
                    made.fetch_add(1, Ordering::Relaxed);
                    if number % 50 == 0 {
                        let result = call(route, "trap", key);
                        assert!(matches!(result, Err(Error::Trap(_))), "{result:?}");
                        trapped.fetch_add(1, Ordering::Relaxed);
                    } else {
                        call(route, "odd", key).expect("no call is lost");
                    }
                }
            });
        }
        for number in 1..=TRIALS {
            let lifetime = if number % 2 == 0 {
                Lifetime::Call
            } else {
                Lifetime::Pooled {
                    instances: 2,
                    waiting: 100,
                }
            };
            let candidate = line(number, lifetime);
            let trial = route
                .split(
                    candidate.clone(),
                    weight(0.05),
                    Terms {
                        slow: &[0],
                        ..terms()
                    },
                )
                .expect("one at a time");
            for share in [0.25, 0.5, 0.0, 1.0] {
                // Some calls in each stage, whatever the machine does.
                let before = made.load(Ordering::Relaxed);
                while made.load(Ordering::Relaxed) < before + 2 * CALLERS {
                    thread::yield_now();
                }
                trial.set_weight(weight(share)).expect("running");
            }
            let promote = number % 3 != 0;
            let loser = trial.finish(promote).expect("running");
            assert!(loser.wait_drained(std::time::Duration::from_secs(60)));
            lines.push(candidate);
            trials.push((trial, lines.len() - 1, promote));
        }
        over.store(true, Ordering::Relaxed);
    });

    let sum = |of: fn(Snapshot) -> u64| lines.iter().map(|line| of(counts(line))).sum::<u64>();
    assert_eq!(sum(|line| line.calls), made.into_inner());
    assert_eq!(sum(|line| line.traps), trapped.into_inner());
    assert_eq!(
        sum(|line| line.cancelled + line.limits + line.other_failures),
        0
    );
    assert!(lines.iter().all(|line| line.in_flight() == 0));
    for (trial, candidate, promoted) in trials {
        let stages = trial.stages();
        assert_eq!(stages.len(), 5);
        let of_candidate = |number: usize| stages[number].calls.1;
        assert_eq!(of_candidate(3), 0, "at weight 0 no call is the candidate's");
        assert_eq!(
            stages[4].calls.0, 0,
            "at weight 1 no call is the live one's"
        );
        let of_candidate: u64 = (0..5).map(of_candidate).sum();
        let total = counts(&lines[candidate]);
        if promoted {
            assert!(of_candidate <= total.calls);
        } else {
            assert_eq!(of_candidate, total.calls);
            let traps = |name: &str| -> u64 {
                let found = |stage: &super::StageCounts| {
                    let signal = stage.bad.iter().find(|(signal, _)| signal == name);
                    signal.expect("a signal of every stage").1.1
                };
                stages.iter().map(found).sum()
            };
            assert_eq!(traps("trap"), total.traps, "no key came twice");
            assert_eq!(traps("error"), total.traps);
            assert_eq!(traps("slow0"), total.calls, "each took longer than nothing");
        }
    }
}

#[test]
fn the_first_trap_of_a_candidate_is_its_last_call() {
    let route = Arc::new(Route::new());
    route.switch(line(0, Lifetime::Call)).expect("open");
    let candidate = line(1, Lifetime::Call);
    let stopping = Terms {
        most_traps: Some(0),
        ..terms()
    };
    let trial = route
        .split(candidate.clone(), weight(1.0), stopping)
        .expect("the first");
    // What has begun ends where it began.
    let begun = route.enter(None).expect("open");
    assert!(matches!(call(&route, "trap", None), Err(Error::Trap(_))));
    assert!(trial.is_stopped());
    assert_eq!(begun.line().number, 1);
    drop(begun);
    for key in [None, Some(&b"key"[..])] {
        (0..50).for_each(|_| assert_eq!(call(&route, "odd", key).expect("answered"), 0));
    }
    // Calls that were never the candidate's to take say nothing about it.
    assert_eq!(trial.stages()[0].calls, (0, 1));
    trial.set_weight(weight(1.0)).expect("running");
    assert_eq!(call(&route, "odd", None).expect("answered"), 0);
    trial.finish(false).expect("running");
    assert_eq!(counts(&candidate).calls, 1);
}

/// Wait until so many copies were compared or left out.
fn copied(trial: &Trial, enough: impl Fn(Copied) -> bool) -> Copied {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let copied = trial.copied().expect("a shadow");
        if enough(copied) {
            return copied;
        }
        assert!(std::time::Instant::now() < end, "{copied:?}");
        thread::yield_now();
    }
}

#[test]
fn copies_are_compared_with_the_answers_and_no_caller_meets_the_candidate() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread");
    let _entered = runtime.enter();
    for (number, differing) in [(2, 0), (1, 10)] {
        let route = Arc::new(Route::new());
        let live = line(0, Lifetime::Call);
        route.switch(live.clone()).expect("open");
        let candidate = line(number, Lifetime::Call);
        let lines = [line(0, Lifetime::Call), line(number, Lifetime::Call)];
        let copies = Copies::new(lines[0].clone(), lines[1].clone(), None);
        let trial = route
            .shadow(candidate.clone(), weight(1.0), terms(), copies)
            .expect("the first");
        for done in 1..=10 {
            assert_eq!(call(&route, "odd", None).expect("answered"), 0);
            copied(&trial, |copied| copied.compared == done);
        }
        // What failed for its caller is compared with nothing.
        assert!(matches!(call(&route, "trap", None), Err(Error::Trap(_))));
        let stages = trial.stages();
        assert_eq!((stages[0].weight, stages[0].calls), (0.5, (10, 10)));
        let answer = ("answer".to_owned(), (0, differing));
        assert!(stages[0].bad.contains(&answer), "{stages:?}");
        assert_eq!((counts(&live).calls, counts(&candidate).calls), (11, 0));
        assert_eq!(lines.each_ref().map(|line| counts(line).calls), [10, 10]);
        trial.set_weight(weight(0.0)).expect("running");
        assert_eq!(call(&route, "odd", None).expect("answered"), 0);
        trial.finish(true).expect("running");
        assert_eq!(call(&route, "odd", None).expect("answered"), number);
        assert_eq!(lines.each_ref().map(|line| counts(line).calls), [10, 10]);
    }
}
