//! Receivers outside the plane, and what guests write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use airssys_host::plane::{Answer, Failure, Plane, Port, PortSink, PortSpec, Reason};
use serde_json::json;

use crate::support::{SECOND, World, payload};

#[derive(Default)]
pub struct Counter(AtomicUsize);

impl PortSink for Counter {
    fn ready(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn port(plane: &Plane, capacity: usize) -> (Arc<Port>, Arc<Counter>) {
    let sink = Arc::new(Counter::default());
    let spec = PortSpec {
        capacity,
        bytes: 1 << 20,
        message_size: 1 << 20,
        accepts: vec![],
    };
    (plane.port("rt/printer", spec, sink.clone()).unwrap(), sink)
}

#[test]
fn a_port_takes_messages_in_batches_and_overflow_shows_at_the_sender() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let (port, ready) = port(&world.plane, 3);
    let sent = world.ask(&ann, json!([["flood", "rt/printer", 5, {"tag": "x"}]]));
    assert_eq!(sent[0], json!({"ok": 3, "refused": {"mailbox-full": 2}}));
    assert_eq!(ready.0.load(Ordering::Relaxed), 1, "told once per batch");
    let (batch, more) = port.take(2);
    assert_eq!((batch.len(), more), (2, true));
    assert_eq!(batch[0].source.address(), "demo/ann");
    // Taken is not handled: the slots come back by credit.
    let sent = world.ask(&ann, json!([["tell", "rt/printer", {}]]));
    assert_eq!(sent[0]["error"], "mailbox-full");
    let bytes = batch.iter().map(|envelope| envelope.payload.len()).sum();
    port.credit(2, bytes);
    let sent = world.ask(&ann, json!([["tell", "rt/printer", {}]]));
    assert!(sent[0].get("ok").is_some());
    assert_eq!(port.counts().0, 4);
}

#[test]
fn whoever_sends_to_a_full_port_waits_in_line_for_room() {
    let world = World::new();
    let (ann, bob) = (world.puppet("demo/ann"), world.puppet("demo/bob"));
    let (port, ready) = port(&world.plane, 1);
    let send = |tag| json!([["send", "rt/printer", {"tag": tag}, 5]]);
    world.ask(&ann, send("first"));
    let waiting = [(&ann, "second"), (&bob, "third")].map(|(actor, tag)| {
        let asked = world.asking(actor, send(tag)).unwrap();
        world.run();
        asked
    });
    assert!(waiting.iter().all(|asked| !asked.is_done()));
    let cat = world.puppet("demo/cat");
    let told = world.ask(&cat, json!([["tell", "rt/printer", {}]]));
    assert_eq!(told[0]["error"], "mailbox-full", "a tell never waits");
    let mut tags = Vec::new();
    for _ in 0..3 {
        let (batch, _) = port.take(10);
        let bytes = batch.iter().map(|envelope| envelope.payload.len()).sum();
        tags.extend(
            batch
                .iter()
                .map(|one| crate::support::read(&one.payload)["tag"].clone()),
        );
        port.credit(batch.len(), bytes);
        world.run();
    }
    assert_eq!(tags, ["first", "second", "third"]);
    assert_eq!(ready.0.load(Ordering::Relaxed), 3);
    for asked in waiting {
        assert!(matches!(asked.take(), Some(Ok(Answer::Payload(_)))));
    }
    // Who gives up is not let in later; who waits at the end is told.
    world.ask(&ann, send("fourth"));
    let late = world
        .asking(&ann, json!([["send", "rt/printer", {"tag": "fifth"}, 1]]))
        .unwrap();
    world.pass(2 * SECOND);
    let Some(Ok(Answer::Payload(Some(answer)))) = late.take() else {
        panic!("no answer")
    };
    assert_eq!(crate::support::read(&answer)[0]["error"], "timeout");
    let stranded = world.asking(&bob, send("sixth")).unwrap();
    world.run();
    port.close();
    world.run();
    let Some(Ok(Answer::Payload(Some(answer)))) = stranded.take() else {
        panic!("no answer")
    };
    assert_eq!(crate::support::read(&answer)[0]["error"], "stopped");
    assert_eq!(port.counts().0, 4);
}

#[test]
fn a_port_answers_asks_once() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let (port, _) = port(&world.plane, 10);
    let asked = world
        .asking(&ann, json!([["ask", "rt/printer", {"tag": "?"}, 1]]))
        .unwrap();
    world.run();
    let (batch, _) = port.take(10);
    let token = batch[0].id;
    assert!(batch[0].wants_reply());
    assert!(port.reply(token, Ok(Answer::Payload(Some(payload(&json!("yes")))))));
    assert!(!port.reply(token, Ok(Answer::Payload(None))));
    world.run();
    let Some(Ok(Answer::Payload(Some(answer)))) = asked.take() else {
        panic!("no reply")
    };
    assert_eq!(crate::support::read(&answer), json!([{"ok": "yes"}]));
}

