//! `airssys:storage`.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Linker, Resource};

use super::permit::Listable;
use super::{Access, GuestStorage, View, view};
use crate::instance::State;
use crate::plane::Address;
use crate::storage::shared::Offer;
use crate::storage::{
    Change, Entry, Event, Namespace, Operation, Outcome, PAGE_ENTRIES, StorageError, Watcher,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/storage",
        world: "airssys:storage/imports",
        imports: { default: async | trappable },
        with: {
            "airssys:storage/watch.watcher": super::GuestWatcher,
            "airssys:storage/shared.namespace": super::GuestNamespace,
        },
    });
}

use bindings::airssys::storage::{batch, compare_and_set, shared, store, types, watch};

/// Events that wait for a guest, and that it is given at once.
const EVENTS_KEPT: usize = 1000;
const EVENTS_AT_ONCE: usize = 100;

/// A guest's watcher.
pub struct GuestWatcher(Watcher);

/// Another deployment's namespace, by the name of the deployment.
pub struct GuestNamespace(String);

pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, Access>(linker, view)?;
    store::add_to_linker::<State, Access>(linker, view)?;
    batch::add_to_linker::<State, Access>(linker, view)?;
    compare_and_set::add_to_linker::<State, Access>(linker, view)?;
    shared::add_to_linker::<State, Access>(linker, view)?;
    watch::add_to_linker::<State, Access>(linker, view)
}

impl From<StorageError> for types::StorageError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(rule) => Self::NotPermitted(rule),
            StorageError::Invalid(reason) => Self::Invalid(reason),
            StorageError::NotANumber { .. } => Self::Invalid(error.to_string()),
            StorageError::Exceeded {
                limit,
                configured,
                needed,
            } => Self::Exceeded(types::Exceeded {
                limit: limit.into(),
                configured,
                needed,
            }),
            // Paths of the host are not the guest's business.
            StorageError::Full { .. } => Self::Unavailable("the host has no room".into()),
            StorageError::Closed => Self::Unavailable("there is no open storage".into()),
            StorageError::Damaged { .. }
            | StorageError::InUse { .. }
            | StorageError::TooNew { .. }
            | StorageError::Io { .. } => Self::Unavailable("the host's storage failed".into()),
        }
    }
}

type Told<T> = Result<T, StorageError>;
type Answer<T> = wasmtime::Result<Result<T, types::StorageError>>;

impl GuestStorage<'_> {
    fn entry(&self, key: String, entry: Entry) -> types::Entry {
        let now = self.namespace.map_or(0, Namespace::now);
        types::Entry {
            key,
            version: entry.version,
            time_to_live: entry.expires.map(|expires| expires.saturating_sub(now)),
            value: entry.value,
        }
    }

    async fn change(&self, operation: Operation) -> Told<(u64, bool)> {
        match self.apply(vec![operation]).await? {
            Outcome::Done {
                version, existed, ..
            } => Ok((version, existed.first().copied().unwrap_or(false))),
            Outcome::Conflict(_) => unreachable!("nothing was checked"),
        }
    }
}

fn limit(limit: u32) -> usize {
    usize::try_from(limit).map_or(PAGE_ENTRIES, |limit| limit.min(PAGE_ENTRIES))
}

impl types::Host for View<'_> {}

