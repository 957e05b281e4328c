//! With threads: nobody holds one for long, and what spins can be ended.

use airssys_host::limits::Limits;
use airssys_host::plane::{Answer, Bounds, EndingKind, Failure, Reason, ShutdownReason, Waiter};
use serde_json::json;

use crate::support::{SECOND, World, tagged, until};

#[test]
fn guests_that_spin_do_not_keep_others_from_running() {
    let world = World::threaded();
    let spinners: Vec<_> = (0..4)
        .map(|number| world.puppet(&format!("demo/spin{number}")))
        .collect();
    let ann = world.puppet("demo/ann");
    for spinner in &spinners {
        world.tell(spinner, &json!({"do": [["spin"]]})).unwrap();
    }
    for number in 0..20 {
        assert_eq!(world.ask(&ann, json!([["give", number]])), json!([number]));
    }
    for spinner in &spinners {
        let killed = spinner.kill(Waiter::Nobody);
        assert_eq!(world.outcome(&killed), Ok(Answer::Ended("killed")));
        world.assert_conserved(spinner);
    }
}

#[test]
fn computing_beyond_the_processor_time_ends_the_incarnation() {
    let world = World::threaded();
    let limits = Limits {
        cpu_per_call: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let ann = world.puppet_with("demo/ann", Bounds::default(), limits, vec![]);
    let failed = world.try_ask(&ann, json!([["spin"]]));
    assert!(matches!(failed, Err(Failure::Failed(_))), "{failed:?}");
    // Whoever asked is answered before observers are told.
    until(|| !world.recorder.failures.lock().unwrap().is_empty());
    let failures = world.recorder.failures.lock().unwrap();
    assert_eq!(failures[0].1.kind, EndingKind::Limit);
    assert!(failures[0].1.message.contains("cpu_per_call"));
}

#[test]
fn a_stop_ends_what_never_returns_at_its_deadline() {
    let world = World::threaded();
    let ann = world.puppet("demo/ann");
    world.tell(&ann, &json!({"do": [["spin"]]})).unwrap();
    until(|| ann.inspect().current.is_some());
    let stopped = ann.stop(false, SECOND / 20, ShutdownReason::Stopped, Waiter::Nobody);
    assert_eq!(world.outcome(&stopped), Ok(Answer::Ended("killed")));
    assert_eq!(world.dead(), [("demo/ann".to_owned(), Reason::Killed)]);
}

#[test]
fn an_ask_by_a_thread_runs_on_it_when_the_actor_is_idle() {
    let world = World::threaded();
    let ann = world.puppet("demo/ann");
    until(|| ann.claim());
    let asked = world.asking(&ann, json!([["give", 1]])).unwrap();
    assert!(!asked.is_done());
    ann.run_claimed();
    assert!(asked.is_done());
    world.tell(&ann, &tagged("by the threads again")).unwrap();
    until(|| ann.inspect().counts.handled == 2);
}

#[test]
fn everything_adds_up_after_a_storm() {
    let world = World::threaded();
    let all: Vec<_> = (0..6)
        .map(|number| world.puppet(&format!("storm/a{number}")))
        .collect();
    for round in 0..30_usize {
        for (number, cell) in all.iter().enumerate() {
            let next = format!("storm/a{}", (number + 1) % all.len());
            let mut actions = vec![
                json!(["flood", next, 5, {"tag": round}]),
                json!(["ask-async", next, {"do": [["give", 1]]}, 1]),
                json!(["ask", next, {"do": [["give", 2]]}, 0.01]),
            ];
            if (round * 7 + number) % 11 == 0 {
                actions.push(json!(["trap"]));
            }
            // A full mailbox refuses, and that is counted too.
            drop(world.tell(cell, &json!({"do": actions})));
            if (round + number) % 13 == 0 {
                cell.kill(Waiter::Nobody);
            }
            cell.start(None, Waiter::Nobody);
        }
    }
    for cell in &all {
        until(|| {
            cell.start(None, Waiter::Nobody);
            let seen = cell.inspect();
            seen.queued.iter().sum::<usize>() == 0 && seen.current.is_none() && seen.pending == 0
        });
    }
    for cell in &all {
        until(|| cell.inspect().current.is_none());
        world.assert_conserved(cell);
    }
    let dead: u64 = all
        .iter()
        .map(|cell| cell.inspect().counts.dead.iter().sum::<u64>())
        .sum();
    assert_eq!(
        dead,
        world.dead().len() as u64,
        "each dead letter is told once"
    );
}
