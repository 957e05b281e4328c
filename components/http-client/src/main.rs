//! Each argument is a request, its parts separated by `|`: method, scheme, authority, path, then any number
//! of `name: value` headers; with `hold` before the method it prints `held` once the body has begun. Each
//! prints `ok:<status> <body>` or `err:<code>`.

use std::io::Write;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingRequest, Scheme, http_error_code};
use wasip2::io::streams::StreamError;

fn name(code: &ErrorCode) -> String {
    let text = format!("{code:?}");
    let text = text.strip_prefix("ErrorCode::").unwrap_or(&text);
    text.split('(').next().unwrap_or(text).to_owned()
}

fn send(hold: bool, request: &[&str]) -> Result<String, String> {
    let [method, scheme, authority, path, headers @ ..] = request else {
        return Err(format!("not a request: {request:?}"));
    };
    let fields = Fields::new();
    for header in headers {
        let (name, value) = header.split_once(": ").ok_or("not a header")?;
        fields
            .append(name, value.as_bytes())
            .map_err(|error| format!("{error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let method = match *method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match *scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request
        .set_authority(Some(authority))
        .map_err(|()| "authority")?;
    request
        .set_path_with_query(Some(path))
        .map_err(|()| "path")?;

    let response = handle(request, None).map_err(|code| name(&code))?;
    response.subscribe().block();
    let response = response
        .get()
        .expect("it is ready")
        .expect("it was not taken before")
        .map_err(|code| name(&code))?;
    let status = response.status();
    let body = response.consume().expect("it was not taken before");
    let stream = body.stream().expect("it was not taken before");
    let mut all = Vec::new();
    let mut held = false;
    loop {
        match stream.blocking_read(4096) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let text = || {
                    error
                        .to_debug_string()
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .to_owned()
                };
                return Err(http_error_code(&error).map_or_else(text, |code| name(&code)));
            }
        }
        if hold && !held {
            held = true;
            println!("held");
            std::io::stdout().flush().expect("stdout takes everything");
        }
    }
    Ok(format!("{status} {}", String::from_utf8_lossy(&all)))
}

fn main() {
    for argument in std::env::args().skip(1) {
        let parts: Vec<&str> = argument.split('|').collect();
        let outcome = match parts.as_slice() {
            ["hold", request @ ..] => send(true, request),
            request => send(false, request),
        };
        match outcome {
            Ok(text) => println!("ok:{text}"),
            Err(text) => println!("err:{text}"),
        }
    }
}
