//! Deciding what a guest does to its keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::{GuestStorage, Owner};
use crate::gate::{Access, Decision, Gate, StorageAccess};
use crate::limits::Limit;
use crate::quota::Account;
use crate::storage::{Entry, Namespace, Operation, Outcome, StorageError, block_on, shared};

/// The segments of a key, or of the beginning of some, without the last one: what is listed as a whole.
fn directory(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn target(owner: Option<&Owner<'_>>, key: &str) -> String {
    match owner {
        Some(owner) => shared::target(owner.name, key),
        None if key.is_empty() => "self".into(),
        None => format!("self/{key}"),
    }
}

/// Let a gate decide one access, waiting for an approver as often as it asks.
async fn decide(
    gate: &Arc<dyn Gate>,
    access: StorageAccess,
    target: &str,
    apart: bool,
) -> Result<(), StorageError> {
    loop {
        let asked = Access::Storage {
            access,
            target,
            apart,
        };
        match gate.decide(&asked) {
            Decision::Allow => return Ok(()),
            Decision::Deny(denial) => return Err(StorageError::Denied(denial.rule)),
            Decision::Ask(approval) => {
                if !approval.await {
                    return Err(StorageError::Denied("it was not approved".into()));
                }
            }
        }
    }
}

impl GuestStorage<'_> {
    /// The namespace, on a thread that may block.
    ///
    /// # Errors
    /// [`StorageError::Closed`] where the instance was given none.
    pub async fn namespace(&self) -> Result<&Namespace, StorageError> {
        let namespace = match (self.namespace, &self.owner) {
            (Some(namespace), _) => namespace,
            (None, None) => return Err(StorageError::Closed),
            (None, Some(owner)) => {
                // Whether somebody shares anything is nothing for those who may not look.
                let target = target(Some(owner), "");
                decide(self.gate, StorageAccess::List, &target, false).await?;
                return Err(self.not_shared(owner));
            }
        };
        std::future::poll_fn(|context| {
            if self.may_block.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        Ok(namespace)
    }

    /// Let the gate decide one access; where the namespace is another deployment's, also whether that shares it.
    ///
    /// # Errors
    /// [`StorageError::Denied`].
    async fn permit(&self, access: StorageAccess, key: &str) -> Result<(), StorageError> {
        let apart = self.apart();
        decide(self.gate, access, &target(self.owner.as_ref(), key), apart).await?;
        let Some(owner) = &self.owner else {
            return Ok(());
        };
        let (Some(gate), Some(reader)) = (owner.gate, self.gate.principal()) else {
            return Err(self.not_shared(owner));
        };
        let shares = decide(gate, access, &shared::shared_with(&reader.name), apart).await;
        shares.map_err(|_| self.not_shared(owner))
    }

    /// Whether what is written is kept from the storage itself.
    fn apart(&self) -> bool {
        self.namespace
            .is_some_and(|namespace| namespace.overlay().is_some())
    }

    fn not_shared(&self, owner: &Owner<'_>) -> StorageError {
        let reader = self.gate.principal().map_or("it", |reader| &reader.name);
        StorageError::Denied(format!("{} does not share that with {reader}", owner.name))
    }

    pub async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        let namespace = self.namespace().await?;
        // What cannot be a key is told as such, whatever the rules.
        namespace.quota().check_key(key)?;
        self.permit(StorageAccess::Read, key).await?;
        namespace.get(key)
    }

    /// Decide each part, then do all or none.
    pub async fn apply(&self, operations: Vec<Operation>) -> Result<Outcome, StorageError> {
        let namespace = self.namespace().await?;
        for operation in &operations {
            namespace.quota().check_key(operation.key())?;
            let accesses: &[StorageAccess] = match operation {
                Operation::Set { .. } => &[StorageAccess::Write],
                Operation::Delete { .. } => &[StorageAccess::Delete],
                Operation::Check { .. } => &[StorageAccess::Read],
                Operation::Add { .. } => &[StorageAccess::Read, StorageAccess::Write],
            };
            for access in accesses {
                self.permit(*access, operation.key()).await?;
            }
        }
        let applying = namespace.apply(operations);
        let applied = match self.actor {
            // Virtual time stands still while the disk works: nobody else may have a turn meanwhile.
            Some(_) => block_on(applying),
            None => applying.await,
        };
        // What is thrown away uses nothing up.
        if let Some(account) = self.account.filter(|_| !self.apart()) {
            told(account, namespace, &applied);
        }
        applied
    }

    /// Decide listing what begins with `prefix`.
    pub async fn permit_listing(&self, prefix: &str) -> Result<(), StorageError> {
        self.permit(StorageAccess::List, directory(prefix)).await
    }

    /// A page of what may be listed; with values, of what may also be read. What may not is left out.
    pub async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        values: bool,
    ) -> Result<(Vec<(String, Entry)>, Option<String>), StorageError> {
        let namespace = self.namespace().await?;
        self.permit_listing(prefix).await?;
        let page = namespace.page(prefix, after, limit, values)?;
        let mut listable = Listable::from(prefix);
        let mut entries = Vec::with_capacity(page.entries.len());
        for (key, entry) in page.entries {
            if listable.decide(self, &key).await?
                && (!values || allowed(self.permit(StorageAccess::Read, &key).await)?)
            {
                entries.push((key, entry));
            }
        }
        Ok((entries, page.cursor))
    }
}

/// Tell the account what a write came to. What it leaves is looked at now and then only.
fn told(account: &Account, namespace: &Namespace, applied: &Result<Outcome, StorageError>) {
    match applied {
        Err(StorageError::Exceeded {
            limit, configured, ..
        }) => {
            if let Some(limit) = Limit::named(limit) {
                account.refuse(limit, *configured);
            }
        }
        Ok(_) if account.is_time_to_look_at_storage() => {
            if let Ok(used) = namespace.usage() {
                let quota = namespace.quota();
                account.stored(Limit::Storage, used.bytes, quota.bytes);
                account.stored(Limit::StorageKeys, used.keys, quota.keys);
            }
        }
        _ => {}
    }
}

fn allowed(decided: Result<(), StorageError>) -> Result<bool, StorageError> {
    match decided {
        Ok(()) => Ok(true),
        Err(StorageError::Denied(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Decisions about listing, one for each directory that turns up.
pub struct Listable(HashMap<String, bool>);

impl Listable {
    /// Beginning with what was decided for `prefix`.
    pub fn from(prefix: &str) -> Self {
        Self(HashMap::from([(directory(prefix).to_owned(), true)]))
    }

    /// With nothing decided yet.
    pub fn anew() -> Self {
        Self(HashMap::new())
    }

    pub async fn decide(
        &mut self,
        storage: &GuestStorage<'_>,
        key: &str,
    ) -> Result<bool, StorageError> {
        let directory = directory(key);
        if let Some(decided) = self.0.get(directory) {
            return Ok(*decided);
        }
        let decided = allowed(storage.permit(StorageAccess::List, directory).await)?;
        self.0.insert(directory.to_owned(), decided);
        Ok(decided)
    }
}
