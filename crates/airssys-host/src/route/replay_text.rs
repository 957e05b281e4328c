//! What a replay tells of a call that is answered otherwise: short, and without secrets.

use std::fmt::Write as _;

use http::Uri;

use super::again::Seen;
use crate::component::Component;
use crate::value::{FuncType, Type, Value, wave};

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

pub(super) fn arguments_text(component: &Component, ty: &FuncType, arguments: &[Value]) -> String {
    let written = ty.params.iter().zip(arguments).map(|(param, value)| {
        if is_secret(&param.name) {
            VEILED.to_owned()
        } else {
            text(component, &param.ty, value)
        }
    });
    shortened(written.collect::<Vec<_>>().join(", "))
}

pub(super) fn answer_text(component: &Component, ty: &FuncType, answer: Option<Value>) -> String {
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

pub(super) fn shortened(text: String) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The path and the query, without the values of parameters that go by the name of a secret.
pub(super) fn uri_text(uri: &Uri) -> String {
    let Some(query) = uri.query() else {
        return uri.path().to_owned();
    };
    let shown = query.split('&').map(|each| match each.split_once('=') {
        Some((name, _)) if is_secret(&name.to_ascii_lowercase()) => format!("{name}={VEILED}"),
        _ => each.to_owned(),
    });
    format!("{}?{}", uri.path(), shown.collect::<Vec<_>>().join("&"))
}

/// An answer: its status, the fields that `other` has otherwise, and its body where that is text in which no name of
/// a secret occurs.
pub(super) fn seen_text(seen: &Seen, other: &Seen) -> String {
    let (status, fields) = match &seen.answer {
        Ok(answer) => answer,
        Err(why) => return (*why).to_owned(),
    };
    let mut text = status.as_u16().to_string();
    if let Ok((_, others)) = &other.answer {
        for name in fields.keys().filter(|name| **name != http::header::DATE) {
            if fields.get_all(name).iter().eq(others.get_all(name).iter()) {
                continue;
            }
            let value = match fields.get(name).and_then(|value| value.to_str().ok()) {
                Some(value)
                    if !is_secret(name.as_str()) && !is_secret(&value.to_ascii_lowercase()) =>
                {
                    value
                }
                _ => VEILED,
            };
            let _ = write!(text, " {name}: {value}");
        }
    }
    match std::str::from_utf8(&seen.start) {
        _ if seen.length == 0 => {}
        Ok(body) if !is_secret(&body.to_ascii_lowercase()) => {
            let _ = write!(text, " {body:?}");
        }
        _ => {
            let _ = write!(text, " {} bytes", seen.length);
        }
    }
    shortened(text)
}
