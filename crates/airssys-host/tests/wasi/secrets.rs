//! Secrets that a guest uses and never sees.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use airssys_host::wasi::Settings;
use airssys_host::wasi::secrets::{Secret, Secrets, Source, Value};
use serde_json::{Value as Json, json};

use super::rules::{Ruled, WHO};
use super::support::{Program, tcp_server};

const KEY: &str = "correct horse battery staple";
const OTHER: &str = "swordfish-swordfish";
const REFUSED: &str = "err:HttpRequestDenied";

/// What a server was sent, as it came.
type Seen = Arc<Mutex<Vec<String>>>;

/// Answers with what it was sent, in the body and in a header: at `/pieces` byte by byte, at `/elsewhere`
/// as a redirect.
fn reflecting_server() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let address = tcp_server(move |mut stream| {
        let sent = read_request(&mut stream);
        if sent.is_empty() {
            // Given up before anything was sent.
            return;
        }
        kept.lock().unwrap().push(sent.clone());
        let path = sent.split(' ').nth(1).unwrap_or_default().to_owned();
        let value = sent
            .lines()
            .find_map(|line| line.strip_prefix("authorization: "))
            .unwrap_or("none")
            .to_owned();
        let body = format!("[{value}]");
        if path == "/pieces" {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            for byte in body.bytes() {
                write!(stream, "1\r\n{}\r\n", char::from(byte)).unwrap();
                stream.flush().unwrap();
            }
            write!(stream, "0\r\nx-end: {value}\r\n\r\n").unwrap();
            return;
        }
        let status = if path == "/elsewhere" {
            "302 Found"
        } else {
            "200 OK"
        };
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nx-sent: {value}\r\nlocation: /there\r\ncontent-length: {length}\r\n\r\n{body}"
        );
    });
    (address, seen)
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut sent = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).unwrap();
        sent.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        let whole = sent.find("\r\n\r\n").is_some_and(|end| {
            !sent.contains("transfer-encoding: chunked") || sent[end..].ends_with("0\r\n\r\n")
        });
        if whole || length == 0 {
            return sent;
        }
    }
}

struct Known(HashMap<&'static str, Arc<Secret>>);

impl Source for Known {
    fn value(&self, name: &str) -> Pin<Box<dyn Future<Output = Value> + Send + '_>> {
        let value = self.0.get(name).cloned();
        Box::pin(std::future::ready(value.ok_or_else(|| "gone".to_owned())))
    }
}

fn secrets() -> Arc<Secrets> {
    let secret = |text: &str| Arc::new(Secret::new(text.as_bytes().to_vec()).unwrap());
    Arc::new(Secrets::new(Known(HashMap::from([
        ("key", secret(KEY)),
        ("api-key", secret(OTHER)),
    ]))))
}

fn settings() -> Arc<Settings> {
    let environment = [
        ("KEY", "${secret:key}"),
        ("OTHER", "${secret:api-key}"),
        ("GONE", "${secret:gone}"),
    ];
    let config = [
        ("token", "Bearer ${secret:key}"),
        ("both", "${secret:key}/${secret:api-key}"),
    ];
    Arc::new(Settings::new(&environment, &config).unwrap())
}

fn given(program: Program, secrets: &Arc<Secrets>) -> Program {
    program.with(|builder| {
        builder.settings(settings()).secrets(Arc::clone(secrets));
    })
}

fn rule(kind: &str, targets: &[String], access: &str) -> Json {
    json!({"id": kind, "effect": "allow", "principals": [format!("name:{WHO}")], "kind": kind,
           "targets": targets, "access": [access]})
}

/// A guest that may send anything to `servers`, see all its settings, and use what `uses` lists.
fn ruled(servers: &[SocketAddr], uses: &[String]) -> Ruled {
    let places: Vec<String> = servers.iter().map(|it| format!("http://{it}/**")).collect();
    let mut rules = vec![
        rule("http", &places, "*"),
        rule("environment", &["*".to_owned()], "read"),
        rule("config", &["**".to_owned()], "read"),
    ];
    if !uses.is_empty() {
        rules.push(rule("secret", uses, "use"));
    }
    Ruled::new(Json::from(rules))
}

fn run(ruled: &Ruled, requests: &[String]) -> Vec<String> {
    given(ruled.program("http-client"), &secrets())
        .arguments(requests.iter().map(String::as_str))
        .run()
}

