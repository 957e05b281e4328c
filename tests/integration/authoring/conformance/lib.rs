//! The conformance guest of the library for Rust; `app.py` is the same in Python.

use std::time::Duration;

use airssys_component::{Actor, Config, Refused, actor, ask, publish, subscribe};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Default, Serialize, Deserialize)]
struct Conformance {
    count: i64,
    heard: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Message {
    Add(i64),
    Echo(String),
    Order {
        article: String,
        #[serde(default = "one")]
        pieces: i64,
    },
    Forward {
        to: String,
        text: String,
    },
    Announce(String),
    Heard,
    Fail,
}

fn one() -> i64 {
    1
}

impl Actor for Conformance {
    type Message = Message;
    type Answer = Value;

    const VERSION: &'static str = "1.0.0";

    fn started(&mut self, config: Config) -> Result<(), Refused> {
        self.count = config.get("start").and_then(Value::as_i64).unwrap_or(0);
        if self.count < 0 {
            return Err("it starts at 0 at least".into());
        }
        Ok(subscribe("conformance.told.*")?)
    }

    fn heard(&mut self, topic: &str, text: Value) -> Result<(), Refused> {
        let text = text.as_str().ok_or("a text is expected")?;
        self.heard.push(format!("{topic}: {text}"));
        Ok(())
    }

    fn handle(&mut self, message: Message) -> Result<Value, Refused> {
        Ok(match message {
            Message::Add(amount) => {
                self.count += amount;
                log::info!("counted");
                self.count.into()
            }
            Message::Echo(text) => text.into(),
            Message::Order { pieces, .. } if pieces < 1 => return Err("at least one piece".into()),
            Message::Order { article, pieces } => format!("{pieces} {article}").into(),
            Message::Forward { to, text } => {
                ask(&to, &json!({"echo": text}), Duration::from_secs(5))?
            }
            Message::Announce(text) => publish("conformance.said", &json!({"text": text}))?.into(),
            Message::Heard => json!(self.heard),
            Message::Fail => panic!("as it was told to"),
        })
    }
}

actor!(Conformance);
