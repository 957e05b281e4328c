//! What a guest calls: the host itself, timers, messages and topics.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::address;
use super::ask::{Answer, Ask, Kind, Waiter};
use super::bindings::types::DeliveryErrorResult as Told;
use super::bindings::{host, messaging, timers, topics, types};
use super::cell::Cell;
use super::codec;
use super::context::{ActorContext, Refusal};
use super::convert;
use super::failure::Failure;
use super::output::write_line;
use super::pattern::Pattern;
use super::shared::Options;
use super::target::Target;
use crate::gate::{self, MessageAccess};
use crate::guest_log::LogWriter;
use crate::instance::{State, now_nanos};

/// Longest line that a guest may log, in bytes, its fields included; the rest is cut off.
const LINE: usize = 16 << 10;
/// Most fields of a line.
const FIELDS: usize = 64;

/// Cut `text` off where `room` ends, and take what is left from the room.
fn cut(text: &mut String, room: &mut usize) {
    if text.len() > *room {
        let end = (0..=*room).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
    *room -= text.len();
}

/// What is kept of a line that a guest logs.
fn fitted(
    mut message: String,
    mut fields: Vec<(String, String)>,
) -> (String, Vec<(String, String)>) {
    let mut room = LINE;
    cut(&mut message, &mut room);
    fields.truncate(FIELDS);
    for (name, value) in &mut fields {
        cut(name, &mut room);
        cut(value, &mut room);
    }
    (message, fields)
}

const NEEDS_APPROVAL: &str =
    "somebody has to approve it; `ask` and `send` wait for that, this call never waits";

impl State {
    fn context(&mut self) -> Result<&mut ActorContext, Failure> {
        self.actor.as_deref_mut().ok_or(Failure::NotAnActor)
    }

    /// The actor, which made a call.
    fn actor(&mut self) -> Result<&mut ActorContext, Failure> {
        let context = self.context()?;
        context.host_calls += 1;
        Ok(context)
    }

    /// The actor, which is about to send a message.
    fn sender(&mut self) -> Result<&mut ActorContext, Failure> {
        let context = self.actor.as_deref_mut().ok_or(Failure::NotAnActor)?;
        context.host_calls += 1;
        context.may_send(self.link.limits().account.as_ref())?;
        Ok(context)
    }

    /// Whether a rule denies the host's clocks. Virtual time is nobody's clock.
    fn is_denied_time(&mut self) -> bool {
        let actor = self.actor.as_ref();
        !actor.is_some_and(|actor| actor.runs_through())
            && !self.wasi.may_use(gate::kind::Kind::Clock)
    }
}

/// A refusal to a call that never waits.
fn at_once(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Failure(failure) => failure,
        Refusal::Ask(_) => Failure::NotPermitted(NEEDS_APPROVAL.to_owned()),
    }
}

impl types::Host for State {}

impl host::Host for State {
    fn log(&mut self, level: types::LogLevel, message: String, fields: Vec<(String, String)>) {
        if !self.wasi.may_use(gate::kind::Kind::Log) {
            return;
        }
        let link = self.link.clone();
        let account = link.limits().account.as_deref();
        let level = convert::level(level);
        let Ok(context) = self.actor() else {
            if let Some(writer) = self.services.get::<LogWriter>() {
                writer.write(account, "log", level, || fitted(message, fields));
            }
            return;
        };
        write_line(
            &context.cell,
            context.incarnation,
            account,
            "log",
            level,
            || {
                let (message, fields) = fitted(message, fields);
                (message, fields, context.trace())
            },
        );
    }

    fn now(&mut self) -> u64 {
        if self.is_denied_time() {
            return self.wasi.own_time();
        }
        match self.actor() {
            Ok(context) => context.shared.clock.wall(),
            Err(_) => super::clock::Clock::new(false).wall(),
        }
    }

    fn monotonic_now(&mut self) -> u64 {
        if self.is_denied_time() {
            return self.wasi.own_time();
        }
        match self.actor() {
            Ok(context) => context.shared.clock.now(),
            Err(_) => now_nanos(),
        }
    }

