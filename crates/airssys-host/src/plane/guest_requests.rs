//! What a guest is asked besides handling messages: who it is, how it is, and for its state.

use std::sync::Arc;

use super::ask::{Answer, Ask, Health, Metadata, Outcome};
use super::bindings::ShutdownReason as GuestReason;
use super::bounded::bounded;
use super::cell::{Request, ShutdownReason};
use super::convert;
use super::failure::{Ending, Failure};
use super::incarnation::Life;
use super::succession::Inheritance;
use crate::instance::now_nanos;

impl Life {
    /// Have the component say who it is, the first time that there is an instance of it.
    pub(super) async fn introduce(&mut self) -> Result<(), Ending> {
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
    pub(super) async fn inherit(&mut self, inheritance: Inheritance) -> Result<(), Ending> {
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

    pub(super) async fn answer(&mut self, request: Request, ask: &Arc<Ask>) -> Result<(), Ending> {
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
    pub(super) async fn part(&mut self) -> Result<(), Ending> {
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
