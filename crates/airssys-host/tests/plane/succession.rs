//! One incarnation makes room for the next: the old one ends only when the new one stands.

use std::sync::Arc;

use airssys_host::limits::Limits;
use airssys_host::plane::{
    Answer, Blueprint, Cell, Failure, HandOver, Outcome, Outputs, Reason, Setting, Stage,
    Successor, Waiter,
};
use airssys_host::services::Identity;
use airssys_host::wasi::{Builder, Output};
use serde_json::{Value, json};

use crate::support::{SECOND, World, puppet, tagged};

/// What another revision is made of, with scripts for the turns of its life.
pub fn successor(hand_over: HandOver, scripts: &[(&str, Value)]) -> Arc<Successor> {
    let wasi = Arc::new(|_: &Identity, outputs: Outputs| {
        let allowed = Arc::new(airssys_host::gate::AllowList::default());
        let mut builder = Builder::new(allowed);
        builder
            .stdout(Output::Callback(outputs.stdout))
            .stderr(Output::Callback(outputs.stderr));
        Ok(builder.build()?)
    });
    let config = scripts
        .iter()
        .map(|(name, script)| ((*name).to_owned(), Setting::Json(script.to_string())))
        .collect();
    let made = Blueprint::new(
        puppet(),
        Limits::default(),
        wasi,
        Vec::new(),
        config,
        vec![],
        Arc::default(),
    );
    Arc::new(Successor {
        blueprint: made.unwrap(),
        hand_over,
        shutdown: SECOND,
    })
}

pub fn prepared(world: &World, ann: &Arc<Cell>, successor: Arc<Successor>) -> Outcome {
    let ready = ann.prepare(successor, 5 * SECOND, Waiter::Nobody);
    world.outcome(&ready)
}

pub fn decided(world: &World, ann: &Arc<Cell>, takes: bool) -> Outcome {
    let done = ann.decide(takes, Waiter::Nobody);
    world.outcome(&done)
}

/// That the incarnation is the first one still, with its state and its timer.
fn assert_goes_on(world: &World, ann: &Arc<Cell>) {
    assert_eq!(ann.incarnation(), 1);
    assert_eq!(ann.stage(), Stage::Running);
    let seen = world.ask(ann, json!([["get", "color"]]));
    assert_eq!(seen, json!(["green"]));
    assert_eq!(ann.inspect().timers, 1);
    world.assert_conserved(ann);
}

fn colored(world: &World) -> Arc<Cell> {
    let ann = world.puppet("demo/ann");
    let setting = json!([["set", "color", "green"], ["every", 1000, {"tag": "tick"}]]);
    world.ask(&ann, setting);
    ann
}

#[test]
fn the_successor_takes_state_and_queue_over() {
    let world = World::new();
    let ann = colored(&world);
    let Ok(Answer::Payload(Some(_))) = prepared(&world, &ann, successor(HandOver::Restore, &[]))
    else {
        panic!("it is ready, and the old one left its state")
    };
    // Nobody is given anything until it is decided who goes on.
    world.tell(&ann, &tagged("between")).unwrap();
    world.run();
    assert_eq!((ann.queued(), ann.incarnation()), (1, 1));
    assert_eq!(decided(&world, &ann, true), Ok(Answer::Ended("normal")));
    assert_eq!(ann.incarnation(), 2);
    let seen = world.ask(&ann, json!([["get", "color"], ["tags"]]));
    assert_eq!(seen, json!(["green", ["between"]]));
    assert_eq!(ann.inspect().timers, 0, "timers end with their incarnation");
    assert_eq!(world.recorder.failures.lock().unwrap().len(), 0);
    world.assert_conserved(&ann);
}

#[test]
fn a_snapshot_of_another_version_is_migrated_and_one_of_its_own_is_not() {
    let world = World::new();
    for (version, migrated) in [("0.9.0", json!("0.9.0")), ("1.0.0", Value::Null)] {
        let ann = world.puppet(&format!("demo/ann-{version}"));
        assert_eq!(ann.blueprint().metadata().unwrap().version, "1.0.0");
        let hand_over = HandOver::Migrate(version.to_owned());
        assert!(prepared(&world, &ann, successor(hand_over, &[])).is_ok());
        assert!(decided(&world, &ann, true).is_ok());
        let seen = world.ask(&ann, json!([["get", "migrated-from"]]));
        assert_eq!(seen, json!([migrated]));
    }
}