    async fn sleep(&mut self, time: u64) {
        if self.is_denied_time() {
            self.wasi.wait_in_own_time(time);
        }
        let Ok(context) = self.actor() else {
            tokio::time::sleep(std::time::Duration::from_nanos(time)).await;
            return;
        };
        let cell = context.cell.clone();
        let until = context.shared.after(time);
        poll_fn(|_| {
            if cell.shared.clock.now() >= until {
                return Poll::Ready(());
            }
            cell.arm(until);
            Poll::Pending
        })
        .await;
    }

    fn self_(&mut self) -> types::ComponentId {
        match self.actor() {
            Ok(context) => component_id(&context.cell.address.text),
            Err(_) => component_id(""),
        }
    }

    fn list_components(&mut self) -> Vec<types::ComponentId> {
        let Ok(context) = self.actor() else {
            return Vec::new();
        };
        let own = context.cell.address.namespace().to_owned();
        context
            .shared
            .targets()
            .iter()
            .filter(|target| address::namespace(target.deployment()) == own)
            .map(|target| component_id(target.address()))
            .collect()
    }

    fn component_metadata(&mut self, target: String) -> Option<host::ComponentInfo> {
        let context = self.actor().ok()?;
        let (deployment, _) = address::split(&target);
        if address::namespace(deployment) != context.cell.address.namespace() {
            return None;
        }
        let found = context.shared.find(&target)?;
        let (state, health) = match &found {
            Target::Actor(cell) => {
                let seen = cell.inspect();
                (
                    seen.stage.name(),
                    convert::health_status(seen.health.status),
                )
            }
            Target::Port(_) => ("running", types::HealthStatus::Unknown),
        };
        Some(host::ComponentInfo {
            id: component_id(found.address()),
            state: state.to_owned(),
            health,
            accepts: found.with_terms(|accepts, _| accepts.to_vec()),
        })
    }
}

fn component_id(text: &str) -> types::ComponentId {
    let (deployment, key) = address::split(text);
    let (namespace, name) = deployment.split_once('/').unwrap_or((deployment, ""));
    types::ComponentId {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        instance: key.to_owned(),
    }
}

impl timers::Host for State {
    fn send_after(&mut self, delay: u64, payload: Vec<u8>) -> Result<u64, timers::TimerError> {
        set_timer(self, delay, 0, payload)
    }

    fn every(
        &mut self,
        interval: u64,
        payload: Vec<u8>,
        first: Option<u64>,
    ) -> Result<u64, timers::TimerError> {
        if interval == 0 {
            return Err(timers::TimerError::ZeroInterval);
        }
        set_timer(self, first.unwrap_or(interval), interval, payload)
    }

    fn cancel(&mut self, timer: u64) -> bool {
        self.actor()
            .is_ok_and(|context| context.cell.cancel_timer(timer))
    }
}

fn set_timer(
    state: &mut State,
    first: u64,
    interval: u64,
    payload: Vec<u8>,
) -> Result<u64, timers::TimerError> {
    let context = state.actor().map_err(|_| timers::TimerError::NotAnActor)?;
    codec::read(&payload).map_err(|_| timers::TimerError::InvalidPayload)?;
    context
        .cell
        .set_timer(
            context.incarnation,
            first,
            interval,
            payload.into(),
            context.acting.callers(),
        )
        .ok_or(timers::TimerError::TooMany)
}

/// Ends a wait that is given up together with the call that waits.
struct Waiting {
    cell: Arc<Cell>,
    ask: Arc<Ask>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.cell.set_waits_for(None);
        self.ask.cancel();
    }
}

impl State {
    fn tell_now(
        &mut self,
        target: &str,
        payload: Vec<u8>,
        options: Options,
    ) -> Result<(), Failure> {
        let context = self.sender()?;
        let target = context
            .route(MessageAccess::Send, target)
            .map_err(at_once)?;
        let options = Options {
            priority: options.priority,
            time_to_live: options.time_to_live,
            ..context.options()
        };
        let dies_with = context.dies_with(&target);
        context.shared.send_now(
            &target,
            context.source(),
            payload.into(),
            options,
            dies_with,
        )
    }