fn uses(ruled: &Ruled) -> Vec<[String; 4]> {
    let records = ruled.records();
    let found = records
        .into_iter()
        .filter(|record| record[0] == "secret.use");
    found.collect()
}

#[test]
fn a_secret_is_put_into_the_header_that_it_is_granted_for() {
    let (server, seen) = reflecting_server();
    let ruled = ruled(&[server], &[format!("key@http://{server}/authorization")]);
    let lines = run(
        &ruled,
        &[
            format!("GET|http|{server}|/|authorization: Bearer {{env:KEY}}"),
            format!("GET|http|{server}|/|Authorization: {{config:token}}"),
        ],
    );
    // What came back was blotted out, in its own length.
    let blot = "*".repeat(KEY.len());
    assert_eq!(lines, vec![format!("ok:200 [Bearer {blot}]"); 2]);
    for sent in seen.lock().unwrap().iter() {
        assert!(
            sent.contains(&format!("authorization: Bearer {KEY}\r\n")),
            "{sent}"
        );
    }
    let place = format!("http://{server}/authorization/key");
    let record = ["secret.use", &place, "allow", "secret"];
    assert_eq!(uses(&ruled), [record; 2]);
}

#[test]
fn a_placeholder_is_another_one_in_each_instance_and_of_no_use_elsewhere() {
    let (server, seen) = reflecting_server();
    let ruled = ruled(&[server], &[format!("key@http://{server}/authorization")]);
    let show = || {
        let line = given(ruled.program("surroundings"), &secrets())
            .arguments(["env"])
            .run();
        let shown = line[0].strip_prefix("ok:KEY=").unwrap().split(',').next();
        shown.unwrap().to_owned()
    };
    let (one, other) = (show(), show());
    assert!(one.starts_with("secret-key-") && one.len() > 40, "{one}");
    assert_ne!(one, other);
    let lines = run(
        &ruled,
        &[
            format!("GET|http|{server}|/|x-own: {{env:OTHER}}|authorization: {one}"),
            format!("GET|http|{server}|/|authorization: {one}"),
        ],
    );
    assert_eq!(lines, [REFUSED.to_owned(), format!("ok:200 [{one}]")]);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_secret_is_refused_in_every_other_place() {
    let (server, seen) = reflecting_server();
    let (other, other_seen) = reflecting_server();
    let ruled = ruled(
        &[server, other],
        &[format!("key@http://{server}/authorization")],
    );
    let header = |scheme: &str, place: &SocketAddr, header: &str| {
        format!("GET|{scheme}|{place}|/a|{header}: {{env:KEY}}")
    };
    let ways = [
        (
            header("http", &server, "x-key"),
            format!("http://{server}/x-key/key"),
        ),
        (
            header("http", &server, "cookie"),
            format!("http://{server}/cookie/key"),
        ),
        (
            header("http", &other, "authorization"),
            format!("http://{other}/authorization/key"),
        ),
        (
            format!("GET|http|{server}|/a|authorization: {{env:OTHER}}"),
            format!("http://{server}/authorization/api-key"),
        ),
        // Granted and refused in one request: nothing of it is sent.
        (
            format!("GET|http|{server}|/a|authorization: {{env:KEY}}|x-b: {{env:KEY}}"),
            format!("http://{server}/x-b/key"),
        ),
        (
            format!("GET|http|{server}|/{{env:KEY}}"),
            format!("key@http://{server}/secret-key-"),
        ),
        (
            format!("GET|http|{server}|/a?key={{env:KEY}}|authorization: {{env:KEY}}"),
            format!("key@http://{server}/a"),
        ),
    ];
    for (request, place) in &ways {
        let before = uses(&ruled).len();
        assert_eq!(
            run(&ruled, std::slice::from_ref(request)),
            [REFUSED],
            "{request}"
        );
        let uses = uses(&ruled).split_off(before);
        let denied: Vec<_> = uses.iter().filter(|record| record[2] == "deny").collect();
        assert_eq!(denied.len(), 1, "{request}: {uses:?}");
        assert!(denied[0][1].starts_with(place), "{request}: {denied:?}");
        assert!(!format!("{:?}", ruled.records()).contains(KEY));
    }
    assert_eq!(
        (seen.lock().unwrap().len(), other_seen.lock().unwrap().len()),
        (0, 0)
    );
}

#[test]
fn a_placeholder_in_a_body_stays_one() {
    let (server, seen) = reflecting_server();
    let ruled = ruled(&[server], &[format!("key@http://{server}/authorization")]);
    let lines = run(&ruled, &[format!("POST|http|{server}|/|>key={{env:KEY}}")]);
    assert_eq!(lines, ["ok:200 [none]"]);
    let seen = seen.lock().unwrap();
    assert!(
        seen[0].contains("key=secret-key-") && !seen[0].contains(KEY),
        "{seen:?}"
    );
}

#[test]
fn a_secret_does_not_follow_a_redirect() {
    let (server, seen) = reflecting_server();
    let (other, other_seen) = reflecting_server();
    let ruled = ruled(
        &[server, other],
        &[format!("key@http://{server}/authorization")],
    );
    let lines = run(
        &ruled,
        &[
            format!("GET|http|{server}|/elsewhere|authorization: {{env:KEY}}"),
            format!("GET|http|{other}|/there|authorization: {{env:KEY}}"),
        ],
    );
    assert!(lines[0].starts_with("ok:302 ["), "{lines:?}");
    assert_eq!(lines[1], REFUSED);
    assert_eq!(
        (seen.lock().unwrap().len(), other_seen.lock().unwrap().len()),
        (1, 0)
    );
}

#[test]
fn what_comes_back_is_blotted_out_in_headers_and_across_pieces() {
    let (server, _) = reflecting_server();
    let ruled = ruled(&[server], &[format!("*@http://{server}/authorization")]);
    let secrets = secrets();
    let ask = |request: String| {
        given(ruled.program("http-client"), &secrets)
            .arguments([request])
            .run()
            .remove(0)
    };
    let blots = format!("{}/{}", "*".repeat(KEY.len()), "*".repeat(OTHER.len()));
    let both = "authorization: {config:both}";
    assert_eq!(
        ask(format!("GET|http|{server}|/|{both}|<x-sent")),
        format!("ok:200 [{blots}] x-sent={blots}")
    );
    assert_eq!(
        ask(format!("GET|http|{server}|/pieces|{both}")),
        format!("ok:200 [{blots}]")
    );
    // A server may remember it: another instance that never used it does not learn it either.
    assert_eq!(
        ask(format!("GET|http|{server}|/|authorization: {OTHER}")),
        format!("ok:200 [{}]", "*".repeat(OTHER.len()))
    );
    assert_eq!(
        ask(format!(
            "GET|http|{server}|/pieces|authorization: correct horse battery stap"
        )),
        "ok:200 [correct horse battery stap]"
    );
}

#[test]
fn a_secret_without_a_value_fails_the_request_alone() {
    let (server, seen) = reflecting_server();
    let ruled = ruled(&[server], &[format!("*@http://{server}/authorization")]);
    let lines = run(
        &ruled,
        &[
            format!("GET|http|{server}|/|authorization: {{env:GONE}}"),
            format!("GET|http|{server}|/|authorization: {{env:KEY}}"),
        ],
    );
    assert_eq!(lines[0], "err:InternalError");
    assert!(lines[1].starts_with("ok:200"), "{lines:?}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_right_that_is_revoked_is_gone_for_the_next_request() {
    let (server, seen) = reflecting_server();
    let ruled = ruled(&[server], &[format!("key@http://{server}/authorization")]);
    let authority = Arc::clone(&ruled.authority);
    let without = json!({"schema": 1, "rules": [
        rule("http", &[format!("http://{server}/**")], "*"),
        rule("environment", &["*".to_owned()], "read"),
    ]});
    let request = format!("GET|http|{server}|/|authorization: {{env:KEY}}");
    let lines = given(ruled.program("http-client"), &secrets())
        .arguments([request.clone(), request])
        .on_line(move |line| {
            if line.starts_with("ok:") {
                authority.load(without.to_string().as_bytes()).unwrap();
            }
        })
        .run();
    assert!(lines[0].starts_with("ok:200"), "{lines:?}");
    assert_eq!(lines[1], REFUSED);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_a_secret_is_refused_without_being_told() {
    for value in ["short", "with\nline", " padded value", &"x".repeat(9000)] {
        let refused = Secret::new(value.as_bytes().to_vec()).unwrap_err();
        assert!(!refused.contains(value), "{refused}");
    }
    let secret = Secret::new(KEY.as_bytes().to_vec()).unwrap();
    assert_eq!(
        format!("{secret:?} {:?}", secrets()),
        "Secret(***) Secrets(***)"
    );
}
