//! Uses `airssys:storage` and `wasi:keyvalue` in every way that there is.

wit_bindgen::generate!({
    path: ["../../wit/storage", "../../wit/deps/keyvalue", "wit"],
    world: "demo:key-value/key-value",
    generate_all,
});

use std::time::Instant;

use airssys::storage::batch::{self, Condition, Operation, Put};
use airssys::storage::types::StorageError;
use airssys::storage::{compare_and_set as swapping, shared, store, watch};
use wasi::keyvalue::{atomics, batch as standard_batch, store as standard};

struct KeyValue;

fn text(error: StorageError) -> String {
    match error {
        StorageError::NotPermitted(rule) => format!("not permitted: {rule}"),
        StorageError::Invalid(reason) => format!("invalid: {reason}"),
        StorageError::Exceeded(exceeded) => format!(
            "exceeded: {} {} {}",
            exceeded.limit, exceeded.configured, exceeded.needed
        ),
        StorageError::Unavailable(reason) => format!("unavailable: {reason}"),
    }
}

fn standard_text(error: standard::Error) -> String {
    match error {
        standard::Error::NoSuchStore => "no such store".into(),
        standard::Error::AccessDenied => "access denied".into(),
        standard::Error::Other(reason) => reason,
    }
}

fn event_text(event: watch::Event) -> String {
    match event {
        watch::Event::Changed(changed) => format!("{:?} {}", changed.change, changed.key),
        watch::Event::Missed(count) => format!("missed {count}"),
    }
}

fn open(owner: &str) -> Result<shared::Namespace, String> {
    shared::open(owner).map_err(text)
}

fn bucket() -> Result<standard::Bucket, String> {
    standard::open("").map_err(standard_text)
}

fn number(entry: Option<&store::Entry>) -> u64 {
    entry
        .and_then(|entry| std::str::from_utf8(&entry.value).ok()?.parse().ok())
        .unwrap_or(0)
}

impl Guest for KeyValue {
    fn get(key: String) -> Result<Option<Vec<u8>>, String> {
        store::get(&key).map_err(text)
    }

    fn get_versioned(key: String) -> Result<Option<Versioned>, String> {
        let found = store::get_entry(&key).map_err(text)?;
        Ok(found.map(|entry| Versioned {
            value: entry.value,
            version: entry.version,
            time_to_live: entry.time_to_live,
        }))
    }

    fn set(key: String, value: Vec<u8>, time_to_live: Option<u64>) -> Result<u64, String> {
        store::set(&key, &value, time_to_live).map_err(text)
    }

    fn delete(key: String) -> Result<bool, String> {
        store::delete(&key).map_err(text)
    }

    fn exists(key: String) -> Result<bool, String> {
        store::exists(&key).map_err(text)
    }

    fn keys(prefix: String, page: u32) -> Result<Vec<String>, String> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let found = store::keys(&prefix, after.as_deref(), page).map_err(text)?;
            all.extend(found.keys);
            after = found.cursor;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    fn scan(prefix: String, page: u32) -> Result<Vec<(String, Vec<u8>)>, String> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let found = store::scan(&prefix, after.as_deref(), page).map_err(text)?;
            all.extend(found.entries.into_iter().map(|entry| (entry.key, entry.value)));
            after = found.cursor;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    fn usage() -> Result<(u64, u64, u64, u64), String> {
        let used = store::usage().map_err(text)?;
        Ok((used.keys, used.bytes, used.most_keys, used.most_bytes))
    }

    fn transfer(source: String, target: String, amount: u64) -> Result<(), String> {
        loop {
            let from = store::get_entry(&source).map_err(text)?;
            let to = store::get_entry(&target).map_err(text)?;
            let left = number(from.as_ref())
                .checked_sub(amount)
                .ok_or_else(|| format!("{source} has too little"))?;
            let put = |key: &str, amount: u64| {
                Operation::Set(Put {
                    key: key.into(),
                    value: amount.to_string().into_bytes(),
                    time_to_live: None,
                })
            };
            let unchanged = |key: &str, entry: Option<&store::Entry>| {
                Operation::Check(Condition {
                    key: key.into(),
                    version: entry.map(|entry| entry.version),
                })
            };
            let outcome = batch::apply(&[
                unchanged(&source, from.as_ref()),
                unchanged(&target, to.as_ref()),
                put(&source, left),
                put(&target, number(to.as_ref()) + amount),
            ])
            .map_err(text)?;
            if let batch::Outcome::Done(_) = outcome {
                return Ok(());
            }
        }
    }

