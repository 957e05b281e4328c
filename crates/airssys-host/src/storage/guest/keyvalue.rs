//! `wasi:keyvalue` 0.2.0-draft2.

use wasmtime::component::{Linker, Resource};

use super::{Access, GuestStorage, View, view};
use crate::instance::State;
use crate::storage::{Entry, Operation, Outcome, PAGE_ENTRIES, StorageError};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/deps/keyvalue",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": super::Bucket,
            "wasi:keyvalue/atomics.cas": super::Cas,
        },
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};

/// The names of the one bucket that there is.
const NAMES: [&str; 2] = ["", "default"];

/// A guest's bucket: its namespace.
pub struct Bucket;

/// The state of a key when the guest looked.
pub struct Cas {
    key: String,
    seen: Option<Entry>,
}

pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    store::add_to_linker::<State, Access>(linker, view)?;
    atomics::add_to_linker::<State, Access>(linker, view)?;
    batch::add_to_linker::<State, Access>(linker, view)
}

impl From<StorageError> for store::Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(_) => Self::AccessDenied,
            StorageError::Closed => Self::NoSuchStore,
            StorageError::Invalid(_)
            | StorageError::NotANumber { .. }
            | StorageError::Exceeded { .. } => Self::Other(error.to_string()),
            // Paths of the host are not the guest's business.
            StorageError::Full { .. } => Self::Other("the host has no room".into()),
            StorageError::Damaged { .. }
            | StorageError::InUse { .. }
            | StorageError::TooNew { .. }
            | StorageError::Io { .. } => Self::Other("the host's storage failed".into()),
        }
    }
}

type Answer<T> = wasmtime::Result<Result<T, store::Error>>;

fn set(key: String, value: Vec<u8>) -> Operation {
    Operation::Set {
        key,
        value,
        time_to_live: None,
    }
}

impl GuestStorage<'_> {
    async fn change_all(&self, operations: Vec<Operation>) -> Answer<()> {
        let outcome = self.apply(operations).await;
        Ok(outcome.map(drop).map_err(Into::into))
    }
}

impl store::Host for View<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        if self.storage.namespace.is_none() || !NAMES.contains(&identifier.as_str()) {
            return Ok(Err(store::Error::NoSuchStore));
        }
        Ok(Ok(self.table.push(Bucket)?))
    }
}

impl store::HostBucket for View<'_> {
    async fn get(&mut self, _: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let found = self.storage.get(&key).await;
        Ok(found
            .map(|entry| entry.map(|entry| entry.value))
            .map_err(Into::into))
    }

    async fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        self.storage.change_all(vec![set(key, value)]).await
    }

    async fn delete(&mut self, _: Resource<Bucket>, key: String) -> Answer<()> {
        self.storage
            .change_all(vec![Operation::Delete { key }])
            .await
    }

    async fn exists(&mut self, _: Resource<Bucket>, key: String) -> Answer<bool> {
        let found = self.storage.get(&key).await;
        Ok(found.map(|entry| entry.is_some()).map_err(Into::into))
    }

    async fn list_keys(
        &mut self,
        _: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Answer<store::KeyResponse> {
        let page = self
            .storage
            .page("", cursor.as_deref(), PAGE_ENTRIES, false)
            .await;
        Ok(page
            .map(|(entries, cursor)| store::KeyResponse {
                keys: entries.into_iter().map(|(key, _)| key).collect(),
                cursor,
            })
            .map_err(Into::into))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(&mut self, _: Resource<Bucket>, key: String, delta: i64) -> Answer<i64> {
        let outcome = self
            .storage
            .apply(vec![Operation::Add { key, delta }])
            .await;
        Ok(match outcome {
            Ok(Outcome::Done { sum: Some(sum), .. }) => Ok(sum),
            Ok(other) => unreachable!("adding came to {other:?}"),
            Err(error) => Err(error.into()),
        })
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Cas { key, seen } = self.table.delete(cas)?;
        let check = Operation::Check {
            key: key.clone(),
            version: seen.map(|entry| entry.version),
        };
        let swapped = self
            .storage
            .apply(vec![check, set(key.clone(), value)])
            .await;
        let failed = match swapped {
            Ok(Outcome::Done { .. }) => return Ok(Ok(())),
            Ok(Outcome::Conflict(_)) => match self.storage.get(&key).await {
                Ok(seen) => atomics::CasError::CasFailed(self.table.push(Cas { key, seen })?),
                Err(error) => atomics::CasError::StoreError(error.into()),
            },
            Err(error) => atomics::CasError::StoreError(error.into()),
        };
        Ok(Err(failed))
    }
}

impl atomics::HostCas for View<'_> {
    async fn new(&mut self, _: Resource<Bucket>, key: String) -> Answer<Resource<Cas>> {
        match self.storage.get(&key).await {
            Ok(seen) => Ok(Ok(self.table.push(Cas { key, seen })?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Answer<Option<Vec<u8>>> {
        let seen = &self.table.get(&cas)?.seen;
        Ok(Ok(seen.as_ref().map(|entry| entry.value.clone())))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        _: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            match self.storage.get(&key).await {
                Ok(entry) => found.push(entry.map(|entry| (key, entry.value))),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(found))
    }

    async fn set_many(
        &mut self,
        _: Resource<Bucket>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Answer<()> {
        let operations = key_values
            .into_iter()
            .map(|(key, value)| set(key, value))
            .collect();
        self.storage.change_all(operations).await
    }

    async fn delete_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        let operations = keys
            .into_iter()
            .map(|key| Operation::Delete { key })
            .collect();
        self.storage.change_all(operations).await
    }
}
