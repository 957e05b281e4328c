//! Calls that are kept, to be made again on another revision before it goes live.
//!
//! Kept in memory, the latest ones, within bounds. A deployment that records nothing pays one comparison for each call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::attempt::belongs_to_instance;
use super::line::Line;
use super::trial::{Draws, Weight};
use crate::value::Value;

/// What is counted of each call beside the bytes of its arguments.
const EACH: usize = 256;

/// The calls of a deployment that are kept.
#[derive(Debug)]
pub struct Recording {
    /// Of the calls, those that are kept.
    share: Weight,
    most_calls: usize,
    most_bytes: usize,
    draws: Draws,
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
    /// The path of the function.
    pub function: Box<str>,
    /// What it takes and gives.
    pub shape: Box<str>,
    /// The revision that answered.
    pub revision: u64,
    pub arguments: Vec<Value>,
    /// Of the answer.
    pub answer: [u8; blake3::OUT_LEN],
    bytes: usize,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub calls: u64,
    pub bytes: u64,
    /// Calls that could not be kept: too large, or with what belongs to one instance.
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
        })
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
            None => {
                self.recording.left_out.fetch_add(1, Ordering::Relaxed);
            }
            Some(shape) => {
                self.call = Some(Recorded {
                    function: function.path().into(),
                    shape: shape.into(),
                    revision: line.number,
                    arguments: arguments.to_vec(),
                    answer: [0; blake3::OUT_LEN],
                    bytes,
                });
            }
        }
    }

    /// What it was answered.
    pub fn answered(self, answer: Option<&Value>) {
        if let Some(call) = self.call {
            self.recording.keep(Recorded {
                answer: Value::digest(answer),
                ..call
            });
        }
    }
}
