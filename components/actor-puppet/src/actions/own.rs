//! Actions on what the puppet itself holds.

use crate::convert;
use crate::memory::with;
use crate::play::{Call, Play};
use serde_json::{Value, json};

pub fn act(play: &mut Play, call: &Call) -> bool {
    match call.name() {
        "reply" => {
            let value = call.argument(1);
            play.reply = Some((!value.is_null()).then(|| convert::payload(value)));
        }
        "give" => play.give(call.argument(1).clone()),
        "count" => play.give(with(|memory| {
            memory.counter += call.argument(1).as_i64().unwrap_or(1);
            json!(memory.counter)
        })),
        "counter" => play.give(json!(with(|memory| memory.counter))),
        "journal" => play.give(json!(with(|memory| memory.journal.clone()))),
        "tags" => play.give(with(|memory| {
            memory
                .journal
                .iter()
                .filter_map(|entry| entry.get("tag").cloned())
                .collect()
        })),
        "forget" => with(|memory| memory.journal.clear()),
        "set" => {
            let (name, value) = (call.text(1).to_owned(), call.argument(2).clone());
            with(|memory| memory.values.insert(name, value));
        }
        "get" => play.give(with(|memory| {
            memory
                .values
                .get(call.text(1))
                .cloned()
                .unwrap_or(Value::Null)
        })),
        "on" => {
            let (event, script) = (call.text(1).to_owned(), call.argument(2).clone());
            with(|memory| memory.hooks.insert(event, script));
        }
        "health" => {
            with(|memory| memory.health = (call.text(1).to_owned(), call.text(2).to_owned()));
        }
        _ => return false,
    }
    true
}
