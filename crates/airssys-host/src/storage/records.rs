//! What a read and a write mean, over any backend: versions, expiry, totals and quotas.

use std::collections::BTreeMap;
use std::path::Path;

use super::backend::{Reader, Table, Writer};
use super::error::StorageError;
use super::quota::{Quota, check_form, within};
use super::record::{
    Entry, Head, Millis, Totals, after_prefix, decode, encode, entry_key, expiry_key,
    split_expiry_key,
};
use super::watch::Change;

/// Most entries that one page of a scan shows, and most bytes of keys and values before it ends.
pub const PAGE_ENTRIES: usize = 1000;
const PAGE_BYTES: usize = 1 << 20;
/// Most entries that are looked at for one page, expired ones included.
const PAGE_LOOKED_AT: usize = 10_000;
/// Most operations of one batch.
pub const BATCH_OPERATIONS: usize = 1000;

/// One part of an atomic batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Set {
        key: String,
        value: Vec<u8>,
        /// Milliseconds from now.
        time_to_live: Option<u64>,
    },
    Delete {
        key: String,
    },
    /// Go on only if the key has this version; `None`: only if there is no such key.
    Check {
        key: String,
        version: Option<u64>,
    },
    /// Add to the integer that the value is in decimal digits; a missing one counts as 0. Keeps the time to live.
    Add {
        key: String,
        delta: i64,
    },
}

impl Operation {
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Set { key, .. }
            | Self::Delete { key }
            | Self::Check { key, .. }
            | Self::Add { key, .. } => key,
        }
    }

    /// Refuse what no state would make right.
    fn refuse_impossible(&self, quota: &Quota) -> Result<(), StorageError> {
        quota.check_key(self.key())?;
        if let Self::Set {
            value,
            time_to_live,
            ..
        } = self
        {
            quota.check_value(value)?;
            if *time_to_live == Some(0) {
                return Err(StorageError::Invalid(
                    "a time to live is at least one millisecond".into(),
                ));
            }
        }
        Ok(())
    }
}

/// What a batch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done {
        /// The version that what was set has.
        version: u64,
        /// For each operation: whether the key was there before.
        existed: Vec<bool>,
        /// What the last [`Operation::Add`] made of its value.
        sum: Option<i64>,
    },
    /// The check at this position failed, and nothing was done.
    Conflict(usize),
}

/// What one namespace holds; expired entries are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// A part of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<(String, Entry)>,
    /// Where the next page begins: after this key. `None` where there is no more.
    pub cursor: Option<String>,
}

/// Changes of one transaction, as watchers are told.
pub type Changes = Vec<(String, Change, u64)>;

/// The rules of records at one moment.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    /// The file, for messages.
    pub place: &'a Path,
    pub now: Millis,
}

/// One key while a batch is worked out.
struct Planned {
    /// What is stored, expired or not.
    stored: Option<Head>,
    next: Next,
}

enum Next {
    AsStored,
    Absent,
    Value(Vec<u8>, Option<Millis>),
}

