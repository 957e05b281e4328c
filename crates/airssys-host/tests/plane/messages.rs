//! Order, bounds, asks, rights and codecs.

use airssys_host::gate::{AllowList, Allowed, MessageAccess};
use airssys_host::limits::Limits;
use airssys_host::plane::{Bounds, Failure, Options, Overflow, Reason, Source, Target, Waiter};
use serde_json::json;

use crate::support::{SECOND, World, blueprint, payload, puppet, tagged};
use std::sync::Arc;

fn small(overflow: Overflow) -> Bounds {
    Bounds {
        capacity: 3,
        overflow,
        ..Bounds::default()
    }
}

#[test]
fn a_message_from_component_to_component_carries_its_sender() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob#1");
    let sent = world.ask(&ann, json!([["tell", "demo/bob#1", {"tag": "hello"}]]));
    assert_eq!(sent[0]["ok"], json!(null));
    let journal = world.ask(&bob, json!([["journal"]]));
    assert_eq!(journal[0][0]["tag"], "hello");
    assert_eq!(journal[0][0]["from"], "demo/ann");
    world.assert_conserved(&bob);
}

#[test]
fn an_ask_suspends_the_guest_and_brings_the_answer() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    let chain = json!([["ask", "demo/bob", {"do": [["give", 42]]}, 1]]);
    assert_eq!(world.ask(&ann, chain)[0]["ok"], json!([42]));
    world.assert_conserved(&bob);
    let seen = bob.inspect();
    assert_eq!((seen.asked, seen.answered, seen.pending), (1, 1, 0));
}

#[test]
fn order_is_kept_within_a_lane_and_priorities_come_first() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    for (tag, priority) in [("a", 1), ("b", 0), ("c", 3), ("d", 1), ("e", 2), ("f", 3)] {
        let options = Options {
            priority,
            ..Options::default()
        };
        world.tell_with(&ann, &tagged(tag), options).unwrap();
    }
    ann.resume();
    world.run();
    assert_eq!(world.tags(&ann), json!(["c", "f", "e", "a", "d", "b"]));
}

#[test]
fn every_16th_delivery_serves_the_lane_that_waited_longest() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    let low = Options {
        priority: 0,
        ..Options::default()
    };
    world.tell_with(&ann, &tagged("low"), low).unwrap();
    for number in 0..40 {
        world.tell(&ann, &tagged(number)).unwrap();
    }
    let before = ann.inspect().counts.handled;
    assert_eq!(before, 0);
    ann.resume();
    world.run();
    let tags = world.tags(&ann);
    let position = tags.as_array().unwrap().iter().position(|tag| tag == "low");
    assert_eq!(position, Some(15));
}

#[test]
fn a_full_lane_refuses_and_leaves_the_others_alone() {
    let world = World::new();
    let ann = world.puppet_with("demo/ann", small(Overflow::Fail), Limits::default(), vec![]);
    ann.suspend();
    for number in 0..3 {
        world.tell(&ann, &tagged(number)).unwrap();
    }
    assert_eq!(world.tell(&ann, &tagged(3)), Err(Failure::MailboxFull));
    let high = Options {
        priority: 2,
        ..Options::default()
    };
    world.tell_with(&ann, &tagged("high"), high).unwrap();
    let seen = ann.inspect();
    assert_eq!((seen.counts.accepted, seen.counts.refused), (4, 1));
    assert_eq!(seen.queued, [0, 3, 1, 0]);
    world.assert_conserved(&ann);
}

#[test]
fn a_mailbox_is_bounded_in_bytes_too() {
    let world = World::new();
    let bounds = Bounds {
        bytes: 100,
        ..Bounds::default()
    };
    let ann = world.puppet_with("demo/ann", bounds, Limits::default(), vec![]);
    ann.suspend();
    let large = tagged("x".repeat(60));
    world.tell(&ann, &large).unwrap();
    assert_eq!(world.tell(&ann, &large), Err(Failure::MailboxFull));
    assert!(ann.inspect().queued_bytes <= 100);
}

