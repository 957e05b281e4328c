//! Bounds met, and what is left over: rooms given back, waits that end, calls made twice.

use airssys_host::limits::Limits;
use airssys_host::plane::{
    Answer, Bounds, Failure, HandOver, Options, Overflow, Reason, Request, Waiter,
};
use serde_json::{Value, json};

use crate::outside::port;
use crate::succession::{decided, prepared, successor};
use crate::support::{SECOND, World, payload, read, tagged};

fn bounded(capacity: usize, bytes: usize, overflow: Overflow) -> Bounds {
    Bounds {
        capacity,
        bytes,
        overflow,
        ..Bounds::default()
    }
}

fn given(asked: &airssys_host::plane::Ask) -> Value {
    let Some(Ok(Answer::Payload(Some(answer)))) = asked.take() else {
        panic!("no answer")
    };
    read(&answer)
}

fn refused_with(outcome: &Value, error: &str) -> bool {
    outcome["error"]
        .as_str()
        .is_some_and(|text| text.contains(error))
}

#[test]
fn bytes_are_room_again_once_their_message_has_gone() {
    let world = World::new();
    let bounds = bounded(1000, 300, Overflow::Fail);
    let ann = world.puppet_with("demo/ann", bounds, Limits::default(), vec![]);
    let large = json!({"pad": "x".repeat(100)});
    // Handled.
    for _ in 0..10 {
        world.tell(&ann, &large).unwrap();
        world.run();
    }
    assert_eq!(ann.inspect().queued_bytes, 0);
    // A tick that is cancelled while it waits.
    let timer = world.ask(&ann, json!([["every", 1, large]]))[0]["ok"].clone();
    let busy = world
        .asking(&ann, json!([["sleep", 2], ["cancel-timer", timer]]))
        .unwrap();
    world.pass(3 * SECOND);
    assert_eq!(given(&busy), json!([true]));
    assert_eq!((ann.queued(), ann.inspect().queued_bytes), (0, 0));
    // What an incarnation sent itself, which ends with it.
    world
        .tell(
            &ann,
            &json!({"do": [["tell", "demo/ann", large], ["trap"]]}),
        )
        .unwrap();
    world.run();
    assert_eq!((ann.queued(), ann.inspect().queued_bytes), (0, 0));
    world.assert_conserved(&ann);
}

#[test]
fn a_small_message_does_not_overtake_a_large_one_that_waits() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let bounds = bounded(1000, 200, Overflow::Fail);
    let bob = world.puppet_with("demo/bob", bounds, Limits::default(), vec![]);
    bob.suspend();
    world
        .tell(&bob, &json!({"tag": 1, "pad": "x".repeat(100)}))
        .unwrap();
    let large = json!({"tag": 2, "pad": "x".repeat(150)});
    let sending = world
        .asking(&ann, json!([["send", "demo/bob", large, 3]]))
        .unwrap();
    world.run();
    assert_eq!(bob.inspect().waiting_senders, 1);
    assert_eq!(world.tell(&bob, &tagged(3)), Err(Failure::MailboxFull));
    bob.resume();
    world.run();
    assert!(sending.is_done());
    assert_eq!(world.tags(&bob), json!([1, 2]));
}

#[test]
fn so_many_may_wait_for_room_and_all_are_told_when_the_actor_ends() {
    let world = World::new();
    let bounds = bounded(1, 1 << 20, Overflow::Wait);
    let bob = world.puppet_with("demo/bob", bounds, Limits::default(), vec![]);
    bob.suspend();
    world.tell(&bob, &tagged(0)).unwrap();
    let target = world.target("demo/bob");
    let send = || {
        world.plane.shared().send(
            &target,
            airssys_host::plane::Source::Host,
            payload(&tagged(1)),
            Options::default(),
            5 * SECOND,
            Waiter::Nobody,
        )
    };
    let waiting: Vec<_> = (0..1000).map(|_| send().unwrap()).collect();
    assert!(matches!(send(), Err(Failure::MailboxFull)));
    bob.kill(Waiter::Nobody);
    world.run();
    bob.discard().unwrap();
    for asked in waiting {
        assert_eq!(asked.take(), Some(Err(Failure::Stopped)));
    }
    world.assert_conserved(&bob);
}

