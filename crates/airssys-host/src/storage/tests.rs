//! What storage promises, over every backend.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

/// A directory that is removed with the test.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("airssys-kv-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("storage.redb")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) const LATER: Durability = Durability::Relaxed(Duration::from_millis(5));

pub(super) fn open(directory: &Directory, durability: Durability, clock: Clock) -> Storage {
    Storage::open(
        &directory.file(),
        durability,
        FileOptions { cache: 1 << 20 },
        clock,
    )
    .unwrap()
}

pub(super) fn set(key: &str, value: &[u8], time_to_live: Option<u64>) -> Operation {
    Operation::Set {
        key: key.into(),
        value: value.into(),
        time_to_live,
    }
}

pub(super) fn apply(
    namespace: &Namespace,
    operations: Vec<Operation>,
) -> Result<Outcome, StorageError> {
    block_on(namespace.apply(operations))
}

pub(super) fn everything(namespace: &Namespace, most: usize) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = namespace.page("", after.as_deref(), most, true).unwrap();
        found.extend(
            page.entries
                .into_iter()
                .map(|(key, entry)| (key, entry.value)),
        );
        match page.cursor {
            Some(cursor) => after = Some(cursor),
            None => return found,
        }
    }
}

/// A small generator, so that a failure can be repeated.
pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A namespace as a dictionary: key to value and time of expiry.
type Model = BTreeMap<String, (Vec<u8>, Option<u64>)>;

fn agree_with_a_dictionary(
    mut storage: Storage,
    again: impl Fn(Storage) -> Storage,
    now: &AtomicU64,
) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let quota = Quota {
        keys: 12,
        bytes: 400,
        ..Quota::default()
    };
    let names = ["acme/one", "acme/two"];
    let mut models = [Model::new(), Model::new()];
    for round in 0..600 {
        let which = usize::try_from(random.below(2)).unwrap();
        let namespace = storage.namespace(names[which], quota).unwrap();
        let time = now.fetch_add(random.below(5), Ordering::Relaxed) + 5;
        now.store(time, Ordering::Relaxed);
        let model = &mut models[which];
        model.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > time));
        let mut planned = model.clone();
        let mut operations = Vec::new();
        for _ in 0..=random.below(4) {
            let key = format!("k{}", random.below(16));
            if random.below(3) == 0 {
                planned.remove(&key);
                operations.push(Operation::Delete { key });
            } else {
                let value = vec![b'v'; usize::try_from(random.below(60)).unwrap()];
                let live = (random.below(2) == 0).then(|| 1 + random.below(40));
                planned.insert(key.clone(), (value.clone(), live.map(|live| time + live)));
                operations.push(set(&key, &value, live));
            }
        }
        let size = |model: &Model| -> u64 {
            model
                .iter()
                .map(|(key, (value, _))| (key.len() + value.len()) as u64)
                .sum()
        };
        let outcome = apply(&namespace, operations);
        let grows = |before: u64, after: u64, most: u64| after > most && after > before;
        let over = grows(size(model), size(&planned), quota.bytes)
            || grows(model.len() as u64, planned.len() as u64, quota.keys);
        // Totals count what has expired until it is swept, so "more than before" may be judged more kindly.
        match outcome {
            Ok(Outcome::Done { .. }) => *model = planned,
            Err(StorageError::Exceeded { .. }) => assert!(over, "refused without need in {round}"),
            other => panic!("{other:?}"),
        }
        if random.below(50) == 0 {
            drop(namespace);
            storage = again(storage);
        }
        for (name, model) in names.iter().zip(&mut models) {
            let namespace = storage.namespace(name, quota).unwrap();
            model.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > time));
            let expected: BTreeMap<_, _> = model
                .iter()
                .map(|(key, (value, _))| (key.clone(), value.clone()))
                .collect();
            let most = 1 + usize::try_from(random.below(5)).unwrap();
            assert_eq!(everything(&namespace, most), expected, "round {round}");
            let usage = namespace.usage().unwrap();
            assert_eq!((usage.keys, usage.bytes), (model.len() as u64, size(model)));
            let key = format!("k{}", random.below(16));
            let found = namespace.get(&key).unwrap().map(|entry| entry.value);
            assert_eq!(found.as_ref(), expected.get(&key));
        }
    }
}

pub(super) fn turning_clock() -> (Arc<AtomicU64>, Clock) {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let for_clock = now.clone();
    (now, Arc::new(move || for_clock.load(Ordering::Relaxed)))
}

#[test]
fn memory_agrees_with_a_dictionary() {
    let (now, clock) = turning_clock();
    agree_with_a_dictionary(Storage::in_memory(clock), |same| same, &now);
}

#[test]
fn a_file_agrees_with_a_dictionary_however_often_it_is_opened() {
    let directory = Directory::new("model");
    let (now, clock) = turning_clock();
    let again = |old: Storage| {
        drop(old);
        open(&directory, Durability::Durable, clock.clone())
    };
    let storage = open(&directory, Durability::Durable, clock.clone());
    agree_with_a_dictionary(storage, again, &now);
}

