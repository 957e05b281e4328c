//! A chat room: what one member says, all of them hear.
//!
//! Messages, in JSON: `{"join": "Ada"}`, `{"say": "hello"}`, `"leave"` from members, whose addresses
//! the host vouches for; `"members"` and `"lines"` from anybody. Members are told
//! `{"heard": {"by": "Ada", "text": "hello"}}`.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/messaging", "wit"],
    world: "demo:room/room",
    generate_all,
});

use std::cell::RefCell;
use std::collections::BTreeMap;

use airssys::core::host;
use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, LogLevel,
    Message, Payload, Setting, Source,
};
use airssys::messaging::messaging;
use exports::airssys::core::{handler, lifecycle, state};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Request {
    Join(String),
    Say(String),
    Leave,
    Members,
    Lines,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum ToMember<'a> {
    Heard { by: &'a str, text: &'a str },
}

/// What survives a restart.
#[derive(Default, Deserialize, Serialize)]
struct Room {
    /// Names by address.
    members: BTreeMap<String, String>,
    lines: u64,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

impl handler::Guest for Room {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        let request = json_payload::read(&message.payload).map_err(Error::Undecodable)?;
        let from = match message.source {
            Source::Actor(address) => Some(address),
            _ => None,
        };
        match request {
            Request::Join(name) => join(member(from)?, name),
            Request::Say(text) => say(&member(from)?, &text),
            Request::Leave => leave(&member(from)?),
            Request::Members => Ok(ROOM.with_borrow(|room| {
                json_payload::write(&room.members.values().collect::<Vec<_>>())
            })),
            Request::Lines => Ok(ROOM.with_borrow(|room| json_payload::write(&room.lines))),
        }
        .map(Some)
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Err(Error::Unhandled("a room asks nobody".into()))
    }
}

fn member(from: Option<String>) -> Result<String, Error> {
    from.ok_or_else(|| Error::Refused("only an actor can be a member".into()))
}

fn join(address: String, name: String) -> Result<Payload, Error> {
    let others = ROOM.with_borrow_mut(|room| {
        if room
            .members
            .iter()
            .any(|(other, taken)| *taken == name && *other != address)
        {
            return Err(Error::Refused(format!("somebody is called {name} already")));
        }
        room.members.insert(address, name);
        Ok(room.members.len() - 1)
    })?;
    Ok(json_payload::write(&others))
}

fn leave(address: &str) -> Result<Payload, Error> {
    let was_here = ROOM.with_borrow_mut(|room| room.members.remove(address).is_some());
    Ok(json_payload::write(&was_here))
}

/// Tell everybody; who is gone or has no room loses the line, not the others.
fn say(address: &str, text: &str) -> Result<Payload, Error> {
    let (by, listeners) = ROOM.with_borrow_mut(|room| {
        let by = room.members.get(address).cloned();
        let by = by.ok_or_else(|| Error::Refused("join before you speak".into()))?;
        room.lines += 1;
        Ok((by, room.members.keys().cloned().collect::<Vec<_>>()))
    })?;
    let line = json_payload::write(&ToMember::Heard { by: &by, text });
    let mut reached = 0;
    for listener in &listeners {
        match messaging::tell(listener, &line) {
            Ok(()) => reached += 1,
            Err(DeliveryError::NoActor | DeliveryError::Stopped) => {
                ROOM.with_borrow_mut(|room| room.members.remove(listener));
            }
            Err(error) => {
                let fields = [("member".into(), listener.clone())];
                host::log(
                    LogLevel::Warning,
                    &format!("a line was lost: {error:?}"),
                    &fields,
                );
            }
        }
    }
    Ok(json_payload::write(&reached))
}

impl state::Guest for Room {
    fn snapshot() -> Result<Vec<u8>, Error> {
        Ok(ROOM.with_borrow(json_payload::write))
    }

    fn restore(snapshot: Vec<u8>) -> Result<(), Error> {
        ROOM.set(json_payload::read(&snapshot).map_err(Error::Undecodable)?);
        Ok(())
    }

    fn migrate(_: String, snapshot: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(snapshot)
    }
}

impl lifecycle::Guest for Room {
    fn initialize(_: Vec<(String, Setting)>) -> Result<(), Error> {
        Ok(())
    }

    fn health() -> HealthReport {
        HealthReport {
            status: HealthStatus::Healthy,
            detail: String::new(),
        }
    }

    fn metadata() -> ComponentMetadata {
        ComponentMetadata {
            name: "demo/chat-room".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "passes what a member says on to all members".into(),
            accepts: vec![0x0200],
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Room);
