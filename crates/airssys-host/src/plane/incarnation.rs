//! The life of one instance: made, initialised, fed from the mailbox, and ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;

use super::ask::{Answer, Ask, Health, Metadata, Outcome};
use super::bindings::{Handler, Lifecycle, ShutdownReason as GuestReason, StateExport, types};
use super::blueprint::{Blueprint, Outputs, Setting};
use super::cell::{Cell, KillReason, Request, ShutdownReason, Step};
use super::codec;
use super::context::ActorContext;
use super::convert;
use super::events::LogLine;
use super::failure::{Ending, Failure, Reason};
use super::mailbox::{Callback, Envelope, Source};
use super::succession::Inheritance;
use crate::engine::slice_begins;
use crate::error::Error;
use crate::instance::{Link, Live, failure, now_nanos};
use crate::quota::Account;
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
    lifecycle: Option<Lifecycle>,
    state: Option<StateExport>,
}

pub(super) struct Life {
    pub(super) cell: Arc<Cell>,
    blueprint: Arc<Blueprint>,
    pub(super) link: Arc<Link>,
    /// Whether the thread that polls may block in file operations; shared with WASI.
    may_block: Arc<AtomicBool>,
    live: Box<Live>,
    guest: Guest,
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
    let mut life = match begin(cell, blueprint, incarnation, link, inherits).await {
        Ok(life) => life,
        Err(ending) => return End::NotStarted(ending),
    };
    life.cell.started();
    match life.serve().await {
        Ok(()) => End::Stopped,
        Err(ending) => End::Failed(ending),
    }
}

fn outputs(cell: &Arc<Cell>, incarnation: u64, account: Option<&Arc<Account>>) -> Outputs {
    let sink = |stream: &'static str| {
        let (cell, account) = (Arc::downgrade(cell), account.cloned());
        let begun = Mutex::new(Vec::new());
        Arc::new(move |bytes: Bytes| {
            let Some(cell) = cell.upgrade() else { return };
            for line in whole_lines(&begun, &bytes) {
                let account = account.as_deref();
                write_line(&cell, incarnation, account, stream, "info", || {
                    (line, Vec::new(), None)
                });
            }
        })
    };
    Outputs {
        stdout: sink("stdout"),
        stderr: sink("stderr"),
    }
}

/// The lines that `bytes` completes; what has no end yet waits in `begun`.
fn whole_lines(begun: &Mutex<Vec<u8>>, bytes: &[u8]) -> Vec<String> {
    let mut begun = begun.lock().expect("no code under this lock panics");
    let mut lines = Vec::new();
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        begun.extend_from_slice(part);
        if part.ends_with(b"\n") || begun.len() > LINE {
            let line = String::from_utf8_lossy(&begun);
            lines.push(line.trim_end_matches(['\r', '\n']).to_owned());
            begun.clear();
        }
    }
    lines
}

/// A line that is not ended after so many bytes is cut.
const LINE: usize = 16 << 10;

/// The text of a line, its fields, and the trace that it belongs to.
type Text = (String, Vec<(String, String)>, Option<Arc<str>>);

