//! Calls that were kept, made again: on the live revision, and on one that is to take its place.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::again::{self, Asked, Seen};
use super::attempt::{self, Tried, common_exports};
use super::copies::Digest;
use super::line::Line;
use super::recording::{Recorded, Recording, What};
use super::replay_text::{answer_text, arguments_text, seen_text, shortened, uri_text};
use crate::error::Error;
use crate::storage::{Base, Namespace};
use crate::value::Value;

/// Differences that are told in full.
const MOST_TOLD: usize = 5;
/// What came of making calls again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Answered alike by both.
    pub same: u64,
    /// Answered otherwise by the new revision, or not at all, where the live one answers as it did.
    pub different: u64,
    /// Answered otherwise by both: by the live one itself than when the call was kept.
    pub unrepeatable: u64,
    /// Not made, or not to the end: the function is not there or another, too much was written, or there was no time.
    pub left_out: u64,
    /// The first calls that were answered otherwise.
    pub first: Vec<Difference>,
}

/// A call that the new revision answers otherwise, in shortened text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path of the function, or the method of a request.
    pub function: String,
    /// As WAVE; of a request, the path and the query.
    pub arguments: String,
    /// What the live revision answers.
    pub expected: String,
    /// What the new one does: an answer, or why there is none.
    pub got: String,
}

enum Verdict {
    Same,
    Different(Difference),
    Unrepeatable,
    LeftOut,
}

/// Make the calls of `recording` again on both lines, which have no effects, one after another until `until`, but those
/// of functions, and the requests for paths, that are `ignored`. Each finds in `storage` what is there now, and what it writes is thrown away.
pub async fn replay(
    recording: &Recording,
    control: &Arc<Line>,
    candidate: &Arc<Line>,
    storage: Option<&Namespace>,
    ignored: &[String],
    until: Instant,
) -> Replayed {
    let exports = common_exports(&control.component, &candidate.component);
    let mut replayed = Replayed::default();
    for call in recording.calls() {
        let name = match &call.what {
            What::Call { function, .. } => function,
            What::Request(asked) => asked.head.uri.path(),
        };
        if ignored.iter().any(|path| path == name) {
            continue;
        }
        let again = again(&call, [control, candidate], &exports, storage);
        match timeout_at(until, again).await.unwrap_or(Verdict::LeftOut) {
            Verdict::Same => replayed.same += 1,
            Verdict::Unrepeatable => replayed.unrepeatable += 1,
            Verdict::LeftOut => replayed.left_out += 1,
            Verdict::Different(difference) => {
                replayed.different += 1;
                if replayed.first.len() < MOST_TOLD {
                    replayed.first.push(difference);
                }
            }
        }
    }
    replayed
}

async fn again(
    call: &Recorded,
    lines: [&Arc<Line>; 2],
    exports: &[Option<usize>],
    storage: Option<&Namespace>,
) -> Verdict {
    let base = match storage.map(Namespace::hold) {
        None => None,
        Some(Ok(Some(base))) => Some(base),
        Some(_) => return Verdict::LeftOut,
    };
    let base = base.as_ref();
    match &call.what {
        What::Request(asked) => request(call, asked, lines, base).await,
        What::Call {
            function,
            shape,
            arguments,
        } => {
            let [control, candidate] = lines;
            let Ok(export) = control.component.export(function) else {
                return Verdict::LeftOut;
            };
            let ty = &control.component.exports[export].ty;
            // It may have been kept of an earlier revision.
            let fits = ty.shape().is_some_and(|now| *now == **shape);
            let Some(other) = exports[export].filter(|_| fits) else {
                return Verdict::LeftOut;
            };
            let make = |line, export| attempt::call(line, export, arguments.clone(), base);
            let verdict = compare(
                call,
                control.number,
                || make(control, export),
                || make(candidate, other),
                |answer| Value::digest(answer.as_ref()),
            );
            verdict.await.tell(|expected, got| {
                let component = &control.component;
                Difference {
                    function: function.to_string(),
                    arguments: arguments_text(component, ty, arguments),
                    expected: answer_text(component, ty, expected),
                    got: match got {
                        Ok(answer) => answer_text(&candidate.component, ty, answer),
                        Err(error) => shortened(error.to_string()),
                    },
                }
            })
        }
    }
}

async fn request(
    call: &Recorded,
    asked: &Asked,
    [control, candidate]: [&Arc<Line>; 2],
    base: Option<&Arc<Base>>,
) -> Verdict {
    if ![control, candidate]
        .iter()
        .all(|line| line.component.handles_http())
    {
        return Verdict::LeftOut;
    }
    let verdict = compare(
        call,
        control.number,
        || again::request(control, asked, base),
        || again::request(candidate, asked, base),
        |seen: &Seen| seen.digest,
    );
    verdict.await.tell(|expected, got| Difference {
        function: asked.head.method.to_string(),
        arguments: shortened(uri_text(&asked.head.uri)),
        got: match &got {
            Ok(got) => seen_text(got, &expected),
            Err(error) => shortened(error.to_string()),
        },
        expected: match &got {
            Ok(got) => seen_text(&expected, got),
            Err(_) => seen_text(&expected, &expected),
        },
    })
}

/// What making a call on both revisions came to; where they differ, what both answered.
enum Compared<T> {
    Different(T, Result<T, Error>),
    Other(Verdict),
}

impl<T> Compared<T> {
    fn tell(self, difference: impl FnOnce(T, Result<T, Error>) -> Difference) -> Verdict {
        match self {
            Self::Different(expected, got) => Verdict::Different(difference(expected, got)),
            Self::Other(verdict) => verdict,
        }
    }
}

async fn compare<T, A: Future<Output = Tried<T>>, B: Future<Output = Tried<T>>>(
    call: &Recorded,
    live: u64,
    on_live: impl Fn() -> A,
    on_new: impl FnOnce() -> B,
    digest: impl Fn(&T) -> Digest,
) -> Compared<T> {
    let Tried::Came {
        result: expected, ..
    } = on_live().await
    else {
        return Compared::Other(Verdict::LeftOut);
    };
    let Tried::Came { result: got, .. } = on_new().await else {
        return Compared::Other(Verdict::LeftOut);
    };
    let Ok(expected) = expected else {
        // It was answered when it was kept.
        return Compared::Other(Verdict::Unrepeatable);
    };
    let print = digest(&expected);
    let same = |answer: &Result<T, Error>| matches!(answer, Ok(answer) if digest(answer) == print);
    if same(&got) {
        return Compared::Other(Verdict::Same);
    }
    let repeats = if call.revision == live {
        print == call.answer
    } else {
        // What it was answered then says nothing of the revision that is live now.
        matches!(on_live().await, Tried::Came { result, .. } if same(&result))
    };
    if repeats {
        Compared::Different(expected, got)
    } else {
        Compared::Other(Verdict::Unrepeatable)
    }
}