#[test]
fn an_ask_that_was_refused_was_not_asked() {
    let world = World::new();
    let bounds = bounded(1, 1 << 20, Overflow::Fail);
    let bob = world.puppet_with("demo/bob", bounds, Limits::default(), vec![]);
    bob.suspend();
    world.tell(&bob, &tagged(0)).unwrap();
    assert!(world.asking(&bob, json!([])).is_err());
    assert_eq!((bob.inspect().asked, bob.inspect().pending), (0, 0));
}

#[test]
fn nobody_waits_any_more_for_who_has_answered() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    world.ask(&ann, json!([["ask", "demo/bob", {"do": [["give", 1]]}, 1]]));
    assert_eq!(ann.inspect().waits_for, None);
    let back = world.ask(&bob, json!([["ask", "demo/ann", {"do": [["give", 2]]}, 1]]));
    assert_eq!(back, json!([{"ok": [2]}]));
}

#[test]
fn a_question_between_messages_fails_with_its_incarnation() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world
        .tell(&ann, &json!({"do": [["health", "degraded", ""]]}))
        .unwrap();
    world.run();
    let health = ann.request(Request::Health, SECOND, Waiter::Nobody);
    assert!(world.outcome(&health).is_ok());
    assert_eq!(ann.inspect().health.status, "degraded");
    world.tell(&ann, &json!({"do": [["sleep", 5]]})).unwrap();
    world.run();
    let asked = ann.request(Request::Health, 60 * SECOND, Waiter::Nobody);
    ann.restart(None, Waiter::Nobody);
    world.run();
    assert!(matches!(asked.take(), Some(Err(_))), "it is not waited for");
    assert_eq!(ann.inspect().health.status, "unknown", "of the new one");
}

#[test]
fn what_an_incarnation_asked_without_waiting_is_cancelled_with_it() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    bob.suspend();
    world
        .tell(
            &ann,
            &json!({"do": [["ask-async", "demo/bob", {"tag": 1}, 60, []], ["trap"]]}),
        )
        .unwrap();
    world.run();
    bob.resume();
    world.run();
    assert_eq!(world.tags(&bob), json!([]));
    assert_eq!(bob.inspect().cancelled, 1);
    assert!(
        world
            .dead()
            .contains(&("demo/bob".to_owned(), Reason::Cancelled))
    );
}

#[test]
fn a_reply_is_put_off_once_and_has_a_codec() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let asked = world
        .asking(
            &ann,
            json!([["reply-later"], ["reply-later"], ["set", "kept", 1]]),
        )
        .unwrap();
    world.run();
    assert!(!asked.is_done(), "what the handler returned is no answer");
    let tried = world.ask(
        &ann,
        json!([["answer", null, "hex:00"], ["answer", null, "yes"]]),
    );
    assert_eq!(tried[0]["error"], "invalid-payload");
    assert_eq!(tried[1], json!({"ok": null}));
    assert_eq!(given(&asked), "yes");
    let refused = world.try_ask(&ann, json!([["reply", "hex:00"]]));
    assert!(
        matches!(refused, Err(Failure::InvalidPayload(_))),
        "{refused:?}"
    );
    // The second time was refused, so there was one token, and it is used up.
    let again = world.ask(&ann, json!([["answer", 1, "again"]]));
    assert_eq!(again[0]["error"], "unknown-token");
    let late = world.asking(&ann, json!([["reply-later"]])).unwrap();
    world.pass(6 * SECOND);
    assert_eq!(late.take(), Some(Err(Failure::Timeout)));
    assert_eq!(
        world.ask(&ann, json!([["answer", null, "late"]]))[0]["error"],
        "timeout"
    );
}

