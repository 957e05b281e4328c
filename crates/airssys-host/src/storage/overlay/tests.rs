//! What an overlay promises, over every backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Overlay;
use crate::storage::tests::{
    Directory, LATER, Random, apply, everything, open, set, turning_clock,
};
use crate::storage::{
    Durability, Namespace, Operation, Outcome, Quota, Storage, StorageError, block_on, wall_clock,
};

/// A namespace as a dictionary: key to value, time of expiry, and version.
type Model = BTreeMap<String, (Vec<u8>, Option<u64>, u64)>;

/// A namespace under an overlay, beside what it has to be.
struct Pair {
    overlay: Arc<Overlay>,
    namespace: Namespace,
    model: Model,
}

impl Pair {
    fn live(&self, time: u64) -> Model {
        let mut live = self.model.clone();
        live.retain(|_, (_, expires, _)| expires.is_none_or(|expires| expires > time));
        live
    }

    /// Do something that chance chooses to both, and compare what came of it.
    fn act(&mut self, random: &mut Random, time: u64) {
        let key = |random: &mut Random| format!("k{}", random.below(12));
        let before = self.live(time);
        let mut after = before.clone();
        let (mut operations, mut conflict, mut sum) = (Vec::new(), None, None);
        for _ in 0..=random.below(4) {
            let key = key(random);
            match random.below(6) {
                0 => {
                    after.remove(&key);
                    operations.push(Operation::Delete { key });
                }
                1 => {
                    // Of a key that this batch sets the version is not known before.
                    let known = after.get(&key).map(|(.., version)| *version);
                    if known == Some(u64::MAX) {
                        continue;
                    }
                    let right = random.below(3) > 0;
                    let version = if right {
                        known
                    } else {
                        Some(known.unwrap_or(0) + 1)
                    };
                    if !right && conflict.is_none() {
                        conflict = Some(operations.len());
                    }
                    operations.push(Operation::Check { key, version });
                }
                2 => {
                    let number = after.get(&key).map_or(Some(0), |(value, ..)| {
                        std::str::from_utf8(value).ok()?.parse::<i64>().ok()
                    });
                    let Some(number) = number else { continue };
                    let delta = i64::try_from(random.below(9)).unwrap() - 4;
                    let expires = after.get(&key).and_then(|(_, expires, _)| *expires);
                    let value = (number + delta).to_string().into_bytes();
                    sum = Some(number + delta);
                    after.insert(key.clone(), (value, expires, u64::MAX));
                    operations.push(Operation::Add { key, delta });
                }
                _ => {
                    let value = random.below(1000).to_string().into_bytes();
                    let live = (random.below(3) == 0).then(|| 1 + random.below(30));
                    let expires = live.map(|live| time + live);
                    after.insert(key.clone(), (value.clone(), expires, u64::MAX));
                    operations.push(set(&key, &value, live));
                }
            }
        }
        match apply(&self.namespace, operations).unwrap() {
            Outcome::Conflict(position) => assert_eq!(Some(position), conflict),
            Outcome::Done {
                version,
                sum: added,
                ..
            } => {
                assert_eq!((conflict, added), (None, sum));
                for (.., known) in after.values_mut().filter(|(.., known)| *known == u64::MAX) {
                    *known = version;
                }
                self.model = after;
            }
        }
    }

    fn agree(&self, random: &mut Random, time: u64) {
        let live = self.live(time);
        let expected: BTreeMap<_, _> = live
            .iter()
            .map(|(key, (value, ..))| (key.clone(), value.clone()))
            .collect();
        let most = 1 + usize::try_from(random.below(5)).unwrap();
        assert_eq!(everything(&self.namespace, most), expected);
        let key = format!("k{}", random.below(12));
        let found = self.namespace.get(&key).unwrap();
        let found = found.map(|entry| (entry.value, entry.expires, entry.version));
        assert_eq!(found.as_ref(), live.get(&key));
        let usage = self.namespace.usage().unwrap();
        let bytes = expected.iter().map(|(key, value)| key.len() + value.len());
        assert_eq!(usage.keys, expected.len() as u64);
        assert_eq!(usage.bytes, bytes.sum::<usize>() as u64);
    }
}

