//! Any bytes as what stands in the folder of an audit log: reading, verifying and opening it end with a result
//! or one error, and a log that was opened goes on and verifies.
//!
//! Input: a byte of flags, then the first segment, a line `#2`, the second segment, a line `#c`, the checkpoints.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::scratch;
use airssys_host::gate::audit::{AuditError, AuditLog, Entry, Filter, Options, Reader, verify};

const RECORDS_READ: usize = 100_000;

/// One input.
pub fn one(input: &[u8]) {
    let Some((flags, text)) = input.split_first() else {
        return;
    };
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| scratch("audit")).as_path();
    fill(folder, text);
    let verified = verify(folder, None, None);
    let lines = Reader::new(
        folder,
        Filter {
            principal: Some("acme/calc".to_owned()),
            ..Filter::default()
        },
    )
    .read(RECORDS_READ, Duration::ZERO)
    .expect("the files can be read");
    assert!(lines.iter().all(|line| !line.contains(&b'\n')));
    let options = Options {
        acknowledge_truncation: flags & 1 != 0,
        key: (flags & 2 != 0).then(|| vec![7; 32]),
        segment_bytes: 64 << 10,
        ..Options::default()
    };
    match AuditLog::open(folder, options) {
        Ok(log) => go_on(folder, &log),
        Err(AuditError::Truncated { .. }) => {
            assert!(
                verified.is_err() || flags & 1 == 0,
                "{verified:?} and refused"
            );
        }
        Err(AuditError::Corrupt { .. } | AuditError::BadCheckpoint(_)) => {
            assert!(verified.is_err(), "{verified:?} and refused");
        }
        Err(AuditError::Beheaded { .. }) => {}
        Err(other) => panic!("opening ended with {other:?}"),
    }
}

fn fill(folder: &Path, text: &[u8]) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        fs::remove_file(entry.expect("the folder can be listed").path())
            .expect("its files can be removed");
    }
    let (segments, checkpoints) = split(text, b"\n#c\n");
    let (first, second) = split(segments, b"\n#2\n");
    let name = |number: u64| folder.join(format!("segment-{number:020}.jsonl"));
    fs::write(name(1), first).expect("the folder can be written");
    if let Some(second) = second {
        // Named as a writer names it, by how many records stand before it.
        let before = first.iter().filter(|byte| **byte == b'\n').count() as u64;
        fs::write(name(before + 1), second).expect("the folder can be written");
    }
    if let Some(checkpoints) = checkpoints {
        fs::write(folder.join("checkpoints.jsonl"), checkpoints)
            .expect("the folder can be written");
    }
}

/// The marker keeps the end of the line before it.
fn split<'a>(text: &'a [u8], marker: &[u8]) -> (&'a [u8], Option<&'a [u8]>) {
    match text
        .windows(marker.len())
        .position(|window| window == marker)
    {
        Some(at) => (&text[..=at], Some(&text[at + marker.len()..])),
        None => (text, None),
    }
}

fn go_on(folder: &Path, log: &AuditLog) {
    let (before, _) = log.position();
    let appended = log
        .append(&Entry {
            subject: None,
            operation: ("fuzz", "goes-on"),
            target: b"",
            requested: None,
            decision: "done",
            rule: "",
            enforcement: "",
            detail: None,
            approved_by: None,
            alarm: false,
            coalesce: false,
        })
        .expect("an open log takes records");
    assert!(appended.sequence > before);
    log.close().expect("an open log can be closed");
    let last = Reader::new(
        folder,
        Filter {
            after: appended.sequence - 1,
            ..Filter::default()
        },
    )
    .read(10, Duration::ZERO)
    .expect("the files can be read");
    let text = last
        .iter()
        .map(|line| String::from_utf8_lossy(line))
        .collect::<Vec<_>>();
    assert!(
        text.iter().any(|line| line.contains("fuzz.goes-on")),
        "{text:?}"
    );
}