#[test]
fn timers_and_open_asks_are_bounded() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    let timers = world.ask(&ann, json!([["repeat", 257, [["send-after", 60, {}]]]]));
    assert!(timers[255].get("ok").is_some());
    assert!(refused_with(&timers[256], "too-many"), "{}", timers[256]);
    bob.suspend();
    let asks = world.ask(
        &ann,
        json!([["repeat", 1001, [["ask-async", "demo/bob", {}, 60, []]]]]),
    );
    assert!(asks[999].get("ok").is_some(), "{}", asks[999]);
    assert_eq!(asks[1000]["error"], "too-many");
    let cat = world.puppet("demo/cat");
    let put_off: Vec<_> = (0..1001)
        .map(|_| {
            let asked = world.asking(&cat, json!([["reply-later"]])).unwrap();
            world.run();
            asked
        })
        .collect();
    assert!(!put_off[999].is_done());
    assert_eq!(given(&put_off[1000])[0]["error"], "too-many");
    // A timer that has fired is none any more.
    world.pass(61 * SECOND);
    assert_eq!(ann.inspect().timers, 0);
}

#[test]
fn a_timer_has_a_payload_a_beginning_and_an_interval() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let set = world.ask(
        &ann,
        json!([["send-after", 1, "hex:00"], ["every", 0, {}], ["every", 5, {"tag": "t"}, 1]]),
    );
    assert!(refused_with(&set[0], "invalid-payload"), "{set}");
    assert!(refused_with(&set[1], "zero-interval"), "{set}");
    world.pass(2 * SECOND);
    assert_eq!(world.tags(&ann), json!(["t"]));
    world.pass(5 * SECOND);
    assert_eq!(world.tags(&ann), json!(["t", "t"]));
}

#[test]
fn what_a_guest_says_of_its_message_counts() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    bob.suspend();
    world.ask(
        &ann,
        json!([
            ["tell", "demo/bob", {"tag": "normal"}],
            ["tell", "demo/bob", {"tag": "high"}, {"priority": "high"}],
            ["tell", "demo/bob", {"tag": "brief"}, {"ttl": 1}],
        ]),
    );
    assert_eq!(bob.inspect().queued, [0, 2, 1, 0]);
    world.pass(2 * SECOND);
    bob.resume();
    world.run();
    assert_eq!(world.tags(&bob), json!(["high", "normal"]));
    assert_eq!(world.dead(), [("demo/bob".to_owned(), Reason::Expired)]);
}

#[test]
fn a_guest_sees_deadline_and_trace_and_its_own_namespace_alone() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world.puppet("demo/bob");
    world.puppet("other/cat");
    let seen = world.ask(
        &ann,
        json!([
            ["list"],
            ["info", "other/cat"],
            ["info", "demo/bob"],
            ["message"]
        ]),
    );
    assert_eq!(seen[0], json!(["demo/ann", "demo/bob"]));
    assert_eq!(seen[1], json!(null));
    assert_eq!(seen[2]["id"], "demo/bob");
    assert_eq!(
        seen[3]["deadline"],
        json!(world.plane.shared().clock.now() + 5 * SECOND)
    );
    let options = Options {
        trace: Some("00-trace-span-01".into()),
        ..Options::default()
    };
    let traced = world.plane.shared().ask(
        &world.target("demo/ann"),
        airssys_host::plane::Source::Host,
        payload(&json!({"do": [["message"]]})),
        options,
        SECOND,
        Waiter::Nobody,
    );
    world.run();
    let traced = traced.unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(given(&traced)[0]["trace"], "00-trace-span-01");
    let next = world.ask(&ann, json!([["message"]]));
    assert_eq!(next[0]["trace"], json!(null), "it is of that message alone");
}

#[test]
fn a_broadcast_reaches_nobody_twice_and_not_its_sender() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    let reach = world.ask(&ann, json!([["broadcast", "demo/*", {"tag": "all"}]]));
    assert_eq!(reach[0]["ok"], json!({"accepted": 1, "refused": 0}));
    assert_eq!(world.tags(&ann), json!([]));
    world.ask(&bob, json!([["subscribe", "a.*"], ["subscribe", "a.**"]]));
    let reach = world.ask(
        &ann,
        json!([["publish", "a.b", {"tag": "once"}], ["publish", "a", {}]]),
    );
    assert_eq!(reach[0]["ok"], json!({"accepted": 1, "refused": 0}));
    assert_eq!(
        reach[1]["ok"]["accepted"], 0,
        "two stars are one word at least"
    );
    assert_eq!(world.tags(&bob), json!(["all", "once"]));
}

