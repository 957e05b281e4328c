//! The order of records: numbers, the chain, rotation.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::chain::{GENESIS, Row, TRUNCATION_ACKNOWLEDGED, hash_line};
use super::coalesce::{Coalescer, Series, key_of};
use super::line::{Clock, masked, push_hex, push_number, push_text, subject_part};
use super::prune::{PRUNED, Pruned};
use super::recovery::{Ending, Recovered, recover};
use super::segment::{Segment, name_of};
use super::{AuditError, Entry, Opened, Options};

/// A step of the wall clock against the time that has passed is itself recorded beyond this, in
/// microseconds. A machine that slept looks the same.
const CLOCK_STEP: u64 = 1_000_000;

#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    segment_bytes: usize,
    segment: Option<Segment>,
    spare: Option<Segment>,
    sequence: u64,
    head: [u8; 32],
    clock: Clock,
    /// Wall clock and passed time at the last record, in microseconds.
    last: Option<(u64, u64)>,
    line: Vec<u8>,
    masks: Vec<Vec<u8>>,
    coalescer: Coalescer,
    unsynced: Vec<Arc<File>>,
    directory_changed: bool,
    changed: bool,
    failed: Option<String>,
}

impl Writer {
    /// Recover what is in `directory` and go on behind it.
    pub fn open(directory: &Path, options: &Options) -> Result<(Writer, Opened), AuditError> {
        let (coalescer, pending) =
            Coalescer::open(&directory.join("repeats")).map_err(AuditError::Full)?;
        let recovered = recover(directory, options, &pending)?;
        let (path, used) = match &recovered.segment {
            Some((path, used)) => (path.clone(), *used),
            None => (directory.join(name_of(recovered.chain.sequence + 1)), 0),
        };
        let segment =
            Segment::open(&path, options.segment_bytes, used).map_err(AuditError::Full)?;
        let mut writer = Writer {
            directory: directory.to_owned(),
            segment_bytes: options.segment_bytes,
            segment: Some(segment),
            spare: None,
            sequence: recovered.chain.sequence,
            head: recovered.chain.head.unwrap_or(GENESIS),
            clock: Clock::default(),
            last: None,
            line: Vec::with_capacity(1024),
            masks: Vec::new(),
            coalescer,
            unsynced: Vec::new(),
            directory_changed: true,
            changed: true,
            failed: None,
        };
        writer.set_masks(&options.masks);
        writer.reserve()?;
        let coalesced_recovered = writer.note_recovery(&recovered, &pending, options.group)?;
        let opened = Opened {
            ending: recovered.ending,
            records: recovered.chain.sequence,
            quarantined: recovered.quarantined,
            coalesced_recovered,
            truncation_acknowledged: recovered.beyond.is_some(),
        };
        Ok((writer, opened))
    }

