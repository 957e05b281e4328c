//! Incarnations: how they begin, fail, restart and end, and what becomes of the mailbox.

use airssys_host::limits::Limits;
use airssys_host::plane::{
    Answer, Bounds, EndingKind, Failure, Health, Plane, Reason, Request, Setting, ShutdownReason,
    Stage, Waiter,
};
use bytes::Bytes;
use serde_json::json;

use crate::support::{SECOND, World, blueprint, everything, payload, puppet, tagged};

#[test]
fn a_trap_ends_the_incarnation_and_keeps_the_mailbox() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    let asked = world.asking(&ann, json!([["trap"]])).unwrap();
    world.tell(&ann, &tagged("after")).unwrap();
    ann.resume();
    world.run();
    assert!(
        matches!(asked.take(), Some(Err(Failure::Failed(_)))),
        "the asker of the message that failed gets the failure"
    );
    assert_eq!(ann.stage(), Stage::Restarting);
    {
        let failures = world.recorder.failures.lock().unwrap();
        let (address, ending) = &failures[0];
        assert_eq!((&**address, ending.kind), ("demo/ann", EndingKind::Trap));
        assert_eq!(ending.function, "handle-message");
    }
    // While it is restarting the mailbox accepts.
    world.tell(&ann, &tagged("meanwhile")).unwrap();
    assert_eq!(ann.queued(), 2);
    world.assert_conserved(&ann);
    ann.start(None, Waiter::Nobody);
    world.run();
    assert_eq!(ann.incarnation(), 2);
    assert_eq!(world.tags(&ann), json!(["after", "meanwhile"]));
    assert_eq!(world.dead(), [("demo/ann".to_owned(), Reason::Failed)]);
    world.assert_conserved(&ann);
}

#[test]
fn every_way_to_fail_is_told_apart() {
    let cases = [
        (json!([["panic", "oh"]]), EndingKind::Trap),
        (json!([["recurse"]]), EndingKind::Trap),
        (json!([["allocate", 100_000_000]]), EndingKind::Limit),
        (json!([["exit", 3]]), EndingKind::Exit),
        (json!([["fail", "broken"]]), EndingKind::Error),
    ];
    for (actions, kind) in cases {
        let world = World::new();
        let ann = world.puppet("demo/ann");
        let failed = world.try_ask(&ann, actions.clone());
        assert!(
            matches!(failed, Err(Failure::Failed(_))),
            "{actions} {failed:?}"
        );
        let failures = world.recorder.failures.lock().unwrap();
        assert_eq!(failures[0].1.kind, kind, "{actions}: {:?}", failures[0].1);
        world.assert_conserved(&ann);
    }
}

#[test]
fn a_call_ends_at_its_timeout_while_it_waits() {
    let world = World::new();
    let limits = Limits {
        call_timeout: std::time::Duration::from_secs(2),
        ..Limits::default()
    };
    let ann = world.puppet_with("demo/ann", Bounds::default(), limits, vec![]);
    let asked = world.asking(&ann, json!([["sleep", 60]])).unwrap();
    world.pass(3 * SECOND);
    assert!(matches!(asked.take(), Some(Err(Failure::Failed(_)))));
    let failures = world.recorder.failures.lock().unwrap();
    assert_eq!(failures[0].1.kind, EndingKind::Limit);
    assert!(
        failures[0].1.message.contains("call_timeout"),
        "{}",
        failures[0].1
    );
}

