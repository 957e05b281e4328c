//! Calls that are kept, to be made again on another revision before it goes live.
//!
//! Kept in memory, the latest ones, within bounds. A deployment that records nothing pays one comparison for each call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::again::Asked;
use super::attempt::belongs_to_instance;
use super::copies::Digest;
use super::line::Line;
use super::trial::{Draws, Weight};
use crate::value::Value;

/// What is counted of each call beside the bytes of its arguments, or of the request.
const EACH: usize = 256;
/// Requests that are overheard at once; what of their bodies is held is bounded by it.
const MOST_OVERHEARD: usize = 32;

/// The calls of a deployment that are kept.
#[derive(Debug)]
pub struct Recording {
    /// Of the calls, those that are kept.
    share: Weight,
    most_calls: usize,
    most_bytes: usize,
    draws: Draws,
    room: AtomicUsize,
    kept: Mutex<Kept>,
    left_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    calls: VecDeque<Arc<Recorded>>,
    bytes: usize,
}

/// A call that was answered.
#[derive(Debug)]
pub(super) struct Recorded {
    pub what: What,
    /// The revision that answered.
    pub revision: u64,
    /// Of the answer.
    pub answer: Digest,
    bytes: usize,
}

#[derive(Debug)]
pub(super) enum What {
    Call {
        /// The path of the function.
        function: Box<str>,
        /// What it takes and gives.
        shape: Box<str>,
        arguments: Vec<Value>,
    },
    Request(Box<Asked>),
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub calls: u64,
    pub bytes: u64,
    /// Calls that could not be kept: too large, not whole, too many requests at once, or with what belongs to one
    /// instance.
    pub left_out: u64,
}

impl Recording {
    /// Keep the share `share` of the calls, at most so many and so many bytes of their arguments: the latest.
    #[must_use]
    pub fn new(share: Weight, most_calls: usize, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            share,
            most_calls,
            most_bytes,
            draws: Draws::default(),
            room: AtomicUsize::new(MOST_OVERHEARD),
            kept: Mutex::default(),
            left_out: AtomicU64::new(0),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn holds(&self) -> Holds {
        let kept = self.kept();
        Holds {
            calls: kept.calls.len() as u64,
            bytes: kept.bytes as u64,
            left_out: self.left_out.load(Ordering::Relaxed),
        }
    }

    /// The calls that are kept now, the earliest first.
    pub(super) fn calls(&self) -> Vec<Arc<Recorded>> {
        self.kept().calls.iter().cloned().collect()
    }

    /// Decide whether a call is kept.
    pub(super) fn draw(self: &Arc<Self>) -> Option<Record> {
        self.draws.draw_below(self.share).then(|| Record {
            recording: self.clone(),
            call: None,
            holds_room: false,
            revision: 0,
        })
    }

    fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    fn keep(&self, recorded: Recorded) {
        let mut kept = self.kept();
        kept.bytes += recorded.bytes;
        kept.calls.push_back(Arc::new(recorded));
        while kept.calls.len() > self.most_calls || kept.bytes > self.most_bytes {
            let Some(earliest) = kept.calls.pop_front() else {
                break;
            };
            kept.bytes -= earliest.bytes;
        }
    }
}

/// A call that is to be kept, once it is answered.
#[derive(Debug)]
pub(super) struct Record {
    recording: Arc<Recording>,
    call: Option<Recorded>,
    /// Whether it counts among the requests that are overheard.
    holds_room: bool,
    /// Which revision answers a request.
    revision: u64,
}

impl Record {
    /// The call that is made.
    pub fn keep(&mut self, line: &Line, export: usize, arguments: &[Value]) {
        let function = &line.component.exports[export];
        let bytes = EACH + arguments.iter().map(Value::weight).sum::<usize>();
        let shape = if function.ty.any(&belongs_to_instance) || bytes > self.recording.most_bytes {
            None
        } else {
            function.ty.shape()
        };
        match shape {
            None => self.leave_out(),
            Some(shape) => {
                self.call = Some(Recorded {
                    what: What::Call {
                        function: function.path().into(),
                        shape: shape.into(),
                        arguments: arguments.to_vec(),
                    },
                    revision: line.number,
                    answer: Digest::default(),
                    bytes,
                });
            }
        }
    }

    /// What it was answered.
    pub fn answered(mut self, answer: Option<&Value>) {
        if let Some(call) = self.call.take() {
            self.recording.keep(Recorded {
                answer: Value::digest(answer),
                ..call
            });
        }
    }

    /// Keep room for a request, where there is any; the revision `line` answers it.
    pub fn overhear(mut self, line: &Line) -> Option<Self> {
        let taken = self
            .recording
            .room
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| {
                room.checked_sub(1)
            });
        self.holds_room = taken.is_ok();
        if !self.holds_room {
            self.leave_out();
            return None;
        }
        self.revision = line.number;
        Some(self)
    }

    /// The most bytes that may be kept.
    pub fn most_bytes(&self) -> usize {
        self.recording.most_bytes
    }

    /// It is not kept in the end.
    pub fn leave_out(&self) {
        self.recording.leave_out();
    }

    /// A request that was answered whole.
    pub fn request(self, asked: Asked, answer: Digest) {
        let bytes = EACH + asked.weight();
        if bytes > self.recording.most_bytes {
            self.leave_out();
            return;
        }
        self.recording.keep(Recorded {
            what: What::Request(Box::new(asked)),
            revision: self.revision,
            answer,
            bytes,
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.holds_room {
            self.recording.room.fetch_add(1, Ordering::AcqRel);
        }
    }
}
