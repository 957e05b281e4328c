//! Any bytes as an entry of the cache of compiled code: it is compiled again, and never run.
//!
//! Input: a byte that says what is kept of the entry as it was stored, then the note, a line `#code`, the code.
//! What is kept is the one thing that the input cannot make by itself, so that each check is reached alone.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::scratch;
use airssys_host::component::{Component, Loading};
use airssys_host::engine::cache::{Cache, Compiled, Lookup};
use airssys_host::engine::static_limits::StaticLimits;
use airssys_host::engine::{Allocation, Native, Profile};

const SOURCE: &[u8] = include_bytes!("../../../components/wat/minimal.wat");

struct Stored {
    cache: Cache,
    source: blake3::Hash,
    note: (PathBuf, Vec<u8>),
    code: (PathBuf, Vec<u8>),
}

fn stored() -> &'static Stored {
    static STORED: OnceLock<Stored> = OnceLock::new();
    STORED.get_or_init(|| {
        let folder = scratch("cache");
        let cache = Cache::open(&folder).expect("the folder can be written");
        let binary = airssys_host::component::to_binary(SOURCE, None).expect("it is a component");
        Component::load(
            &binary,
            Loading {
                limits: StaticLimits::default(),
                cache: Some(&cache),
                in_process: true,
                progress: &mut |_| {},
                interrupted: &mut || false,
                report: &mut |reason| panic!("{reason}"),
            },
        )
        .expect("it is a component");
        let file = |ending: &str| {
            let found = fs::read_dir(&folder)
                .expect("the folder is there")
                .map(|entry| entry.expect("the folder can be listed").path())
                .find(|path| {
                    path.extension()
                        .is_some_and(|extension| extension == ending)
                });
            let path = found.expect("the entry was stored");
            let bytes = fs::read(&path).expect("the entry was stored");
            (path, bytes)
        };
        Stored {
            source: blake3::hash(&binary),
            note: file("json"),
            code: file("cwasm"),
            cache,
        }
    })
}

/// One input.
pub fn one(input: &[u8]) {
    let Some((kept, text)) = input.split_first() else {
        return;
    };
    let stored = stored();
    let marker = b"\n#code\n";
    let (note, code) = match text
        .windows(marker.len())
        .position(|window| window == marker)
    {
        Some(at) => (&text[..at], &text[at + marker.len()..]),
        None => (text, &b""[..]),
    };
    let note = if kept & 1 != 0 { &stored.note.1 } else { note };
    let patched;
    let code = match kept & 6 {
        0 => code,
        2 => &stored.code.1,
        // Some bytes of the stored code are other ones.
        _ => {
            patched = patch(&stored.code.1, code);
            &patched
        }
    };
    let same = note == stored.note.1 && code == stored.code.1;
    fs::write(&stored.note.0, note).expect("the folder can be written");
    fs::write(&stored.code.0, code).expect("the folder can be written");
    let native = Native::get(Profile::Plain, Allocation::Pool).expect("the engine runs here");
    match stored.cache.find::<Compiled>(&stored.source, native) {
        Lookup::Hit(..) => {
            assert!(same || note_says_the_same(note, &stored.note.1) && code == stored.code.1)
        }
        Lookup::Refused(reason) => assert!(!same && !reason.is_empty(), "{reason}"),
        Lookup::Miss => panic!("the entry is there"),
    }
}

/// Other text that reads as the same note is the same note.
fn note_says_the_same(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let (Some(one), Some(other)) = (read(one), read(other)) else {
        return false;
    };
    let names = ["mac", "contents"];
    names.iter().all(|name| {
        let text = |value: &serde_json::Value| value[name].to_string().to_lowercase();
        text(&one) == text(&other)
    })
}

fn patch(code: &[u8], patches: &[u8]) -> Vec<u8> {
    let mut patched = code.to_vec();
    for part in patches.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([part[0], part[1]])) * code.len() / 65_536;
        patched[at] = part[2];
    }
    patched
}
