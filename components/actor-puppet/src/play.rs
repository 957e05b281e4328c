//! Runs a script: a list of actions, each a list of a name and its arguments.

use crate::actions::{host, messages, misbehave, own, reach};
use crate::airssys::core::types::{Error, Message, Payload};
use crate::convert;
use crate::memory::with;
use serde_json::{Value, json};

/// One run of a script.
pub struct Play {
    /// What is handled; none in a hook or a callback.
    pub message: Option<Message>,
    /// What the actions gave, in order: the answer, unless `reply` gave another.
    pub results: Vec<Value>,
    /// The answer that `reply` gave, or the bytes that replace a hook's.
    pub reply: Option<Option<Payload>>,
}

impl Play {
    pub fn new(message: Option<Message>) -> Self {
        Self {
            message,
            results: Vec::new(),
            reply: None,
        }
    }

    /// Run the actions in order, up to the first that ends the handler.
    pub fn run(&mut self, script: &Value) -> Result<(), Error> {
        for action in script.as_array().into_iter().flatten() {
            let call = Call(action);
            if call.name() == "repeat" {
                for _ in 0..call.integer(1) {
                    self.run(&action[2])?;
                }
                continue;
            }
            let known = misbehave::act(&call)?
                || own::act(self, &call)
                || messages::act(self, &call)
                || host::act(self, &call)
                || reach::act(self, &call);
            if !known {
                return Err(Error::Unhandled(format!("no such action: {action}")));
            }
        }
        Ok(())
    }

    /// Add what an action gave.
    pub fn give(&mut self, value: Value) {
        self.results.push(value);
    }

    pub fn answer(self) -> Option<Payload> {
        let results = self.results;
        self.reply
            .unwrap_or_else(|| Some(convert::payload(&json!(results))))
    }
}

/// Run the script of an event; the bytes that its `reply` gave, if any.
pub fn hook(event: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(script) = with(|memory| memory.hooks.get(event).cloned()) else {
        return Ok(None);
    };
    let mut play = Play::new(None);
    play.run(&script)?;
    Ok(play.reply.flatten())
}

/// One action: `["name", argument, …]`.
pub struct Call<'a>(&'a Value);

impl Call<'_> {
    pub fn name(&self) -> &str {
        self.0[0].as_str().unwrap_or_default()
    }

    pub fn argument(&self, index: usize) -> &Value {
        &self.0[index]
    }

    pub fn text(&self, index: usize) -> &str {
        self.0[index].as_str().unwrap_or_default()
    }

    pub fn integer(&self, index: usize) -> u64 {
        self.0[index].as_u64().unwrap_or_default()
    }

    /// A time given in seconds, as nanoseconds; one second where none is given.
    pub fn time(&self, index: usize) -> u64 {
        let seconds = self.0[index].as_f64().unwrap_or(1.0);
        std::time::Duration::from_secs_f64(seconds).as_nanos() as u64
    }
}
