//! `airssys:storage`.

use std::time::Duration;

use wasmtime::component::{Linker, Resource};

use super::permit::Listable;
use super::{Access, GuestStorage, View, view};
use crate::instance::State;
use crate::storage::{
    Change, Entry, Event, Operation, Outcome, PAGE_ENTRIES, StorageError, Watcher,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/storage",
        world: "airssys:storage/imports",
        imports: { default: async | trappable },
        with: { "airssys:storage/watch.watcher": super::GuestWatcher },
    });
}

use bindings::airssys::storage::{batch, compare_and_set, store, types, watch};

/// Events that wait for a guest, and that it is given at once.
const EVENTS_KEPT: usize = 1000;
const EVENTS_AT_ONCE: usize = 100;

/// A guest's watcher.
pub struct GuestWatcher(Watcher);

pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, Access>(linker, view)?;
    store::add_to_linker::<State, Access>(linker, view)?;
    batch::add_to_linker::<State, Access>(linker, view)?;
    compare_and_set::add_to_linker::<State, Access>(linker, view)?;
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

type Answer<T> = wasmtime::Result<Result<T, types::StorageError>>;

impl GuestStorage<'_> {
    fn entry(&self, key: String, entry: Entry) -> types::Entry {
        let now = self.namespace.map_or(0, crate::storage::Namespace::now);
        types::Entry {
            key,
            version: entry.version,
            time_to_live: entry.expires.map(|expires| expires.saturating_sub(now)),
            value: entry.value,
        }
    }

    async fn change(&self, operation: Operation) -> Result<(u64, bool), StorageError> {
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

impl store::Host for View<'_> {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        let found = self.storage.get(&key).await;
        Ok(found
            .map(|entry| entry.map(|entry| entry.value))
            .map_err(Into::into))
    }

    async fn get_entry(&mut self, key: String) -> Answer<Option<types::Entry>> {
        let found = self.storage.get(&key).await;
        Ok(found
            .map(|entry| entry.map(|entry| self.storage.entry(key, entry)))
            .map_err(Into::into))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, time_to_live: Option<u64>) -> Answer<u64> {
        let set = Operation::Set {
            key,
            value,
            time_to_live,
        };
        Ok(self
            .storage
            .change(set)
            .await
            .map(|(version, _)| version)
            .map_err(Into::into))
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        let deleted = self.storage.change(Operation::Delete { key }).await;
        Ok(deleted.map(|(_, existed)| existed).map_err(Into::into))
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
        let page = self
            .storage
            .page(&prefix, after.as_deref(), limit(most), false)
            .await;
        Ok(page
            .map(|(entries, cursor)| store::KeyPage {
                keys: entries.into_iter().map(|(key, _)| key).collect(),
                cursor,
            })
            .map_err(Into::into))
    }

    async fn scan(
        &mut self,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Answer<store::EntryPage> {
        let page = self
            .storage
            .page(&prefix, after.as_deref(), limit(most), true)
            .await;
        Ok(page
            .map(|(entries, cursor)| store::EntryPage {
                entries: entries
                    .into_iter()
                    .map(|(key, entry)| self.storage.entry(key, entry))
                    .collect(),
                cursor,
            })
            .map_err(Into::into))
    }

    async fn usage(&mut self) -> Answer<store::Totals> {
        let storage = self.storage;
        let used = async {
            let namespace = storage.namespace().await?;
            storage.permit_listing("").await?;
            let usage = namespace.usage()?;
            Ok::<_, StorageError>(store::Totals {
                keys: usage.keys,
                bytes: usage.bytes,
                most_keys: namespace.quota().keys,
                most_bytes: namespace.quota().bytes,
            })
        };
        Ok(used.await.map_err(Into::into))
    }
}

impl batch::Host for View<'_> {
    async fn apply(&mut self, operations: Vec<batch::Operation>) -> Answer<batch::Outcome> {
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
        let outcome = self.storage.apply(operations).await;
        Ok(outcome
            .map(|outcome| match outcome {
                Outcome::Done { version, .. } => batch::Outcome::Done(version),
                Outcome::Conflict(position) => {
                    batch::Outcome::Conflict(u32::try_from(position).expect("a batch is bounded"))
                }
            })
            .map_err(Into::into))
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
        let Ok(events) = tokio::time::timeout(Duration::from_millis(timeout), next).await else {
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