#[test]
fn settings_reach_initialize_and_a_refusal_there_is_no_start() {
    let world = World::new();
    let mut made = blueprint(puppet(), Limits::default(), vec![]);
    let config = |script: &str| {
        vec![
            ("color".to_owned(), Setting::Text("green".to_owned())),
            ("size".to_owned(), Setting::Integer(3)),
            ("on-initialize".to_owned(), Setting::Json(script.to_owned())),
        ]
    };
    std::sync::Arc::get_mut(&mut made).unwrap().config = config("[]");
    let ann = world
        .plane
        .spawn("demo/ann", made, Bounds::default(), everything())
        .unwrap();
    ann.start(None, Waiter::Nobody);
    world.run();
    let values = world.ask(&ann, json!([["get", "color"], ["get", "size"]]));
    assert_eq!(values, json!(["green", 3]));

    let mut broken = blueprint(puppet(), Limits::default(), vec![]);
    std::sync::Arc::get_mut(&mut broken).unwrap().config = config(r#"[["refuse", "no disk"]]"#);
    ann.upgrade(broken);
    let restarted = ann.restart(None, Waiter::Nobody);
    let Err(Failure::StartFailed(ending)) = world.outcome(&restarted) else {
        panic!("it must not start")
    };
    assert_eq!(
        (ending.kind, ending.function),
        (EndingKind::Error, "initialize")
    );
    assert_eq!(ann.stage(), Stage::Restarting);
}

#[test]
fn an_upgrade_keeps_the_mailbox_and_state_is_carried_by_snapshot() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.ask(&ann, json!([["set", "color", "green"]]));
    let asked = ann.request(Request::Snapshot, SECOND, Waiter::Nobody);
    let Ok(Answer::Payload(Some(snapshot))) = world.outcome(&asked) else {
        panic!("no snapshot")
    };
    ann.suspend();
    world.tell(&ann, &tagged("kept")).unwrap();
    ann.upgrade(blueprint(puppet(), Limits::default(), vec![]));
    let restarted = ann.restart(Some(snapshot.into()), Waiter::Nobody);
    assert_eq!(world.outcome(&restarted), Ok(Answer::Done));
    ann.resume();
    world.run();
    let values = world.ask(&ann, json!([["get", "color"], ["tags"]]));
    assert_eq!(values, json!(["green", ["kept"]]));
    assert_eq!(ann.incarnation(), 2);
}

#[test]
fn garbage_does_not_restore_and_migrate_translates() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let restarted = ann.restart(Some(Bytes::from("garbage").into()), Waiter::Nobody);
    let Err(Failure::StartFailed(ending)) = world.outcome(&restarted) else {
        panic!("it must not start")
    };
    assert_eq!(ending.function, "restore");
    let started = ann.start(None, Waiter::Nobody);
    assert_eq!(world.outcome(&started), Ok(Answer::Done));
    let old = br#"{"counter": 9, "journal": [], "values": {}}"#;
    let request = Request::Migrate("0.9.0".to_owned(), old.as_slice().into());
    let migrated = ann.request(request, SECOND, Waiter::Nobody);
    let Ok(Answer::Payload(Some(new))) = world.outcome(&migrated) else {
        panic!("no state")
    };
    let restarted = ann.restart(Some(new.into()), Waiter::Nobody);
    assert_eq!(world.outcome(&restarted), Ok(Answer::Done));
    let values = world.ask(&ann, json!([["get", "migrated-from"]]));
    assert_eq!(values, json!(["0.9.0"]));
}

#[test]
fn health_and_metadata_are_asked_between_messages() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.ask(&ann, json!([["health", "degraded", "slow disk"]]));
    let asked = ann.request(Request::Health, SECOND, Waiter::Nobody);
    let degraded = Health {
        status: "degraded",
        detail: "slow disk".to_owned(),
    };
    assert_eq!(world.outcome(&asked), Ok(Answer::Health(degraded.clone())));
    assert_eq!(ann.inspect().health, degraded);
    let asked = ann.request(Request::Metadata, SECOND, Waiter::Nobody);
    let Ok(Answer::Metadata(metadata)) = world.outcome(&asked) else {
        panic!("no metadata")
    };
    assert_eq!(metadata.name, "demo/puppet");
    // One that handles a message for long is not asked: the request ends at its own deadline.
    world.asking(&ann, json!([["sleep", 4]])).unwrap();
    world.run();
    let asked = ann.request(Request::Health, SECOND, Waiter::Nobody);
    world.pass(2 * SECOND);
    assert_eq!(asked.take(), Some(Err(Failure::Timeout)));
}