#[test]
fn drop_oldest_and_drop_newest_make_dead_letters() {
    for (overflow, left) in [
        (Overflow::DropOldest, json!([2, 3, 4])),
        (Overflow::DropNewest, json!([0, 1, 2])),
    ] {
        let world = World::new();
        let ann = world.puppet_with("demo/ann", small(overflow), Limits::default(), vec![]);
        ann.suspend();
        for number in 0..5 {
            world.tell(&ann, &tagged(number)).unwrap();
        }
        world.assert_conserved(&ann);
        ann.resume();
        world.run();
        assert_eq!(world.tags(&ann), left);
        assert_eq!(
            world.dead(),
            vec![("demo/ann".to_owned(), Reason::Overflow); 2]
        );
        world.assert_conserved(&ann);
    }
}

#[test]
fn send_waits_for_room_and_nothing_overtakes_it() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet_with("demo/bob", small(Overflow::Fail), Limits::default(), vec![]);
    bob.suspend();
    for number in 0..3 {
        world.tell(&bob, &tagged(number)).unwrap();
    }
    let sending = world
        .asking(&ann, json!([["send", "demo/bob", {"tag": "waited"}, 3]]))
        .unwrap();
    world.run();
    assert!(!sending.is_done());
    assert_eq!(bob.inspect().waiting_senders, 1);
    assert_eq!(world.tell(&bob, &tagged("late")), Err(Failure::MailboxFull));
    bob.resume();
    world.run();
    assert!(sending.is_done());
    assert_eq!(world.tags(&bob), json!([0, 1, 2, "waited"]));
    world.assert_conserved(&bob);
}

#[test]
fn a_send_without_room_ends_at_its_timeout() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet_with("demo/bob", small(Overflow::Wait), Limits::default(), vec![]);
    bob.suspend();
    for number in 0..3 {
        world.tell(&bob, &tagged(number)).unwrap();
    }
    let sending = world
        .asking(&ann, json!([["send", "demo/bob", {"tag": "waited"}, 3]]))
        .unwrap();
    world.pass(4 * SECOND);
    let given = crate::support::read(match sending.take().unwrap().unwrap() {
        airssys_host::plane::Answer::Payload(Some(ref payload)) => payload,
        _ => panic!("no reply"),
    });
    assert_eq!(given[0]["error"], "timeout");
    bob.resume();
    world.run();
    assert_eq!(world.tags(&bob), json!([0, 1, 2]));
}

#[test]
fn an_ask_waits_for_room_where_the_mailbox_says_so() {
    let world = World::new();
    let bob = world.puppet_with("demo/bob", small(Overflow::Wait), Limits::default(), vec![]);
    bob.suspend();
    for number in 0..3 {
        world.tell(&bob, &tagged(number)).unwrap();
    }
    let asked = world.asking(&bob, json!([["give", 1]])).unwrap();
    let given_up = world.asking(&bob, json!([["count", 100]])).unwrap();
    assert_eq!(bob.inspect().waiting_senders, 2);
    assert!(given_up.cancel());
    bob.resume();
    world.run();
    assert!(matches!(asked.take(), Some(Ok(_))));
    let seen = bob.inspect();
    assert_eq!(
        (seen.answered, seen.cancelled, seen.counts.accepted),
        (1, 1, 4)
    );
    world.assert_conserved(&bob);
}

#[test]
fn what_waited_longer_than_its_time_to_live_is_never_handled() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    let short = Options {
        time_to_live: Some(SECOND),
        ..Options::default()
    };
    world.tell_with(&ann, &tagged("short"), short).unwrap();
    world.tell(&ann, &tagged("long")).unwrap();
    world.pass(2 * SECOND);
    ann.resume();
    world.run();
    assert_eq!(world.tags(&ann), json!(["long"]));
    assert_eq!(world.dead(), [("demo/ann".to_owned(), Reason::Expired)]);
    world.assert_conserved(&ann);
}

#[test]
fn an_ask_ends_at_its_deadline_and_its_request_is_not_begun() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    let ask = world.asking(&ann, json!([["count"]])).unwrap();
    world.pass(6 * SECOND);
    assert_eq!(ask.take(), Some(Err(Failure::Timeout)));
    ann.resume();
    world.run();
    let seen = ann.inspect();
    assert_eq!((seen.asked, seen.expired, seen.pending), (1, 1, 0));
    assert_eq!(seen.counts.handled, 0);
    world.assert_conserved(&ann);
}

