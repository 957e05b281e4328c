//! Outgoing HTTP through WASI 0.2.

use std::sync::Arc;

use airssys_host::gate::{AllowList, Transport};

use super::support::{Program, allowed, gate, http_server};

const REFUSED: &str = "err:HttpRequestDenied";

fn run(gate: &Arc<AllowList>, requests: &[String]) -> Vec<String> {
    Program::new("http-client", gate.clone())
        .arguments(requests.iter().map(String::as_str))
        .run()
}

fn hosts(patterns: &[&str]) -> Arc<AllowList> {
    gate(|allowed| {
        for pattern in patterns {
            allowed.http(pattern).unwrap();
        }
    })
}

#[test]
fn a_granted_host_is_reached_and_another_is_not() {
    let (granted, refused) = (http_server(), http_server());
    let gate = hosts(&[&granted.to_string()]);
    let lines = run(
        &gate,
        &[
            format!("GET|http|{granted}|/a?b=c"),
            format!("GET|http|{refused}|/a"),
        ],
    );
    assert_eq!(
        lines,
        [
            format!("ok:200 GET /a?b=c HTTP/1.1 host={granted}"),
            REFUSED.to_owned()
        ]
    );
}

#[test]
fn a_right_to_connect_is_no_right_to_http_and_the_other_way_round() {
    let server = http_server();
    let connect = gate(|allowed| {
        allowed
            .connect(Transport::Tcp, &server.to_string())
            .unwrap();
    });
    assert_eq!(run(&connect, &[format!("GET|http|{server}|/")]), [REFUSED]);
    let lines = Program::new("net-client", hosts(&[&server.to_string()]))
        .arguments([format!("tcp|{server}|x")])
        .run();
    assert_eq!(lines, ["err:PermissionDenied"]);
}

#[test]
fn what_servers_read_differently_is_refused() {
    let server = http_server();
    let gate = hosts(&[&server.to_string()]);
    let port = server.port();
    let lines = run(
        &gate,
        &[
            format!("GET|http|user:pw@{server}|/"),
            format!("GET|http|{server}@example.com|/"),
            format!("GET|http|{server}|/v1/../admin"),
            format!("GET|http|{server}|/v1/%2e%2e/admin"),
            format!("GET|http|{server}|/v1%2fadmin"),
            format!("GET|http|{server}|/v1/..;/admin"),
        ],
    );
    assert!(lines.iter().all(|line| line == REFUSED), "{lines:?}");
    let before = gate.counts();
    assert_eq!(before.allowed, 0);
    let lines = run(
        &gate,
        &[
            format!("GET|http|{server}|/|host: other.example"),
            format!("GET|http|{server}|/|proxy-authorization: x"),
            format!("GET|http|0x7f.1:{port}|/"),
            format!("CONNECT|http|{server}|/"),
            format!("GET|ftp|{server}|/"),
        ],
    );
    assert!(
        lines[0].starts_with("err:") && lines[1].starts_with("err:"),
        "{lines:?}"
    );
    // Another spelling of a granted address is that address, also towards the server.
    assert_eq!(lines[2], format!("ok:200 GET / HTTP/1.1 host={server}"));
    assert!(
        lines[3].starts_with("err:") && lines[4].starts_with("err:"),
        "{lines:?}"
    );
}

#[test]
fn a_name_that_leads_to_this_machine_gives_no_way_in() {
    let server = http_server();
    let port = server.port();
    let name = format!("localhost:{port}");
    let gate = hosts(&[&name]);
    assert_eq!(run(&gate, &[format!("GET|http|{name}|/")]), [REFUSED]);
    gate.replace(allowed(|allowed| {
        allowed
            .http(&name)
            .unwrap()
            .addresses("127.0.0.0/8")
            .unwrap();
    }));
    let lines = run(&gate, &[format!("GET|http|LOCALHOST.:{port}|/")]);
    assert_eq!(lines, [format!("ok:200 GET / HTTP/1.1 host={name}")]);
    let wildcard = hosts(&[&format!("*.0.0.1:{port}")]);
    assert_eq!(
        run(&wildcard, &[format!("GET|http|127.0.0.1:{port}|/")]),
        [REFUSED]
    );
}

#[test]
fn a_redirect_is_given_to_the_guest_and_not_followed() {
    let server = http_server();
    let gate = hosts(&[&server.to_string()]);
    let lines = run(&gate, &[format!("GET|http|{server}|/redirect")]);
    assert_eq!(
        lines,
        [format!("ok:302 GET /redirect HTTP/1.1 host={server}")]
    );
}

#[test]
fn revocation_ends_a_response_that_is_being_read() {
    let server = http_server();
    let gate = hosts(&[&server.to_string()]);
    let revoke = gate.clone();
    let lines = Program::new("http-client", gate)
        .arguments([format!("hold|GET|http|{server}|/endless")])
        .on_line(move |line| {
            if line == "held" {
                let revoke = revoke.clone();
                std::thread::spawn(move || revoke.replace(allowed(|_| {})));
            }
        })
        .run();
    assert_eq!(lines, ["held", REFUSED]);
}

#[test]
fn a_server_without_a_known_certificate_is_not_trusted() {
    // Speaks no TLS at all: the handshake fails, and nothing is sent in the clear.
    let server = http_server();
    let gate = hosts(&[&server.to_string()]);
    let lines = run(&gate, &[format!("GET|https|{server}|/")]);
    assert_eq!(lines, ["err:TlsProtocolError"]);
}