#[test]
fn stop_overtakes_the_queue_and_drain_follows_it() {
    for (drain, left) in [(false, 0), (true, 2)] {
        let world = World::new();
        let ann = world.puppet("demo/ann");
        ann.suspend();
        for number in 0..2 {
            world.tell(&ann, &tagged(number)).unwrap();
        }
        let stopped = ann.stop(drain, SECOND, ShutdownReason::Stopped, Waiter::Nobody);
        assert_eq!(
            world.tell(&ann, &tagged("late")),
            Err(Failure::Stopped),
            "what stops takes nothing"
        );
        assert_eq!(world.outcome(&stopped), Ok(Answer::Ended("normal")));
        assert_eq!(ann.stage(), Stage::Stopped);
        let counts = ann.inspect().counts;
        assert_eq!(
            (counts.handled, counts.dead[Reason::Stopped as usize]),
            (left, 2 - left)
        );
        assert!(
            world.plane.shared().find("demo/ann").is_none(),
            "the address is free"
        );
        world.puppet("demo/ann");
    }
}

#[test]
fn the_handler_that_runs_ends_before_a_stop_and_shutdown_has_a_deadline() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let asked = world
        .asking(&ann, json!([["sleep", 2], ["give", 1]]))
        .unwrap();
    world.run();
    let stopped = ann.stop(false, 10 * SECOND, ShutdownReason::Stopped, Waiter::Nobody);
    world.pass(3 * SECOND);
    assert!(matches!(asked.take(), Some(Ok(_))));
    assert_eq!(stopped.take(), Some(Ok(Answer::Ended("normal"))));

    let bob = world.puppet("demo/bob");
    world.ask(&bob, json!([["on", "shutdown", [["sleep", 100]]]]));
    let stopped = bob.stop(
        false,
        2 * SECOND,
        ShutdownReason::HostShutdown,
        Waiter::Nobody,
    );
    world.pass(3 * SECOND);
    assert_eq!(stopped.take(), Some(Ok(Answer::Ended("killed"))));
    assert_eq!(bob.stage(), Stage::Stopped);
}

#[test]
fn an_incarnation_that_retires_leaves_its_state_and_its_mailbox() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.keep_state(true);
    world.ask(&ann, json!([["set", "name", "Ann"]]));
    ann.suspend();
    world.tell(&ann, &tagged("kept")).unwrap();
    let retired = ann.retire(SECOND, ShutdownReason::Replaced, Waiter::Nobody);
    assert_eq!(world.outcome(&retired), Ok(Answer::Ended("normal")));
    world.tell(&ann, &tagged("between")).unwrap();
    assert_eq!((ann.stage(), ann.queued()), (Stage::Restarting, 2));
    let state = ann.take_parting().expect("it left its state");
    assert_eq!(ann.take_parting(), None, "once");
    ann.resume();
    let started = ann.start(Some(state.into()), Waiter::Nobody);
    assert_eq!(world.outcome(&started), Ok(Answer::Done));
    assert_eq!(
        world.ask(&ann, json!([["get", "name"], ["tags"]])),
        json!(["Ann", ["kept", "between"]])
    );
    assert_eq!(ann.inspect().incarnation, 2);
}

#[test]
fn kill_drops_the_instance_at_once_and_keeps_the_queue() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let asked = world.asking(&ann, json!([["sleep", 3]])).unwrap();
    world.tell(&ann, &tagged("kept")).unwrap();
    world.run();
    let killed = ann.kill(Waiter::Nobody);
    assert_eq!(world.outcome(&killed), Ok(Answer::Ended("killed")));
    assert_eq!(asked.take(), Some(Err(Failure::Dropped(Reason::Killed))));
    assert_eq!(ann.queued(), 1);
    assert_eq!(ann.stage(), Stage::Restarting);
    ann.start(None, Waiter::Nobody);
    world.run();
    assert_eq!(world.tags(&ann), json!(["kept"]));
    world.assert_conserved(&ann);
    ann.kill(Waiter::Nobody);
    world.tell(&ann, &tagged("lost")).unwrap();
    world.run();
    ann.discard().unwrap();
    assert_eq!(ann.stage(), Stage::Stopped);
    world.assert_conserved(&ann);
}

