//! Actions that reach other actors, topics, and whoever asked.

use std::collections::BTreeMap;

use crate::airssys::core::types::DeliveryError;
use crate::airssys::messaging::messaging::{self, Reach, SendOptions};
use crate::airssys::messaging::topics;
use crate::convert::{error_json, outcome_json, payload, priority};
use crate::memory::with;
use crate::play::{Call, Play};
use serde_json::{Value, json};

pub fn act(play: &mut Play, call: &Call) -> bool {
    let given = match call.name() {
        "tell" => tell(call),
        "send" => done(messaging::send(
            call.text(1),
            &payload(call.argument(2)),
            call.time(3),
        )),
        "ask" => outcome_json(messaging::ask(
            call.text(1),
            &payload(call.argument(2)),
            call.time(3),
        )),
        "ask-async" => ask_async(call),
        "cancel" => json!(messaging::cancel(or_last(
            call,
            with(|memory| memory.last_correlation)
        ))),
        "flood" => flood(call),
        "forward" => forward(play, call),
        "broadcast" => reach(messaging::broadcast(
            call.text(1),
            &payload(call.argument(2)),
        )),
        "publish" => reach(topics::publish(call.text(1), &payload(call.argument(2)))),
        "subscribe" => done(topics::subscribe(call.text(1))),
        "unsubscribe" => json!(topics::unsubscribe(call.text(1))),
        "reply-later" => reply_later(),
        "answer" => {
            let value = call.argument(2);
            let answer = (!value.is_null()).then(|| payload(value));
            done(messaging::reply(token(call), answer.as_deref()))
        }
        "decline" => done(messaging::refuse(token(call), call.text(2))),
        _ => return false,
    };
    play.give(given);
    true
}

/// `["tell", target, message, {"priority": name, "ttl": seconds}]`.
fn tell(call: &Call) -> Value {
    let (target, message) = (call.text(1), payload(call.argument(2)));
    let Some(options) = call.argument(3).as_object() else {
        return done(messaging::tell(target, &message));
    };
    let name = options
        .get("priority")
        .and_then(Value::as_str)
        .unwrap_or("normal");
    let time_to_live = options
        .get("ttl")
        .and_then(Value::as_f64)
        .map(|seconds| (seconds * 1e9) as u64);
    let options = SendOptions {
        priority: priority(name),
        time_to_live,
    };
    done(messaging::tell_with(target, &message, options))
}

/// `["ask-async", target, message, timeout, script for the callback]`.
fn ask_async(call: &Call) -> Value {
    match messaging::ask_async(call.text(1), &payload(call.argument(2)), call.time(3)) {
        Ok(correlation) => {
            with(|memory| {
                memory.last_correlation = correlation;
                memory
                    .callbacks
                    .insert(correlation, call.argument(4).clone());
            });
            json!({"ok": correlation})
        }
        Err(error) => error_json(&error),
    }
}

/// `["flood", target, how many, message]`: tells without stopping at refusals; counts both.
fn flood(call: &Call) -> Value {
    let message = payload(call.argument(3));
    let mut accepted = 0;
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..call.integer(2) {
        match messaging::tell(call.text(1), &message) {
            Ok(()) => accepted += 1,
            Err(error) => {
                let case = error_json(&error)["error"]
                    .as_str()
                    .expect("a case")
                    .to_owned();
                *refused.entry(case).or_default() += 1;
            }
        }
    }
    json!({"ok": accepted, "refused": refused})
}

/// `["forward", target]`: tells the message itself to another.
fn forward(play: &Play, call: &Call) -> Value {
    let message = play
        .message
        .as_ref()
        .expect("only a message can be forwarded");
    done(messaging::tell(call.text(1), &message.payload))
}

fn reply_later() -> Value {
    match messaging::reply_later() {
        Ok(token) => {
            with(|memory| memory.last_token = token);
            json!({"ok": token})
        }
        Err(error) => error_json(&error),
    }
}

fn token(call: &Call) -> u64 {
    or_last(call, with(|memory| memory.last_token))
}

fn or_last(call: &Call, last: u64) -> u64 {
    call.argument(1).as_u64().unwrap_or(last)
}

fn done(result: Result<(), DeliveryError>) -> Value {
    result.map_or_else(|error| error_json(&error), |()| json!({"ok": null}))
}

fn reach(result: Result<Reach, DeliveryError>) -> Value {
    match result {
        Ok(reach) => json!({"ok": {"accepted": reach.accepted, "refused": reach.refused}}),
        Err(error) => error_json(&error),
    }
}
