//! Timers, clocks and sleeping, in time that moves when told.

use serde_json::json;

use airssys_host::limits::Limits;
use airssys_host::plane::{Answer, Bounds, Options, Source, Waiter};

use crate::support::{SECOND, World, blueprint, everything, relay, tagged};

#[test]
fn send_after_comes_once_at_its_time() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.ask(&ann, json!([["send-after", 2, {"tag": "tick"}]]));
    world.pass(SECOND);
    assert_eq!(world.tags(&ann), json!([]));
    world.pass(SECOND);
    assert_eq!(world.tags(&ann), json!(["tick"]));
    world.pass(10 * SECOND);
    assert_eq!(world.tags(&ann), json!(["tick"]));
    assert_eq!(ann.inspect().timers, 0);
    world.assert_conserved(&ann);
}

#[test]
fn a_timer_queues_one_tick_at_a_time_and_counts_the_missed() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.ask(&ann, json!([["every", 1, {"tag": "tick"}]]));
    ann.suspend();
    world.pass(4 * SECOND);
    assert_eq!(ann.queued(), 1);
    assert_eq!(ann.inspect().timers_missed, 3);
    ann.resume();
    world.run();
    let journal = world.ask(&ann, json!([["journal"]]));
    assert_eq!(journal[0][1]["tag"], "tick");
    assert_eq!(journal[0][1]["missed"], 3, "{journal}");
    world.pass(2 * SECOND);
    assert_eq!(world.tags(&ann), json!(["tick", "tick", "tick"]));
    let cancelled = world.ask(&ann, json!([["cancel-timer"], ["cancel-timer"]]));
    assert_eq!(cancelled, json!([true, false]));
    world.pass(5 * SECOND);
    assert_eq!(world.tags(&ann), json!(["tick", "tick", "tick"]));
    world.assert_conserved(&ann);
}

#[test]
fn a_cancelled_timer_takes_its_queued_tick_back() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.ask(&ann, json!([["send-after", 1, {"tag": "tick"}]]));
    ann.suspend();
    world.pass(SECOND);
    assert_eq!(ann.queued(), 1);
    let high = airssys_host::plane::Options {
        priority: 3,
        ..Default::default()
    };
    world
        .tell_with(&ann, &json!({"do": [["cancel-timer"]]}), high)
        .unwrap();
    ann.resume();
    world.run();
    assert_eq!(world.tags(&ann), json!([]));
    world.assert_conserved(&ann);
}

#[test]
fn sleeping_lets_others_run_and_the_clock_is_the_planes() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    let asked = world
        .asking(
            &ann,
            json!([["monotonic"], ["sleep", 1.5], ["monotonic"], ["now"]]),
        )
        .unwrap();
    world.run();
    world.tell(&bob, &tagged("meanwhile")).unwrap();
    assert_eq!(world.tags(&bob), json!(["meanwhile"]));
    assert!(!asked.is_done());
    world.pass(2 * SECOND);
    let Some(Ok(airssys_host::plane::Answer::Payload(Some(answer)))) = asked.take() else {
        panic!("no reply")
    };
    let given = crate::support::read(&answer);
    let slept = given[1].as_u64().unwrap() - given[0].as_u64().unwrap();
    assert_eq!(slept, 3 * SECOND / 2);
    let wall = given[2].as_u64().unwrap();
    assert_eq!(wall, 1_767_225_600 * SECOND + 3 * SECOND / 2);
}

#[test]
fn the_clocks_of_wasi_are_the_planes_too() {
    let world = World::new();
    let ann = world
        .plane
        .spawn(
            "demo/ann",
            blueprint(relay(), Limits::default(), vec![]),
            Bounds::default(),
            everything(),
        )
        .unwrap();
    ann.start(None, Waiter::Nobody);
    world.pass(SECOND);
    let mut message = vec![0x55, 6];
    message.extend(1500_u32.to_le_bytes());
    let asked = world
        .plane
        .shared()
        .ask(
            &world.target("demo/ann"),
            Source::Host,
            message.into(),
            Options::default(),
            5 * SECOND,
            Waiter::Nobody,
        )
        .unwrap();
    world.run();
    assert!(!asked.is_done(), "no time has passed");
    world.pass(2 * SECOND);
    let Some(Ok(Answer::Payload(Some(answer)))) = asked.take() else {
        panic!("no reply")
    };
    let number = |at: usize| u64::from_le_bytes(answer[at..at + 8].try_into().unwrap());
    assert_eq!(number(1), 3 * SECOND / 2);
    assert_eq!(number(9), 1_767_225_600 * SECOND + SECOND + 3 * SECOND / 2);
}

#[test]
fn the_same_run_gives_the_same_order() {
    let run = || {
        let world = World::new();
        let all: Vec<_> = (0..5)
            .map(|number| world.puppet(&format!("demo/a{number}")))
            .collect();
        let sink = world.puppet("demo/sink");
        for (number, cell) in all.iter().enumerate() {
            let actions = json!([
                ["send-after", 0.1, {"do": [["tell", "demo/sink", {"tag": number}]]}],
                ["every", 0.05, {"do": [["tell", "demo/sink", {"tag": number + 10}]]}],
            ]);
            world.ask(cell, actions);
        }
        world.pass(SECOND);
        world.tags(&sink)
    };
    let first = run();
    assert_eq!(first.as_array().unwrap().len(), 5 * 21);
    assert_eq!(first, run());
}
