//! Drives the component that a request is for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::Shared;
use super::body::Exchange;
use crate::error::Error;
use crate::instance::{Call, Link, Live, Progress};
use crate::limits::Limit;
use crate::route::{Line, Outcome, Passage};
use crate::value::Value;

/// Answers what guests ask of the embedder in calls that come from outside.
pub trait Answering: Send + Sync {
    /// A guest of `line` asks for something, for the first time in its call.
    fn begin(&self, line: &Arc<Line>) -> Box<dyn Answers>;
}

/// Answers one call; dropped when it is over.
pub trait Answers: Send {
    /// Take the requests of `link` and reply to them, now or later, on whatever thread.
    fn asked(&self, link: &Arc<Link>);

    /// The guest has ended its call; its store goes where it is `None`.
    fn ended(&self, live: Option<&Live>);
}

/// Says how a call ended that came to a result.
type Judge = Box<dyn FnOnce(&Result<Option<Value>, Error>) -> Outcome + Send>;

/// A call of a guest in answer to a request. Dropped, the call is with its store, and counts as cancelled.
pub struct Driven {
    // In this order: when the revision counts the call as over its store is gone.
    call: Call,
    passage: Option<Passage>,
    judge: Option<Judge>,
    exchange: Arc<Exchange>,
    shared: Arc<Shared>,
    /// Once the guest asked for something.
    answers: Option<Box<dyn Answers>>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Driven {
    pub fn new(
        call: Call,
        passage: Passage,
        exchange: Arc<Exchange>,
        shared: Arc<Shared>,
        judge: Judge,
    ) -> Self {
        Self {
            call,
            passage: Some(passage),
            judge: Some(judge),
            exchange,
            shared,
            answers: None,
            patience: None,
        }
    }

    fn ended(
        &mut self,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
    ) -> Result<Option<Value>, Error> {
        let (Some(passage), Some(judge)) = (self.passage.take(), self.judge.take()) else {
            unreachable!("a call ends once")
        };
        if let Some(answers) = &self.answers {
            answers.ended(live.as_deref());
        }
        let statistics = passage.line().statistics.clone();
        if is_timeout(&result) && self.exchange.waits_for_client() {
            // Time that the client took is not the revision's fault.
            self.exchange.ingress.stalled.add();
            passage.conclude_as(live, &result, Outcome::Cancelled);
        } else {
            let outcome = judge(&result);
            passage.conclude_as(live, &result, outcome);
        }
        self.exchange.count_bytes(&statistics);
        result
    }

    /// Have the guest's requests answered; `false` where nobody does.
    fn ask(&mut self) -> bool {
        let Some(passage) = &self.passage else {
            return false;
        };
        if self.answers.is_none() {
            let answering = self.shared.answering.as_ref();
            self.answers = answering.map(|answering| answering.begin(passage.line()));
        }
        if let Some(answers) = &self.answers {
            answers.asked(self.call.link());
        }
        self.answers.is_some()
    }
}

fn is_timeout(result: &Result<Option<Value>, Error>) -> bool {
    matches!(result, Err(Error::Limit(exceeded)) if exceeded.limit == Limit::CallTimeout)
}

impl Future for Driven {
    type Output = Result<Option<Value>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.call.slice(context, true) {
            Progress::Done(live, result) => return Poll::Ready(this.ended(live, result)),
            Progress::HostFunctions if !this.ask() => {
                this.exchange.fail();
                return Poll::Ready(this.ended(None, Err(Error::HostFunction)));
            }
            Progress::HostFunctions | Progress::Suspended => {}
        }
        let until = Instant::now() + this.call.time_left();
        let patience = match &mut this.patience {
            Some(patience) => {
                // The wait for a person does not count, so the end may have moved.
                if this.call.link().pauses().is_some() {
                    patience.as_mut().reset(until);
                }
                patience
            }
            none => none.insert(Box::pin(sleep_until(until))),
        };
        if patience.as_mut().poll(context).is_ready() {
            // The store goes with the call, and what the guest wrote is not the whole.
            this.exchange.fail();
            let overdue = this.call.overdue();
            return Poll::Ready(this.ended(None, Err(overdue)));
        }
        Poll::Pending
    }
}
