//! Answers HTTP requests, or misbehaves in the way that the path says:
//!
//! - `/` a greeting; `/status/N` this status; `/fail-percent/N` 500 for N of 100 requests, `/trap-percent/N` a trap;
//! - `/echo` the body of the request, as it comes; `/length` how many bytes it has; `/head` the request's head;
//! - `/big/N` so many MiB; `/drip/N` so many lines, each written when the one before is under way;
//! - `/slow/N` a greeting after so many milliseconds; `/loop` computes for ever; `/sleep` sleeps for ever;
//! - `/trap` before the response, `/trap-later/N` after so many MiB of the body; `/memory` takes memory until it has none;
//! - `/silent` returns without a response; `/refuse` answers with an error code; `/cut/N` gives its body up;
//! - `/after/N` answers at once, and goes on for so many milliseconds.

use std::hint::black_box;
use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::random::random::get_random_u64;

wasip2::http::proxy::export!(Faults);

struct Faults;

const MEBIBYTE: usize = 1 << 20;
/// The most that one write takes.
const PIECE: usize = 4096;

/// A response whose body is being written.
struct Answer {
    // In this order: a body may not go before its stream.
    stream: OutputStream,
    body: OutgoingBody,
}

impl Answer {
    fn begin(response: ResponseOutparam, status: u16) -> Self {
        let fields = Fields::new();
        fields
            .append("content-type", b"text/plain")
            .expect("a field that may be set");
        let head = OutgoingResponse::new(fields);
        head.set_status_code(status).expect("a status");
        let body = head.body().expect("not taken yet");
        ResponseOutparam::set(response, Ok(head));
        let stream = body.write().expect("not taken yet");
        Self { stream, body }
    }

    /// Write, waiting for whoever reads; `false` once nobody does.
    fn write(&self, bytes: &[u8]) -> bool {
        bytes
            .chunks(PIECE)
            .all(|piece| self.stream.blocking_write_and_flush(piece).is_ok())
    }

    fn finish(self) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, None);
    }
}

fn say(response: ResponseOutparam, status: u16, text: &str) {
    let answer = Answer::begin(response, status);
    if answer.write(text.as_bytes()) {
        answer.finish();
    }
}

/// Give each piece of the request's body to `take` until that says no more; `false` where the body failed.
fn read(request: &IncomingRequest, mut take: impl FnMut(&[u8]) -> bool) -> bool {
    let body = request.consume().expect("not taken yet");
    let stream: InputStream = body.stream().expect("not taken yet");
    let whole = loop {
        match stream.blocking_read(1 << 16) {
            Ok(piece) if !take(&piece) => break false,
            Ok(_) => {}
            Err(StreamError::Closed) => break true,
            Err(StreamError::LastOperationFailed(_)) => break false,
        }
    };
    drop(stream);
    drop(IncomingBody::finish(body));
    whole
}

fn head(request: &IncomingRequest) -> String {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        other => format!("{other:?}"),
    };
    let mut text = format!(
        "{method} {} {}\n",
        request.authority().unwrap_or_default(),
        request.path_with_query().unwrap_or_default()
    );
    for (name, value) in request.headers().entries() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text
}

fn sleep(duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::subscribe_duration(nanos).block();
}

fn of_hundred(percent: u64) -> bool {
    get_random_u64() % 100 < percent
}

impl wasip2::exports::http::incoming_handler::Guest for Faults {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let (name, number) = match path[1..].split_once('/') {
            Some((name, number)) => (name.to_owned(), number.parse::<u64>().unwrap_or_default()),
            None => (path[1..].to_owned(), 0),
        };
        match name.as_str() {
            "" => say(response, 200, "faults\n"),
            "status" => say(response, u16::try_from(number).expect("a status"), "as told\n"),
            "fail-percent" if of_hundred(number) => say(response, 500, "failed\n"),
            "trap-percent" if of_hundred(number) => core::arch::wasm32::unreachable(),
            "fail-percent" | "trap-percent" => say(response, 200, "faults\n"),
            "echo" => {
                let answer = Answer::begin(response, 200);
                if read(&request, |piece| answer.write(piece)) {
                    answer.finish();
                }
            }
            "length" => {
                let mut length = 0;
                let count = |piece: &[u8]| {
                    length += piece.len();
                    true
                };
                if read(&request, count) {
                    say(response, 200, &format!("{length}\n"));
                } else {
                    say(response, 400, &format!("ended after {length}\n"));
                }
            }
            "head" => say(response, 200, &head(&request)),
            "big" => {
                let answer = Answer::begin(response, 200);
                let piece = vec![b'x'; MEBIBYTE];
                if (0..number).all(|_| answer.write(&piece)) {
                    answer.finish();
                }
            }
            "drip" => {
                let answer = Answer::begin(response, 200);
                if (0..number).all(|line| answer.write(format!("line {line}\n").as_bytes())) {
                    answer.finish();
                }
            }
            "slow" => {
                sleep(Duration::from_millis(number));
                say(response, 200, "faults\n");
            }
            "after" => {
                say(response, 200, "faults\n");
                sleep(Duration::from_millis(number));
            }
            "loop" => loop {
                black_box(0);
            },
            "sleep" => sleep(Duration::MAX),
            "trap" => core::arch::wasm32::unreachable(),
            "trap-later" => {
                let answer = Answer::begin(response, 200);
                answer.write(b"the beginning\n");
                answer.write(&vec![b'x'; number as usize * MEBIBYTE]);
                core::arch::wasm32::unreachable()
            }
            "memory" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(black_box(vec![1_u8; MEBIBYTE]));
                }
            }
            "silent" => {}
            "refuse" => ResponseOutparam::set(
                response,
                Err(ErrorCode::InternalError(Some("no mood".to_owned()))),
            ),
            "cut" => {
                let answer = Answer::begin(response, 200);
                answer.write(b"the beginning\n");
                answer.write(&vec![b'x'; number as usize * MEBIBYTE]);
            }
            _ => say(response, 404, "no such fault\n"),
        }
    }
}
