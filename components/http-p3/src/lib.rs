//! Answers HTTP requests through WASI 0.3, or misbehaves in the way that the path says:
//!
//! - `/` a greeting; `/status/N` this status; `/head` the request's method, authority, path and fields;
//! - `/echo` the body of the request, as it comes; `/length` how many bytes it has;
//! - `/drip/N` so many lines, each written when the one before is under way;
//! - `/trap` before the response, `/trap-later` after the first line; `/loop` computes for ever; `/sleep` sleeps for
//!   ever; `/refuse` answers with an error code.

use std::hint::black_box;

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::wit_bindgen::{StreamReader, StreamResult, spawn_local};
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Service);

struct Service;

/// A response with this body; whoever passes it on learns nothing more of it.
fn respond(status: u16, body: StreamReader<u8>) -> Response {
    let fields = Fields::from_list(&[("content-type".into(), b"text/plain".to_vec())])
        .expect("a field that may be set");
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(fields, Some(body), trailers);
    response.set_status_code(status).expect("a status");
    response
}

fn say(status: u16, text: String) -> Response {
    let (mut sender, body) = wit_stream::new();
    spawn_local(async move {
        sender.write_all(text.into_bytes()).await;
    });
    respond(status, body)
}

fn body_of(request: Request) -> StreamReader<u8> {
    let (_, end) = wit_future::new(|| Ok(()));
    let (body, _) = Request::consume_body(request, end);
    body
}

fn head(request: &Request) -> String {
    let method = match request.get_method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        other => format!("{other:?}"),
    };
    let mut text = format!(
        "{method} {} {}\n",
        request.get_authority().unwrap_or_default(),
        request.get_path_with_query().unwrap_or_default()
    );
    for (name, value) in request.get_headers().copy_all() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text
}

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let (name, number) = match path[1..].split_once('/') {
            Some((name, number)) => (name.to_owned(), number.parse::<u16>().unwrap_or_default()),
            None => (path[1..].to_owned(), 0),
        };
        Ok(match name.as_str() {
            "status" => say(number, format!("status {number}\n")),
            "head" => say(200, head(&request)),
            "echo" => respond(200, body_of(request)),
            "length" => {
                let mut body = body_of(request);
                let mut length = 0;
                loop {
                    let (result, piece) = body.read(Vec::with_capacity(1 << 16)).await;
                    length += piece.len();
                    if matches!(result, StreamResult::Dropped) {
                        break;
                    }
                }
                say(200, format!("{length}\n"))
            }
            "drip" | "trap-later" => {
                let (mut sender, body) = wit_stream::new();
                spawn_local(async move {
                    for line in 0..number.max(1) {
                        sender.write_all(format!("line {line}\n").into_bytes()).await;
                        assert!(name != "trap-later", "after the first line");
                        monotonic_clock::wait_for(1_000_000).await;
                    }
                });
                respond(200, body)
            }
            "trap" => panic!("before the response"),
            "loop" => loop {
                black_box(());
            },
            "sleep" => {
                monotonic_clock::wait_for(u64::MAX).await;
                say(200, String::new())
            }
            "refuse" => return Err(ErrorCode::LoopDetected),
            _ => say(200, "hello from 0.3\n".to_owned()),
        })
    }
}