#[test]
fn an_ask_to_a_port_expires_and_closing_fails_the_open_ones() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let (port, _) = port(&world.plane, 10);
    let ask = json!([["ask", "rt/printer", {"tag": "?"}, 1]]);
    let asked = world.asking(&ann, ask.clone()).unwrap();
    world.pass(2 * SECOND);
    let Some(Ok(Answer::Payload(Some(answer)))) = asked.take() else {
        panic!("no reply")
    };
    assert_eq!(crate::support::read(&answer)[0]["error"], "timeout");
    assert_eq!(
        port.take(10).0.len(),
        0,
        "an expired request is not handed over"
    );
    assert_eq!(world.dead(), [("rt/printer".to_owned(), Reason::Expired)]);
    let asked = world.asking(&ann, ask.clone()).unwrap();
    world.run();
    port.close();
    world.run();
    let Some(Ok(Answer::Payload(Some(answer)))) = asked.take() else {
        panic!("no reply")
    };
    assert_eq!(crate::support::read(&answer)[0]["error"], "stopped");
    assert_eq!(world.ask(&ann, ask)[0]["error"], "no-actor");
}

#[test]
fn a_circle_through_a_port_is_seen_when_its_owner_says_so() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let (port, _) = port(&world.plane, 10);
    port.set_waits_for(Some(world.target("demo/ann")));
    let answer = world.ask(&ann, json!([["ask", "rt/printer", {}, 1]]));
    assert_eq!(answer[0]["error"], "wait-cycle");
    port.set_waits_for(None);
}

#[test]
fn a_port_receives_topics() {
    let world = World::new();
    let ann = world.puppet("demo/ann");
    let (port, _) = port(&world.plane, 10);
    port.subscribe("news.**").unwrap();
    world.ask(&ann, json!([["publish", "news.eu", {"tag": 1}]]));
    let (batch, _) = port.take(10);
    assert_eq!(batch.len(), 1);
    assert!(port.unsubscribe("news.**"));
    let reach = world.ask(&ann, json!([["publish", "news.eu", {"tag": 1}]]));
    assert_eq!(reach[0]["ok"]["accepted"], 0);
    assert!(matches!(
        port.subscribe("a..b"),
        Err(Failure::InvalidAddress(_))
    ));
}

#[test]
fn what_guests_write_goes_to_the_ring_of_their_deployment() {
    let world = World::new();
    let ann = world.puppet("demo/ann#1");
    world.ask(
        &ann,
        json!([["log", "warning", "careful", {"disk": "full"}], ["print", "hello"], ["print-error", "oh"]]),
    );
    let lines = world.plane.logs("demo/ann", 0);
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.stream, line.level, line.message.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("log", "warning", "careful"),
            ("stdout", "info", "hello"),
            ("stderr", "info", "oh")
        ]
    );
    assert_eq!(lines[0].fields, [("disk".to_owned(), "full".to_owned())]);
    assert_eq!(&*lines[0].address, "demo/ann#1");
    assert_eq!(world.plane.logs("demo/ann", lines[1].sequence).len(), 1);
}
