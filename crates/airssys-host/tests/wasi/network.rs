//! Sockets and names through WASI 0.2.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

use airssys_host::gate::{AllowList, Transport};

use super::support::{Program, allowed, echo_server, gate, udp_server};

const REFUSED: &str = "err:PermissionDenied";

fn run(gate: &Arc<AllowList>, commands: &[&str]) -> Vec<String> {
    Program::new("net-client", gate.clone())
        .arguments(commands.iter().copied())
        .run()
}

fn connects(transport: Transport, pattern: &str) -> Arc<AllowList> {
    gate(|allowed| {
        allowed.connect(transport, pattern).unwrap();
    })
}

#[test]
fn a_granted_peer_is_reached_and_another_is_not() {
    let (granted, refused) = (echo_server(), echo_server());
    let gate = connects(Transport::Tcp, &granted.to_string());
    let lines = run(
        &gate,
        &[
            &format!("tcp|{granted}|hello"),
            &format!("tcp|{refused}|hello"),
        ],
    );
    assert_eq!(lines, ["ok:echo hello", REFUSED]);
    assert_eq!((gate.counts().allowed, gate.counts().denied), (1, 1));
}

#[test]
fn nothing_is_reached_by_default() {
    let (tcp, udp) = (echo_server(), udp_server());
    let commands = [
        format!("tcp|{tcp}|x"),
        format!("udp|{udp}|x"),
        format!("udp-connected|{udp}|x"),
        "listen|127.0.0.1:0".to_owned(),
        "listen|0.0.0.0:18080".to_owned(),
        "bind-udp|127.0.0.1:18081".to_owned(),
    ];
    let lines = Program::new("net-client", gate(|_| {}))
        .arguments(commands)
        .run();
    assert_eq!(lines, [REFUSED; 6]);
    let lines = run(&gate(|_| {}), &["resolve|localhost", "resolve|example.com"]);
    assert!(
        lines.iter().all(|line| line.starts_with("err:")),
        "{lines:?}"
    );
}

#[test]
fn another_spelling_of_an_address_is_the_same_address() {
    let server = echo_server();
    let port = server.port();
    let gate = gate(|_| {});
    let spellings = [
        format!("127.0.0.1:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::127.0.0.1]:{port}"),
        format!("[64:ff9b::7f00:1]:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        format!("[::1]:{port}"),
        format!("0177.0.0.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.1:{port}"),
    ];
    let commands = spellings.iter().map(|address| format!("tcp|{address}|x"));
    let lines = Program::new("net-client", gate).arguments(commands).run();
    assert!(
        lines.iter().all(|line| line.starts_with("err:")),
        "{lines:?}"
    );
}

#[test]
fn a_name_that_leads_to_this_machine_gives_no_way_in() {
    let server = echo_server();
    let port = server.port();
    let gate = connects(Transport::Tcp, &format!("localhost:{port}"));
    let lines = run(
        &gate,
        &["resolve|localhost", &format!("tcp|localhost:{port}|x")],
    );
    assert!(lines[0].starts_with("ok:"), "{lines:?}");
    assert_eq!(lines[1], REFUSED);

    // The operator can say that it may.
    gate.replace(allowed(|allowed| {
        allowed
            .connect(Transport::Tcp, &format!("localhost:{port}"))
            .unwrap();
        allowed.addresses("127.0.0.0/8").unwrap();
    }));
    assert_eq!(
        run(&gate, &[&format!("tcp|localhost:{port}|x")]),
        ["ok:echo x"]
    );
}

#[test]
fn an_address_counts_as_its_name_only_after_the_name_was_resolved() {
    let server = echo_server();
    let port = server.port();
    let gate = gate(|allowed| {
        allowed
            .connect(Transport::Tcp, &format!("localhost:{port}"))
            .unwrap();
        allowed.addresses("127.0.0.0/8").unwrap();
    });
    let raw = format!("tcp|127.0.0.1:{port}|x");
    let elsewhere = format!("tcp|127.0.0.1:{}|x", echo_server().port());
    let lines = run(&gate, &[&raw, "resolve|localhost", &raw, &elsewhere]);
    assert_eq!(
        (&*lines[0], &*lines[2], &*lines[3]),
        (REFUSED, "ok:echo x", REFUSED)
    );
}

#[test]
fn what_was_refused_for_tcp_is_not_open_for_udp() {
    let (tcp, udp) = (echo_server(), udp_server());
    let gate = connects(Transport::Tcp, &format!("127.0.0.1:{}", udp.port()));
    let lines = run(
        &gate,
        &[&format!("udp|{udp}|x"), &format!("udp-connected|{udp}|x")],
    );
    assert_eq!(lines, [REFUSED; 2]);
    let gate = connects(Transport::Udp, &format!("127.0.0.1:{}", tcp.port()));
    assert_eq!(run(&gate, &[&format!("tcp|{tcp}|x")]), [REFUSED]);
}

#[test]
fn a_granted_peer_answers_over_udp() {
    let server = udp_server();
    let gate = connects(Transport::Udp, &server.to_string());
    let lines = run(
        &gate,
        &[
            &format!("udp|{server}|x"),
            &format!("udp-connected|{server}|y"),
        ],
    );
    assert_eq!(lines, ["ok:echo x", "ok:echo y"]);
}

/// Run a guest that listens, and act on the address that it tells.
fn reached(
    gate: Arc<AllowList>,
    command: &str,
    act: impl Fn(SocketAddr) + Send + Sync + 'static,
) -> Vec<String> {
    Program::new("net-client", gate)
        .arguments([command])
        .on_line(move |line| {
            if let Some(address) = line.strip_prefix("listening ") {
                act(address.parse().unwrap());
            }
        })
        .run()
}

#[test]
fn a_guest_listens_where_that_is_granted() {
    let tcp = gate(|allowed| {
        allowed.listen(Transport::Tcp, "127.0.0.1:*").unwrap();
    });
    let lines = reached(tcp.clone(), "listen|127.0.0.1:0", |address| {
        std::thread::spawn(move || {
            writeln!(TcpStream::connect(address).unwrap(), "knock").unwrap()
        });
    });
    assert_eq!(lines[1], "ok:knock");
    assert_eq!(
        run(&tcp, &["listen|0.0.0.0:0", "bind-udp|127.0.0.1:18082"]),
        [REFUSED; 2]
    );
    let udp = gate(|allowed| {
        allowed.listen(Transport::Udp, "127.0.0.1:*").unwrap();
    });
    let lines = reached(udp, "bind-udp|127.0.0.1:0", |address| {
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(b"knock", address)
            .unwrap();
    });
    assert_eq!(lines[1], "ok:knock");
}

#[test]
fn strangers_do_not_reach_a_guest_that_may_not_listen() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let lines = Program::new("net-client", connects(Transport::Udp, &address.to_string()))
        .arguments([format!("hold-udp|{address}")])
        .on_line(move |line| {
            if line == "held" {
                let (_, guest) = peer.recv_from(&mut [0; 16]).unwrap();
                let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
                stranger.send_to(b"knock", guest).unwrap();
                peer.send_to(b"answer", guest).unwrap();
            }
        })
        .run();
    assert_eq!(lines[1], "ok:answer");
}