    fn note_recovery(
        &mut self,
        recovered: &Recovered,
        pending: &[(u64, u64)],
        group: u64,
    ) -> Result<u64, AuditError> {
        if let Some(beyond) = recovered.beyond {
            // Numbers of lost records are not given again.
            let detail = if beyond > self.sequence {
                let first = self.sequence + 1;
                format!("records {first} to {beyond} are missing or changed")
            } else {
                format!("records up to {beyond} are not those that were signed")
            };
            self.sequence = beyond;
            self.note(TRUNCATION_ACKNOWLEDGED, &detail)?;
        }
        let quarantined = match &recovered.quarantined {
            Some((path, bytes)) => format!("; {bytes} torn bytes moved to {}", path.display()),
            None => String::new(),
        };
        match recovered.ending {
            Ending::New => {}
            Ending::Closed if quarantined.is_empty() => {}
            Ending::Closed | Ending::Killed => {
                self.note(
                    "audit.recovered",
                    &format!("the process ended without closing; nothing lost{quarantined}"),
                )?;
            }
            Ending::MachineStopped => {
                self.note(
                    "audit.recovered",
                    &format!("the machine stopped; unknown-loss <= {group} records{quarantined}"),
                )?;
            }
        }
        let mut total = 0;
        for (first, count) in pending {
            if recovered.last_repeats != Some(*first) {
                let referred = recovered.referred.get(first);
                let row = referred.and_then(|line| serde_json::from_slice::<Row<'_>>(line).ok());
                let mut subject = Vec::new();
                let mut operation = b"audit.repeats".to_vec();
                if let Some(row) = row {
                    subject.extend_from_slice(b",\"principal\":");
                    push_text(&mut subject, row.principal.as_bytes());
                    operation = row.op.as_bytes().to_vec();
                }
                self.write_repeats(&subject, &operation, *first, *count)?;
                total += count;
            }
            self.coalescer.forget(*first);
        }
        Ok(total)
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn position(&self) -> (u64, [u8; 32]) {
        (self.sequence, self.head)
    }

    pub fn set_masks(&mut self, masks: &[String]) {
        // A mask that contains the replacement would be replaced for ever.
        self.masks = masks
            .iter()
            .filter(|mask| !mask.is_empty() && !"***".contains(mask.as_str()))
            .map(|mask| mask.as_bytes().to_vec())
            .collect();
    }

    /// Write `entry`; with `coalesce`, count it instead if it equals an open series.
    pub fn append(&mut self, entry: &Entry<'_>, coalesce: bool) -> Result<u64, AuditError> {
        if coalesce && let Some(subject) = entry.subject {
            self.usable()?;
            let operation = join(entry.operation);
            let key = key_of(subject, &operation, entry.target, entry.rule.as_bytes());
            if self.coalescer.count(&key) {
                return Ok(0);
            }
            if self.coalescer.is_full()
                && let Some(oldest) = self.coalescer.oldest(|_| true)
            {
                self.end(&oldest)?;
            }
            let sequence = self.write(entry)?;
            let part = subject.record_part(|| subject_part(subject)).to_vec();
            self.coalescer.begin(key, sequence, part, operation);
            return Ok(sequence);
        }
        self.write(entry)
    }

    fn write(&mut self, entry: &Entry<'_>) -> Result<u64, AuditError> {
        let mut line = self.start()?;
        if let Some(subject) = entry.subject {
            line.extend_from_slice(subject.record_part(|| subject_part(subject)));
        }
        line.extend_from_slice(b",\"op\":\"");
        line.extend_from_slice(entry.operation.0.as_bytes());
        line.push(b'.');
        line.extend_from_slice(entry.operation.1.as_bytes());
        line.push(b'"');
        self.push_masked(&mut line, b",\"target\":", entry.target);
        if let Some(requested) = entry.requested {
            self.push_masked(&mut line, b",\"requested\":", requested);
        }
        line.extend_from_slice(b",\"decision\":\"");
        line.extend_from_slice(entry.decision.as_bytes());
        line.push(b'"');
        if !entry.rule.is_empty() {
            line.extend_from_slice(b",\"rule\":");
            push_text(&mut line, entry.rule.as_bytes());
        }
        if !entry.enforcement.is_empty() {
            line.extend_from_slice(b",\"enforcement\":\"");
            line.extend_from_slice(entry.enforcement.as_bytes());
            line.push(b'"');
        }
        if let Some(detail) = entry.detail {
            self.push_masked(&mut line, b",\"detail\":", detail.as_bytes());
        }
        if let Some(approver) = entry.approved_by {
            line.extend_from_slice(b",\"approved_by\":");
            push_text(&mut line, approver.as_bytes());
        }
        if entry.alarm {
            line.extend_from_slice(b",\"alarm\":true");
        }
        self.finish(line)
    }

    fn push_masked(&self, line: &mut Vec<u8>, name: &[u8], text: &[u8]) {
        line.extend_from_slice(name);
        push_text(line, &masked(text, &self.masks));
    }

    /// A record of the log about itself.
    fn note(&mut self, operation: &str, detail: &str) -> Result<u64, AuditError> {
        let mut line = self.start()?;
        line.extend_from_slice(b",\"principal\":\"airssys\",\"op\":\"");
        line.extend_from_slice(operation.as_bytes());
        line.extend_from_slice(b"\",\"detail\":");
        push_text(&mut line, detail.as_bytes());
        self.finish(line)
    }

    /// Record what is about to be pruned.
    pub fn note_pruning(&mut self, pruned: &Pruned) -> Result<u64, AuditError> {
        let mut line = self.start()?;
        line.extend_from_slice(b",\"principal\":\"airssys\",\"op\":\"");
        line.extend_from_slice(PRUNED.as_bytes());
        line.extend_from_slice(b"\",\"detail\":");
        let detail = format!(
            "records {} to {} are removed, {} bytes in {} segments",
            pruned.first, pruned.through, pruned.bytes, pruned.segments
        );
        push_text(&mut line, detail.as_bytes());
        line.extend_from_slice(b",\"through\":");
        push_number(&mut line, pruned.through);
        line.extend_from_slice(b",\"head\":");
        push_text(&mut line, pruned.head.as_bytes());
        self.finish(line)
    }

    fn write_repeats(
        &mut self,
        subject: &[u8],
        operation: &[u8],
        first: u64,
        count: u64,
    ) -> Result<u64, AuditError> {
        let mut line = self.start()?;
        line.extend_from_slice(subject);
        line.extend_from_slice(b",\"op\":");
        push_text(&mut line, operation);
        line.extend_from_slice(b",\"repeats\":");
        push_number(&mut line, first);
        line.extend_from_slice(b",\"count\":");
        push_number(&mut line, count);
        self.finish(line)
    }

    /// Write the counts of the series that satisfy `due`, oldest first, and end them.
    pub fn end_series(&mut self, due: impl Fn(&Series) -> bool) -> Result<(), AuditError> {
        if self.coalescer.is_empty() {
            return Ok(());
        }
        while let Some(key) = self.coalescer.oldest(&due) {
            self.end(&key)?;
        }
        Ok(())
    }

    fn end(&mut self, key: &[u8]) -> Result<(), AuditError> {
        self.usable()?;
        if let Some(series) = self.coalescer.take(key) {
            if series.count > 0 {
                self.write_repeats(
                    &series.subject,
                    &series.operation,
                    series.first,
                    series.count,
                )?;
            }
            self.coalescer.release(&series);
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), AuditError> {
        match (&self.failed, &self.segment) {
            (Some(reason), _) => Err(AuditError::Failed(reason.clone())),
            (None, None) => Err(AuditError::Closed),
            (None, Some(_)) => Ok(()),
        }
    }

    fn start(&mut self) -> Result<Vec<u8>, AuditError> {
        self.usable()?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
            });
        let passed = passed();
        if let Some((before, then)) = self.last.replace((now, passed)) {
            let expected = before.saturating_add(passed - then);
            if now.abs_diff(expected) > CLOCK_STEP {
                let direction = if now < expected { "back" } else { "forward" };
                let seconds = (now.abs_diff(expected) + 500_000) / 1_000_000;
                self.note(
                    "audit.clock-step",
                    &format!("the wall clock went {direction} {seconds} s"),
                )?;
            }
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.extend_from_slice(b"{\"seq\":");
        push_number(&mut line, self.sequence + 1);
        line.extend_from_slice(b",\"time\":");
        self.clock.push(&mut line, now);
        Ok(line)
    }

    fn finish(&mut self, mut line: Vec<u8>) -> Result<u64, AuditError> {
        line.extend_from_slice(b",\"prev\":\"");
        push_hex(&mut line, &self.head);
        line.extend_from_slice(b"\"}\n");
        let written = self.put(&line);
        if written.is_ok() {
            self.head = hash_line(&line[..line.len() - 1]);
            self.sequence += 1;
            self.changed = true;
        }
        self.line = line;
        written.map(|()| self.sequence)
    }

    fn put(&mut self, line: &[u8]) -> Result<(), AuditError> {
        let segment = self.segment.as_mut().ok_or(AuditError::Closed)?;
        if segment.has_room(line.len()) {
            segment.append(line);
            return Ok(());
        }
        self.rotate()?;
        self.segment
            .as_mut()
            .ok_or(AuditError::Closed)?
            .append(line);
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), AuditError> {
        self.reserve()?;
        let mut next = self.spare.take().ok_or(AuditError::Closed)?;
        let path = self.directory.join(name_of(self.sequence + 1));
        if let Err(error) = std::fs::rename(&next.path, &path) {
            self.spare = Some(next);
            return Err(AuditError::Full(error));
        }
        next.path = path;
        self.directory_changed = true;
        if let Some(full) = self.segment.replace(next) {
            let path = full.path.clone();
            self.unsynced
                .push(full.seal().map_err(|error| AuditError::Io(path, error))?);
        }
        Ok(())
    }

    /// Have the next segment ready, so that a disk that fills up is noticed a segment early.
    pub fn reserve(&mut self) -> Result<(), AuditError> {
        if self.spare.is_none() && self.segment.is_some() {
            let path = self.directory.join("spare");
            self.spare =
                Some(Segment::open(&path, self.segment_bytes, 0).map_err(AuditError::Full)?);
            self.directory_changed = true;
        }
        Ok(())
    }

    /// What must be synced for the records so far to be durable; `None` when nothing changed.
    pub fn take_unsynced(&mut self) -> Option<(u64, Vec<Arc<File>>, bool)> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut files = std::mem::take(&mut self.unsynced);
        files.extend(
            self.segment
                .as_ref()
                .map(|segment| Arc::clone(&segment.file)),
        );
        Some((
            self.sequence,
            files,
            std::mem::take(&mut self.directory_changed),
        ))
    }

    /// Fail where the segment in use is not the one that readers find.
    pub fn check_place(&mut self) -> io::Result<()> {
        let Some(segment) = &self.segment else {
            return Ok(());
        };
        segment
            .check_place()
            .inspect_err(|error| self.failed = Some(error.to_string()))
    }

    pub fn fail(&mut self, error: &io::Error) {
        self.failed = Some(error.to_string());
    }

    pub fn close(&mut self) -> Result<(), AuditError> {
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let path = segment.path.clone();
        let fault = |error| AuditError::Io(path.clone(), error);
        segment
            .seal()
            .and_then(|file| file.sync_all())
            .map_err(fault)?;
        if let Some(spare) = self.spare.take() {
            std::fs::remove_file(&spare.path).map_err(fault)?;
        }
        Ok(())
    }
}

/// The time that has passed, in microseconds. It is compared with [`CLOCK_STEP`], for which the coarse clock will do.
fn passed() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::MonotonicCoarse);
    tv_sec.unsigned_abs() * 1_000_000 + tv_nsec.unsigned_abs() / 1000
}

fn join((kind, access): (&str, &str)) -> Vec<u8> {
    let mut joined = Vec::with_capacity(kind.len() + access.len() + 1);
    joined.extend_from_slice(kind.as_bytes());
    joined.push(b'.');
    joined.extend_from_slice(access.as_bytes());
    joined
}
