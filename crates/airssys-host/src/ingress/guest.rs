//! Drives the component that a request is for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::body::Exchange;
use crate::error::Error;
use crate::instance::{Call, Live, Progress};
use crate::route::{Outcome, Passage};
use crate::value::Value;

/// Says how a call ended that came to a result.
type Judge = Box<dyn FnOnce(&Result<Option<Value>, Error>) -> Outcome + Send>;

/// A call of a guest in answer to a request. Dropped, the call is with its store, and counts as cancelled.
pub struct Driven {
    // In this order: when the revision counts the call as over its store is gone.
    call: Call,
    passage: Option<Passage>,
    judge: Option<Judge>,
    exchange: Arc<Exchange>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Driven {
    pub fn new(call: Call, passage: Passage, exchange: Arc<Exchange>, judge: Judge) -> Self {
        Self {
            call,
            passage: Some(passage),
            judge: Some(judge),
            exchange,
            patience: None,
        }
    }

    fn ended(
        &mut self,
        live: Option<Box<Live>>,
        result: Result<Option<Value>, Error>,
        outcome: Option<Outcome>,
    ) -> Result<Option<Value>, Error> {
        let (Some(passage), Some(judge)) = (self.passage.take(), self.judge.take()) else {
            unreachable!("a call ends once")
        };
        let statistics = passage.line().statistics.clone();
        let outcome = outcome.unwrap_or_else(|| judge(&result));
        passage.conclude_as(live, result.as_ref().err(), outcome);
        self.exchange.count_bytes(&statistics);
        result
    }

    /// The call has no time left.
    fn overdue(&mut self) -> Result<Option<Value>, Error> {
        self.exchange.fail();
        // Time that the client took is not the revision's fault.
        let outcome = self
            .exchange
            .waits_for_client()
            .then_some(Outcome::Cancelled);
        if outcome.is_some() {
            self.exchange.ingress.stalled.add();
        }
        self.ended(None, Err(self.call.overdue()), outcome)
    }
}

impl Future for Driven {
    type Output = Result<Option<Value>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.call.slice(context, true) {
            Progress::Done(live, result) => return Poll::Ready(this.ended(live, result, None)),
            Progress::HostFunctions => {
                // Dropped with the call.
                this.exchange.fail();
                return Poll::Ready(this.ended(None, Err(Error::HostFunction), None));
            }
            Progress::Suspended => {}
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
            return Poll::Ready(this.overdue());
        }
        Poll::Pending
    }
}
