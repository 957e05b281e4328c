//! Calls that were kept, made again: on the live revision, and on one that is to take its place.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::attempt::{self, Tried, common_exports};
use super::line::Line;
use super::recording::{Recorded, Recording};
use crate::component::Component;
use crate::error::Error;
use crate::storage::Namespace;
use crate::value::{FuncType, Type, Value, wave};

/// Differences that are told in full.
const MOST_TOLD: usize = 5;
/// Characters of each of their texts.
const MOST_CHARACTERS: usize = 120;
/// What stands in the place of text that goes by the name of a secret.
const VEILED: &str = "***";
/// Parts of names whose values are not shown.
const SECRET_NAMES: [&str; 9] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "authorization",
    "api-key",
    "private-key",
];

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
    pub function: String,
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
/// of functions that are `ignored`. Each finds in `storage` what is there now, and what it writes is thrown away.
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
        if ignored.iter().any(|path| **path == *call.function) {
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
    [control, candidate]: [&Arc<Line>; 2],
    exports: &[Option<usize>],
    storage: Option<&Namespace>,
) -> Verdict {
    let Ok(export) = control.component.export(&call.function) else {
        return Verdict::LeftOut;
    };
    let ty = &control.component.exports[export].ty;
    // It may have been kept of an earlier revision.
    let fits = ty.shape().is_some_and(|shape| *shape == *call.shape);
    let Some(other) = exports[export].filter(|_| fits) else {
        return Verdict::LeftOut;
    };
    let base = match storage.map(Namespace::hold) {
        None => None,
        Some(Ok(Some(base))) => Some(base),
        Some(_) => return Verdict::LeftOut,
    };
    let make = |line, export| attempt::call(line, export, call.arguments.clone(), base.as_ref());
    let Tried::Came {
        result: expected, ..
    } = make(control, export).await
    else {
        return Verdict::LeftOut;
    };
    let Tried::Came { result: got, .. } = make(candidate, other).await else {
        return Verdict::LeftOut;
    };
    let Ok(expected) = expected else {
        // It was answered when it was kept.
        return Verdict::Unrepeatable;
    };
    let digest = Value::digest(expected.as_ref());
    let same = |answer: &Result<Option<Value>, Error>| matches!(answer, Ok(answer) if Value::digest(answer.as_ref()) == digest);
    if same(&got) {
        return Verdict::Same;
    }
    let repeats = if call.revision == control.number {
        digest == call.answer
    } else {
        // What it was answered then says nothing of the revision that is live now.
        matches!(make(control, export).await, Tried::Came { result, .. } if same(&result))
    };
    if !repeats {
        return Verdict::Unrepeatable;
    }
    let component = &control.component;
    Verdict::Different(Difference {
        function: call.function.to_string(),
        arguments: arguments_text(component, ty, &call.arguments),
        expected: answer_text(component, ty, expected),
        got: match got {
            Ok(answer) => answer_text(&candidate.component, ty, answer),
            Err(error) => shortened(error.to_string()),
        },
    })
}

fn arguments_text(component: &Component, ty: &FuncType, arguments: &[Value]) -> String {
    let written = ty.params.iter().zip(arguments).map(|(param, value)| {
        if is_secret(&param.name) {
            VEILED.to_owned()
        } else {
            text(component, &param.ty, value)
        }
    });
    shortened(written.collect::<Vec<_>>().join(", "))
}

fn answer_text(component: &Component, ty: &FuncType, answer: Option<Value>) -> String {
    match (&ty.result, answer) {
        (Some(ty), Some(value)) => shortened(text(component, ty, &value)),
        _ => "nothing".to_owned(),
    }
}

fn text(component: &Component, ty: &Type, value: &Value) -> String {
    let value = veiled(ty, value, false);
    wave::print(&component.native.engine, ty, value).unwrap_or_else(|_| format!("a {ty}"))
}

fn is_secret(name: &str) -> bool {
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// The value without the text and bytes of fields that go by the name of a secret, or of all of it.
fn veiled(ty: &Type, value: &Value, all: bool) -> Value {
    let inner = |ty: Option<&Type>, value: &Option<Box<Value>>| match (ty, value) {
        (Some(ty), Some(value)) => Some(Box::new(veiled(ty, value, all))),
        _ => value.clone(),
    };
    match (ty, value) {
        (_, Value::String(_)) if all => Value::String(VEILED.into()),
        (Type::List(_), Value::Bytes(_)) if all => Value::Bytes(bytes::Bytes::new()),
        (Type::List(ty) | Type::FixedList(ty, _), Value::List(values)) => {
            Value::List(values.iter().map(|value| veiled(ty, value, all)).collect())
        }
        (Type::Map(types), Value::Map(pairs)) => Value::Map(
            pairs
                .iter()
                .map(|(key, value)| {
                    let named = matches!(key, Value::String(name) if is_secret(name));
                    let key = veiled(&types.0, key, all);
                    (key, veiled(&types.1, value, all || named))
                })
                .collect(),
        ),
        (Type::Record(record), Value::Record(values)) => Value::Record(
            record
                .fields
                .iter()
                .zip(values)
                .map(|(field, value)| veiled(&field.ty, value, all || is_secret(&field.name)))
                .collect(),
        ),
        (Type::Tuple(types), Value::Record(values)) => Value::Record(
            types
                .iter()
                .zip(values)
                .map(|(ty, value)| veiled(ty, value, all))
                .collect(),
        ),
        (Type::Variant(variant), Value::Variant(case, value)) => {
            let ty = variant.cases.get(*case as usize);
            let named = ty.is_some_and(|ty| is_secret(&ty.name));
            match (ty.and_then(|ty| ty.ty.as_ref()), value) {
                (Some(ty), Some(value)) => {
                    Value::Variant(*case, Some(Box::new(veiled(ty, value, all || named))))
                }
                _ => Value::Variant(*case, value.clone()),
            }
        }
        (Type::Option(ty), Value::Option(value)) => Value::Option(inner(Some(ty), value)),
        (Type::Result(ty), Value::Result(Ok(value))) => {
            Value::Result(Ok(inner(ty.ok.as_ref(), value)))
        }
        (Type::Result(ty), Value::Result(Err(value))) => {
            Value::Result(Err(inner(ty.err.as_ref(), value)))
        }
        _ => value.clone(),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
