//! What the log promises, by breaking what it rests on.

use std::process::{Command, Stdio};
use std::sync::Arc;

use super::chain::Row;
use super::segment::Segment;
use super::*;
use crate::gate::subject::Budget;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("airssys-audit-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn options() -> Options {
    Options {
        key: Some(vec![7; 32]),
        segment_bytes: 64 << 10,
        ..Options::default()
    }
}

fn entry<'a>(subject: &'a Subject, target: &'a [u8], decision: &'a str) -> Entry<'a> {
    Entry {
        subject: Some(subject),
        operation: ("filesystem", "read"),
        target,
        requested: None,
        decision,
        rule: "r1",
        enforcement: "enforce",
        detail: None,
        approved_by: None,
        alarm: false,
        coalesce: decision == "deny",
    }
}

fn accesses(directory: &Path) -> u64 {
    let mut reader = Reader::new(directory, Filter::default());
    let mut total = 0;
    loop {
        let lines = reader.read(1000, Duration::ZERO).unwrap();
        if lines.is_empty() {
            return total;
        }
        for line in lines {
            let row: Row<'_> = serde_json::from_slice(&line).unwrap();
            total += match row.repeats {
                Some(_) => row.count.unwrap(),
                None => u64::from(!row.decision.is_empty()),
            };
        }
    }
}

fn filled(name: &str, records: u64) -> PathBuf {
    let directory = directory(name);
    let log = AuditLog::open(&directory, options()).unwrap();
    let subject = Subject::named("alice");
    for number in 0..records {
        log.append(&entry(
            &subject,
            format!("/data/{number}").as_bytes(),
            "allow",
        ))
        .unwrap();
    }
    log.close().unwrap();
    directory
}