#[test]
fn a_right_to_hear_that_was_taken_back_ends_the_subscription() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    world.ask(&bob, json!([["subscribe", "a.*"]]));
    let publish = json!([["publish", "a.b", {}]]);
    assert_eq!(world.ask(&ann, publish.clone())[0]["ok"]["accepted"], 1);
    bob.regrant(std::sync::Arc::new(airssys_host::gate::AllowList::default()));
    assert_eq!(
        world.ask(&ann, publish)[0]["ok"],
        json!({"accepted": 0, "refused": 1})
    );
    let tried = world.ask(&bob, json!([["tell", "demo/ann", {}]]));
    assert_eq!(tried[0]["error"], "not-permitted");
}

#[test]
fn what_dies_on_its_way_out_gives_its_slot_back() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let (port, _) = port(&world.plane, 2);
    world.ask(
        &ann,
        json!([
            ["tell", "rt/printer", {"tag": "brief"}, {"ttl": 1}],
            ["ask-async", "rt/printer", {}, 60, []],
            ["cancel", null],
        ]),
    );
    let waiting = world
        .asking(&ann, json!([["send", "rt/printer", {"tag": "waited"}, 4]]))
        .unwrap();
    world.pass(2 * SECOND);
    assert!(port.take(10).0.is_empty(), "one expired, one was cancelled");
    world.run();
    assert_eq!(given(&waiting), json!([{"ok": null}]));
    assert_eq!(port.take(10).0.len(), 1);
    assert_eq!(
        world.dead(),
        [Reason::Expired, Reason::Cancelled].map(|reason| ("rt/printer".to_owned(), reason))
    );
    world.ask(&ann, json!([["tell", "rt/printer", {}]]));
    port.close();
    assert_eq!(
        world.dead().last(),
        Some(&("rt/printer".to_owned(), Reason::Stopped))
    );
}

#[test]
fn what_the_old_one_sent_itself_ends_with_it() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    world
        .tell(
            &ann,
            &json!({"do": [["sleep", 1], ["tell", "demo/ann", {"tag": "old"}]]}),
        )
        .unwrap();
    world.run();
    let ready = ann.prepare(
        successor(HandOver::Nothing, &[]),
        5 * SECOND,
        Waiter::Nobody,
    );
    world.pass(2 * SECOND);
    assert!(ready.take().is_some_and(|outcome| outcome.is_ok()));
    assert_eq!(ann.queued(), 1);
    assert_eq!(decided(&world, &ann, true), Ok(Answer::Ended("normal")));
    assert_eq!(world.tags(&ann), json!([]));
    assert_eq!(world.dead(), [("demo/ann".to_owned(), Reason::Stale)]);
    world.assert_conserved(&ann);
    // Another one, which is not wanted: nothing of the present one ends.
    assert!(prepared(&world, &ann, successor(HandOver::Nothing, &[])).is_ok());
}

#[test]
fn nothing_overtakes_who_waits_for_a_slot_and_who_gave_up_gets_none() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    let (port, _) = port(&world.plane, 10);
    let large = json!({"tag": "large", "pad": "x".repeat(600_000)});
    world.ask(&ann, json!([["tell", "rt/printer", large]]));
    let waiting = world
        .asking(&ann, json!([["send", "rt/printer", large, 1]]))
        .unwrap();
    world.run();
    let told = world.ask(&bob, json!([["tell", "rt/printer", {}]]));
    assert_eq!(
        told[0]["error"], "mailbox-full",
        "there is room for it, and a line before it"
    );
    world.pass(2 * SECOND);
    assert_eq!(given(&waiting)[0]["error"], "timeout");
    let (batch, _) = port.take(10);
    port.credit(1, batch[0].payload.len());
    world.run();
    assert!(port.take(10).0.is_empty());
    assert_eq!(port.counts(), (1, 1, 10));
}
