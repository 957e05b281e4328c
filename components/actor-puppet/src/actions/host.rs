//! Actions on the host: timers, logs, clocks, who is there.

use crate::airssys::core::types::ComponentId;
use crate::airssys::core::{host, timers};
use crate::convert::{level, payload};
use crate::memory::with;
use crate::play::{Call, Play};
use crate::wasi::logging::logging;
use serde_json::{Value, json};

pub fn act(play: &mut Play, call: &Call) -> bool {
    match call.name() {
        "send-after" => play.give(timer(timers::send_after(
            call.time(1),
            &payload(call.argument(2)),
        ))),
        "every" => {
            let first = call.argument(3).as_f64().map(|_| call.time(3));
            play.give(timer(timers::every(
                call.time(1),
                &payload(call.argument(2)),
                first,
            )));
        }
        "cancel-timer" => {
            let id = call
                .argument(1)
                .as_u64()
                .unwrap_or_else(|| with(|memory| memory.last_timer));
            play.give(json!(timers::cancel(id)));
        }
        "log" => host::log(level(call.text(1)), call.text(2), &fields(call.argument(3))),
        "wasi-log" => logging::log(wasi_level(call.text(1)), call.text(2), call.text(3)),
        "print" => println!("{}", call.text(1)),
        "print-error" => eprintln!("{}", call.text(1)),
        "now" => play.give(json!(host::now())),
        "monotonic" => play.give(json!(host::monotonic_now())),
        "self" => play.give(json!(address(&host::self_()))),
        "list" => play.give(host::list_components().iter().map(address).collect()),
        "info" => play.give(info(call.text(1))),
        "message" => play.give(message(play)),
        _ => return false,
    }
    true
}

fn timer(result: Result<u64, timers::TimerError>) -> Value {
    match result {
        Ok(id) => {
            with(|memory| memory.last_timer = id);
            json!({"ok": id})
        }
        Err(error) => json!({"error": format!("{error:?}")}),
    }
}

fn wasi_level(name: &str) -> logging::Level {
    match name {
        "trace" => logging::Level::Trace,
        "debug" => logging::Level::Debug,
        "warn" => logging::Level::Warn,
        "error" => logging::Level::Error,
        "critical" => logging::Level::Critical,
        _ => logging::Level::Info,
    }
}

fn fields(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().into()))
        .collect()
}

fn address(id: &ComponentId) -> String {
    let key = if id.instance.is_empty() {
        String::new()
    } else {
        format!("#{}", id.instance)
    };
    format!("{}/{}{key}", id.namespace, id.name)
}

fn info(target: &str) -> Value {
    host::component_metadata(target).map_or(Value::Null, |info| {
        json!({
            "id": address(&info.id),
            "state": info.state,
            "health": format!("{:?}", info.health),
            "accepts": info.accepts,
        })
    })
}

/// What the host says of the message that is handled.
fn message(play: &Play) -> Value {
    play.message.as_ref().map_or(Value::Null, |message| {
        json!({
            "id": message.id,
            "wants-reply": message.wants_reply,
            "deadline": message.deadline,
            "trace": message.trace,
        })
    })
}