#[test]
fn asks_of_a_guest_end_at_their_own_deadlines_and_leave_one_timer() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    let ask = |seconds: u32| json!(["ask", "demo/bob", {"do": [["give", 1]]}, seconds]);
    // Many that are answered at once wait by the timer of the first.
    world.ask(&ann, json!([ask(4), ask(4), ask(4), ask(4)]));
    let left = world.plane.statistics().timers;
    world.ask(&ann, json!([ask(4), ask(4), ask(4), ask(4)]));
    assert_eq!(world.plane.statistics().timers, left);
    bob.suspend();
    let asking = world.asking(&ann, json!([ask(1), ask(2)])).unwrap();
    world.pass(SECOND - 1);
    assert_eq!(bob.inspect().expired, 0);
    world.pass(1);
    assert_eq!(bob.inspect().expired, 1);
    assert!(!asking.is_done());
    world.pass(2 * SECOND);
    let Some(Ok(airssys_host::plane::Answer::Payload(Some(answer)))) = asking.take() else {
        panic!("no reply")
    };
    let answer = crate::support::read(&answer);
    assert_eq!(
        (&answer[0]["error"], &answer[1]["error"]),
        (&json!("timeout"), &json!("timeout"))
    );
    bob.resume();
    world.run();
    let seen = bob.inspect();
    assert_eq!((seen.expired, seen.counts.handled), (2, 8));
    world.assert_conserved(&bob);
}

#[test]
fn a_late_reply_is_counted_and_answers_nothing() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let ask = world.asking(&ann, json!([["sleep", 10]])).unwrap();
    world.pass(7 * SECOND);
    assert_eq!(ask.take(), Some(Err(Failure::Timeout)));
    world.pass(7 * SECOND);
    let seen = ann.inspect();
    assert_eq!((seen.late, seen.counts.handled, seen.expired), (1, 1, 1));
}

#[test]
fn a_cancelled_request_is_not_begun() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    ann.suspend();
    let ask = world.asking(&ann, json!([["count"]])).unwrap();
    assert!(ask.cancel());
    ann.resume();
    world.run();
    assert_eq!(world.dead(), [("demo/ann".to_owned(), Reason::Cancelled)]);
    let seen = ann.inspect();
    assert_eq!((seen.cancelled, seen.counts.handled), (1, 0));
}

#[test]
fn an_ask_that_would_close_a_circle_fails_with_it() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.puppet("demo/bob");
    let itself = world.ask(&ann, json!([["ask", "demo/ann", {}, 1]]));
    assert_eq!(itself[0]["error"], "wait-cycle");
    assert_eq!(itself[0]["detail"], json!(["demo/ann", "demo/ann"]));
    let circle = json!([["ask", "demo/bob", {"do": [["ask", "demo/ann", {}, 1]]}, 1]]);
    let answer = world.ask(&ann, circle);
    assert_eq!(answer[0]["ok"][0]["error"], "wait-cycle");
    assert_eq!(
        answer[0]["ok"][0]["detail"],
        json!(["demo/bob", "demo/ann", "demo/bob"])
    );
    assert_eq!(world.ask(&ann, json!([["give", 1]])), json!([1]));
}

#[test]
fn ask_async_calls_back_once_and_cancel_takes_it_back() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    world.ask(
        &ann,
        json!([["ask-async", "demo/bob", {"do": [["give", 7]]}, 1]]),
    );
    let journal = world.ask(&ann, json!([["journal"]]));
    let callback = &journal[0][1];
    assert_eq!(callback["outcome"]["ok"], json!([7]), "{journal}");
    bob.suspend();
    let cancelled = world.ask(
        &ann,
        json!([["ask-async", "demo/bob", {"do": [["count"]]}, 1], ["cancel"], ["cancel"]]),
    );
    assert_eq!(
        (&cancelled[1], &cancelled[2]),
        (&json!(true), &json!(false))
    );
    bob.resume();
    world.pass(5 * SECOND);
    let journal = world.ask(&ann, json!([["journal"]]));
    let callbacks = journal[0].as_array().unwrap();
    let callbacks = callbacks
        .iter()
        .filter(|entry| entry.get("callback").is_some());
    assert_eq!(callbacks.count(), 1);
    assert_eq!(bob.inspect().cancelled, 1);
    world.assert_conserved(&bob);
}

#[test]
fn an_ask_async_calls_back_at_its_timeout() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    bob.suspend();
    world.ask(&ann, json!([["ask-async", "demo/bob", {}, 1]]));
    world.pass(2 * SECOND);
    let journal = world.ask(&ann, json!([["journal"]]));
    assert_eq!(journal[0][1]["outcome"]["error"], "timeout");
}

