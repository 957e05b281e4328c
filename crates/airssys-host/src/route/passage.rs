//! One call through a route.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Request;
use http_body::Body;

use super::line::Line;
use super::pool::Turn;
use super::requests::{Overheard, Purpose};
use super::script;
use super::statistics::{Outcome, Used};
use super::trial::Part;
use crate::component::Component;
use crate::error::Error;
use crate::gate::callers::Callers;
use crate::instance::{Call, Ended, Link, Live, now_nanos};
use crate::storage::Overlay;
use crate::value::Value;

/// Whether the call has a turn of the pool, which it must give back.
enum Has {
    No,
    Yes,
    /// It waits for one; set when it gets it.
    Soon(Arc<AtomicBool>),
}

/// A call that is bound to the revision it began on. Dropping it before its end counts it as cancelled.
pub struct Passage {
    line: Arc<Line>,
    started: u64,
    turn: Has,
    /// Present once a guest was asked for something.
    link: Option<Arc<Link>>,
    /// Calls of host functions that earlier calls made on the same link.
    host_calls: u64,
    bytes_in: u64,
    /// Where a candidate is tried, what the call is for that.
    part: Option<Box<Part>>,
    over: bool,
}

impl Passage {
    pub(super) fn enter(line: Arc<Line>, part: Option<Box<Part>>) -> Option<Self> {
        line.count_in().then(|| Self {
            line,
            started: now_nanos(),
            turn: Has::No,
            link: None,
            host_calls: 0,
            bytes_in: 0,
            part,
            over: false,
        })
    }

    #[must_use]
    pub fn component(&self) -> &Arc<Component> {
        &self.line.component
    }

    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Begin to call an export, by its position in [`Component::exports`], for `callers`. Whoever drives the call
    /// hands what it came to over to [`Passage::conclude`].
    ///
    /// # Errors
    /// The WASI state of a new instance cannot be made.
    pub fn begin(
        &mut self,
        export: usize,
        arguments: Vec<Value>,
        callers: Option<Arc<Callers>>,
    ) -> Result<Call, Error> {
        self.bytes_in = arguments.iter().map(payload).sum();
        match self.part.as_deref_mut() {
            Some(Part::Copied(copy)) => copy.keep(export, &arguments),
            Some(Part::Recorded(record)) => record.keep(&self.line, export, &arguments),
            Some(Part::Counted(_)) | None => {}
        }
        self.begin_with(callers, move |live| answer(live, export, arguments))
    }

    /// As [`Passage::begin`], for nobody, with a storage of which `overlay` takes what is written.
    ///
    /// # Errors
    /// As [`Passage::begin`].
    pub(super) fn begin_under(
        &mut self,
        export: usize,
        arguments: Vec<Value>,
        overlay: Option<Arc<Overlay>>,
    ) -> Result<Call, Error> {
        self.begin_with(None, move |mut live| {
            if let Some(overlay) = &overlay {
                live.lay(overlay);
            }
            answer(live, export, arguments)
        })
    }

    /// As [`Passage::begin`], for whatever `work` does with an instance.
    ///
    /// # Errors
    /// As [`Passage::begin`].
    pub(crate) fn begin_with<W, F>(
        &mut self,
        callers: Option<Arc<Callers>>,
        work: W,
    ) -> Result<Call, Error>
    where
        W: FnOnce(Box<Live>) -> F + Send + 'static,
        F: Future<Output = Ended> + Send + 'static,
    {
        let call = match &self.line.pool {
            None => self.on_fresh(callers, work)?,
            Some(pool) => match pool.try_take() {
                Some(Turn::Use(live)) => {
                    self.turn = Has::Yes;
                    self.host_calls = live.link.host_calls();
                    live.act_for(callers.as_ref());
                    self.call(live.link.clone(), work(live))
                }
                Some(Turn::Make) => {
                    self.turn = Has::Yes;
                    self.on_fresh(callers, work)?
                }
                None => self.once_free(callers, work),
            },
        };
        self.link = Some(call.link().clone());
        Ok(call)
    }

