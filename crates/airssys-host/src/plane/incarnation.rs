//! The life of one instance: made, initialised, fed from the mailbox, and ended.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use bytes::Bytes;

use super::ask::{Answer, Ask};
use super::bindings::{Handler, Lifecycle, StateExport, types};
use super::blueprint::{Blueprint, Setting};
use super::bounded::{bounded, drive};
use super::cell::{Cell, KillReason, Request, Step};
use super::codec;
use super::context::ActorContext;
use super::convert;
use super::failure::{Ending, Failure, Reason};
use super::mailbox::{Callback, Envelope, Source};
use super::output::outputs;
use super::succession::Inheritance;
use crate::error::Error;
use crate::instance::{Link, Live, failure, now_nanos};
use crate::route::{Outcome as CallOutcome, Used};
use crate::services::Identity;

/// How an incarnation ended.
pub(super) enum End {
    /// It was asked to.
    Stopped,
    Failed(Ending),
    NotStarted(Ending),
    Killed {
        how: KillReason,
        done: Arc<Ask>,
    },
}

/// The exports that the instance has.
pub(super) struct Guest {
    handler: Option<Handler>,
    pub(super) lifecycle: Option<Lifecycle>,
    pub(super) state: Option<StateExport>,
}

pub(super) struct Life {
    pub(super) cell: Arc<Cell>,
    pub(super) blueprint: Arc<Blueprint>,
    pub(super) link: Arc<Link>,
    /// Whether the thread that polls may block in file operations; shared with WASI.
    pub(super) may_block: Arc<AtomicBool>,
    pub(super) live: Box<Live>,
    pub(super) guest: Guest,
    /// Monotonic nanoseconds at the end of the last call.
    ended: u64,
}

/// From the first instruction to the last.
pub(super) async fn live(
    cell: Arc<Cell>,
    blueprint: Arc<Blueprint>,
    incarnation: u64,
    link: Arc<Link>,
    inherits: Option<Inheritance>,
) -> End {
    // What an actor does once or seldom is boxed: its task is as large as the largest thing that it waits for in it.
    let mut life = match Box::pin(begin(cell, blueprint, incarnation, link, inherits)).await {
        Ok(life) => life,
        Err(ending) => return End::NotStarted(ending),
    };
    life.cell.started();
    match life.serve().await {
        Ok(()) => End::Stopped,
        Err(ending) => End::Failed(ending),
    }
}

pub(super) async fn begin(
    cell: Arc<Cell>,
    blueprint: Arc<Blueprint>,
    incarnation: u64,
    link: Arc<Link>,
    inherits: Option<Inheritance>,
) -> Result<Life, Ending> {
    let identity = Identity {
        deployment: cell.address.deployment.clone(),
        key: cell.address.key.clone(),
        incarnation,
    };
    let of = |error| Ending::of(error, "");
    let limits = &blueprint.limits;
    let outputs = outputs(&cell, incarnation, limits.account.as_ref());
    let wasi = (blueprint.wasi)(&identity, outputs).map_err(of)?;
    let may_block = wasi.may_block().clone();
    let pace = cell.pace(limits.messages_per_second);
    let context = Box::new(ActorContext::new(
        cell.clone(),
        incarnation,
        wasi.acting().clone(),
        pace,
    ));
    let services = blueprint.services.clone();
    let (made, ended) = bounded(
        &cell,
        &link,
        &may_block,
        now_nanos(),
        Live::instantiate_actor(
            blueprint.component.clone(),
            wasi,
            link.clone(),
            &identity,
            &services,
            context,
        ),
    )
    .await;
    let mut live = made.and_then(|made| made).map_err(of)?;
    let internal = |error: wasmtime::Error| of(Error::Internal(format!("{error:#}")));
    let exports = &blueprint.exports;
    let instance = live.instance;
    let guest = Guest {
        handler: exports
            .handler
            .as_ref()
            .map(|found| found.load(&mut live.store, &instance))
            .transpose()
            .map_err(internal)?,
        lifecycle: exports
            .lifecycle
            .as_ref()
            .map(|found| found.load(&mut live.store, &instance))
            .transpose()
            .map_err(internal)?,
        state: exports
            .state
            .as_ref()
            .map(|found| found.load(&mut live.store, &instance))
            .transpose()
            .map_err(internal)?,
    };
    let mut life = Life {
        cell,
        blueprint,
        link,
        may_block,
        live,
        guest,
        ended,
    };
    life.initialize().await?;
    life.introduce().await?;
    if let Some(inheritance) = inherits {
        life.inherit(inheritance).await?;
    }
    Ok(life)
}

impl Life {
    pub(super) fn context(&mut self) -> &mut ActorContext {
        self.live
            .store
            .data_mut()
            .actor
            .as_mut()
            .expect("every actor's store has a context")
    }