#[test]
fn a_reply_can_be_put_off_and_is_given_once() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let ask = world.asking(&ann, json!([["reply-later"]])).unwrap();
    world.run();
    assert!(!ask.is_done());
    let given = world.ask(
        &ann,
        json!([["answer", null, "at last"], ["answer", null, "again"]]),
    );
    assert_eq!(given[0]["ok"], json!(null));
    assert_eq!(given[1]["error"], "unknown-token");
    let airssys_host::plane::Answer::Payload(Some(answer)) = ask.take().unwrap().unwrap() else {
        panic!("no reply")
    };
    assert_eq!(crate::support::read(&answer), "at last");
    world.assert_conserved(&ann);
}

#[test]
fn a_refusal_fails_only_the_ask() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    assert_eq!(
        world.try_ask(&ann, json!([["refuse", "not today"]])),
        Err(Failure::Refused("not today".to_owned()))
    );
    assert_eq!(
        world.try_ask(&ann, json!([["unhandled", "what?"]])),
        Err(Failure::Dropped(Reason::Unhandled))
    );
    assert_eq!(
        world.try_ask(&ann, json!([["undecodable", "what?"]])),
        Err(Failure::Dropped(Reason::Undecodable))
    );
    assert_eq!(ann.incarnation(), 1);
    let reasons: Vec<Reason> = world.dead().into_iter().map(|(_, reason)| reason).collect();
    // One that was refused was handled.
    assert_eq!(reasons, [Reason::Unhandled, Reason::Undecodable]);
    let counts = ann.inspect().counts;
    assert_eq!((counts.accepted, counts.handled), (3, 1));
    world.assert_conserved(&ann);
}

#[test]
fn nothing_may_be_sent_that_was_not_granted() {
    let world = World::new();
    let bob = world.puppet("demo/bob");
    world.puppet("secret/vault");
    let mut allowed = Allowed::default();
    allowed.message(MessageAccess::Send, "demo/*").unwrap();
    let gate = Arc::new(AllowList::new(allowed));
    let ann = world
        .plane
        .spawn(
            "demo/ann",
            blueprint(puppet(), Limits::default(), vec![]),
            Bounds::default(),
            gate.clone(),
        )
        .unwrap();
    ann.start(None, Waiter::Nobody);
    world.run();
    let try_all = json!([
        ["tell", "demo/bob", {}],
        ["ask", "demo/bob", {}, 1],
        ["tell", "secret/vault", {}],
        ["tell", "secret/nobody", {}],
        ["publish", "news", {}],
        ["broadcast", "**", {}],
        ["subscribe", "news"],
    ]);
    let tried = world.ask(&ann, try_all);
    assert!(tried[0].get("ok").is_some(), "{tried}");
    for refused in [1, 2, 3, 4, 6] {
        assert_eq!(tried[refused]["error"], "not-permitted", "{tried}");
    }
    assert_eq!(tried[5]["ok"]["accepted"], 0, "{tried}");
    // What is revoked ends at once, also for a receiver that was reached before.
    gate.replace(Allowed::default());
    let tried = world.ask(&ann, json!([["tell", "demo/bob", {}]]));
    assert_eq!(tried[0]["error"], "not-permitted");
    assert_eq!(bob.inspect().counts.accepted, 1);
}

#[test]
fn payloads_have_a_codec_that_the_receiver_accepts() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let raw_only = world.puppet_with(
        "demo/raw",
        Bounds {
            message_size: 10,
            ..Bounds::default()
        },
        Limits::default(),
        vec![0x55],
    );
    let tried = world.ask(
        &ann,
        json!([
            ["tell", "demo/raw", "hex:5501"],
            ["tell", "demo/raw", {}],
            ["tell", "demo/raw", "hex:"],
            ["tell", "demo/raw", "hex:55000102030405060708090a"],
            ["tell", "demo/ann", "hex:7faa"],
            ["tell", "demo/nobody", {}],
        ]),
    );
    assert!(tried[0].get("ok").is_some(), "{tried}");
    assert_eq!(tried[1]["error"], "codec-mismatch");
    assert_eq!(tried[1]["detail"]["sent"], 0x0200, "{tried}");
    assert_eq!(tried[1]["detail"]["accepted"], json!([0x55]), "{tried}");
    assert_eq!(tried[2]["error"], "invalid-payload");
    assert_eq!(tried[3]["error"], "too-large");
    assert_eq!(tried[4]["error"], "codec-mismatch");
    assert_eq!(tried[5]["error"], "no-actor");
    world.run();
    assert_eq!(raw_only.inspect().counts.accepted, 1);
}