#[test]
fn records_are_chained_across_segments() {
    let directory = filled("chain", 2000);
    let report = verify(&directory, None, None).unwrap();
    assert_eq!((report.records, report.first, report.last), (2000, 1, 2000));
    assert!(report.segments > 3, "{report:?}");
    assert_eq!(accesses(&directory), 2000);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_changed_byte_is_found() {
    let directory = filled("changed", 1000);
    let (_, path) = segment::list(&directory).unwrap().swap_remove(1);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(5).position(|part| part == b"allow").unwrap();
    bytes[at..at + 5].copy_from_slice(b"aLlow");
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(
        verify(&directory, None, None),
        Err(AuditError::Corrupt { .. })
    ));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_torn_end_is_set_aside_and_writing_goes_on() {
    let directory = filled("torn", 10);
    let (_, path) = segment::list(&directory).unwrap().pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"\0\"seq\":11,\"half a record");
    std::fs::write(&path, bytes).unwrap();
    let log = AuditLog::open(&directory, options()).unwrap();
    let (quarantine, length) = log.opened.quarantined.clone().unwrap();
    assert_eq!(std::fs::read(quarantine).unwrap().len(), length);
    let subject = Subject::named("alice");
    log.append(&entry(&subject, b"/later", "allow")).unwrap();
    log.close().unwrap();
    assert_eq!(verify(&directory, None, None).unwrap().records, 12);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_log_behind_its_checkpoint_is_refused_until_acknowledged() {
    let directory = directory("behind");
    let subject = Subject::named("alice");
    let log = AuditLog::open(&directory, options()).unwrap();
    for _ in 0..20 {
        log.append(&entry(&subject, b"/x", "allow")).unwrap();
    }
    let checkpoint = log.checkpoint().unwrap();
    log.close().unwrap();
    drop(log);
    let (_, path) = segment::list(&directory).unwrap().pop().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    std::fs::write(&path, lines[..15].concat()).unwrap();
    assert!(matches!(
        verify(&directory, None, None),
        Err(AuditError::Truncated {
            checkpoint: 20,
            last: 15
        })
    ));
    let refused = AuditLog::open(&directory, options());
    assert!(
        matches!(
            refused,
            Err(AuditError::Truncated {
                checkpoint: 20,
                last: 15
            })
        ),
        "{refused:?}"
    );
    // Nor does it help to remove the checkpoints beside the log when one is known elsewhere.
    std::fs::remove_file(directory.join(checkpoint::FILE)).unwrap();
    let elsewhere = Options {
        checkpoint: Some(checkpoint.clone()),
        ..options()
    };
    assert!(matches!(
        AuditLog::open(&directory, elsewhere.clone()),
        Err(AuditError::Truncated { .. })
    ));
    let log = AuditLog::open(
        &directory,
        Options {
            acknowledge_truncation: true,
            ..elsewhere
        },
    )
    .unwrap();
    assert_eq!(
        log.append(&entry(&subject, b"/x", "allow"))
            .unwrap()
            .sequence,
        22
    );
    log.close().unwrap();
    let report = verify(&directory, None, Some(checkpoint)).unwrap();
    assert_eq!((report.records, report.acknowledged), (17, vec![21]));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_checkpoint_by_another_key_is_refused() {
    let forged = Checkpoint::sign(&[9; 32], 5, hex(&[0; 32]), "now".to_owned()).unwrap();
    assert!(forged.verify(None).is_ok());
    assert!(forged.verify(Some(&public_key(&[7; 32]).unwrap())).is_err());
    let moved = Checkpoint {
        sequence: 4,
        ..forged
    };
    assert!(moved.verify(None).is_err());
}

#[test]
fn one_process_owns_a_log() {
    let directory = directory("owned");
    let log = AuditLog::open(&directory, options()).unwrap();
    assert!(matches!(
        AuditLog::open(&directory, options()),
        Err(AuditError::Locked(_))
    ));
    log.close().unwrap();
    AuditLog::open(&directory, options()).unwrap();
    assert!(matches!(
        log.append(&entry(&Subject::named("a"), b"/", "allow")),
        Err(AuditError::Closed)
    ));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn secrets_and_control_characters_stay_out() {
    let directory = directory("masks");
    let log = AuditLog::open(
        &directory,
        Options {
            masks: vec!["hunter2".to_owned()],
            ..options()
        },
    )
    .unwrap();
    let subject = Subject::named("mallory\n{\"seq\":1}\u{1b}[2J\u{202e}");
    log.append(&entry(
        &subject,
        b"https://me:pw@host/?k=hunter2&\xff",
        "allow",
    ))
    .unwrap();
    log.flush().unwrap();
    let line = Reader::new(&directory, Filter::default())
        .read(1, Duration::ZERO)
        .unwrap()
        .remove(0);
    let text = String::from_utf8(line).unwrap();
    assert!(text.contains("https://***@host/?k=***&\\\\xff"), "{text}");
    assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text}");
    log.close().unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_flood_of_identical_denials_is_counted() {
    let directory = directory("flood");
    let log = AuditLog::open(&directory, options()).unwrap();
    let mut subject = Subject::named("noisy");
    subject.budget = Some(Arc::new(Budget::new(1.0, 10.0)));
    for _ in 0..5000 {
        log.append(&entry(&subject, b"/secret", "deny")).unwrap();
    }
    log.close().unwrap();
    let report = verify(&directory, None, None).unwrap();
    assert!(report.records < 100, "{report:?}");
    assert_eq!(accesses(&directory), 5000);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn no_access_is_lost_when_the_process_is_killed() {
    let rounds: u64 = std::env::var("AIRSSYS_SOAK").map_or(10, |rounds| rounds.parse().unwrap());
    let directory = directory("killed");
    std::fs::create_dir_all(&directory).unwrap();
    let counts = Segment::open(&directory.join("counts"), 4096, 0).unwrap();
    for round in 0..rounds {
        let before = counts.word(1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "gate::audit::tests::writes_until_killed",
            ])
            .env("AIRSSYS_AUDIT_TEST", &directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while counts.word(1) < before + 700 + 13 * round {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the writer ended by itself"
            );
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (attempted, completed) = (counts.word(0), counts.word(1));
        let log = AuditLog::open(&directory.join("log"), options()).unwrap();
        assert_eq!(log.opened.ending, Ending::Killed);
        log.close().unwrap();
        drop(log);
        verify(&directory.join("log"), None, None).unwrap();
        let recorded = accesses(&directory.join("log"));
        assert!(
            (completed..=attempted).contains(&recorded),
            "{completed} <= {recorded} <= {attempted}"
        );
        // What was interrupted counts as it was recorded, so that the next round starts even.
        let mut counts = Segment::open(&directory.join("counts"), 4096, 0).unwrap();
        counts.set_word(0, recorded);
        counts.set_word(1, recorded);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "the child of no_access_is_lost_when_the_process_is_killed"]
fn writes_until_killed() {
    let Some(directory) = std::env::var_os("AIRSSYS_AUDIT_TEST").map(PathBuf::from) else {
        return;
    };
    let mut counts = Segment::open(&directory.join("counts"), 4096, 0).unwrap();
    let log = AuditLog::open(&directory.join("log"), options()).unwrap();
    let quiet = Subject::named("quiet");
    let mut noisy = Subject::named("noisy");
    noisy.budget = Some(Arc::new(Budget::new(1.0, 10.0)));
    for number in counts.word(0).. {
        counts.set_word(0, number + 1);
        let target = format!("/secret/{}", number % 70);
        let (subject, decision) = if number % 3 == 0 {
            (&quiet, "allow")
        } else {
            (&noisy, "deny")
        };
        log.append(&entry(subject, target.as_bytes(), decision))
            .unwrap();
        counts.set_word(1, number + 1);
    }
}