    /// Send and wait for the answer, or for room.
    async fn send_and_wait(
        &mut self,
        kind: Kind,
        target: &str,
        payload: Vec<u8>,
        timeout: u64,
    ) -> Result<Option<Bytes>, Failure> {
        let access = if kind == Kind::Reply {
            MessageAccess::Ask
        } else {
            MessageAccess::Send
        };
        self.sender()?;
        let receiver = loop {
            match self.context()?.route(access, target) {
                Ok(receiver) => break receiver,
                Err(Refusal::Failure(failure)) => return Err(failure),
                Err(Refusal::Ask(approval)) => {
                    if !self.link.own_pauses().during(approval).await {
                        return Err(Failure::NotPermitted("the approver refused".to_owned()));
                    }
                }
            }
        };
        let context = self.context()?;
        let cell = context.cell.clone();
        // The edge first: of two that close a circle at the same time each sees the other's.
        cell.set_waits_for(Some(receiver.clone()));
        if let Some(cycle) = context
            .shared
            .cycle(&Target::Actor(cell.clone()), &receiver)
        {
            cell.set_waits_for(None);
            return Err(Failure::WaitCycle(cycle));
        }
        let options = context.options();
        let begun = context.shared.send_and_wait(
            kind,
            &receiver,
            context.source(),
            payload.into(),
            options,
            timeout,
            Waiter::Guest(cell.clone()),
        );
        let ask = match begun {
            Ok(ask) => ask,
            Err(failure) => {
                cell.set_waits_for(None);
                return Err(failure);
            }
        };
        let waiting = Waiting { cell, ask };
        let mut begins = true;
        let outcome = poll_fn(|_| {
            let Waiting { cell, ask } = &waiting;
            if let Some(outcome) = ask.take() {
                return Poll::Ready(outcome);
            }
            if ask.deadline != u64::MAX {
                if !std::mem::take(&mut begins) && cell.shared.clock.now() >= ask.deadline {
                    ask.complete(Err(Failure::Timeout));
                    return ask.take().map_or(Poll::Pending, Poll::Ready);
                }
                cell.arm(ask.deadline);
            }
            Poll::Pending
        })
        .await;
        outcome.map(|answer| match answer {
            Answer::Payload(payload) => payload,
            _ => None,
        })
    }
}

impl messaging::Host for State {
    fn tell(&mut self, target: String, payload: Vec<u8>) -> Result<(), Told> {
        self.tell_now(&target, payload, Options::default())
            .map_err(convert::delivery_error)
    }

    fn tell_with(
        &mut self,
        target: String,
        payload: Vec<u8>,
        options: messaging::SendOptions,
    ) -> Result<(), Told> {
        let options = Options {
            priority: convert::priority(options.priority),
            time_to_live: options.time_to_live,
            ..Options::default()
        };
        self.tell_now(&target, payload, options)
            .map_err(convert::delivery_error)
    }

    async fn send(&mut self, target: String, payload: Vec<u8>, timeout: u64) -> Result<(), Told> {
        self.send_and_wait(Kind::Room, &target, payload, timeout)
            .await
            .map(|_| ())
            .map_err(convert::delivery_error)
    }

    async fn ask(
        &mut self,
        target: String,
        payload: Vec<u8>,
        timeout: u64,
    ) -> Result<Option<Vec<u8>>, Told> {
        self.send_and_wait(Kind::Reply, &target, payload, timeout)
            .await
            .map(|answer| answer.map(Vec::from))
            .map_err(convert::delivery_error)
    }

    fn ask_async(&mut self, target: String, payload: Vec<u8>, timeout: u64) -> Result<u64, Told> {
        let begin = || {
            let context = self.sender()?;
            context.room_for_ask()?;
            let target = context
                .route(MessageAccess::Ask, &target)
                .map_err(at_once)?;
            let correlation = context.number();
            let waiter = Waiter::Callback {
                cell: context.cell.clone(),
                incarnation: context.incarnation,
                correlation,
            };
            let options = context.options();
            let ask = context.shared.ask(
                &target,
                context.source(),
                Bytes::from(payload),
                options,
                timeout,
                waiter,
            )?;
            let callers = context.acting.callers();
            context.asks.insert(correlation, (ask, callers));
            Ok(correlation)
        };
        begin().map_err(convert::delivery_error)
    }