#[test]
fn broadcast_reaches_those_that_match_but_not_oneself() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let one = world.puppet("fleet/device#1");
    let two = world.puppet("fleet/device#2");
    world.puppet("fleet/other/thing");
    let reach = world.ask(&ann, json!([["broadcast", "fleet/*", {"tag": "all"}]]));
    assert_eq!(reach[0]["ok"], json!({"accepted": 2, "refused": 0}));
    assert_eq!(world.tags(&one), json!(["all"]));
    assert_eq!(world.tags(&two), json!(["all"]));
}

#[test]
fn topics_reach_their_subscribers_until_they_unsubscribe() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bob = world.puppet("demo/bob");
    world.ask(
        &bob,
        json!([
            ["subscribe", "orders.*.paid"],
            ["subscribe", "orders.*.paid"]
        ]),
    );
    let publish = json!([["publish", "orders.eu.paid", {"tag": "paid"}]]);
    let reach = world.ask(&ann, publish.clone());
    assert_eq!(reach[0]["ok"], json!({"accepted": 1, "refused": 0}));
    let journal = world.ask(&bob, json!([["journal"]]));
    assert_eq!(journal[0][1]["topic"], "orders.eu.paid", "{journal}");
    assert_eq!(journal[0][1]["from"], "demo/ann", "{journal}");
    world.ask(&bob, json!([["unsubscribe", "orders.*.paid"]]));
    assert_eq!(world.ask(&ann, publish)[0]["ok"]["accepted"], 0);
}

#[test]
fn a_pattern_of_topics_receives_only_what_its_owner_may() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let mut allowed = Allowed::default();
    allowed
        .message(MessageAccess::Subscribe, "orders.eu")
        .unwrap();
    let bob = world
        .plane
        .spawn(
            "demo/bob",
            blueprint(puppet(), Limits::default(), vec![]),
            Bounds::default(),
            Arc::new(AllowList::new(allowed)),
        )
        .unwrap();
    bob.start(None, Waiter::Nobody);
    world.run();
    world.ask(&bob, json!([["subscribe", "**"]]));
    let reach = world.ask(
        &ann,
        json!([["publish", "orders.eu", {"tag": 1}], ["publish", "orders.us", {"tag": 2}]]),
    );
    assert_eq!(reach[0]["ok"], json!({"accepted": 1, "refused": 0}));
    assert_eq!(reach[1]["ok"], json!({"accepted": 0, "refused": 1}));
    assert_eq!(world.tags(&bob), json!([1]));
}

#[test]
fn the_sender_is_what_the_host_says() {
    let world = World::new();
    let ann = world.puppet("demo/ann#7");
    let own = world.ask(&ann, json!([["self"]]));
    assert_eq!(own[0], "demo/ann#7");
    let source = Source::Actor("rt/printer".into());
    let target = Target::Actor(ann.clone());
    let shared = world.plane.shared();
    shared
        .send_now(
            &target,
            source,
            payload(&tagged("x")),
            Options::default(),
            0,
        )
        .unwrap();
    let journal = world.ask(&ann, json!([["journal"]]));
    assert_eq!(journal[0][1]["from"], "rt/printer");
}

#[test]
fn a_chain_of_callers_that_comes_again_is_not_made_anew() {
    let world = World::new();
    let [ann, ..] = ["demo/ann", "demo/bob", "demo/cid"].map(|name| world.puppet(name));
    // Twice round the three; the last one has no use for it.
    let mut message = json!({"do": [["unhandled", "at its end"]]});
    for to in ["demo/cid", "demo/bob", "demo/ann", "demo/cid", "demo/bob"] {
        message = json!({"do": [["tell", to, message]]});
    }
    for _ in 0..2 {
        world.tell(&ann, &message).unwrap();
        world.run();
    }
    let chains = world.recorder.chains.lock().unwrap();
    assert_eq!(chains.len(), 2);
    assert!(chains[0].is_some());
    assert_eq!(chains[0], chains[1]);
}
