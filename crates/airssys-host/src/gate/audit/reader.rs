//! Searching and following a log, from any process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::AuditError;
use super::chain::Row;
use super::line::Clock;
use super::segment;

/// Which records are wanted. All that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only records with greater numbers.
    pub after: u64,
    pub principal: Option<String>,
    /// The whole name, or what stands before its dot.
    pub operation: Option<String>,
    /// A part of the target.
    pub target: Option<String>,
    pub decision: Option<String>,
    pub rule: Option<String>,
    /// Seconds since 1970, by the wall clock of the writer.
    pub since: Option<f64>,
    pub until: Option<f64>,
}

/// A place in a log that moves on as records are read.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    filter: Filter,
    since: Option<String>,
    until: Option<String>,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    first: u64,
    file: File,
    /// Where the unread part of the file begins, and what was read of it.
    offset: u64,
    buffer: Vec<u8>,
    taken: usize,
}

const CHUNK: usize = 256 << 10;

impl Reader {
    /// Begin at the first record that `filter` may want.
    pub fn new(directory: &Path, filter: Filter) -> Reader {
        let text = |seconds: Option<f64>| seconds.map(Clock::text);
        Reader {
            directory: directory.to_owned(),
            since: text(filter.since),
            until: text(filter.until),
            filter,
            current: None,
        }
    }

    /// The next records, at most `limit`, without their line ends. Waits up to `timeout` for the first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(&mut self, limit: usize, timeout: Duration) -> Result<Vec<Vec<u8>>, AuditError> {
        let deadline = Instant::now() + timeout;
        let mut lines = Vec::new();
        loop {
            self.collect(limit, &mut lines)
                .map_err(|error| AuditError::Io(self.directory.clone(), error))?;
            let remaining = deadline.saturating_duration_since(Instant::now());
            if !lines.is_empty() || remaining.is_zero() {
                return Ok(lines);
            }
            // The kernel reports no writes into a mapping, so following means looking.
            std::thread::sleep(remaining.min(Duration::from_millis(20)));
        }
    }

    fn collect(&mut self, limit: usize, lines: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
        while lines.len() < limit {
            if self.current.is_none() && !self.advance()? {
                return Ok(());
            }
            let Some(current) = self.current.as_mut() else {
                return Ok(());
            };
            match current.next_line()? {
                Some(range) => {
                    let line = &current.buffer[range];
                    if wanted(
                        line,
                        &self.filter,
                        self.since.as_deref(),
                        self.until.as_deref(),
                    ) {
                        lines.push(line.to_vec());
                    }
                }
                None if !self.advance()? => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// Go to the segment after the present one, once that has nothing more; `false` when there is none.
    fn advance(&mut self) -> std::io::Result<bool> {
        let segments = segment::list(&self.directory)?;
        let next = match &self.current {
            Some(current) => segments
                .iter()
                .position(|(first, _)| *first > current.first),
            None => segments
                .iter()
                .rposition(|(first, _)| *first <= self.filter.after + 1)
                .or((!segments.is_empty()).then_some(0)),
        };
        let Some((first, path)) = next.map(|next| &segments[next]) else {
            return Ok(false);
        };
        // The next segment exists, so the present one is complete: look once more before leaving it.
        if let Some(current) = self.current.as_mut()
            && current.has_more()?
        {
            return Ok(true);
        }
        self.current = Some(Current {
            first: *first,
            file: File::open(path)?,
            offset: 0,
            buffer: Vec::new(),
            taken: 0,
        });
        Ok(true)
    }
}

impl Current {
    fn has_more(&mut self) -> std::io::Result<bool> {
        let Some(range) = self.next_line()? else {
            return Ok(false);
        };
        self.taken = range.start;
        Ok(true)
    }

    /// Where the next whole line stands in the buffer.
    fn next_line(&mut self) -> std::io::Result<Option<std::ops::Range<usize>>> {
        loop {
            let rest = &self.buffer[self.taken..];
            if rest.first() == Some(&0) {
                // Not written when it was read; read again from here.
                self.buffer.truncate(self.taken);
            } else if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let range = self.taken..self.taken + length;
                self.taken += length + 1;
                return Ok(Some(range));
            }
            let start = self.offset + self.taken as u64;
            let had = self.buffer.len() - self.taken;
            let mut chunk = vec![0; CHUNK];
            let read = self.file.read_at(&mut chunk, start)?;
            chunk.truncate(read);
            let grown = chunk.len() > had && chunk.first().is_some_and(|byte| *byte != 0);
            self.buffer = chunk;
            self.offset = start;
            self.taken = 0;
            if !grown || !self.buffer.contains(&b'\n') {
                self.buffer.clear();
                return Ok(None);
            }
        }
    }
}

fn wanted(line: &[u8], filter: &Filter, since: Option<&str>, until: Option<&str>) -> bool {
    let Ok(row) = serde_json::from_slice::<Row<'_>>(line) else {
        // A damaged line is for `verify` to report; a search that hid it would be worse.
        return true;
    };
    let equals = |wanted: &Option<String>, found: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted == found)
    };
    row.seq > filter.after
        && equals(&filter.principal, &row.principal)
        && equals(&filter.decision, &row.decision)
        && equals(&filter.rule, &row.rule)
        && filter.operation.as_deref().is_none_or(|wanted| {
            row.op
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        && filter
            .target
            .as_deref()
            .is_none_or(|part| row.target.contains(part))
        && since.is_none_or(|since| &*row.time >= since)
        && until.is_none_or(|until| &*row.time <= until)
}
