//! What guests that are no actors log and print: lines on their way to whoever keeps them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::error::Error;
use crate::instance::now_nanos;
use crate::plane::Outputs;
use crate::plane::clock::Clock;
use crate::quota::Account;
use crate::services::{Identity, Service, Services};

/// A line that is not ended after so many bytes is cut.
const LINE: usize = 16 << 10;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Nanoseconds since 1970.
    pub at: u64,
    pub deployment: Arc<str>,
    pub revision: u64,
    /// `trace`, `debug`, `info`, `warning` or `error`.
    pub level: &'static str,
    /// `log`, `stdout` or `stderr`.
    pub stream: &'static str,
    pub message: String,
    pub fields: Vec<(String, String)>,
    /// Lines before this one that were dropped, because they came too fast or nobody took them.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    lost: u64,
    closed: bool,
}

/// A bounded queue of lines. A guest never waits for it: what finds no room is dropped and counted.
#[derive(Debug)]
pub struct GuestLog {
    queue: Mutex<Queue>,
    arrived: Condvar,
    most: usize,
}

impl GuestLog {
    /// A queue of at most `most` lines.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            most,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, mut line: Line) {
        let mut queue = self.queue();
        if queue.lines.len() >= self.most {
            queue.lost += 1 + line.lost;
            return;
        }
        line.lost += std::mem::take(&mut queue.lost);
        queue.lines.push_back(line);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Block until there are lines, or the queue is closed; whether it is open.
    pub fn wait(&self) -> bool {
        let mut queue = self.queue();
        while queue.lines.is_empty() && !queue.closed {
            queue = self
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !queue.closed
    }

    /// The lines that wait, oldest first.
    pub fn take(&self) -> VecDeque<Line> {
        std::mem::take(&mut self.queue().lines)
    }

    /// Let whoever waits go. Lines are still taken.
    pub fn close(&self) {
        self.queue().closed = true;
        self.arrived.notify_all();
    }
}

/// Writes the lines of one revision's instances.
#[derive(Clone, Debug)]
pub struct LogWriter {
    pub log: Arc<GuestLog>,
    pub deployment: Arc<str>,
    pub revision: u64,
}

impl LogWriter {
    /// Write a line, unless the deployment has written too many.
    pub(crate) fn write(
        &self,
        account: Option<&Account>,
        stream: &'static str,
        level: &'static str,
        text: impl FnOnce() -> (String, Vec<(String, String)>),
    ) {
        let lost = match account {
            Some(account) => match account.admit_log_line(now_nanos) {
                Some(lost) => lost,
                None => return,
            },
            None => 0,
        };
        let (message, fields) = text();
        self.log.add(Line {
            at: Clock::new(false).wall(),
            deployment: self.deployment.clone(),
            revision: self.revision,
            level,
            stream,
            message,
            fields,
            lost,
        });
    }

    /// Where the standard output and error of one instance go.
    #[must_use]
    pub fn outputs(&self, account: Option<&Arc<Account>>) -> Outputs {
        let stream = |stream, level| {
            let printed = Printed {
                writer: self.clone(),
                account: account.cloned(),
                stream,
                level,
                begun: Mutex::default(),
            };
            Arc::new(move |bytes: Bytes| printed.write(&bytes))
        };
        Outputs {
            stdout: stream("stdout", "info"),
            stderr: stream("stderr", "warning"),
        }
    }
}

impl Service for LogWriter {
    fn attach(&self, _: &Identity, services: &mut Services) -> Result<(), Error> {
        services.insert(self.clone());
        Ok(())
    }
}

/// Makes lines of what one instance writes to one stream; what has no end ends with the instance.
struct Printed {
    writer: LogWriter,
    account: Option<Arc<Account>>,
    stream: &'static str,
    level: &'static str,
    begun: Mutex<Vec<u8>>,
}

impl Printed {
    fn write(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(part);
            if part.ends_with(b"\n") || begun.len() > LINE {
                self.line(&begun);
                begun.clear();
            }
        }
    }

    fn line(&self, bytes: &[u8]) {
        let account = self.account.as_deref();
        self.writer.write(account, self.stream, self.level, || {
            let line = String::from_utf8_lossy(bytes);
            (line.trim_end_matches(['\r', '\n']).to_owned(), Vec::new())
        });
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        let begun = self.begun.get_mut().unwrap_or_else(PoisonError::into_inner);
        let begun = std::mem::take(begun);
        if !begun.is_empty() {
            self.line(&begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(most: usize) -> LogWriter {
        LogWriter {
            log: Arc::new(GuestLog::new(most)),
            deployment: "demo/guest".into(),
            revision: 3,
        }
    }

    fn messages(writer: &LogWriter) -> Vec<String> {
        let lines = writer.log.take().into_iter();
        lines.map(|line| line.message).collect()
    }

    #[test]
    fn lines_are_whole_and_the_last_ends_with_the_instance() {
        let writer = writer(10);
        let outputs = writer.outputs(None);
        (outputs.stdout)(Bytes::from_static(b"on"));
        (outputs.stdout)(Bytes::from_static(b"e\r\ntwo\nthr"));
        (outputs.stderr)(Bytes::from_static(b"apart\n"));
        assert_eq!(messages(&writer), ["one", "two", "apart"]);
        drop(outputs);
        assert_eq!(messages(&writer), ["thr"]);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let writer = writer(2);
        let outputs = writer.outputs(None);
        (outputs.stdout)(Bytes::from_static(b"1\n2\n3\n4\n"));
        assert_eq!(messages(&writer), ["1", "2"]);
        (outputs.stdout)(Bytes::from_static(b"5\n"));
        let lines = writer.log.take();
        assert_eq!((lines[0].message.as_str(), lines[0].lost), ("5", 2));
    }

    #[test]
    fn closing_wakes_who_waits_and_keeps_the_lines() {
        let writer = writer(2);
        let log = writer.log.clone();
        let waiting = std::thread::spawn(move || log.wait());
        writer.log.close();
        assert!(!waiting.join().expect("it does not panic"));
        (writer.outputs(None).stdout)(Bytes::from_static(b"late\n"));
        assert_eq!(messages(&writer), ["late"]);
    }
}