    /// What a call came to, as the end of the incarnation if it failed. Counts the call.
    pub(super) fn concluded<R>(
        &mut self,
        (result, ended): (Result<wasmtime::Result<R>, Error>, u64),
        function: &'static str,
    ) -> Result<R, Ending> {
        self.ended = ended;
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => failure(&error, &mut self.live.store),
            Err(error) => error,
        };
        if let (Error::Limit(exceeded), Some(account)) = (&error, &self.blueprint.limits.account) {
            account.reached(exceeded);
        }
        Err(Ending::of(error, function))
    }

    pub(super) fn prepare(&mut self) -> u64 {
        self.live.usage.calls += 1;
        self.live.store.set_epoch_deadline(1);
        now_nanos()
    }

    async fn initialize(&mut self) -> Result<(), Ending> {
        if self.guest.lifecycle.is_none() {
            return Ok(());
        }
        let blueprint = self.blueprint.clone();
        let config: Vec<(&str, types::Setting<'_>)> = blueprint
            .config
            .iter()
            .map(|(name, setting)| {
                let setting = match setting {
                    Setting::Boolean(value) => types::Setting::Boolean(*value),
                    Setting::Integer(value) => types::Setting::Integer(*value),
                    Setting::Number(value) => types::Setting::Number(*value),
                    Setting::Text(value) => types::Setting::Text(value),
                    Setting::Json(value) => types::Setting::Json(value),
                };
                (name.as_str(), setting)
            })
            .collect();
        let began = self.prepare();
        let lifecycle = self.guest.lifecycle.as_ref().expect("looked at above");
        let call = lifecycle.call_initialize(&mut self.live.store, &config);
        let called = bounded(&self.cell, &self.link, &self.may_block, began, call).await;
        self.concluded(called, "initialize")?
            .map_err(|error| Ending::said(convert::words(error), "initialize"))
    }

    /// Serve until stopped.
    async fn serve(&mut self) -> Result<(), Ending> {
        let mut finished = None;
        let virtual_time = self.cell.shared.clock.is_virtual();
        loop {
            // In real time the end of one call is the beginning of the next, unless there was a wait between them.
            let step = {
                let cell = &self.cell;
                let mut now = if virtual_time {
                    cell.shared.clock.now()
                } else {
                    self.ended
                };
                let finished = &mut finished;
                let guard = &self.blueprint.statistics.guard;
                let (step, waited) = poll_fn(|context| {
                    // After a wait the time is another.
                    if now == 0 {
                        now = cell.shared.clock.now();
                    }
                    let held = guard.holds(context.waker());
                    match cell.next(now, held, finished) {
                        Step::Wait => {
                            now = 0;
                            Poll::Pending
                        }
                        Step::GiveWay => {
                            now = 0;
                            context.waker().wake_by_ref();
                            Poll::Pending
                        }
                        step => Poll::Ready((step, now)),
                    }
                })
                .await;
                if !virtual_time {
                    self.ended = waited;
                }
                step
            };
            match step {
                Step::Message(envelope) if self.cell.is_hooked() => {
                    finished = Some(Box::pin(self.handle_hooked(&envelope)).await?);
                }
                Step::Message(envelope) => finished = Some(self.handle(&envelope).await?),
                Step::Callback(callback) => Box::pin(self.call_back(callback)).await?,
                Step::Request(Request::Prepare(successor), ask) => {
                    Box::pin(self.make_room(&successor, &ask)).await?;
                }
                Step::Request(request, ask) => Box::pin(self.answer(request, &ask)).await?,
                Step::Stop(reason) => {
                    self.cell.finish(&mut finished);
                    self.context().acting.begin(None);
                    Box::pin(self.part()).await?;
                    return Box::pin(self.shut_down(reason)).await;
                }
                Step::Wait | Step::GiveWay => unreachable!("these two do not leave the wait"),
            }
        }
    }

    /// Let the guest handle a message. What it comes to: `None` if it was handled, else why it is dead.
    pub(super) async fn handle(
        &mut self,
        envelope: &Arc<Envelope>,
    ) -> Result<Option<Reason>, Ending> {
        if self.guest.handler.is_none() {
            self.bury(
                envelope,
                Reason::Unhandled,
                "the component exports no handler",
            );
            return Ok(Some(Reason::Unhandled));
        }
        let missed = match envelope.source {
            Source::Timer(timer) => self.cell.timer_taken(timer),
            _ => 0,
        };
        let context = self.context();
        context.begin(envelope);
        let host_calls = context.host_calls;
        let source = match &envelope.source {
            Source::Host => types::Source::Host,
            Source::Actor(address) => types::Source::Actor(address),
            Source::Topic { topic, publisher } => {
                types::Source::Topic(types::Publication { topic, publisher })
            }
            Source::Timer(timer) => types::Source::Timer(types::Tick {
                timer: *timer,
                missed,
            }),
        };
        let reply = envelope.reply();
        let message = types::Message {
            id: envelope.id,
            source,
            payload: &envelope.payload,
            wants_reply: reply.is_some(),
            deadline: reply.map(|ask| ask.deadline),
            trace: envelope.trace.as_deref(),
        };
        self.live.usage.calls += 1;
        self.live.store.set_epoch_deadline(1);
        let began = if self.cell.shared.clock.is_virtual() {
            now_nanos()
        } else {
            self.ended
        };
        let handler = self.guest.handler.as_ref().expect("looked at above");
        let called = drive(
            &self.cell,
            &self.link,
            &self.may_block,
            began,
            pin!(handler.call_handle_message(&mut self.live.store, message)),
        )
        .await;
        let result = self.concluded(called, "handle-message");
        let context = self.context();
        let put_off = context.end();
        let host_calls = context.host_calls - host_calls;
        let outcome = match &result {
            Ok(_) => CallOutcome::Answered,
            Err(ending) => ending
                .error
                .as_ref()
                .map_or(CallOutcome::Other, |error| CallOutcome::of(error)),
        };
        let wall_nanos = self.ended - began;
        // The processor's time is known where the call was interrupted; else it ran in one go.
        let cpu_nanos = match self.link.cpu_nanos() {
            0 => wall_nanos,
            measured => measured,
        };
        self.live.usage.cpu_nanos += cpu_nanos;
        let bytes_out = match &result {
            Ok(Ok(Some(payload))) => payload.len() as u64,
            _ => 0,
        };
        self.blueprint.statistics.record(
            outcome,
            &Used {
                wall_nanos,
                cpu_nanos,
                host_calls,
                bytes_in: envelope.payload.len() as u64,
                bytes_out,
                memory_peak: self.live.store.data().limiter.memory_peak(),
            },
        );
        match result? {
            Ok(payload) => {
                if let Some(ask) = envelope.reply()
                    && !put_off
                {
                    ask.complete(answer(payload));
                }
                Ok(None)
            }
            Err(error) => {
                if let types::Error::Failed(message) = error {
                    return Err(Ending::said(message, "handle-message"));
                }
                let (reason, failure) = convert::refusal(&error);
                let Some(reason) = reason else {
                    if let Some(ask) = envelope.reply() {
                        ask.complete(Err(failure));
                    }
                    return Ok(None);
                };
                let words = convert::words(error);
                self.cell
                    .bury(envelope.clone(), reason, Some(failure), Some(words));
                Ok(Some(reason))
            }
        }
    }

    fn bury(&self, envelope: &Arc<Envelope>, reason: Reason, words: &str) {
        self.cell
            .bury(envelope.clone(), reason, None, Some(words.to_owned()));
    }

    async fn call_back(&mut self, callback: Callback) -> Result<(), Ending> {
        let Callback {
            incarnation,
            correlation,
            outcome,
        } = callback;
        // One that was cancelled meanwhile is not told, nor one that another incarnation asked for.
        if self.context().incarnation != incarnation {
            return Ok(());
        }
        let Some((_, callers)) = self.context().asks.remove(&correlation) else {
            return Ok(());
        };
        if self.guest.handler.is_none() {
            return Ok(());
        }
        self.context().acting.begin(callers.as_ref());
        let accepted;
        let cycle: Vec<&str>;
        let outcome = match &outcome {
            Ok(Answer::Payload(payload)) => Ok(payload.as_deref()),
            Ok(_) => Ok(None),
            Err(failure) => {
                let owned = convert::delivery_error(failure.clone());
                accepted = owned;
                cycle = match &accepted {
                    types::DeliveryErrorResult::WaitCycle(cycle) => {
                        cycle.iter().map(String::as_str).collect()
                    }
                    _ => Vec::new(),
                };
                Err(convert::borrowed(&accepted, &cycle))
            }
        };
        let began = self.prepare();
        let handler = self.guest.handler.as_ref().expect("looked at above");
        let call = handler.call_handle_callback(&mut self.live.store, correlation, outcome);
        let called = bounded(&self.cell, &self.link, &self.may_block, began, call).await;
        match self.concluded(called, "handle-callback")? {
            Err(types::Error::Failed(message)) => Err(Ending::said(message, "handle-callback")),
            _ => Ok(()),
        }
    }
}

/// A handler's return value as the outcome of the ask.
fn answer(payload: Option<Vec<u8>>) -> Result<Answer, Failure> {
    if let Some(payload) = &payload {
        codec::read(payload).map_err(|reason| {
            Failure::InvalidPayload(format!("the reply has no codec: {reason}"))
        })?;
    }
    Ok(Answer::Payload(payload.map(Bytes::from)))
}
