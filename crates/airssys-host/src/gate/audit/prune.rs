//! Forgetting old records without breaking the chain.
//!
//! Whole segments go, the oldest first, and only behind a record that says so: up to which number, and the
//! hash of the last record that went. That record is durable and under a signed checkpoint before the first
//! file is removed, so whoever verifies the log knows that the rest begins where it should.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::chain::{Chain, GENESIS, follow, hex, read};
use super::line::Clock;
use super::{AuditError, AuditLog, segment};

/// The name of the record of a pruning.
pub const PRUNED: &str = "audit.pruned";

/// Which segments may go. The one that is written to never does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Bytes of all segments together above which the oldest go.
    pub bytes: Option<u64>,
    /// Seconds since 1970; segments whose every record is older go.
    pub since: Option<f64>,
}

/// What a pruning removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub segments: usize,
    pub bytes: u64,
    /// Numbers of the first and the last record removed.
    pub first: u64,
    pub through: u64,
    /// Hash of the last record removed.
    pub head: String,
    paths: Vec<PathBuf>,
}

/// Choose what goes from the log in `directory`, and check that it is whole: damage is evidence.
///
/// # Errors
/// A record that would go is damaged, or the log cannot be read.
pub fn plan(directory: &Path, retention: Retention) -> Result<Pruned, AuditError> {
    let fault = |error| AuditError::Io(directory.to_owned(), error);
    let segments = segment::list(directory).map_err(fault)?;
    let mut total = 0;
    let mut sizes = Vec::with_capacity(segments.len());
    for (position, (_, path)) in segments.iter().enumerate() {
        let size = if position + 1 == segments.len() {
            // More is reserved for the one in use than it holds.
            let bytes = read(path)?;
            let used = bytes.iter().rposition(|byte| *byte != 0);
            used.map_or(0, |last| last as u64 + 1)
        } else {
            std::fs::metadata(path).map_err(fault)?.len()
        };
        total += size;
        sizes.push(size);
    }
    let since = retention.since.map(Clock::text);
    let mut pruned = Pruned::default();
    let mut chain = match segments.first() {
        Some((1, _)) => Chain {
            sequence: 0,
            head: Some(GENESIS),
        },
        first => Chain {
            sequence: first.map_or(0, |(first, _)| first - 1),
            head: None,
        },
    };
    for (pair, size) in segments.windows(2).zip(&sizes) {
        let [(first, path), (_, next)] = pair else {
            unreachable!("windows of two");
        };
        let too_much = retention.bytes.is_some_and(|bytes| total > bytes);
        let too_old = match &since {
            Some(since) => first_time(next)?.is_some_and(|time| time <= *since),
            None => false,
        };
        if !too_much && !too_old {
            break;
        }
        let (_, broken) = follow(&read(path)?, &mut chain, |_, _| {});
        if let Some(broken) = broken {
            return Err(AuditError::Corrupt {
                segment: path.clone(),
                offset: broken.offset,
                sequence: chain.sequence + 1,
                reason: broken.reason,
            });
        }
        if pruned.segments == 0 {
            pruned.first = *first;
        }
        pruned.segments += 1;
        pruned.bytes += size;
        pruned.paths.push(path.clone());
        total -= size;
    }
    pruned.through = chain.sequence;
    pruned.head = chain.head.as_ref().map(hex).unwrap_or_default();
    Ok(pruned)
}

/// The time of the first record of a segment, `None` where it has none yet.
fn first_time(path: &Path) -> Result<Option<String>, AuditError> {
    let bytes = read(path)?;
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let row: Option<super::chain::Row<'_>> = serde_json::from_slice(&bytes[..end]).ok();
    Ok(row.map(|row| row.time.into_owned()))
}

impl AuditLog {
    /// Remove what `retention` does not keep; `None` when that is nothing.
    ///
    /// # Errors
    /// What would go is damaged; the log is closed; the disk failed.
    pub fn prune(&self, retention: Retention) -> Result<Option<Pruned>, AuditError> {
        if self.is_forked() {
            return Err(AuditError::Forked);
        }
        let pruned = plan(self.directory(), retention)?;
        if pruned.segments == 0 {
            return Ok(None);
        }
        let sequence = super::lock(&self.shared.writer).note_pruning(&pruned)?;
        self.wait_durable(sequence)?;
        if self.shared.options.key.is_some() {
            self.checkpoint()?;
        }
        // From the oldest on, so that a kill in between leaves no hole.
        for path in &pruned.paths {
            std::fs::remove_file(path).map_err(|error| AuditError::Io(path.clone(), error))?;
        }
        File::open(self.directory())
            .and_then(|directory| directory.sync_all())
            .map_err(|error| AuditError::Io(self.directory().to_owned(), error))?;
        Ok(Some(pruned))
    }
}