#[test]
fn relaxed_writes_agree_with_a_dictionary_however_often_the_file_is_opened() {
    let directory = Directory::new("relaxed");
    let (now, clock) = turning_clock();
    let again = |old: Storage| {
        drop(old);
        open(&directory, LATER, clock.clone())
    };
    let storage = open(&directory, LATER, clock.clone());
    agree_with_a_dictionary(storage, again, &now);
}

#[test]
fn writes_at_the_same_time_share_transactions() {
    let directory = Directory::new("group");
    let storage = open(&directory, Durability::Durable, wall_clock());
    let namespace = storage.namespace("acme/one", Quota::default()).unwrap();
    // Handed in from one thread, so that all but the first wait while it is written.
    let answers: Vec<_> = (0..200)
        .map(|number| namespace.apply(vec![set(&format!("k{number}"), b"v", None)]))
        .collect();
    for answer in answers {
        assert!(matches!(block_on(answer), Ok(Outcome::Done { .. })));
    }
    assert!(storage.transactions() < 100, "{}", storage.transactions());
    assert_eq!(everything(&namespace, 1000).len(), 200);
}

#[test]
fn a_check_that_fails_leaves_everything_as_it_was() {
    let storage = Storage::in_memory(wall_clock());
    let namespace = storage.namespace("acme/one", Quota::default()).unwrap();
    apply(&namespace, vec![set("a", b"1", None)]).unwrap();
    let version = namespace.get("a").unwrap().unwrap().version;
    let swap = |version| {
        vec![
            set("b", b"2", None),
            Operation::Check {
                key: "a".into(),
                version,
            },
            set("a", b"3", None),
        ]
    };
    assert_eq!(apply(&namespace, swap(None)), Ok(Outcome::Conflict(1)));
    assert_eq!(
        apply(&namespace, swap(Some(version + 1))),
        Ok(Outcome::Conflict(1))
    );
    assert_eq!(namespace.get("b").unwrap(), None);
    assert!(matches!(
        apply(&namespace, swap(Some(version))),
        Ok(Outcome::Done { .. })
    ));
    assert_eq!(namespace.get("a").unwrap().unwrap().value, b"3");
    // The same bytes again are another version: nothing mistakes one for the other.
    assert_eq!(
        apply(&namespace, swap(Some(version))),
        Ok(Outcome::Conflict(1))
    );
}

#[test]
fn a_slow_watcher_is_told_that_it_missed_something() {
    let storage = Storage::in_memory(wall_clock());
    let namespace = storage.namespace("acme/one", Quota::default()).unwrap();
    let other = storage.namespace("acme/two", Quota::default()).unwrap();
    let watcher = namespace.watch("k/", 2).unwrap();
    for number in 0..4 {
        apply(&namespace, vec![set(&format!("k/{number}"), b"", None)]).unwrap();
    }
    apply(&namespace, vec![set("other", b"", None)]).unwrap();
    apply(&other, vec![set("k/theirs", b"", None)]).unwrap();
    let told = block_on(watcher.next(10));
    let keys: Vec<_> = told
        .iter()
        .map(|event| match event {
            Event::Changed { key, .. } => key.as_str(),
            Event::Missed(_) => "missed",
        })
        .collect();
    assert_eq!(keys, ["k/0", "k/1"]);
    assert_eq!(block_on(watcher.next(10)), [Event::Missed(2)]);
    apply(&namespace, vec![Operation::Delete { key: "k/1".into() }]).unwrap();
    let told = block_on(watcher.next(10));
    assert!(
        matches!(&told[..], [Event::Changed { key, change: Change::Deleted, .. }] if key == "k/1")
    );
    drop(storage);
    assert_eq!(block_on(watcher.next(10)), []);
}

#[test]
fn what_has_expired_is_swept_and_told() {
    let (now, clock) = turning_clock();
    let storage = Storage::in_memory(clock);
    let namespace = storage.namespace("acme/one", Quota::default()).unwrap();
    let watcher = namespace.watch("", 10).unwrap();
    apply(&namespace, vec![set("a", b"1", Some(10))]).unwrap();
    now.fetch_add(10, Ordering::Relaxed);
    assert_eq!(namespace.get("a").unwrap(), None, "gone before it is swept");
    assert_eq!(block_on(watcher.next(1)).len(), 1);
    // The keeper looks again when the time that it knows of has come.
    apply(&namespace, vec![set("b", b"1", Some(1))]).unwrap();
    now.fetch_add(10, Ordering::Relaxed);
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(block_on(watcher.next(10)));
    }
    let expired = |event: &&Event| {
        matches!(
            event,
            Event::Changed {
                change: Change::Expired,
                ..
            }
        )
    };
    assert_eq!(told.iter().filter(expired).count(), 2);
    assert_eq!(namespace.usage().unwrap(), Usage::default());
}