/// Write a guest's line to the deployment's ring, unless there are too many.
pub(super) fn write_line(
    cell: &Cell,
    incarnation: u64,
    account: Option<&Account>,
    stream: &'static str,
    level: &'static str,
    text: impl FnOnce() -> Text,
) {
    let lost = match account {
        Some(account) => match account.admit_log_line(|| cell.shared.clock.now()) {
            Some(lost) => lost,
            None => return,
        },
        None => 0,
    };
    let (message, fields, trace) = text();
    let line = LogLine {
        sequence: 0,
        time: cell.shared.clock.wall(),
        address: cell.address.text.clone(),
        incarnation,
        level,
        stream,
        message,
        fields,
        trace,
        lost,
    };
    cell.shared.log(&cell.address.deployment, line);
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

/// Run a call of the guest within its time: real time while it computes, the plane's while it waits. Also tells
/// when it ended.
async fn bounded<R>(
    cell: &Arc<Cell>,
    link: &Arc<Link>,
    may_block: &AtomicBool,
    began: u64,
    future: impl Future<Output = R>,
) -> (Result<R, Error>, u64) {
    let mut future = pin!(future);
    link.begin_call_at(began);
    let mut until = None;
    let result = poll_fn(|context| {
        slice_begins();
        if until.is_some() {
            link.resume_slice();
            // A file operation gave its thread back once before it blocks: now it may, without others in the queue
            // having to wait for it.
            cell.shared.queue.share();
            may_block.store(true, Ordering::Relaxed);
        } else {
            may_block.store(false, Ordering::Relaxed);
        }
        if let Poll::Ready(result) = future.as_mut().poll(context) {
            if until.is_some() {
                link.end_slice();
            }
            return Poll::Ready(Ok(result));
        }
        link.end_slice();
        let clock = &cell.shared.clock;
        let now = clock.now();
        let timeout = u64::try_from(link.limits().call_timeout.as_nanos()).unwrap_or(u64::MAX);
        let until = *until.get_or_insert_with(|| {
            // What it computed so far counts.
            now.saturating_add(timeout)
                .saturating_sub(now_nanos() - began)
        });
        if link.is_paused() {
            return Poll::Pending;
        }
        let until = until.saturating_add(link.paused_nanos());
        if now >= until {
            return Poll::Ready(Err(Error::Limit(link.timed_out())));
        }
        cell.arm(until);
        Poll::Pending
    })
    .await;
    (result, now_nanos())
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
    fn concluded<R>(
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

    fn prepare(&mut self) -> u64 {
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

    /// Have the component say who it is, the first time that there is an instance of it.
    async fn introduce(&mut self) -> Result<(), Ending> {
        if self.guest.lifecycle.is_none() || self.blueprint.metadata().is_some() {
            return Ok(());
        }
        if let Ok(Answer::Metadata(metadata)) = self.ask_guest(Request::Metadata).await? {
            self.blueprint
                .introduce(metadata)
                .map_err(|words| Ending::said(words, "metadata"))?;
        }
        Ok(())
    }

    /// Continue from what an earlier incarnation left.
    async fn inherit(&mut self, inheritance: Inheritance) -> Result<(), Ending> {
        let Inheritance { snapshot, version } = inheritance;
        let own = self.blueprint.metadata();
        let Some(version) = version.filter(|version| own.is_none_or(|own| own.version != *version))
        else {
            return self.restore(&snapshot).await;
        };
        match self.ask_guest(Request::Migrate(version, snapshot)).await? {
            Ok(Answer::Payload(migrated)) => self.restore(&migrated.unwrap_or_default()).await,
            Ok(_) => unreachable!("a migration answers with bytes"),
            Err(failure) => Err(Ending::said(failure.to_string(), "migrate")),
        }
    }

    async fn restore(&mut self, snapshot: &[u8]) -> Result<(), Ending> {
        if self.guest.state.is_none() {
            return Err(Ending::said(
                "the component does not export airssys:core/state".to_owned(),
                "restore",
            ));
        }
        let began = self.prepare();
        let state = self.guest.state.as_ref().expect("looked at above");
        let call = state.call_restore(&mut self.live.store, snapshot);
        let called = bounded(&self.cell, &self.link, &self.may_block, began, call).await;
        self.concluded(called, "restore")?
            .map_err(|error| Ending::said(convert::words(error), "restore"))
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
                let (step, waited) = poll_fn(|context| {
                    // After a wait the time is another.
                    if now == 0 {
                        now = cell.shared.clock.now();
                    }
                    match cell.next(now, finished) {
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
                    finished = Some(self.handle_hooked(&envelope).await?);
                }
                Step::Message(envelope) => finished = Some(self.handle(&envelope).await?),
                Step::Callback(callback) => self.call_back(callback).await?,
                Step::Request(Request::Prepare(successor), ask) => {
                    self.make_room(&successor, &ask).await?;
                }
                Step::Request(request, ask) => self.answer(request, &ask).await?,
                Step::Stop(reason) => {
                    self.cell.finish(&mut finished);
                    self.context().acting.begin(None);
                    self.part().await?;
                    return self.shut_down(reason).await;
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
        context.current = Some(envelope.clone());
        context.put_off = false;
        context.acting.begin(envelope.callers.as_ref());
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
        let call = handler.call_handle_message(&mut self.live.store, message);
        let called = bounded(&self.cell, &self.link, &self.may_block, began, call).await;
        let result = self.concluded(called, "handle-message");
        let context = self.context();
        context.current = None;
        let put_off = context.put_off;
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

    async fn answer(&mut self, request: Request, ask: &Arc<Ask>) -> Result<(), Ending> {
        let answered = self.ask_guest(request).await;
        let usage = self.live.usage();
        self.cell.note_usage(usage);
        match answered {
            Ok(outcome) => {
                ask.complete(outcome);
                Ok(())
            }
            Err(ending) => {
                ask.complete(Err(Failure::Failed(ending.message.clone())));
                Err(ending)
            }
        }
    }

    pub(super) async fn ask_guest(&mut self, request: Request) -> Result<Outcome, Ending> {
        self.context().acting.begin(None);
        Ok(match request {
            Request::Health => {
                let Some(lifecycle) = &self.guest.lifecycle else {
                    // It runs and has nothing to say.
                    let health = Health {
                        status: "healthy",
                        detail: String::new(),
                    };
                    return Ok(Ok(Answer::Health(health)));
                };
                self.live.store.set_epoch_deadline(1);
                let call = lifecycle.call_health(&mut self.live.store);
                let called =
                    bounded(&self.cell, &self.link, &self.may_block, now_nanos(), call).await;
                let report = self.concluded(called, "health")?;
                let health = Health {
                    status: convert::health(report.status),
                    detail: report.detail,
                };
                self.cell.note_health(&health);
                Ok(Answer::Health(health))
            }
            Request::Metadata => match &self.guest.lifecycle {
                None => Err(Failure::NoExport("airssys:core/lifecycle")),
                Some(lifecycle) => {
                    self.live.store.set_epoch_deadline(1);
                    let call = lifecycle.call_metadata(&mut self.live.store);
                    let called =
                        bounded(&self.cell, &self.link, &self.may_block, now_nanos(), call).await;
                    let found = self.concluded(called, "metadata")?;
                    Ok(Answer::Metadata(Metadata {
                        name: found.name,
                        version: found.version,
                        description: found.description,
                        accepts: found.accepts,
                    }))
                }
            },
            Request::Prepare(_) => unreachable!("served where incarnations are exchanged"),
            Request::Snapshot | Request::Migrate(..) if self.guest.state.is_none() => {
                Err(Failure::NoExport("airssys:core/state"))
            }
            Request::Snapshot => {
                let state = self.guest.state.as_ref().expect("looked at above");
                self.live.store.set_epoch_deadline(1);
                let call = state.call_snapshot(&mut self.live.store);
                let called =
                    bounded(&self.cell, &self.link, &self.may_block, now_nanos(), call).await;
                self.concluded(called, "snapshot")?
                    .map(|bytes| Answer::Payload(Some(bytes.into())))
                    .map_err(|error| Failure::Refused(convert::words(error)))
            }
            Request::Migrate(version, snapshot) => {
                let state = self.guest.state.as_ref().expect("looked at above");
                self.live.store.set_epoch_deadline(1);
                let call = state.call_migrate(&mut self.live.store, &version, &snapshot);
                let called =
                    bounded(&self.cell, &self.link, &self.may_block, now_nanos(), call).await;
                self.concluded(called, "migrate")?
                    .map(|bytes| Answer::Payload(Some(bytes.into())))
                    .map_err(|error| Failure::Refused(convert::words(error)))
            }
        })
    }

    pub(super) fn exports_state(&self) -> bool {
        self.guest.state.is_some()
    }

    /// Leave the state, where somebody keeps it. A guest that has none to give keeps the earlier one in place.
    async fn part(&mut self) -> Result<(), Ending> {
        let Some(state) = self
            .guest
            .state
            .as_ref()
            .filter(|_| self.cell.keeps_state())
        else {
            return Ok(());
        };
        self.live.store.set_epoch_deadline(1);
        let call = state.call_snapshot(&mut self.live.store);
        let called = bounded(&self.cell, &self.link, &self.may_block, now_nanos(), call).await;
        if let Ok(state) = self.concluded(called, "snapshot")? {
            self.cell.leave(state.into());
        }
        Ok(())
    }

    pub(super) async fn shut_down(&mut self, reason: ShutdownReason) -> Result<(), Ending> {
        let Some(lifecycle) = &self.guest.lifecycle else {
            return Ok(());
        };
        let reason = match reason {
            ShutdownReason::Stopped => GuestReason::Stopped,
            ShutdownReason::HostShutdown => GuestReason::HostShutdown,
            ShutdownReason::Replaced => GuestReason::Replaced,
        };
        self.live.store.set_epoch_deadline(1);
        let call = lifecycle.call_shutdown(&mut self.live.store, reason);
        let called = bounded(&self.cell, &self.link, &self.may_block, now_nanos(), call).await;
        self.concluded(called, "shutdown")?
            .map_err(|error| Ending::said(convert::words(error), "shutdown"))
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