    fn cancel(&mut self, correlation: u64) -> bool {
        let Ok(context) = self.actor() else {
            return false;
        };
        context
            .asks
            .remove(&correlation)
            .is_some_and(|(ask, _)| ask.cancel())
    }

    fn reply_later(&mut self) -> Result<u64, Told> {
        self.actor()
            .and_then(ActorContext::put_off)
            .map_err(convert::delivery_error)
    }

    fn reply(&mut self, token: u64, answer: Option<Vec<u8>>) -> Result<(), Told> {
        let reply = || {
            let context = self.actor()?;
            if let Some(answer) = &answer {
                codec::read(answer).map_err(|reason| Failure::InvalidPayload(reason.to_owned()))?;
            }
            context.settle_deferred(token, Ok(Answer::Payload(answer.map(Bytes::from))))
        };
        reply().map_err(convert::delivery_error)
    }

    fn refuse(&mut self, token: u64, reason: String) -> Result<(), Told> {
        self.actor()
            .and_then(|context| context.settle_deferred(token, Err(Failure::Refused(reason))))
            .map_err(convert::delivery_error)
    }

    fn broadcast(&mut self, pattern: String, payload: Vec<u8>) -> Result<messaging::Reach, Told> {
        let broadcast = || {
            let link = self.link.clone();
            let context = self.actor()?;
            codec::read(&payload).map_err(|reason| Failure::InvalidPayload(reason.to_owned()))?;
            let pattern = Pattern::deployment(&pattern).map_err(Failure::InvalidPayload)?;
            let payload = Bytes::from(payload);
            let mut reach = messaging::Reach {
                accepted: 0,
                refused: 0,
            };
            let own = Target::Actor(context.cell.clone());
            for target in context.shared.targets() {
                if !pattern.matches(target.deployment()) || target.is(&own) {
                    continue;
                }
                let options = context.options();
                // Each receiver is a message.
                let sent = context
                    .may_send(link.limits().account.as_ref())
                    .and_then(|()| {
                        let deployment = target.deployment();
                        context
                            .permit(MessageAccess::Broadcast, deployment)
                            .map_err(at_once)
                    })
                    .and_then(|()| {
                        let source = context.source();
                        context
                            .shared
                            .send_now(&target, source, payload.clone(), options, 0)
                    });
                match sent {
                    Ok(()) => reach.accepted += 1,
                    Err(_) => reach.refused += 1,
                }
            }
            Ok(reach)
        };
        broadcast().map_err(convert::delivery_error)
    }
}

impl topics::Host for State {
    fn publish(&mut self, topic: String, payload: Vec<u8>) -> Result<messaging::Reach, Told> {
        let publish = |state: &mut Self| {
            let context = state.sender()?;
            context
                .permit(MessageAccess::Publish, &topic)
                .map_err(at_once)?;
            let options = context.options();
            let publisher = context.cell.address.text.clone();
            let (accepted, refused) =
                context
                    .shared
                    .publish(&topic, &publisher, &payload.into(), &options)?;
            Ok(messaging::Reach { accepted, refused })
        };
        publish(self).map_err(convert::delivery_error)
    }

    fn subscribe(&mut self, pattern: String) -> Result<(), Told> {
        let subscribe = |state: &mut Self| {
            let context = state.actor()?;
            let parsed = Pattern::topic(&pattern).map_err(Failure::InvalidPayload)?;
            if parsed.is_literal() {
                // What a pattern with stars names is decided topic by topic, when something is published.
                context
                    .permit(MessageAccess::Subscribe, &pattern)
                    .map_err(at_once)?;
            }
            let target = Target::Actor(context.cell.clone());
            let (gate, _) = context.cell.rights();
            let callers = context.acting.callers();
            context
                .shared
                .topics
                .subscribe(target, &pattern, parsed, Some((gate, callers)));
            Ok(())
        };
        subscribe(self).map_err(convert::delivery_error)
    }

    fn unsubscribe(&mut self, pattern: String) -> bool {
        let Ok(context) = self.actor() else {
            return false;
        };
        let target = Target::Actor(context.cell.clone());
        context.shared.topics.unsubscribe(&target, &pattern)
    }
}