    fn on_fresh<W, F>(&self, callers: Option<Arc<Callers>>, work: W) -> Result<Call, Error>
    where
        W: FnOnce(Box<Live>) -> F + Send + 'static,
        F: Future<Output = Ended> + Send + 'static,
    {
        let wasi = (self.line.wasi)()?;
        wasi.acting().begin(callers.as_ref());
        let link = Link::new(self.line.limits.clone(), wasi.may_block().clone());
        let (component, for_store) = (self.line.component.clone(), link.clone());
        Ok(self.call(link, async move {
            match Live::instantiate(component, wasi, for_store).await {
                Ok(live) => work(live).await,
                Err(error) => (None, Err(error)),
            }
        }))
    }

    /// All instances are in use: wait for one, within the time of the call.
    fn once_free<W, F>(&mut self, callers: Option<Arc<Callers>>, work: W) -> Call
    where
        W: FnOnce(Box<Live>) -> F + Send + 'static,
        F: Future<Output = Ended> + Send + 'static,
    {
        let Some(pool) = &self.line.pool else {
            unreachable!("only a pool can be in use")
        };
        let taking = pool.take();
        let link = Link::new(self.line.limits.clone(), Arc::default());
        let has = Arc::<AtomicBool>::default();
        self.turn = Has::Soon(has.clone());
        let (line, clock) = (self.line.clone(), link.clone());
        self.call(link, async move {
            let turn = match taking.await {
                Ok(turn) => turn,
                Err(error) => return (None, Err(error)),
            };
            has.store(true, Ordering::Release);
            let live = match turn {
                Turn::Make => make(&line).await,
                Turn::Use(live) => Ok(live),
            };
            let mut live = match live {
                Ok(live) => live,
                Err(error) => return (None, Err(error)),
            };
            live.act_for(callers.as_ref());
            // The clock of this call has run since before there was an instance for it.
            live.lend_link(clock.clone());
            let own = live.link.clone();
            let mut ending = pin!(work(live));
            let (mut live, result) = std::future::poll_fn(|context| {
                own.set_may_block(clock.may_block().load(Ordering::Relaxed));
                ending.as_mut().poll(context)
            })
            .await;
            if let Some(live) = &mut live {
                live.return_link();
            }
            (live, result)
        })
    }

    fn call(&self, link: Arc<Link>, ending: impl Future<Output = Ended> + Send + 'static) -> Call {
        Call::driving_until(self.line.kill.clone(), link, ending)
    }

    /// Record how the call ended, and keep its instance for the next where the revision keeps any.
    pub fn conclude(mut self, live: Option<Box<Live>>, result: &Result<Option<Value>, Error>) {
        let (outcome, bytes_out) = match result {
            Ok(value) => {
                let failed = self.line.scripted && value.as_ref().is_some_and(script::failed);
                let outcome = if failed {
                    Outcome::Other
                } else {
                    Outcome::Answered
                };
                (outcome, value.as_ref().map_or(0, payload))
            }
            Err(error) => (Outcome::of(error), 0),
        };
        self.tell_limit(result.as_ref().err());
        self.end(live, outcome, bytes_out);
        self.answered(result);
    }

    /// What the call is for beside its caller. After it has ended on the books: this is not its time.
    fn answered(&mut self, result: &Result<Option<Value>, Error>) {
        let Ok(answer) = result else { return };
        match self.part.take().map(|part| *part) {
            Some(Part::Copied(copy)) => copy.run(answer.as_ref()),
            Some(Part::Recorded(record)) => record.answered(answer.as_ref()),
            Some(Part::Counted(_)) | None => {}
        }
    }

