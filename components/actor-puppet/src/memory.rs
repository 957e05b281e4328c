//! What an incarnation remembers, and the part of it that a snapshot carries.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::actions::reach::Open;

/// Everything that outlives a message.
#[derive(Default)]
pub struct Memory {
    /// How many messages were handled.
    pub counter: i64,
    /// What was handled, in order.
    pub journal: Vec<Value>,
    /// Values by name: the settings, and what `set` stored.
    pub values: Map<String, Value>,
    /// Scripts by event: `initialize`, `health`, `shutdown`, `snapshot`, `restore`, `migrate`,
    /// `callback`.
    pub hooks: BTreeMap<String, Value>,
    /// What to do when an answer comes, by correlation.
    pub callbacks: BTreeMap<u64, Value>,
    /// The latest of each kind, which `null` stands for.
    pub last_correlation: u64,
    pub last_timer: u64,
    pub last_token: u64,
    pub health: (String, String),
    /// What is kept open, by name.
    pub open: BTreeMap<String, Open>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory {
        health: ("healthy".into(), String::new()),
        ..Memory::default()
    });
}

/// Use the memory; never across a call to the host.
pub fn with<T>(use_it: impl FnOnce(&mut Memory) -> T) -> T {
    MEMORY.with_borrow_mut(use_it)
}

impl Memory {
    pub fn handled(&mut self, entry: Value) {
        self.counter += 1;
        self.journal.push(entry);
    }

    pub fn snapshot(&self) -> Vec<u8> {
        json!({"counter": self.counter, "journal": self.journal, "values": self.values})
            .to_string()
            .into_bytes()
    }

    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        let state: Value = serde_json::from_slice(snapshot).map_err(|error| error.to_string())?;
        let (Some(counter), Some(journal), Some(values)) = (
            state["counter"].as_i64(),
            state["journal"].as_array(),
            state["values"].as_object(),
        ) else {
            return Err("counter, journal and values expected".into());
        };
        self.counter = counter;
        self.journal.clone_from(journal);
        self.values.clone_from(values);
        Ok(())
    }
}
