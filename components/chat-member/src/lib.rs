//! Somebody in a chat room: joins, says, listens.
//!
//! Messages, in JSON, from the application: `{"join": "demo/chat-room#lobby"}`, `{"say": "hello"}`,
//! `"leave"`, and `"heard"`, which answers with the lines since the last time. Its name in the room
//! is the key of its address.

wit_bindgen::generate!({
    path: ["../../wit/core", "../../wit/messaging", "wit"],
    world: "demo:member/member",
    generate_all,
});

use std::cell::RefCell;
use std::time::Duration;

use airssys::core::host;
use airssys::core::types::{
    ComponentMetadata, CorrelationId, DeliveryError, Error, HealthReport, HealthStatus, Message,
    Payload, Setting,
};
use airssys::messaging::messaging;
use exports::airssys::core::{handler, lifecycle};
use serde::{Deserialize, Serialize};

const PATIENCE: u64 = Duration::from_secs(5).as_nanos() as u64;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Request {
    Join(String),
    Say(String),
    Leave,
    Heard(Option<Line>),
}

#[derive(Deserialize, Serialize)]
struct Line {
    by: String,
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum ToRoom {
    Join(String),
    Say(String),
    Leave,
}

#[derive(Default)]
struct Member {
    room: Option<String>,
    heard: Vec<Line>,
}

thread_local! {
    static MEMBER: RefCell<Member> = RefCell::default();
}

impl handler::Guest for Member {
    fn handle_message(message: Message) -> Result<Option<Payload>, Error> {
        match json_payload::read(&message.payload).map_err(Error::Undecodable)? {
            Request::Join(room) => {
                let answer = ask(&room, &ToRoom::Join(host::self_().instance))?;
                MEMBER.with_borrow_mut(|member| member.room = Some(room));
                Ok(answer)
            }
            Request::Say(text) => ask(&room()?, &ToRoom::Say(text)),
            Request::Leave => {
                let room = room()?;
                MEMBER.with_borrow_mut(|member| member.room = None);
                ask(&room, &ToRoom::Leave)
            }
            Request::Heard(Some(line)) => {
                MEMBER.with_borrow_mut(|member| member.heard.push(line));
                Ok(None)
            }
            Request::Heard(None) => {
                let lines = MEMBER.with_borrow_mut(|member| std::mem::take(&mut member.heard));
                Ok(Some(json_payload::write(&lines)))
            }
        }
    }

    fn handle_callback(
        _: CorrelationId,
        _: Result<Option<Payload>, DeliveryError>,
    ) -> Result<(), Error> {
        Err(Error::Unhandled("a member asks and waits".into()))
    }
}

fn room() -> Result<String, Error> {
    let room = MEMBER.with_borrow(|member| member.room.clone());
    room.ok_or_else(|| Error::Refused("join a room first".into()))
}

fn ask(room: &str, request: &ToRoom) -> Result<Option<Payload>, Error> {
    messaging::ask(room, &json_payload::write(request), PATIENCE).map_err(|error| match error {
        DeliveryError::Refused(why) => Error::Refused(why),
        other => Error::Refused(format!("the room {room} did not answer: {other:?}")),
    })
}

impl lifecycle::Guest for Member {
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
            name: "demo/chat-member".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "somebody in a chat room".into(),
            accepts: vec![0x0200],
        }
    }

    fn shutdown(_: lifecycle::ShutdownReason) -> Result<(), Error> {
        Ok(())
    }
}

export!(Member);