    /// What makes a copy of an HTTP request or keeps it, where that is to be; whoever passes the request on has to tell
    /// it.
    pub(crate) fn overhear<B: Body>(&mut self, request: &Request<B>) -> Option<Arc<Overheard>> {
        match self.part.take().map(|part| *part) {
            Some(Part::Copied(copy)) if copy.handles_http() => {
                Some(Overheard::new(Purpose::Copy(copy), request))
            }
            Some(Part::Copied(copy)) => {
                copy.leave_out();
                None
            }
            Some(Part::Recorded(record)) => {
                let record = record.overhear(&self.line)?;
                Some(Overheard::new(Purpose::Record(record), request))
            }
            part => {
                self.part = part.map(Box::new);
                None
            }
        }
    }

    /// As [`Passage::conclude`], where the result alone does not tell the outcome.
    pub(crate) fn conclude_as(
        mut self,
        live: Option<Box<Live>>,
        result: &Result<Option<Value>, Error>,
        outcome: Outcome,
    ) {
        if outcome != Outcome::Cancelled {
            self.tell_limit(result.as_ref().err());
        }
        self.end(live, outcome, 0);
        self.answered(result);
    }

    /// A limit that was reached is told to whoever watches.
    fn tell_limit(&self, error: Option<&Error>) {
        if let (Some(Error::Limit(exceeded)), Some(account)) = (error, &self.line.limits.account) {
            account.reached(exceeded);
        }
    }

    fn end(&mut self, live: Option<Box<Live>>, outcome: Outcome, bytes_out: u64) {
        self.over = true;
        let mut used = Used {
            wall_nanos: now_nanos() - self.started,
            bytes_in: self.bytes_in,
            bytes_out,
            ..Used::default()
        };
        if let Some(link) = &self.link {
            used.cpu_nanos = link.cpu_nanos();
            used.host_calls = link.host_calls().saturating_sub(self.host_calls);
        }
        if let Some(live) = &live {
            used.memory_peak = live.usage().memory_peak;
        }
        let has_turn = match &self.turn {
            Has::No => false,
            Has::Yes => true,
            Has::Soon(has) => has.load(Ordering::Acquire),
        };
        match &self.line.pool {
            Some(pool) if has_turn => {
                let live = live.map(|mut live| {
                    let memory = live.usage().memory;
                    live.held
                        .get_or_insert_with(|| self.line.memory.share())
                        .set(memory);
                    live
                });
                pool.give_back(live);
            }
            _ => drop(live),
        }
        self.line.statistics.record(outcome, &used);
        if let Some(Part::Counted(counted)) = self.part.as_deref() {
            // Time in which a person was asked is nobody's slowness.
            let paused = self.link.as_ref().map_or(0, |link| link.paused_nanos());
            counted.record(outcome.fault(), used.wall_nanos.saturating_sub(paused));
        }
        self.line.count_out();
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.link.is_some() {
            self.end(None, Outcome::Cancelled, 0);
        } else {
            // Nothing was asked of the revision: a wrong argument is the caller's.
            if matches!(self.turn, Has::Yes)
                && let Some(pool) = &self.line.pool
            {
                pool.give_back(None);
            }
            self.line.count_out();
        }
    }
}

/// A new instance for a pool.
async fn make(line: &Line) -> Result<Box<Live>, Error> {
    let wasi = (line.wasi)()?;
    let link = Link::new(line.limits.clone(), wasi.may_block().clone());
    link.begin_call();
    Live::instantiate(line.component.clone(), wasi, link).await
}

async fn answer(mut live: Box<Live>, export: usize, arguments: Vec<Value>) -> Ended {
    let result = live.call(export, arguments).await;
    if result.is_ok() {
        (Some(live), result)
    } else {
        (None, result)
    }
}

/// Bytes of strings and lists of numbers in a value.
fn payload(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::List(values) | Value::Record(values) => values.iter().map(payload).sum(),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| payload(key) + payload(value))
            .sum(),
        Value::Variant(_, inner) | Value::Option(inner) | Value::Result(Ok(inner) | Err(inner)) => {
            inner.as_deref().map_or(0, payload)
        }
        _ => 0,
    }
}
