//! What a plane tells whoever supervises it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::failure::{Ending, Reason};
use super::mailbox::Envelope;

/// Where an actor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    Starting,
    Running,
    Suspended,
    Restarting,
    Stopping,
    Stopped,
}

impl Stage {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// A line that a guest wrote.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Counts the lines of the deployment.
    pub sequence: u64,
    /// Nanoseconds since 1970 by the plane's clock.
    pub time: u64,
    pub address: Arc<str>,
    pub incarnation: u64,
    /// `trace`, `debug`, `info`, `warning` or `error`.
    pub level: &'static str,
    /// `log`, `stdout` or `stderr`.
    pub stream: &'static str,
    pub message: String,
    pub fields: Vec<(String, String)>,
    pub trace: Option<Arc<str>>,
    /// Lines of the deployment before this one that were dropped because they came too fast.
    pub lost: u64,
}

/// Something that happened.
pub enum Event {
    Stage {
        address: Arc<str>,
        incarnation: u64,
        stage: Stage,
        previous: Stage,
    },
    /// An incarnation ended other than by a stop.
    Failed {
        address: Arc<str>,
        incarnation: u64,
        ending: Ending,
    },
    Dead {
        address: Arc<str>,
        incarnation: u64,
        reason: Reason,
        envelope: Arc<Envelope>,
        error: Option<String>,
    },
    Log(Arc<LogLine>),
    /// A message is about to be handled, or was: its actor waits for [`Cell::hook_done`].
    ///
    /// [`Cell::hook_done`]: super::Cell::hook_done
    Message {
        address: Arc<str>,
        incarnation: u64,
        token: u64,
        envelope: Arc<Envelope>,
        /// `handled`, or the reason of its dead letter; `None` before.
        outcome: Option<&'static str>,
    },
}

/// Told of everything that happens. Called on any thread, with none of the plane's locks held; must not wait.
pub trait Observer: Send + Sync + 'static {
    fn happened(&self, event: Event);
}

struct Ring {
    next: u64,
    lines: VecDeque<Arc<LogLine>>,
}

/// The last lines of each deployment.
pub(super) struct Logs {
    keep: usize,
    rings: Mutex<HashMap<Arc<str>, Ring>>,
}

impl Logs {
    pub fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            rings: Mutex::default(),
        }
    }

    /// Keep a line; its number is set here.
    pub fn add(&self, deployment: &Arc<str>, mut line: LogLine) -> Arc<LogLine> {
        let mut rings = self.rings.lock().expect("no code under this lock panics");
        let ring = rings.entry(deployment.clone()).or_insert_with(|| Ring {
            next: 1,
            lines: VecDeque::new(),
        });
        line.sequence = ring.next;
        ring.next += 1;
        if ring.lines.len() == self.keep {
            ring.lines.pop_front();
        }
        let line = Arc::new(line);
        ring.lines.push_back(line.clone());
        line
    }

    /// The lines of `deployment` after number `since`.
    pub fn since(&self, deployment: &str, since: u64) -> Vec<Arc<LogLine>> {
        let rings = self.rings.lock().expect("no code under this lock panics");
        rings.get(deployment).map_or_else(Vec::new, |ring| {
            ring.lines
                .iter()
                .filter(|line| line.sequence > since)
                .cloned()
                .collect()
        })
    }
}