#[test]
fn a_file_has_one_owner() {
    let directory = Directory::new("owner");
    let storage = open(&directory, Durability::Durable, wall_clock());
    let second = Storage::open(
        &directory.file(),
        Durability::Durable,
        FileOptions::default(),
        wall_clock(),
    );
    assert!(matches!(second, Err(StorageError::InUse { .. })));
    drop(storage);
    open(&directory, Durability::Durable, wall_clock());
}

#[test]
fn a_file_of_a_later_schema_or_of_something_else_is_refused() {
    let directory = Directory::new("schema");
    drop(open(&directory, Durability::Durable, wall_clock()));
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    let write = |schema: Option<u64>| {
        let database = redb::Database::create(directory.file()).unwrap();
        let writing = database.begin_write().unwrap();
        match schema {
            Some(schema) => {
                let mut table = writing.open_table(meta).unwrap();
                table.insert("schema", schema).unwrap();
            }
            None => assert!(writing.delete_table(meta).unwrap()),
        }
        writing.commit().unwrap();
    };
    let refused = || {
        let options = FileOptions::default();
        Storage::open(
            &directory.file(),
            Durability::Durable,
            options,
            wall_clock(),
        )
        .err()
        .unwrap()
    };
    write(Some(2));
    assert_eq!(
        refused(),
        StorageError::TooNew {
            path: directory.file(),
            found: 2,
            known: 1,
        }
    );
    write(None);
    assert!(matches!(refused(), StorageError::Damaged { .. }));
}

/// Whatever is cut off or overwritten: all that was acknowledged is there, or an error names the file.
#[test]
fn a_torn_file_is_repaired_or_refused() {
    let directory = Directory::new("torn");
    let storage = open(&directory, Durability::Durable, wall_clock());
    let namespace = storage.namespace("acme/one", Quota::default()).unwrap();
    for number in 0..50 {
        apply(
            &namespace,
            vec![set(&format!("key{number}"), &[b'v'; 500], None)],
        )
        .unwrap();
    }
    let expected = everything(&namespace, 1000);
    drop(namespace);
    drop(storage);
    let whole = std::fs::read(directory.file()).unwrap();
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut refused, mut kept) = (0, 0);
    for round in 0..120 {
        let mut torn = whole.clone();
        let at = usize::try_from(random.below(whole.len() as u64)).unwrap();
        match round % 4 {
            0 => torn.truncate(at),
            1 => torn[at..].fill(0),
            2 => torn[at] ^= 1 << random.below(8),
            _ => {
                let end = (at + 4096).min(torn.len());
                torn[at..end].fill(0xa5);
            }
        }
        std::fs::write(directory.file(), &torn).unwrap();
        let looked = Storage::open(
            &directory.file(),
            Durability::Durable,
            FileOptions::default(),
            wall_clock(),
        )
        .and_then(|storage| {
            let namespace = storage.namespace("acme/one", Quota::default())?;
            let (mut found, mut after) = (BTreeMap::new(), None);
            loop {
                let page = namespace.page("", after.as_deref(), 1000, true)?;
                found.extend(
                    page.entries
                        .into_iter()
                        .map(|(key, entry)| (key, entry.value)),
                );
                match page.cursor {
                    Some(cursor) => after = Some(cursor),
                    None => return Ok(found),
                }
            }
        });
        match looked {
            Ok(found) => {
                assert_eq!(found, expected, "round {round} at {at}");
                kept += 1;
            }
            Err(StorageError::Damaged { path, .. }) => {
                assert_eq!(path, directory.file());
                refused += 1;
            }
            Err(other) => panic!("round {round} at {at}: {other:?}"),
        }
    }
    assert!(refused > 10 && kept > 10, "{refused} refused, {kept} kept");
}

#[test]
fn a_copy_is_compared_with_what_was_copied() {
    let directory = Directory::new("copy");
    let memory = Storage::in_memory(wall_clock());
    for name in ["acme/one", "acme/two"] {
        let namespace = memory.namespace(name, Quota::default()).unwrap();
        for number in 0..300 {
            let live = (number % 3 == 0).then_some(60_000);
            apply(
                &namespace,
                vec![set(&format!("key{number}"), name.as_bytes(), live)],
            )
            .unwrap();
        }
    }
    let file = open(&directory, LATER, wall_clock());
    let never = || false;
    let copied = memory.copy_to(&file, &never).unwrap();
    assert_eq!(copied.entries, 600);
    assert!(matches!(
        memory.copy_to(&file, &never),
        Err(StorageError::Invalid(_))
    ));
    let backup = directory.0.join("backup.redb");
    assert_eq!(file.backup(&backup, &never).unwrap(), copied);
    assert!(matches!(
        file.backup(&backup, &never),
        Err(StorageError::Invalid(_))
    ));
    drop(file);
    std::fs::rename(&backup, directory.file()).unwrap();
    let restored = open(&directory, Durability::Durable, wall_clock());
    let namespace = restored.namespace("acme/two", Quota::default()).unwrap();
    assert_eq!(everything(&namespace, 1000).len(), 300);
}