#[test]
fn an_ask_in_progress_ends_with_the_incarnation_that_asked() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    bob.suspend();
    world
        .asking(&ann, json!([["ask", "demo/bob", {}, 4]]))
        .unwrap();
    world.run();
    assert_eq!(ann.inspect().waits_for.as_deref(), Some("demo/bob"));
    ann.kill(Waiter::Nobody);
    world.run();
    assert_eq!(ann.inspect().waits_for, None);
    bob.resume();
    world.run();
    assert_eq!(bob.inspect().cancelled, 1);
    assert_eq!(bob.inspect().counts.handled, 0);
    world.assert_conserved(&bob);
}

#[test]
fn what_an_incarnation_left_for_itself_dies_with_it() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    world
        .tell(
            &ann,
            &json!({"do": [
                ["tell", "demo/ann", {"tag": "self"}],
                ["send-after", 1, {"tag": "timer"}],
                ["trap"],
            ]}),
        )
        .unwrap();
    world.tell(&ann, &tagged("other")).unwrap();
    ann.resume();
    world.run();
    ann.start(None, Waiter::Nobody);
    world.pass(3 * SECOND);
    assert_eq!(world.tags(&ann), json!(["other"]));
    assert!(
        world
            .dead()
            .contains(&("demo/ann".to_owned(), Reason::Stale))
    );
    assert_eq!(ann.inspect().timers, 0);
    world.assert_conserved(&ann);
}

#[test]
fn deferred_replies_end_with_the_incarnation() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let asked = world.asking(&ann, json!([["reply-later"]])).unwrap();
    world.run();
    ann.restart(None, Waiter::Nobody);
    world.run();
    assert_eq!(asked.take(), Some(Err(Failure::Dropped(Reason::Stale))));
}

#[test]
fn an_address_belongs_to_one_living_actor() {
    let world = World::new();
    world.puppet("demo/ann");
    let again = world.plane.spawn(
        "demo/ann",
        blueprint(puppet(), Limits::default(), vec![]),
        Bounds::default(),
        everything(),
    );
    assert!(matches!(again, Err(Failure::NameTaken)));
    let bad = world.plane.spawn(
        "demo//ann",
        blueprint(puppet(), Limits::default(), vec![]),
        Bounds::default(),
        everything(),
    );
    assert!(matches!(bad, Err(Failure::InvalidAddress(_))));
}

#[test]
fn closing_the_plane_ends_every_actor() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let asked = world.asking(&ann, json!([["sleep", 3]])).unwrap();
    world.run();
    Plane::close(&world.plane);
    assert!(asked.is_done());
    assert_eq!(ann.stage(), Stage::Stopped);
    assert_eq!(world.tell(&ann, &tagged(1)), Err(Failure::Stopped));
    assert!(payload(&tagged(1)).starts_with(&[0x80, 0x04]));
}

#[test]
fn stages_are_told_in_their_order() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.try_ask(&ann, json!([["trap"]])).unwrap_err();
    ann.start(None, Waiter::Nobody);
    world.run();
    ann.stop(false, SECOND, ShutdownReason::Stopped, Waiter::Nobody);
    world.run();
    let stages: Vec<Stage> = world
        .recorder
        .stages
        .lock()
        .unwrap()
        .iter()
        .map(|(_, stage)| *stage)
        .collect();
    assert_eq!(
        stages,
        [
            Stage::Running,
            Stage::Restarting,
            Stage::Running,
            Stage::Stopping,
            Stage::Stopped
        ]
    );
}
