//! What reaches outside: files and sockets, some of them kept open from one message to the next, and the own
//! rights of the component.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use serde_json::{Value, json};

use crate::airssys::security::audit::{self, AuditError};
use crate::airssys::security::capabilities::{self, Capability, Decision, SecurityError};
use crate::memory::with;
use crate::play::{Call, Play};

/// Something that is open.
pub enum Open {
    File(File),
    Stream(TcpStream),
    Listener(TcpListener),
    Datagrams(UdpSocket),
}

pub fn act(play: &mut Play, call: &Call<'_>) -> bool {
    let given = match call.name() {
        "write" => outcome(std::fs::write(call.text(1), call.text(2)).map(|()| json!(null))),
        "read" => outcome(std::fs::read_to_string(call.text(1)).map(Value::from)),
        "list-files" => outcome(list(call.text(1))),
        "remove" => outcome(std::fs::remove_file(call.text(1)).map(|()| json!(null))),
        "rename" => outcome(std::fs::rename(call.text(1), call.text(2)).map(|()| json!(null))),
        "open" => outcome(open(call.text(1), call.text(2)).map(|open| keep(call.text(1), open))),
        "connect" => outcome(
            TcpStream::connect(call.text(1)).map(|open| keep(call.text(1), Open::Stream(open))),
        ),
        "listen" => outcome(TcpListener::bind(call.text(1)).and_then(|open| {
            open.set_nonblocking(true)?;
            Ok(keep(call.text(1), Open::Listener(open)))
        })),
        "datagrams" => outcome(
            UdpSocket::bind("127.0.0.1:0").map(|open| keep(call.text(1), Open::Datagrams(open))),
        ),
        "use" => outcome(used(call.text(1), call.text(2))),
        "close" => json!(with(|memory| memory.open.remove(call.text(1))).is_some()),
        "try" => {
            attempts(call);
            json!(null)
        }
        "mine" => capabilities::mine()
            .iter()
            .map(|right| json!([right.kind, right.access, right.target]))
            .collect(),
        "check" => match capabilities::check(&capability(call)) {
            Ok(Decision::Allowed) => json!("allowed"),
            Ok(Decision::Denied(rule)) => json!({"denied": rule}),
            Ok(Decision::NeedsApproval) => json!("needs-approval"),
            Err(error) => refusal(error),
        },
        "request" => match capabilities::request(&capability(call), call.text(4)) {
            Ok(()) => json!({"ok": null}),
            Err(error) => refusal(error),
        },
        "emit" => emit(call),
        _ => return false,
    };
    play.give(given);
    true
}

fn outcome(result: std::io::Result<Value>) -> Value {
    match result {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"error": format!("{:?}", error.kind())}),
    }
}

fn keep(name: &str, open: Open) -> Value {
    with(|memory| memory.open.insert(name.to_owned(), open));
    json!(null)
}

fn open(path: &str, mode: &str) -> std::io::Result<Open> {
    let file = OpenOptions::new()
        .read(mode != "w")
        .write(mode != "r")
        .open(path)?;
    Ok(Open::File(file))
}

fn list(path: &str) -> std::io::Result<Value> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(json!(names))
}

/// Use what is kept: read from it, or write `text` to it where there is one.
fn used(name: &str, text: &str) -> std::io::Result<Value> {
    let Some(mut open) = with(|memory| memory.open.remove(name)) else {
        return Err(std::io::ErrorKind::NotFound.into());
    };
    let done = match &mut open {
        Open::File(file) if text.is_empty() => {
            let mut contents = String::new();
            file.rewind()
                .and_then(|()| file.read_to_string(&mut contents))
                .map(|_| json!(contents))
        }
        Open::File(file) => file
            .write_all(text.as_bytes())
            .map(|()| json!(text.len())),
        Open::Stream(stream) => exchange(stream, text),
        Open::Listener(listener) => listener.accept().map(|(_, peer)| json!(peer.to_string())),
        Open::Datagrams(socket) => socket.send_to(text.as_bytes(), name).map(|sent| json!(sent)),
    };
    with(|memory| memory.open.insert(name.to_owned(), open));
    done
}

fn exchange(stream: &mut TcpStream, text: &str) -> std::io::Result<Value> {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(json!(String::from_utf8_lossy(&answer)))
}

/// `["try", counts, times, path, …]`: read the paths in turn, and keep the number of attempts so far in the file
/// `counts`, as eight bytes of which the attempt is one before it is made.
fn attempts(call: &Call<'_>) {
    let Ok(mut counts) = OpenOptions::new().read(true).write(true).open(call.text(1)) else {
        return;
    };
    let mut made = [0; 8];
    let _ = counts.read_exact(&mut made);
    let mut made = u64::from_le_bytes(made);
    let paths: Vec<&str> = (3..).map(|index| call.text(index)).take_while(|path| !path.is_empty()).collect();
    for attempt in 0..call.integer(2) {
        made += 1;
        let _ = counts.rewind().and_then(|()| counts.write_all(&made.to_le_bytes()));
        let _ = File::open(paths[attempt as usize % paths.len()]);
    }
}

fn capability(call: &Call<'_>) -> Capability {
    Capability {
        kind: call.text(1).into(),
        access: call.text(2).into(),
        target: call.text(3).into(),
    }
}

fn refusal(error: SecurityError) -> Value {
    let (case, detail) = match error {
        SecurityError::UnknownAccess(text) => ("unknown-access", text),
        SecurityError::InvalidTarget(text) => ("invalid-target", text),
        SecurityError::Denied(text) => ("denied", text),
    };
    json!({"error": case, "detail": detail})
}

fn emit(call: &Call<'_>) -> Value {
    let fields: Vec<(String, String)> = call
        .argument(2)
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    match audit::emit(call.text(1), &fields) {
        Ok(()) => json!({"ok": null}),
        Err(AuditError::TooMany) => json!({"error": "too-many"}),
        Err(AuditError::TooLarge) => json!({"error": "too-large"}),
        Err(AuditError::Unavailable) => json!({"error": "unavailable"}),
    }
}