/// Two overlays over one base, each with changes of its own, while the storage beneath goes on changing.
fn overlays_agree_with_dictionaries(storage: &Storage, now: &AtomicU64) {
    let mut random = Random(0x51_7cc1_b727_220a);
    let live = storage.namespace("acme/one", Quota::default()).unwrap();
    let other = storage.namespace("acme/two", Quota::default()).unwrap();
    let watcher = live.watch("", 10_000).unwrap();
    let mut told = 0;
    for round in 0..40 {
        for _ in 0..random.below(6) {
            let key = format!("k{}", random.below(12));
            let ttl = (random.below(3) == 0).then(|| 1 + random.below(60));
            let value = random.below(1000).to_string();
            apply(&live, vec![set(&key, value.as_bytes(), ttl)]).unwrap();
            told += 1;
        }
        let began = now.load(Ordering::Relaxed);
        let base = live.hold().unwrap().expect("little is held at once");
        let mut model = Model::new();
        for (key, _) in everything(&live, 1000) {
            let entry = live.get(&key).unwrap().unwrap();
            model.insert(key, (entry.value, entry.expires, entry.version));
        }
        for _ in 0..2 {
            // Time goes on between the two, and does not tell them apart.
            now.fetch_add(random.below(20), Ordering::Relaxed);
            let overlay = Overlay::over(&base);
            let mut pair = Pair {
                namespace: live.under(overlay.clone()),
                overlay,
                model: model.clone(),
            };
            let offset = now.load(Ordering::Relaxed) - began;
            for _ in 0..12 {
                let time = now.fetch_add(random.below(4), Ordering::Relaxed);
                let time = now.load(Ordering::Relaxed).max(time) - offset;
                assert_eq!(pair.namespace.now(), time, "round {round}");
                if random.below(3) == 0 {
                    let key = format!("k{}", random.below(12));
                    apply(&live, vec![set(&key, b"7", None)]).unwrap();
                    told += 1;
                }
                pair.act(&mut random, time);
                pair.agree(&mut random, time);
                assert_eq!(
                    everything(&other.under(pair.overlay.clone()), 7),
                    BTreeMap::new()
                );
            }
            let before = everything(&live, 1000);
            assert!(pair.overlay.end(), "little was written");
            assert_eq!(everything(&live, 1000), before);
            assert_eq!(pair.namespace.get("k1"), Err(StorageError::Closed));
            let late = apply(&pair.namespace, vec![set("k1", b"", None)]);
            assert_eq!(late, Err(StorageError::Closed));
        }
    }
    // Only of what was written to the storage itself; what expired is told when it is swept.
    let mut heard = 0;
    while heard < told {
        let events = block_on(watcher.next(1000));
        assert!(!events.is_empty());
        heard += events
            .iter()
            .filter(|event| {
                matches!(event, crate::storage::Event::Changed { change, .. }
                    if *change == crate::storage::Change::Set)
            })
            .count();
    }
    assert_eq!(heard, told);
}

#[test]
fn over_memory_they_agree_with_dictionaries() {
    let (now, clock) = turning_clock();
    overlays_agree_with_dictionaries(&Storage::in_memory(clock), &now);
}

#[test]
fn over_a_file_they_agree_with_dictionaries() {
    let directory = Directory::new("overlay");
    let (now, clock) = turning_clock();
    overlays_agree_with_dictionaries(&open(&directory, Durability::Durable, clock), &now);
}

#[test]
fn over_relaxed_writes_they_agree_with_dictionaries() {
    let directory = Directory::new("overlay-relaxed");
    let (now, clock) = turning_clock();
    overlays_agree_with_dictionaries(&open(&directory, LATER, clock), &now);
}

