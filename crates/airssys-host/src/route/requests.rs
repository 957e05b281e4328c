//! HTTP requests that are overheard: what goes in and out passes by while the request is answered. It is compared on
//! both revisions then, or kept to be made again some day.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};

use super::again::{self, Asked, Head, Print, Sent};
use super::copies::{Copy, Digest, MOST_BYTES};
use super::recording::Record;

/// A request that is made again, now or later. Whoever passes it on and its answer tells what passes by; when both
/// have passed whole, it is. It is not where either is too large, or ends early.
#[derive(Debug)]
pub(crate) struct Overheard(Mutex<Option<Heard>>);

#[derive(Debug)]
struct Heard {
    purpose: Purpose,
    head: Head,
    sent: Sent,
    answer: Option<Coming>,
}

/// What it is overheard for.
#[derive(Debug)]
pub(super) enum Purpose {
    Copy(Copy),
    Record(Record),
}

impl Purpose {
    fn leave_out(&self) {
        match self {
            Self::Copy(copy) => copy.leave_out(),
            Self::Record(record) => record.leave_out(),
        }
    }

    /// Bytes of a body that may pass.
    fn most_bytes(&self) -> usize {
        match self {
            Self::Copy(_) => MOST_BYTES,
            Self::Record(record) => record.most_bytes().min(MOST_BYTES),
        }
    }
}

/// An answer on its way.
#[derive(Debug)]
struct Coming {
    print: Print,
    /// Whether no body belongs to it.
    bodiless: bool,
    /// Whether the component says that it failed.
    failed: bool,
    trailers: Option<http::HeaderMap>,
    length: usize,
}

impl Overheard {
    pub(super) fn new<B: Body>(purpose: Purpose, request: &Request<B>) -> Arc<Self> {
        let mut sent = Sent::default();
        sent.whole = request.body().is_end_stream();
        Arc::new(Self(Mutex::new(Some(Heard {
            purpose,
            head: Head::of(request),
            sent,
            answer: None,
        }))))
    }

    /// Take something in; where it is too much, nothing is made of it.
    fn hear(&self, take: impl FnOnce(&mut Heard) -> bool) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.as_mut().is_some_and(|heard| !take(heard)) {
            heard.take().inspect(|heard| heard.purpose.leave_out());
        }
    }

    /// A part of the request's body.
    pub fn sent(&self, frame: &Frame<Bytes>) {
        self.hear(|heard| {
            heard.sent.keep(frame);
            heard.sent.weight <= heard.purpose.most_bytes()
        });
    }

    /// The request's body has ended.
    pub fn sent_whole(&self) {
        self.hear(|heard| {
            heard.sent.whole = true;
            true
        });
    }

    /// The head of the answer; `bodiless` where no body belongs to it.
    pub fn answers<B>(&self, response: &Response<B>, bodiless: bool) {
        self.hear(|heard| {
            heard.answer = Some(Coming {
                print: Print::new(response.status(), response.headers()),
                bodiless,
                failed: response.status().is_server_error(),
                trailers: None,
                length: 0,
            });
            true
        });
    }

    /// A part of the answer's body.
    pub fn answered(&self, frame: &Frame<Bytes>) {
        self.hear(|heard| {
            let Some(answer) = &mut heard.answer else {
                return false;
            };
            if let Some(data) = frame.data_ref() {
                answer.length += data.len();
                answer.print.take(data);
            }
            if let Some(trailers) = frame.trailers_ref() {
                answer.trailers = Some(trailers.clone());
            }
            answer.length <= MOST_BYTES
        });
    }

    /// The answer is complete.
    pub fn answered_whole(&self) {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(heard) = heard else { return };
        let (Some(answer), true) = (heard.answer, heard.sent.whole) else {
            // How the rest of the request would have been taken is not known.
            heard.purpose.leave_out();
            return;
        };
        let asked = Asked {
            head: heard.head,
            sent: heard.sent,
            bodiless: answer.bodiless,
        };
        let expected = answer.print.end(answer.trailers.as_ref());
        match heard.purpose {
            Purpose::Copy(copy) => run(copy, asked, expected),
            // What failed may well be answered otherwise.
            Purpose::Record(_) if answer.failed => {}
            Purpose::Record(record) => record.request(asked, expected),
        }
    }
}

impl Drop for Overheard {
    fn drop(&mut self) {
        let heard = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.take() {
            heard.purpose.leave_out();
        }
    }
}

fn run(copy: Copy, asked: Asked, expected: Digest) {
    copy.spawn(move |copy| async move {
        let ([control, candidate], base) = (copy.lines(), copy.base());
        let live = again::request(control, &asked, base).await;
        let new = again::request(candidate, &asked, base).await;
        copy.settle(
            live.map(|seen| seen.digest),
            new.map(|seen| seen.digest),
            &expected,
        );
    });
}