/// Hold a connection, take the right away, and see what waits on it end.
fn revoked(command: String, gate: Arc<AllowList>) -> Vec<String> {
    let revoke = gate.clone();
    Program::new("net-client", gate)
        .arguments([command])
        .on_line(move |line| {
            if line == "held" {
                let revoke = revoke.clone();
                // From another thread, so that the guest is as likely to wait already as not.
                std::thread::spawn(move || revoke.replace(allowed(|_| {})));
            }
        })
        .run()
}

#[test]
fn revocation_wakes_a_guest_that_waits_for_a_silent_peer() {
    let (tcp, udp) = (echo_server(), udp_server());
    let lines = revoked(
        format!("hold-read|{tcp}"),
        connects(Transport::Tcp, &tcp.to_string()),
    );
    assert_eq!(lines[0], "held");
    assert!(lines[1].starts_with("err:"), "{lines:?}");
    let lines = revoked(
        format!("hold-udp|{udp}"),
        connects(Transport::Udp, &udp.to_string()),
    );
    assert_eq!(lines, ["held", REFUSED]);
}

#[test]
fn revocation_ends_a_connection_for_writing() {
    let server = echo_server();
    let gate = connects(Transport::Tcp, &server.to_string());
    let revoke = gate.clone();
    let lines = Program::new("net-client", gate)
        .arguments([format!("hold-write|{server}")])
        .on_line(move |line| {
            if line == "held" {
                revoke.replace(allowed(|_| {}));
            }
        })
        .run();
    assert!(lines[1].starts_with("err:"), "{lines:?}");
}

#[test]
fn revocation_ends_a_connection_that_was_accepted() {
    let gate = gate(|allowed| {
        allowed.listen(Transport::Tcp, "127.0.0.1:*").unwrap();
    });
    let revoke = gate.clone();
    let lines = Program::new("net-client", gate)
        .arguments(["hold-accept|127.0.0.1:0"])
        .on_line(move |line| {
            if let Some(address) = line.strip_prefix("listening ") {
                let address: SocketAddr = address.parse().unwrap();
                std::thread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    writeln!(stream, "knock").unwrap();
                    // Open until the guest's side ends it.
                    let _ = std::io::Read::read(&mut stream, &mut [0]);
                });
            } else if line == "held" {
                revoke.replace(allowed(|_| {}));
            }
        })
        .run();
    assert!(lines[2].starts_with("err:"), "{lines:?}");
}
