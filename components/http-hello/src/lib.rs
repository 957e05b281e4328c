//! Answers every HTTP request with a greeting.

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wasip2::http::proxy::export!(Hello);

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(_request: IncomingRequest, response: ResponseOutparam) {
        let fields = Fields::new();
        fields
            .append("content-type", b"text/plain")
            .expect("a field that may be set");
        let head = OutgoingResponse::new(fields);
        let body = head.body().expect("not taken yet");
        ResponseOutparam::set(response, Ok(head));
        let stream = body.write().expect("not taken yet");
        let written = stream.blocking_write_and_flush(b"hello\n");
        drop(stream);
        // A client that went away is no reason to trap.
        if written.is_ok() {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