impl Records<'_> {
    fn damaged(&self, what: &str) -> StorageError {
        StorageError::Damaged {
            path: self.place.to_owned(),
            reason: format!("{what} is not what was written"),
        }
    }

    fn totals(&self, reader: &dyn Reader, name: &str) -> Result<Option<Totals>, StorageError> {
        let mut found = None;
        let exists = reader.get(Table::Namespaces, name.as_bytes(), &mut |row| {
            found = Totals::decode(row);
        })?;
        if exists && found.is_none() {
            return Err(self.damaged(&format!("the row of namespace '{name}'")));
        }
        Ok(found)
    }

    fn stored(
        &self,
        reader: &dyn Reader,
        full: &[u8],
        key: &str,
    ) -> Result<Option<Entry>, StorageError> {
        let mut entry = None;
        let exists = reader.get(Table::Entries, full, &mut |record| {
            entry = decode(full, record);
        })?;
        if exists && entry.is_none() {
            return Err(self.damaged(&format!("the value of '{key}'")));
        }
        Ok(entry)
    }

    fn head(
        &self,
        reader: &dyn Reader,
        full: &[u8],
        key: &str,
    ) -> Result<Option<Head>, StorageError> {
        let mut head = None;
        let exists = reader.get(Table::Entries, full, &mut |record| {
            head = Head::of(record);
        })?;
        if exists && head.is_none() {
            return Err(self.damaged(&format!("the value of '{key}'")));
        }
        Ok(head)
    }

    /// The number of a namespace, which it keeps for ever once it has one.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub fn number(&self, reader: &dyn Reader, name: &str) -> Result<Option<u64>, StorageError> {
        Ok(self.totals(reader, name)?.map(|totals| totals.number))
    }

    /// The live value of `key` in the namespace of this number.
    ///
    /// # Errors
    /// The bytes cannot be read, or are not what was written.
    pub fn get(
        &self,
        reader: &dyn Reader,
        number: u64,
        key: &str,
    ) -> Result<Option<Entry>, StorageError> {
        let full = entry_key(number, key);
        let entry = self.stored(reader, &full, key)?;
        Ok(entry.filter(|entry| entry.is_live(self.now)))
    }

    /// The entries whose keys begin with `prefix` and come after `after`, in the order of their bytes; without their
    /// values unless `values`.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub fn page(
        &self,
        reader: &dyn Reader,
        number: u64,
        prefix: &str,
        after: Option<&str>,
        most: usize,
        values: bool,
    ) -> Result<Page, StorageError> {
        check_form(prefix)?;
        let most = most.clamp(1, PAGE_ENTRIES);
        let begin = entry_key(number, prefix);
        let end = after_prefix(&begin);
        let from = after.map_or_else(
            || begin.clone(),
            |after| {
                let mut full = entry_key(number, after);
                full.push(0);
                full.max(begin.clone())
            },
        );
        let mut page = Page::default();
        let (mut bytes, mut looked_at, mut damaged) = (0, 0, None);
        let mut last = None;
        reader.scan(
            Table::Entries,
            &from,
            end.as_deref(),
            &mut |full, record| {
                let full_page = page.entries.len() >= most
                    || bytes >= PAGE_BYTES
                    || looked_at >= PAGE_LOOKED_AT;
                if full_page {
                    page.cursor = last.take();
                    return false;
                }
                looked_at += 1;
                let (Ok(key), Some(head)) = (std::str::from_utf8(&full[8..]), Head::of(record))
                else {
                    damaged = Some(self.damaged("a key"));
                    return false;
                };
                last = Some(key.to_owned());
                if !head.is_live(self.now) {
                    return true;
                }
                let entry = if values {
                    decode(full, record)
                } else {
                    Some(Entry {
                        value: Vec::new(),
                        version: head.version,
                        expires: head.expires,
                    })
                };
                let Some(entry) = entry else {
                    damaged = Some(self.damaged(&format!("the value of '{key}'")));
                    return false;
                };
                bytes += key.len() + entry.value.len();
                page.entries.push((key.to_owned(), entry));
                true
            },
        )?;
        damaged.map_or(Ok(page), Err)
    }

    /// # Errors
    /// As [`Records::get`].
    pub fn usage(&self, reader: &dyn Reader, name: &str) -> Result<Usage, StorageError> {
        let Some(totals) = self.totals(reader, name)? else {
            return Ok(Usage::default());
        };
        let expired = self.expired(reader, totals.number, &mut |_| true)?;
        Ok(Usage {
            keys: totals.keys - expired.keys,
            bytes: totals.bytes - expired.bytes,
        })
    }

    /// What of a namespace has expired and is not swept yet, as far as `counts` says so.
    fn expired(
        &self,
        reader: &dyn Reader,
        number: u64,
        counts: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Usage, StorageError> {
        let mut expired = Usage::default();
        let mut damaged = false;
        let end = expiry_key(self.now.saturating_add(1), &[]);
        reader.scan(Table::Expiries, &[], Some(&end), &mut |full, row| {
            let (Some((_, owner, key)), Some((size, _))) = (split_expiry_key(full), split_row(row))
            else {
                damaged = true;
                return false;
            };
            if owner == number && counts(key) {
                expired.keys += 1;
                expired.bytes += size;
            }
            true
        })?;
        if damaged {
            return Err(self.damaged("the list of what expires"));
        }
        Ok(expired)
    }

    /// The names of the namespaces that hold anything, in order.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub fn namespaces(&self, reader: &dyn Reader) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        reader.scan(Table::Namespaces, &[1], None, &mut |name, row| {
            if Totals::decode(row).is_some_and(|totals| totals.keys > 0) {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
            true
        })?;
        Ok(names)
    }

    /// Do all of `operations` or none, within `quota`.
    ///
    /// # Errors
    /// In the inner result what was refused, with nothing done; in the outer one a failure of the transaction.
    pub fn apply(
        &self,
        writer: &mut dyn Writer,
        name: &str,
        quota: &Quota,
        operations: &[Operation],
    ) -> Result<Result<(Outcome, Changes), StorageError>, StorageError> {
        let refused = within(
            "batch_operations",
            BATCH_OPERATIONS as u64,
            operations.len() as u64,
        )
        .and_then(|()| {
            operations
                .iter()
                .try_for_each(|each| each.refuse_impossible(quota))
        });
        if let Err(refused) = refused {
            return Ok(Err(refused));
        }
        let known = self.totals(writer, name)?;
        let mut totals = match known {
            Some(totals) => totals,
            None => Totals {
                number: self.next_number(writer)?,
                ..Totals::default()
            },
        };
        totals.version += 1;
        let mut planned: BTreeMap<&str, Planned> = BTreeMap::new();
        let mut existed = Vec::with_capacity(operations.len());
        let mut sum = None;
        for (position, operation) in operations.iter().enumerate() {
            let key = operation.key();
            let full = entry_key(totals.number, key);
            if !planned.contains_key(key) {
                let stored = self.head(writer, &full, key)?;
                planned.insert(
                    key,
                    Planned {
                        stored,
                        next: Next::AsStored,
                    },
                );
            }
            let plan = planned.get_mut(key).expect("inserted above");
            let live = plan.stored.filter(|stored| stored.is_live(self.now));
            let version = match &plan.next {
                Next::AsStored => live.map(|stored| stored.version),
                Next::Absent => None,
                Next::Value(..) => Some(totals.version),
            };
            existed.push(version.is_some());
            match operation {
                Operation::Check {
                    version: wanted, ..
                } => {
                    if version != *wanted {
                        return Ok(Ok((Outcome::Conflict(position), Vec::new())));
                    }
                }
                Operation::Delete { .. } => plan.next = Next::Absent,
                Operation::Set {
                    value,
                    time_to_live,
                    ..
                } => {
                    let expires = time_to_live.map(|milliseconds| {
                        self.now.saturating_add(milliseconds).min(u64::MAX - 1)
                    });
                    plan.next = Next::Value(value.clone(), expires);
                }
                Operation::Add { delta, .. } => {
                    let (value, expires) = match &plan.next {
                        Next::Absent => (None, None),
                        Next::Value(value, expires) => (Some(value.clone()), *expires),
                        Next::AsStored if live.is_none() => (None, None),
                        Next::AsStored => match self.stored(writer, &full, key)? {
                            Some(entry) => (Some(entry.value), entry.expires),
                            None => (None, None),
                        },
                    };
                    let Some(added) = add(value.as_deref(), *delta) else {
                        return Ok(Err(StorageError::NotANumber {
                            key: key.to_owned(),
                        }));
                    };
                    sum = Some(added);
                    plan.next = Next::Value(added.to_string().into_bytes(), expires);
                }
            }
        }
        if let Err(refused) = self.refuse_beyond(writer, quota, &mut totals, &planned)? {
            return Ok(Err(refused));
        }
        let changes = carry_out(writer, name, &totals, planned)?;
        if !changes.is_empty() {
            writer.put(Table::Namespaces, name.as_bytes(), &totals.encode())?;
            if known.is_none() {
                writer.put(Table::Namespaces, &[], &(totals.number + 1).to_le_bytes())?;
            }
        }
        let outcome = Outcome::Done {
            version: totals.version,
            existed,
            sum,
        };
        Ok(Ok((outcome, changes)))
    }

    /// Bring the totals up to what is planned, unless that is more than the quota and more than before.
    fn refuse_beyond(
        &self,
        reader: &dyn Reader,
        quota: &Quota,
        totals: &mut Totals,
        planned: &BTreeMap<&str, Planned>,
    ) -> Result<Result<(), StorageError>, StorageError> {
        let before = *totals;
        for (key, plan) in planned {
            if matches!(plan.next, Next::AsStored) {
                continue;
            }
            if let Some(stored) = plan.stored {
                totals.keys -= 1;
                totals.bytes -= key.len() as u64 + stored.size;
            }
            if let Next::Value(value, _) = &plan.next {
                totals.keys += 1;
                totals.bytes += (key.len() + value.len()) as u64;
            }
        }
        let over = |totals: &Totals| {
            let bytes = if totals.bytes > before.bytes {
                within("storage", quota.bytes, totals.bytes)
            } else {
                Ok(())
            };
            let keys = if totals.keys > before.keys {
                within("storage_keys", quota.keys, totals.keys)
            } else {
                Ok(())
            };
            bytes.and(keys)
        };
        if over(totals).is_ok() {
            return Ok(Ok(()));
        }
        // What has expired is gone for everyone, so it takes no room either.
        let expired = self.expired(reader, totals.number, &mut |key| {
            planned
                .get(key)
                .is_none_or(|plan| matches!(plan.next, Next::AsStored))
        })?;
        let counted = Totals {
            keys: totals.keys - expired.keys,
            bytes: totals.bytes - expired.bytes,
            ..*totals
        };
        Ok(over(&counted))
    }

    fn next_number(&self, reader: &dyn Reader) -> Result<u64, StorageError> {
        let mut next = Some(1);
        reader.get(Table::Namespaces, &[], &mut |row| {
            next = row.try_into().ok().map(u64::from_le_bytes);
        })?;
        next.ok_or_else(|| self.damaged("the number of the next namespace"))
    }

    /// Delete at most `most` of what has expired. Tells the changes by namespace, and whether there may be more.
    ///
    /// # Errors
    /// A failure of the transaction.
    pub fn sweep(
        &self,
        writer: &mut dyn Writer,
        most: usize,
    ) -> Result<(Vec<(String, Changes)>, bool), StorageError> {
        let mut due: BTreeMap<String, Vec<(Vec<u8>, String, u64)>> = BTreeMap::new();
        let (mut count, mut damaged) = (0, false);
        let end = expiry_key(self.now.saturating_add(1), &[]);
        writer.scan(Table::Expiries, &[], Some(&end), &mut |full, row| {
            let (Some((_, _, key)), Some((size, name))) = (split_expiry_key(full), split_row(row))
            else {
                damaged = true;
                return false;
            };
            due.entry(name.to_owned())
                .or_default()
                .push((full.to_vec(), key.to_owned(), size));
            count += 1;
            count < most
        })?;
        if damaged {
            return Err(self.damaged("the list of what expires"));
        }
        let mut told = Vec::new();
        for (name, keys) in due {
            let Some(mut totals) = self.totals(writer, &name)? else {
                return Err(self.damaged(&format!("the row of namespace '{name}'")));
            };
            totals.version += 1;
            let mut changes = Vec::with_capacity(keys.len());
            for (full, key, size) in keys {
                writer.delete(Table::Expiries, &full)?;
                writer.delete(Table::Entries, &full[8..])?;
                totals.keys -= 1;
                totals.bytes -= size;
                changes.push((key, Change::Expired, totals.version));
            }
            writer.put(Table::Namespaces, name.as_bytes(), &totals.encode())?;
            told.push((name, changes));
        }
        Ok((told, count == most))
    }

    /// When the next entry expires.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub fn next_expiry(&self, reader: &dyn Reader) -> Result<Option<Millis>, StorageError> {
        let mut next = None;
        reader.scan(Table::Expiries, &[], None, &mut |full, _| {
            next = split_expiry_key(full).map(|(time, _, _)| time);
            false
        })?;
        Ok(next)
    }
}