    fn count(key: String) -> Result<u32, String> {
        let mut seen = store::get_entry(&key).map_err(text)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let next = (number(seen.as_ref()) + 1).to_string();
            let version = seen.as_ref().map(|entry| entry.version);
            let outcome =
                swapping::compare_and_set(&key, version, Some(next.as_bytes())).map_err(text)?;
            match outcome {
                swapping::Outcome::Done(_) => return Ok(tries),
                swapping::Outcome::Conflict(now) => seen = now,
            }
        }
    }

    fn watch_own(prefix: String, keys: u32) -> Result<Vec<String>, String> {
        let watcher = watch::watch(&prefix).map_err(text)?;
        for number in 0..keys {
            store::set(&format!("{prefix}{number}"), b"v", None).map_err(text)?;
        }
        store::delete(&format!("{prefix}0")).map_err(text)?;
        let mut told = Vec::new();
        loop {
            let events = watcher.next(0);
            if events.is_empty() {
                return Ok(told);
            }
            told.extend(events.into_iter().map(event_text));
        }
    }

    fn watch_for(prefix: String, milliseconds: u64) -> Result<Vec<String>, String> {
        let watcher = watch::watch(&prefix).map_err(text)?;
        store::set("watching", b"", None).map_err(text)?;
        let events = watcher.next(milliseconds);
        Ok(events.into_iter().map(event_text).collect())
    }

    fn shared_get(owner: String, key: String) -> Result<Option<Vec<u8>>, String> {
        open(&owner)?.get(&key).map_err(text)
    }

    fn shared_set(owner: String, key: String, value: Vec<u8>) -> Result<u64, String> {
        open(&owner)?.set(&key, &value, None).map_err(text)
    }

    fn shared_delete(owner: String, key: String) -> Result<bool, String> {
        open(&owner)?.delete(&key).map_err(text)
    }

    fn shared_keys(owner: String, prefix: String) -> Result<Vec<String>, String> {
        let page = open(&owner)?.keys(&prefix, None, 1000).map_err(text)?;
        Ok(page.keys)
    }

    fn shared_scan(owner: String, prefix: String) -> Result<Vec<(String, Vec<u8>)>, String> {
        let page = open(&owner)?.scan(&prefix, None, 1000).map_err(text)?;
        Ok(page
            .entries
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect())
    }

    fn shared_usage(owner: String) -> Result<(u64, u64, u64, u64), String> {
        let used = open(&owner)?.usage().map_err(text)?;
        Ok((used.keys, used.bytes, used.most_keys, used.most_bytes))
    }

    fn shared_claim(owner: String, key: String, value: Vec<u8>) -> Result<bool, String> {
        let operations = [
            Operation::Check(Condition {
                key: key.clone(),
                version: None,
            }),
            Operation::Set(Put {
                key,
                value,
                time_to_live: None,
            }),
        ];
        let outcome = open(&owner)?.apply(&operations).map_err(text)?;
        Ok(matches!(outcome, batch::Outcome::Done(_)))
    }

    fn standard_set(key: String, value: Vec<u8>) -> Result<(), String> {
        bucket()?.set(&key, &value).map_err(standard_text)
    }

    fn standard_get(key: String) -> Result<Option<Vec<u8>>, String> {
        bucket()?.get(&key).map_err(standard_text)
    }

    fn standard_delete(key: String) -> Result<(), String> {
        bucket()?.delete(&key).map_err(standard_text)
    }

    fn standard_exists(key: String) -> Result<bool, String> {
        bucket()?.exists(&key).map_err(standard_text)
    }

    fn standard_keys() -> Result<Vec<String>, String> {
        let bucket = bucket()?;
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let found = bucket.list_keys(cursor.as_deref()).map_err(standard_text)?;
            all.extend(found.keys);
            cursor = found.cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    fn standard_increment(key: String, delta: i64) -> Result<i64, String> {
        atomics::increment(&bucket()?, &key, delta).map_err(standard_text)
    }

    fn standard_swap_twice(key: String) -> Result<String, String> {
        let bucket = bucket()?;
        let first = atomics::Cas::new(&bucket, &key).map_err(standard_text)?;
        let second = atomics::Cas::new(&bucket, &key).map_err(standard_text)?;
        if atomics::swap(first, b"first").is_err() {
            return Err("the first swap failed".into());
        }
        match atomics::swap(second, b"second") {
            Ok(()) => Err("the second swap did not see the first".into()),
            Err(atomics::CasError::StoreError(error)) => Err(standard_text(error)),
            Err(atomics::CasError::CasFailed(again)) => {
                let seen = again.current().map_err(standard_text)?.unwrap_or_default();
                if atomics::swap(again, b"third").is_err() {
                    return Err("the third swap failed".into());
                }
                String::from_utf8(seen).map_err(|error| error.to_string())
            }
        }
    }

    fn standard_many(keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, String> {
        let bucket = bucket()?;
        let pairs: Vec<_> = keys
            .iter()
            .map(|key| (key.clone(), key.clone().into_bytes()))
            .collect();
        standard_batch::set_many(&bucket, &pairs).map_err(standard_text)?;
        standard_batch::delete_many(&bucket, &keys[..1]).map_err(standard_text)?;
        let found = standard_batch::get_many(&bucket, &keys).map_err(standard_text)?;
        Ok(found
            .into_iter()
            .map(|pair| pair.map(|(_, value)| value))
            .collect())
    }

    fn standard_open(name: String) -> Result<(), String> {
        standard::open(&name).map(drop).map_err(standard_text)
    }

    fn time_gets(key: String, times: u32) -> Result<u64, String> {
        let began = Instant::now();
        for _ in 0..times {
            store::get(&key).map_err(text)?;
        }
        Ok(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn time_sets(prefix: String, size: u32, times: u32) -> Result<Vec<u64>, String> {
        let value = vec![7; usize::try_from(size).map_err(|error| error.to_string())?];
        (0..times)
            .map(|number| {
                let began = Instant::now();
                store::set(&format!("{prefix}{number}"), &value, None).map_err(text)?;
                Ok(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
            })
            .collect()
    }
}

export!(KeyValue);
