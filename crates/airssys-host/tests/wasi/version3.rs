//! The same gate, reached through WASI 0.3.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use airssys_host::engine::Profile;
use airssys_host::gate::{AllowList, Transport};

use super::support::{Folder, Program, allowed, echo_server, gate, http_server, udp_server};

fn program(gate: &Arc<AllowList>) -> Program {
    Program::in_profile("p3-access", Profile::Concurrent, gate.clone())
}

fn run(gate: &Arc<AllowList>, commands: &[String]) -> Vec<String> {
    program(gate)
        .arguments(commands.iter().map(String::as_str))
        .run()
}

#[test]
fn files_are_governed() {
    let folder = Folder::new();
    folder.file("open/file", "open");
    folder.file("secret/file", "secret");
    std::os::unix::fs::symlink("../secret/file", folder.path().join("open/link")).unwrap();
    let open = folder.path().join("open");
    let gate = gate(|allowed| {
        allowed.directory(&open, true).unwrap();
    });
    let lines = program(&gate)
        .mount(folder.path(), "/data", true)
        .arguments([
            "read|open/file",
            "read|secret/file",
            "read|open/link",
            "read|open/../secret/file",
            "stat|secret/file",
            "write|open/new|written",
            "write|secret/new|written",
            "list|open",
            "list|secret",
        ])
        .run();
    assert_eq!(
        lines,
        [
            "ok:open",
            "err:NotPermitted",
            "err:NotPermitted",
            "err:NotPermitted",
            "err:NotPermitted",
            "ok:",
            "err:NotPermitted",
            "ok:file,link,new",
            "err:NotPermitted",
        ]
    );
    assert_eq!(
        std::fs::read_to_string(open.join("new")).unwrap(),
        "written"
    );
}

#[test]
fn a_guest_of_wasi_0_2_is_governed_beside_it() {
    let folder = Folder::new();
    folder.file("secret", "secret");
    let lines = Program::in_profile("file-access", Profile::Concurrent, gate(|_| {}))
        .mount(folder.path(), "/data", true)
        .arguments(["read|secret|r"])
        .run();
    assert_eq!(lines, ["err:not-permitted"]);
}

#[test]
fn sockets_names_and_http_are_refused_by_default() {
    let (tcp, udp, http) = (echo_server(), udp_server(), http_server());
    let lines = run(
        &gate(|_| {}),
        &[
            format!("tcp|{tcp}|x"),
            format!("udp|{udp}|x"),
            "listen|127.0.0.1:0".to_owned(),
            "resolve|localhost".to_owned(),
            format!("http|{http}|/"),
        ],
    );
    assert_eq!(
        lines,
        [
            "err:AccessDenied",
            "err:AccessDenied",
            "err:AccessDenied",
            "err:AccessDenied",
            "err:HttpRequestDenied"
        ]
    );
}

#[test]
fn sockets_names_and_http_are_reached_where_that_is_granted() {
    let (tcp, udp, http) = (echo_server(), udp_server(), http_server());
    let gate = gate(|allowed| {
        allowed.connect(Transport::Tcp, &tcp.to_string()).unwrap();
        allowed.connect(Transport::Udp, &udp.to_string()).unwrap();
        allowed.connect(Transport::Tcp, "localhost:1").unwrap();
        allowed.http(&http.to_string()).unwrap();
    });
    let lines = run(
        &gate,
        &[
            format!("tcp|{tcp}|x"),
            format!("udp|{udp}|y"),
            "resolve|localhost".to_owned(),
            format!("http|{http}|/a"),
            format!("http|{http}|/v1/../admin"),
        ],
    );
    assert_eq!(lines[..2], ["ok:echo x", "ok:echo y"]);
    assert!(lines[2].starts_with("ok:"), "{lines:?}");
    assert_eq!(lines[3], format!("ok:200 GET /a HTTP/1.1 host={http}"));
    assert_eq!(lines[4], "err:HttpRequestDenied");
}

#[test]
fn a_guest_accepts_connections_where_that_is_granted() {
    let gate = gate(|allowed| {
        allowed.listen(Transport::Tcp, "127.0.0.1:*").unwrap();
    });
    let lines = program(&gate)
        .arguments(["listen|127.0.0.1:0"])
        .on_line(|line| {
            if let Some(address) = line.strip_prefix("listening ") {
                let address: SocketAddr = address.parse().unwrap();
                std::thread::spawn(move || {
                    writeln!(TcpStream::connect(address).unwrap(), "knock").unwrap()
                });
            }
        })
        .run();
    assert_eq!(lines[1], "ok:knock");
}

/// Hold something open, take the right away, and see the next operation refused.
fn revoked(gate: &Arc<AllowList>, folder: &Folder, command: String) -> Vec<String> {
    let revoke = gate.clone();
    program(gate)
        .mount(folder.path(), "/data", true)
        .arguments([command])
        .on_line(move |line| {
            if line == "held" {
                let revoke = revoke.clone();
                std::thread::spawn(move || revoke.replace(allowed(|_| {})))
                    .join()
                    .unwrap();
            }
        })
        .run()
}

#[test]
fn revocation_ends_streams_in_flight() {
    let folder = Folder::new();
    folder.file("file", "text");
    let files = gate(|allowed| {
        allowed.directory(folder.path(), true).unwrap();
    });
    assert_eq!(
        revoked(&files, &folder, "hold-read|file".to_owned()),
        ["held", "err:NotPermitted"]
    );

    let (tcp, udp, http) = (echo_server(), udp_server(), http_server());
    for (command, refusal) in [
        (format!("hold-tcp|{tcp}"), "err:AccessDenied"),
        (format!("hold-send|{tcp}"), "err:AccessDenied"),
        (format!("hold-udp|{udp}"), "err:AccessDenied"),
        (
            format!("hold-http|{http}|/endless"),
            "err:HttpRequestDenied",
        ),
    ] {
        let gate = gate(|allowed| {
            allowed.connect(Transport::Tcp, &tcp.to_string()).unwrap();
            allowed.connect(Transport::Udp, &udp.to_string()).unwrap();
            allowed.http(&http.to_string()).unwrap();
        });
        assert_eq!(
            revoked(&gate, &folder, command.clone()),
            ["held", refusal],
            "{command}"
        );
    }
}
