//! What guests write: lines of their log and of stdout and stderr, for the ring of their deployment.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::blueprint::Outputs;
use super::cell::Cell;
use super::events::LogLine;
use crate::quota::Account;

pub(super) fn outputs(
    cell: &Arc<Cell>,
    incarnation: u64,
    account: Option<&Arc<Account>>,
) -> Outputs {
    let sink = |stream: &'static str| {
        let (cell, account) = (Arc::downgrade(cell), account.cloned());
        let begun = Mutex::new(Vec::new());
        Arc::new(move |bytes: Bytes| {
            let Some(cell) = cell.upgrade() else { return };
            for line in whole_lines(&begun, &bytes) {
                let account = account.as_deref();
                write_line(&cell, incarnation, account, stream, "info", || {
                    (line, Vec::new(), None)
                });
            }
        })
    };
    Outputs {
        stdout: sink("stdout"),
        stderr: sink("stderr"),
    }
}

/// The lines that `bytes` completes; what has no end yet waits in `begun`.
fn whole_lines(begun: &Mutex<Vec<u8>>, bytes: &[u8]) -> Vec<String> {
    let mut begun = begun.lock().expect("no code under this lock panics");
    let mut lines = Vec::new();
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        begun.extend_from_slice(part);
        if part.ends_with(b"\n") || begun.len() > LINE {
            let line = String::from_utf8_lossy(&begun);
            lines.push(line.trim_end_matches(['\r', '\n']).to_owned());
            begun.clear();
        }
    }
    lines
}

/// A line that is not ended after so many bytes is cut.
const LINE: usize = 16 << 10;

/// The text of a line, its fields, and the trace that it belongs to.
type Text = (String, Vec<(String, String)>, Option<Arc<str>>);

/// Write a guest's line to the deployment's ring, unless there are too many.
pub(super) fn write_line(
    cell: &Cell,
    incarnation: u64,
    account: Option<&Account>,
    stream: &'static str,
    level: &'static str,
    text: impl FnOnce() -> Text,
) {
    let lost = match account {
        Some(account) => match account.admit_log_line(|| cell.shared.clock.now()) {
            Some(lost) => lost,
            None => return,
        },
        None => 0,
    };
    let (message, fields, trace) = text();
    let line = LogLine {
        sequence: 0,
        time: cell.shared.clock.wall(),
        address: cell.address.text.clone(),
        incarnation,
        level,
        stream,
        message,
        fields,
        trace,
        lost,
    };
    cell.shared.log(&cell.address.deployment, line);
}