#[test]
fn what_goes_wrong_with_the_successor_leaves_the_old_one_as_it_was() {
    let world = World::new();
    let ann = colored(&world);
    let migrate = || HandOver::Migrate("0.9.0".to_owned());
    for (function, hand_over, script) in [
        ("initialize", HandOver::Restore, json!([["fail", "no"]])),
        ("initialize", HandOver::Nothing, json!([["trap"]])),
        ("restore", HandOver::Restore, json!([["refuse", "no"]])),
        ("restore", HandOver::Restore, json!([["trap"]])),
        ("migrate", migrate(), json!([["refuse", "no"]])),
        ("migrate", migrate(), json!([["trap"]])),
    ] {
        let event = format!("on-{function}");
        let next = successor(hand_over, &[(&event, script)]);
        let Err(Failure::StartFailed(ending)) = prepared(&world, &ann, next) else {
            panic!("{function} must not succeed")
        };
        assert_eq!(ending.function, function);
        assert_goes_on(&world, &ann);
    }
    // One that has a timer and messages of its own when it fails takes them along.
    let script = json!([["send-after", 1, {"tag": "late"}], ["fail", "no"]]);
    let next = successor(HandOver::Nothing, &[("on-initialize", script)]);
    assert!(prepared(&world, &ann, next).is_err());
    world.pass(2 * SECOND);
    assert_eq!(world.tags(&ann), json!([]));
    assert_goes_on(&world, &ann);
}

#[test]
fn a_successor_that_never_gets_ready_is_given_up_in_time() {
    let world = World::new();
    let ann = colored(&world);
    let next = successor(
        HandOver::Restore,
        &[("on-initialize", json!([["sleep", 1e6]]))],
    );
    let ready = ann.prepare(next, SECOND, Waiter::Nobody);
    world.pass(2 * SECOND);
    assert_eq!(ready.take(), Some(Err(Failure::Timeout)));
    assert_goes_on(&world, &ann);
    assert_eq!(decided(&world, &ann, true), Err(Failure::State("running")));
}

#[test]
fn one_that_is_not_wanted_is_dropped() {
    let world = World::new();
    let ann = colored(&world);
    assert!(prepared(&world, &ann, successor(HandOver::Restore, &[])).is_ok());
    assert_eq!(decided(&world, &ann, false), Ok(Answer::Done));
    assert_goes_on(&world, &ann);
}

#[test]
fn a_kill_ends_both() {
    let world = World::new();
    let ann = colored(&world);
    assert!(prepared(&world, &ann, successor(HandOver::Restore, &[])).is_ok());
    world.tell(&ann, &tagged("kept")).unwrap();
    let killed = ann.kill(Waiter::Nobody);
    assert_eq!(world.outcome(&killed), Ok(Answer::Ended("killed")));
    let started = ann.start(None, Waiter::Nobody);
    assert_eq!(world.outcome(&started), Ok(Answer::Done));
    assert_eq!(world.tags(&ann), json!(["kept"]));
    world.assert_conserved(&ann);
}

#[test]
fn a_trap_in_the_snapshot_ends_the_old_one() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.ask(&ann, json!([["on", "snapshot", [["trap"]]]]));
    let failed = prepared(&world, &ann, successor(HandOver::Restore, &[]));
    assert!(matches!(failed, Err(Failure::Failed(_))), "{failed:?}");
    assert_eq!(ann.stage(), Stage::Restarting);
    // One that only refuses goes on.
    let ben = world.puppet("demo/ben");
    world.ask(&ben, json!([["on", "snapshot", [["refuse", "not now"]]]]));
    let failed = prepared(&world, &ben, successor(HandOver::Restore, &[]));
    assert_eq!(failed, Err(Failure::Refused("not now".to_owned())));
    assert_eq!((ben.stage(), ben.incarnation()), (Stage::Running, 1));
}

#[test]
fn a_shutdown_that_never_returns_is_dropped_at_its_deadline() {
    let world = World::new();
    let ann = colored(&world);
    world.ask(&ann, json!([["on", "shutdown", [["sleep", 1e6]]]]));
    assert!(prepared(&world, &ann, successor(HandOver::Restore, &[])).is_ok());
    let done = ann.decide(true, Waiter::Nobody);
    world.pass(2 * SECOND);
    assert_eq!(done.take(), Some(Ok(Answer::Ended("killed"))));
    assert_eq!(world.ask(&ann, json!([["get", "color"]])), json!(["green"]));
}

#[test]
fn what_the_old_one_asked_for_ends_with_it_or_stays_with_it() {
    for takes in [true, false] {
        let world = World::new();
        let ben = world.puppet("demo/ben");
        let ann = world.puppet("demo/ann");
        ben.suspend();
        let asking = json!([["ask-async", "demo/ben", {"do": [["reply", 1]]}, 60, [["set", "answered", true]]]]);
        world.ask(&ann, asking);
        assert!(prepared(&world, &ann, successor(HandOver::Nothing, &[])).is_ok());
        ben.resume();
        world.run();
        assert!(decided(&world, &ann, takes).is_ok());
        let answered = if takes { Value::Null } else { json!(true) };
        assert_eq!(
            world.ask(&ann, json!([["get", "answered"]])),
            json!([answered])
        );
        let dead: Vec<Reason> = world.dead().into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(dead, []);
        world.assert_conserved(&ben);
    }
}