impl GuestStorage<'_> {
    async fn value(&self, key: &str) -> Told<Option<Vec<u8>>> {
        let found = self.get(key).await?;
        Ok(found.map(|entry| entry.value))
    }

    async fn whole(&self, key: String) -> Told<Option<types::Entry>> {
        let found = self.get(&key).await?;
        Ok(found.map(|entry| self.entry(key, entry)))
    }

    async fn set(&self, key: String, value: Vec<u8>, time_to_live: Option<u64>) -> Told<u64> {
        let set = Operation::Set {
            key,
            value,
            time_to_live,
        };
        Ok(self.change(set).await?.0)
    }

    async fn delete(&self, key: String) -> Told<bool> {
        Ok(self.change(Operation::Delete { key }).await?.1)
    }

    async fn keys(&self, prefix: &str, after: Option<&str>, most: u32) -> Told<store::KeyPage> {
        let (entries, cursor) = self.page(prefix, after, limit(most), false).await?;
        Ok(store::KeyPage {
            keys: entries.into_iter().map(|(key, _)| key).collect(),
            cursor,
        })
    }

    async fn scan(&self, prefix: &str, after: Option<&str>, most: u32) -> Told<store::EntryPage> {
        let (entries, cursor) = self.page(prefix, after, limit(most), true).await?;
        Ok(store::EntryPage {
            entries: entries
                .into_iter()
                .map(|(key, entry)| self.entry(key, entry))
                .collect(),
            cursor,
        })
    }

    async fn totals(&self) -> Told<store::Totals> {
        let namespace = self.namespace().await?;
        self.permit_listing("").await?;
        let usage = namespace.usage()?;
        Ok(store::Totals {
            keys: usage.keys,
            bytes: usage.bytes,
            most_keys: namespace.quota().keys,
            most_bytes: namespace.quota().bytes,
        })
    }

    async fn batch(&self, operations: Vec<batch::Operation>) -> Told<batch::Outcome> {
        let operations = operations
            .into_iter()
            .map(|operation| match operation {
                batch::Operation::Set(put) => Operation::Set {
                    key: put.key,
                    value: put.value,
                    time_to_live: put.time_to_live,
                },
                batch::Operation::Delete(key) => Operation::Delete { key },
                batch::Operation::Check(condition) => Operation::Check {
                    key: condition.key,
                    version: condition.version,
                },
            })
            .collect();
        Ok(match self.apply(operations).await? {
            Outcome::Done { version, .. } => batch::Outcome::Done(version),
            Outcome::Conflict(position) => {
                batch::Outcome::Conflict(u32::try_from(position).expect("a batch is bounded"))
            }
        })
    }
}

impl store::Host for View<'_> {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        Ok(self.storage.value(&key).await.map_err(Into::into))
    }

    async fn get_entry(&mut self, key: String) -> Answer<Option<types::Entry>> {
        Ok(self.storage.whole(key).await.map_err(Into::into))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, time_to_live: Option<u64>) -> Answer<u64> {
        let set = self.storage.set(key, value, time_to_live).await;
        Ok(set.map_err(Into::into))
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        Ok(self.storage.delete(key).await.map_err(Into::into))
    }

    async fn exists(&mut self, key: String) -> Answer<bool> {
        let found = self.storage.get(&key).await;
        Ok(found.map(|entry| entry.is_some()).map_err(Into::into))
    }

    async fn keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Answer<store::KeyPage> {
        let page = self.storage.keys(&prefix, after.as_deref(), most).await;
        Ok(page.map_err(Into::into))
    }

    async fn scan(
        &mut self,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Answer<store::EntryPage> {
        let page = self.storage.scan(&prefix, after.as_deref(), most).await;
        Ok(page.map_err(Into::into))
    }

    async fn usage(&mut self) -> Answer<store::Totals> {
        Ok(self.storage.totals().await.map_err(Into::into))
    }
}

impl batch::Host for View<'_> {
    async fn apply(&mut self, operations: Vec<batch::Operation>) -> Answer<batch::Outcome> {
        let outcome = self.storage.batch(operations).await;
        Ok(outcome.map_err(Into::into))
    }
}

impl compare_and_set::Host for View<'_> {
    async fn compare_and_set(
        &mut self,
        key: String,
        version: Option<u64>,
        value: Option<Vec<u8>>,
    ) -> Answer<compare_and_set::Outcome> {
        let check = Operation::Check {
            key: key.clone(),
            version,
        };
        let change = match value {
            Some(value) => Operation::Set {
                key: key.clone(),
                value,
                time_to_live: None,
            },
            None => Operation::Delete { key: key.clone() },
        };
        let storage = self.storage;
        let outcome = async {
            match storage.apply(vec![check, change]).await? {
                Outcome::Done { version, .. } => Ok(compare_and_set::Outcome::Done(version)),
                Outcome::Conflict(_) => {
                    let found = storage.get(&key).await?;
                    Ok::<_, StorageError>(compare_and_set::Outcome::Conflict(
                        found.map(|entry| storage.entry(key, entry)),
                    ))
                }
            }
        };
        Ok(outcome.await.map_err(Into::into))
    }
}

/// What is behind a guest's handle at the moment.
struct Opened<'a> {
    storage: GuestStorage<'a>,
    owner: String,
    offer: Option<Arc<Offer>>,
}

impl Opened<'_> {
    fn storage(&self) -> GuestStorage<'_> {
        self.storage.of(&self.owner, self.offer.as_deref())
    }
}

impl<'a> View<'a> {
    fn opened(&self, handle: &Resource<GuestNamespace>) -> wasmtime::Result<Opened<'a>> {
        let owner = self.table.get(handle)?.0.clone();
        Ok(Opened {
            storage: self.storage,
            offer: self
                .offers
                .and_then(|offers| offers.find(&owner))
                .map(
                    |offer| match self.storage.namespace.and_then(Namespace::overlay) {
                        None => offer,
                        Some(overlay) => Arc::new(offer.under(overlay)),
                    },
                ),
            owner,
        })
    }
}

