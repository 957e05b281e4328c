//! Counts of identical denials, kept in a shared mapping so that they survive the process.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::segment::Segment;
use crate::gate::subject::Subject;

const SLOTS: usize = 64;
/// Sequence number of the first denial of the series, then how many followed without a record.
const SLOT_BYTES: usize = 16;

/// A series of denials that equal one that was recorded.
#[derive(Debug)]
pub struct Series {
    pub first: u64,
    pub count: u64,
    pub subject: Vec<u8>,
    pub operation: Vec<u8>,
    pub started: Instant,
    slot: usize,
}

/// The series that are open, and their counts in the file.
#[derive(Debug)]
pub struct Coalescer {
    open: HashMap<Vec<u8>, Series>,
    free: Vec<usize>,
    slots: Segment,
}

impl Coalescer {
    /// Open the file of counts; also returns what an earlier process left there: `(first, count)`.
    ///
    /// # Errors
    /// The file cannot be opened, reserved or mapped.
    pub fn open(path: &Path) -> io::Result<(Coalescer, Vec<(u64, u64)>)> {
        let slots = Segment::open(path, SLOTS * SLOT_BYTES, 0)?;
        let coalescer = Coalescer {
            open: HashMap::new(),
            free: (0..SLOTS).rev().collect(),
            slots,
        };
        let mut left = Vec::new();
        for slot in 0..SLOTS {
            let (first, count) = (
                coalescer.slots.word(slot * 2),
                coalescer.slots.word(slot * 2 + 1),
            );
            if first != 0 && count != 0 {
                left.push((first, count));
            }
        }
        left.sort_unstable();
        Ok((coalescer, left))
    }

    /// Forget what an earlier process left, after it was recorded.
    pub fn forget(&mut self, first: u64) {
        for slot in 0..SLOTS {
            if self.slots.word(slot * 2) == first {
                self.slots.set_word(slot * 2 + 1, 0);
                self.slots.set_word(slot * 2, 0);
            }
        }
    }

    /// Count one more denial of a series; `false` when there is no such series.
    pub fn count(&mut self, key: &[u8]) -> bool {
        let Some(series) = self.open.get_mut(key) else {
            return false;
        };
        series.count += 1;
        self.slots.set_word(series.slot * 2 + 1, series.count);
        true
    }

    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begin a series with the denial that was recorded as `first`.
    pub fn begin(&mut self, key: Vec<u8>, first: u64, subject: Vec<u8>, operation: Vec<u8>) {
        let Some(slot) = self.free.pop() else {
            return;
        };
        self.slots.set_word(slot * 2 + 1, 0);
        self.slots.set_word(slot * 2, first);
        let started = Instant::now();
        self.open.insert(
            key,
            Series {
                first,
                count: 0,
                subject,
                operation,
                started,
                slot,
            },
        );
    }

    /// The key of the oldest open series, if it satisfies `condition`.
    pub fn oldest(&self, condition: impl Fn(&Series) -> bool) -> Option<Vec<u8>> {
        let (key, series) = self.open.iter().min_by_key(|(_, series)| series.first)?;
        condition(series).then(|| key.clone())
    }

    /// End a series whose count is about to be recorded. Call [`Self::release`] once it is.
    pub fn take(&mut self, key: &[u8]) -> Option<Series> {
        self.open.remove(key)
    }

    pub fn release(&mut self, series: &Series) {
        self.slots.set_word(series.slot * 2 + 1, 0);
        self.slots.set_word(series.slot * 2, 0);
        self.free.push(series.slot);
    }
}

/// What makes two denials identical.
pub fn key_of(subject: &Subject, operation: &[u8], target: &[u8], rule: &[u8]) -> Vec<u8> {
    let mut key =
        Vec::with_capacity(subject.name.len() + operation.len() + target.len() + rule.len() + 3);
    for part in [subject.name.as_bytes(), operation, target, rule] {
        key.extend_from_slice(part);
        key.push(0);
    }
    key
}
