//! Each argument is a request, its parts separated by `|`: method, scheme, authority, path, then any number
//! of `name: value` headers, a body (`>text`, or `>*N` for N bytes), and headers of the response to show
//! (`<name`); with `hold` before the method it prints `held` once the body has begun. In each part
//! `{env:NAME}` and `{config:KEY}` stand for what the guest was given. Each prints `ok:<status> <body>`, the
//! headers to show behind it, or `err:<code>`.

use std::io::Write;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

wit_bindgen::generate!({
    inline: "
        package acme:client;
        world client { import wasi:config/store@0.2.0-rc.1; }
    ",
    path: "../../wit/deps/config",
    world: "acme:client/client",
    generate_all,
});

/// The text with what it names of the environment and the configuration.
fn filled(text: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}').ok_or("`{` without `}`")?;
        filled.push_str(before);
        filled.push_str(&match place.split_once(':') {
            Some(("env", name)) => std::env::var(name).map_err(|_| "no variable")?,
            Some(("config", key)) => wasi::config::store::get(key)
                .map_err(|_| "no configuration")?
                .ok_or("no key")?,
            _ => return Err(format!("{{{place}}}?")),
        });
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn name(code: &ErrorCode) -> String {
    let text = format!("{code:?}");
    let text = text.strip_prefix("ErrorCode::").unwrap_or(&text);
    text.split('(').next().unwrap_or(text).to_owned()
}

fn send(hold: bool, request: &[&str]) -> Result<String, String> {
    let [method, scheme, authority, path, headers @ ..] = request else {
        return Err(format!("not a request: {request:?}"));
    };
    let mut shown = Vec::new();
    let mut content = None;
    let fields = Fields::new();
    for header in headers {
        if let Some(name) = header.strip_prefix('<') {
            shown.push(name);
            continue;
        }
        if let Some(text) = header.strip_prefix('>') {
            content = Some(match text.strip_prefix('*') {
                Some(length) => vec![b'x'; length.parse().map_err(|_| "not a length")?],
                None => text.as_bytes().to_vec(),
            });
            continue;
        }
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

    let body = content.is_some().then(|| request.body().expect("it was not taken before"));
    let response = handle(request, None).map_err(|code| name(&code))?;
    if let Some((body, content)) = body.zip(content) {
        let stream = body.write().expect("it was not taken before");
        // Whether it was taken shows in the response.
        let taken = content
            .chunks(4096)
            .try_for_each(|chunk| stream.blocking_write_and_flush(chunk));
        drop(stream);
        if taken.is_ok() {
            let _ = OutgoingBody::finish(body, None);
        }
    }
    response.subscribe().block();
    let response = response
        .get()
        .expect("it is ready")
        .expect("it was not taken before")
        .map_err(|code| name(&code))?;
    let status = response.status();
    let fields = response.headers();
    let shown: String = shown
        .iter()
        .flat_map(|name| fields.get(name).into_iter().map(move |value| (name, value)))
        .map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(&value)))
        .collect();
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
    Ok(format!("{status} {}{shown}", String::from_utf8_lossy(&all)))
}

fn main() {
    for argument in std::env::args().skip(1) {
        let argument = match filled(&argument) {
            Ok(argument) => argument,
            Err(text) => {
                println!("err:{text}");
                continue;
            }
        };
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