impl shared::Host for View<'_> {
    async fn open(&mut self, name: String) -> Answer<Resource<GuestNamespace>> {
        if let Err(reason) = Address::parse(&name) {
            return Ok(Err(types::StorageError::Invalid(reason)));
        }
        Ok(Ok(self.table.push(GuestNamespace(name))?))
    }
}

impl shared::HostNamespace for View<'_> {
    async fn get(&mut self, own: Resource<GuestNamespace>, key: String) -> Answer<Option<Vec<u8>>> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().value(&key).await;
        Ok(answer.map_err(Into::into))
    }

    async fn get_entry(
        &mut self,
        own: Resource<GuestNamespace>,
        key: String,
    ) -> Answer<Option<types::Entry>> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().whole(key).await;
        Ok(answer.map_err(Into::into))
    }

    async fn set(
        &mut self,
        own: Resource<GuestNamespace>,
        key: String,
        value: Vec<u8>,
        time_to_live: Option<u64>,
    ) -> Answer<u64> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().set(key, value, time_to_live).await;
        Ok(answer.map_err(Into::into))
    }

    async fn delete(&mut self, own: Resource<GuestNamespace>, key: String) -> Answer<bool> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().delete(key).await;
        Ok(answer.map_err(Into::into))
    }

    async fn keys(
        &mut self,
        own: Resource<GuestNamespace>,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Answer<store::KeyPage> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().keys(&prefix, after.as_deref(), most).await;
        Ok(answer.map_err(Into::into))
    }

    async fn scan(
        &mut self,
        own: Resource<GuestNamespace>,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Answer<store::EntryPage> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().scan(&prefix, after.as_deref(), most).await;
        Ok(answer.map_err(Into::into))
    }

    async fn usage(&mut self, own: Resource<GuestNamespace>) -> Answer<store::Totals> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().totals().await;
        Ok(answer.map_err(Into::into))
    }

    async fn apply(
        &mut self,
        own: Resource<GuestNamespace>,
        operations: Vec<batch::Operation>,
    ) -> Answer<batch::Outcome> {
        let opened = self.opened(&own)?;
        let answer = opened.storage().batch(operations).await;
        Ok(answer.map_err(Into::into))
    }

    async fn drop(&mut self, own: Resource<GuestNamespace>) -> wasmtime::Result<()> {
        self.table.delete(own)?;
        Ok(())
    }
}

impl watch::Host for View<'_> {
    async fn watch(&mut self, prefix: String) -> Answer<Resource<GuestWatcher>> {
        let storage = self.storage;
        let watching = async {
            let namespace = storage.namespace().await?;
            storage.permit_listing(&prefix).await?;
            namespace.watch(&prefix, EVENTS_KEPT)
        };
        match watching.await {
            Ok(watcher) => Ok(Ok(self.table.push(GuestWatcher(watcher))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl watch::HostWatcher for View<'_> {
    async fn next(
        &mut self,
        watcher: Resource<GuestWatcher>,
        timeout: u64,
    ) -> wasmtime::Result<Vec<watch::Event>> {
        let watcher = &self.table.get(&watcher)?.0;
        let next = watcher.next(EVENTS_AT_ONCE);
        let timeout = Duration::from_millis(timeout);
        let events = match self.storage.actor {
            Some(actor) => {
                let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
                actor.within(nanos, next).await
            }
            None => tokio::time::timeout(timeout, next).await.ok(),
        };
        let Some(events) = events else {
            return Ok(Vec::new());
        };
        // A right that was lost since ends what it was for.
        let mut listable = Listable::anew();
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            match event {
                Event::Missed(count) => told.push(watch::Event::Missed(count)),
                Event::Changed {
                    key,
                    change,
                    version,
                } => {
                    if listable.decide(&self.storage, &key).await? {
                        let change = match change {
                            Change::Set => watch::Change::Set,
                            Change::Deleted => watch::Change::Deleted,
                            Change::Expired => watch::Change::Expired,
                        };
                        told.push(watch::Event::Changed(watch::Changed {
                            key,
                            change,
                            version,
                        }));
                    }
                }
            }
        }
        Ok(told)
    }

    async fn drop(&mut self, watcher: Resource<GuestWatcher>) -> wasmtime::Result<()> {
        self.table.delete(watcher)?;
        Ok(())
    }
}
