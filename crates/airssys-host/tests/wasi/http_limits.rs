//! How large requests and responses may be: typed to the guest, on record for the operator.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use airssys_host::engine::Profile;
use airssys_host::gate::Gate;
use airssys_host::wasi::HttpLimits;
use serde_json::json;

use super::rules::{Ruled, WHO};
use super::support::{Program, tcp_server};

const LIMITS: HttpLimits = HttpLimits {
    request_body: 10_000,
    response_body: 10_000,
    headers: 1000,
};

/// Answers `/<kind>/<size>`: a body that is announced, one in chunks, a trailer, or a header; at `/read/0` once it has read the
/// body of the request.
fn server() -> SocketAddr {
    tcp_server(|mut stream| {
        let mut sent = Vec::new();
        while !sent.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap();
            if length == 0 {
                return;
            }
            sent.extend_from_slice(&buffer[..length]);
        }
        let sent = String::from_utf8(sent).unwrap();
        let path: Vec<&str> = sent.split(' ').nth(1).unwrap().split('/').collect();
        let mut body = sent.split_once("\r\n\r\n").unwrap().1.to_owned();
        while path[1] == "read" && !body.ends_with("0\r\n\r\n") {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or(0);
            if length == 0 {
                return;
            }
            body.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        let size: usize = path[2].parse().unwrap();
        // It may stop reading when it has seen enough.
        let _ = answer(&mut stream, path[1], size);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

fn answer(stream: &mut TcpStream, kind: &str, size: usize) -> std::io::Result<()> {
    let text = "y".repeat(size);
    match kind {
        "announced" | "read" => write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{text}"
        ),
        "chunks" => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            )?;
            for chunk in text.as_bytes().chunks(1000) {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        "trailer" => write!(
            stream,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n0\r\nx-end: {text}\r\n\r\n"
        ),
        "header" => write!(
            stream,
            "HTTP/1.1 200 OK\r\nx-long: {text}\r\ncontent-length: 0\r\n\r\n"
        ),
        _ => panic!("{kind}"),
    }
}

fn ruled(server: SocketAddr) -> Ruled {
    Ruled::new(
        json!([{"id": "http", "effect": "allow", "principals": [format!("name:{WHO}")],
                       "kind": "http", "targets": [format!("http://{server}/**")], "access": ["*"]}]),
    )
}

/// What came of a request, and which rule refused it.
fn outcome(ruled: &Ruled, program: Program, request: String) -> (String, Option<String>) {
    let before = ruled.records().len();
    let lines = program
        .with(|builder| {
            builder.http_limits(LIMITS);
        })
        .arguments([request])
        .run();
    let denied = ruled.records().split_off(before).into_iter();
    let mut denied = denied.filter(|record| record[2] == "deny");
    let rule = denied.next().map(|record| record[3].clone());
    assert_eq!(denied.next(), None);
    let line: String = lines[0].chars().take(40).collect();
    (line, rule)
}

#[test]
fn what_fits_passes_and_what_does_not_is_refused_by_name() {
    let server = server();
    let ruled = ruled(server);
    let response = Some("http-response-body".to_owned());
    let headers = Some("http-response-headers".to_owned());
    let too_large = "err:HttpResponseBodySize";
    let too_long = "err:HttpResponseHeaderSectionSize";
    for (path, expected, rule) in [
        ("announced/10000", "ok:200 yyy", None),
        ("chunks/10000", "ok:200 yyy", None),
        ("announced/10001", too_large, response.clone()),
        ("chunks/10001", too_large, response.clone()),
        ("chunks/1000000", too_large, response),
        ("header/900", "ok:200 ", None),
        ("header/1100", too_long, headers.clone()),
        ("header/100000", too_long, headers),
    ] {
        let program = ruled.program("http-client");
        let found = outcome(&ruled, program, format!("GET|http|{server}|/{path}"));
        assert!(found.0.starts_with(expected), "{path}: {found:?}");
        assert_eq!(found.1, rule, "{path}");
    }
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let server = server();
    let ruled = ruled(server);
    let body = Some("http-request-body".to_owned());
    for (request, expected, rule) in [
        ("|>*10000".to_owned(), "ok:200", None),
        (
            "|>*10001".to_owned(),
            "err:HttpRequestBodySize",
            body.clone(),
        ),
        (
            "|content-length: 10001|>*10001".to_owned(),
            "err:HttpRequestBodySize",
            body,
        ),
        (
            format!("|x-long: {}", "z".repeat(1100)),
            "err:HttpRequestHeaderSectionSize",
            Some("http-request-headers".to_owned()),
        ),
    ] {
        let program = ruled.program("http-client");
        let request = format!("POST|http|{server}|/read/0{request}");
        let found = outcome(&ruled, program, request.clone());
        assert!(found.0.starts_with(expected), "{request:.60}: {found:?}");
        assert_eq!(found.1, rule, "{request:.60}");
    }
}

#[test]
fn a_guest_of_wasi_0_3_is_held_to_the_same() {
    let server = server();
    let ruled = ruled(server);
    for (path, expected, rule) in [
        ("chunks/10000", "ok:200 yyy", None),
        (
            "chunks/10001",
            "err:HttpResponseBodySize",
            Some("http-response-body"),
        ),
        (
            "trailer/1100",
            "err:HttpResponseTrailerSectionSize",
            Some("http-response-headers"),
        ),
        (
            "header/1100",
            "err:HttpResponseHeaderSectionSize",
            Some("http-response-headers"),
        ),
    ] {
        let gate = std::sync::Arc::clone(&ruled.gate) as std::sync::Arc<dyn Gate>;
        let program = Program::in_profile("p3-access", Profile::Concurrent, gate);
        let found = outcome(&ruled, program, format!("http|{server}|/{path}"));
        assert!(found.0.starts_with(expected), "{path}: {found:?}");
        assert_eq!(found.1.as_deref(), rule, "{path}");
    }
}