/// Make the planned changes; the totals are right already.
fn carry_out(
    writer: &mut dyn Writer,
    name: &str,
    totals: &Totals,
    planned: BTreeMap<&str, Planned>,
) -> Result<Changes, StorageError> {
    let mut changes = Changes::new();
    for (key, plan) in planned {
        let full = entry_key(totals.number, key);
        if let (Some(stored), Next::Absent | Next::Value(..)) = (plan.stored, &plan.next)
            && let Some(expires) = stored.expires
        {
            writer.delete(Table::Expiries, &expiry_key(expires, &full))?;
        }
        match plan.next {
            Next::AsStored => {}
            Next::Absent => {
                if plan.stored.is_some() {
                    writer.delete(Table::Entries, &full)?;
                    changes.push((key.to_owned(), Change::Deleted, totals.version));
                }
            }
            Next::Value(value, expires) => {
                let record = encode(&full, totals.version, expires, &value);
                writer.put(Table::Entries, &full, &record)?;
                if let Some(expires) = expires {
                    let mut row = ((key.len() + value.len()) as u64).to_le_bytes().to_vec();
                    row.extend_from_slice(name.as_bytes());
                    writer.put(Table::Expiries, &expiry_key(expires, &full), &row)?;
                }
                changes.push((key.to_owned(), Change::Set, totals.version));
            }
        }
    }
    Ok(changes)
}

/// Size and namespace of what expires.
fn split_row(row: &[u8]) -> Option<(u64, &str)> {
    let size = u64::from_le_bytes(row.get(..8)?.try_into().ok()?);
    Some((size, std::str::from_utf8(&row[8..]).ok()?))
}

fn add(value: Option<&[u8]>, delta: i64) -> Option<i64> {
    let value = match value {
        None => 0,
        Some(value) => std::str::from_utf8(value).ok()?.parse::<i64>().ok()?,
    };
    value.checked_add(delta)
}