#[test]
fn a_namespace_that_is_new_in_an_overlay_gives_its_number_to_nobody() {
    let storage = Storage::in_memory(wall_clock());
    let [one, two] =
        ["acme/one", "acme/two"].map(|name| storage.namespace(name, Quota::default()).unwrap());
    let base = one.hold().unwrap().unwrap();
    let overlay = Overlay::over(&base);
    let [apart_one, apart_two] = [&one, &two].map(|namespace| namespace.under(overlay.clone()));
    apply(&apart_two, vec![set("k", b"apart", None)]).unwrap();
    apply(&apart_one, vec![set("k", b"also", None)]).unwrap();
    assert_eq!(apart_two.get("k").unwrap().unwrap().value, b"apart");
    // In the storage they get theirs in the other order.
    apply(&one, vec![set("k", b"first", None)]).unwrap();
    apply(&two, vec![set("k", b"second", None)]).unwrap();
    assert_eq!(one.get("k").unwrap().unwrap().value, b"first");
    assert_eq!(two.get("k").unwrap().unwrap().value, b"second");
    assert_eq!(apart_one.get("k").unwrap().unwrap().value, b"also");
}

#[test]
fn what_is_written_is_bounded_and_within_the_quota() {
    let storage = Storage::in_memory(wall_clock());
    let quota = Quota {
        bytes: 100 << 20,
        keys: 20,
        ..Quota::default()
    };
    let live = storage.namespace("acme/one", quota).unwrap();
    let base = live.hold().unwrap().unwrap();
    let overlay = Overlay::over(&base);
    let apart = live.under(overlay.clone());
    let mut kept = 0;
    let refused = loop {
        match apply(
            &apart,
            vec![set(&format!("k{kept}"), &vec![0; 900_000], None)],
        ) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    let StorageError::Exceeded {
        limit, configured, ..
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((limit, configured, kept), ("trial_storage", 4 << 20, 4));
    assert_eq!(
        apart.usage().unwrap().keys,
        4,
        "what was refused left nothing"
    );
    assert!(!overlay.end(), "how it would have gone on is not known");
    let overlay = Overlay::over(&base);
    let apart = live.under(overlay.clone());
    let many = (0..21)
        .map(|number| set(&format!("k{number}"), b"", None))
        .collect();
    assert!(matches!(
        apply(&apart, many),
        Err(StorageError::Exceeded {
            limit: "storage_keys",
            ..
        })
    ));
    assert!(overlay.end(), "the quota is the component's own affair");
}

#[test]
fn watchers_hear_of_what_is_written_where_they_are() {
    let storage = Storage::in_memory(wall_clock());
    let live = storage.namespace("acme/one", Quota::default()).unwrap();
    let base = live.hold().unwrap().unwrap();
    let overlay = Overlay::over(&base);
    let apart = live.under(overlay.clone());
    let watcher = apart.watch("", 10).unwrap();
    let outside = live.watch("", 10).unwrap();
    apply(&live, vec![set("outside", b"", None)]).unwrap();
    apply(&apart, vec![set("inside", b"", None)]).unwrap();
    let key = |watcher: &crate::storage::Watcher| match &block_on(watcher.next(10))[..] {
        [crate::storage::Event::Changed { key, .. }] => key.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (key(&watcher), key(&outside)),
        ("inside".into(), "outside".into())
    );
    overlay.end();
    assert_eq!(block_on(watcher.next(10)), []);
    assert!(matches!(apart.watch("", 10), Err(StorageError::Closed)));
}

#[test]
fn a_base_that_is_held_keeps_no_file_open() {
    let directory = Directory::new("overlay-owner");
    for durability in [Durability::Durable, LATER] {
        let storage = open(&directory, durability, wall_clock());
        let live = storage.namespace("acme/one", Quota::default()).unwrap();
        apply(&live, vec![set("k", b"1", None)]).unwrap();
        let base = live.hold().unwrap().unwrap();
        let apart = live.under(Overlay::over(&base));
        apply(&apart, vec![set("other", b"1", None)]).unwrap();
        storage.close().unwrap();
        drop(storage);
        assert!(matches!(live.hold(), Err(StorageError::Closed)));
        // Its own, or what has not left memory yet; the file is read no more.
        assert_eq!(apart.get("missing"), Err(StorageError::Closed));
        let again = open(&directory, durability, wall_clock());
        let live = again.namespace("acme/one", Quota::default()).unwrap();
        assert_eq!(everything(&live, 10).len(), 1);
    }
}
