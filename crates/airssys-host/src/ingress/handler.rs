//! Requests for the HTTP handler of a component.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::Shared;
use super::body::{Abort, Exchange, GuestBody, RequestBody, ResponseBody};
use super::guest::Driven;
use super::problem::Problem;
use crate::error::Error;
use crate::instance::{Answer, Ended, Live};
use crate::route::{Outcome, Passage};
use crate::value::Value;

/// Says that the guest failed, unless it came to its end: before its store goes, and its body with it.
struct FailUnlessDone<'a> {
    exchange: &'a Exchange,
    done: bool,
}

impl Drop for FailUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.exchange.fail();
        }
    }
}

async fn handle(
    mut live: Box<Live>,
    request: Request<RequestBody>,
    exchange: Arc<Exchange>,
    respond: impl FnOnce(Answer) + Send + Sync + 'static,
) -> Ended {
    let handled = {
        let mut end = FailUnlessDone {
            exchange: &exchange,
            done: false,
        };
        let handled = live.handle(request, respond).await;
        end.done = handled.is_ok();
        handled
    };
    match handled {
        Ok(()) => (Some(live), Ok(None)),
        Err(error) => (None, Err(error)),
    }
}

/// Answer `request` by the component's handler.
pub async fn answer(
    mut passage: Passage,
    request: Request<Incoming>,
    exchange: &Arc<Exchange>,
    shared: &Arc<Shared>,
) -> Result<Response<ResponseBody>, Problem> {
    if !passage.component().handles_http() {
        return Err(Problem::of(&Error::Link(String::new())));
    }
    let statistics = passage.line().statistics.clone();
    let no_body = request.method() == Method::HEAD;
    let overheard = passage.overhear(&request);
    let request = request.map(|body| RequestBody::new(body, exchange.clone(), overheard.clone()));
    let (sender, mut receiver) = oneshot::channel();
    let bad = Arc::new(AtomicBool::new(true));
    let respond = {
        let bad = bad.clone();
        move |answer: Answer| {
            let fine = answer
                .as_ref()
                .is_ok_and(|response| !response.status().is_server_error());
            bad.store(!fine, Ordering::Release);
            // Nobody waits for it where the client went away.
            let _ = sender.send(answer);
        }
    };
    let for_guest = exchange.clone();
    let call = passage
        .begin_with(None, move |live| handle(live, request, for_guest, respond))
        .map_err(|error| Problem::of(&error))?;
    let judge = move |result: &Result<Option<Value>, Error>| match result {
        // What it says of itself, or that it says nothing.
        Ok(_) if bad.load(Ordering::Acquire) => Outcome::Other,
        Ok(_) => Outcome::Answered,
        Err(error) => Outcome::of(error),
    };
    let mut driven = Box::pin(Driven::new(
        call,
        passage,
        exchange.clone(),
        shared.clone(),
        Box::new(judge),
    ));
    // Most end before they have to wait, and need no task of their own.
    let first = poll_fn(|context| Poll::Ready(driven.as_mut().poll(context))).await;
    let (answer, guest) = match first {
        // Nothing has been sent yet of what it may have begun to answer.
        Poll::Ready(Err(error)) => (Err(Err(error)), None),
        Poll::Ready(ended) => (receiver.try_recv().map_err(|_| ended), None),
        Poll::Pending => {
            let task = tokio::spawn(driven);
            let guest = Abort::new(task.abort_handle());
            let answer = match receiver.await {
                Ok(answer) => Ok(answer),
                // It ended, or is about to.
                Err(_) => Err(task.await.unwrap_or(Err(Error::ShutDown))),
            };
            (answer, Some(guest))
        }
    };
    let response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            return Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "refused",
                "the component answered with an error",
            ));
        }
        Err(Ok(_)) => {
            return Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "no-answer",
                "the component ended without an answer",
            ));
        }
        Err(Err(error)) => return Err(Problem::of(&error)),
    };
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let status = response.status();
    let bodiless =
        no_body || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if let Some(overheard) = &overheard {
        overheard.answers(&response, bodiless);
    }
    let left = if bodiless { Some(0) } else { length };
    Ok(response.map(|body| {
        let body = GuestBody::new(body, left, exchange.clone(), statistics, guest, overheard);
        ResponseBody::Guest(Box::new(body))
    }))
}
