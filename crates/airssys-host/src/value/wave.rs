//! Calls and results as text that people type and read (WAVE), by way of `Val`.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::wasm_wave::parser::{ParserError, ParserErrorKind};
use wasmtime::component::wasm_wave::{self, untyped::UntypedFuncCall};
use wasmtime::component::{Type as NativeType, Val};
use wasmtime::{Engine, Store};

use super::fallback::{from_val, to_val};
use super::{FuncType, Type, Value};
use crate::component::Component;
use crate::error::Error;

/// Read a call such as `add(2, 3)`, or `demo:calc/ops#add(2, 3)` where several functions are called `add`.
/// Returns the position of the export and the arguments.
///
/// # Errors
/// [`Error::UnknownExport`], or [`Error::Text`] with the place of the mistake.
pub fn parse_call(component: &Component, text: &str) -> Result<(usize, Vec<Value>), Error> {
    let text = text.trim();
    let (path, arguments) = match text.find('(') {
        Some(open) => (text[..open].trim_end(), &text[open..]),
        // `add 2 3` is a mistake about `add`, and not another function.
        None => match text.split_once(char::is_whitespace) {
            Some((path, _)) => (path, "without"),
            None => (text, "()"),
        },
    };
    let export = find(component, path)?;
    let (function, ty) = (native(component, export)?, &component.exports[export].ty);
    let wrong = |reason: String| {
        Error::Text(format!(
            "{text:?} is not a call of {}: {reason}; written like this: {}",
            signature(path, ty),
            example_call(path, ty)
        ))
    };
    if let Some(param) = ty.params.iter().find(|param| param.ty.carries_streams()) {
        return Err(Error::Text(format!(
            "{} cannot be called by text: its argument '{}' is a {}, which has none",
            signature(path, ty),
            param.name,
            param.ty
        )));
    }
    if !arguments.starts_with('(') {
        return Err(wrong(
            "arguments stand in parentheses, with commas between them".to_owned(),
        ));
    }
    // The reader wants a plain name; what was asked for may be an interface's function.
    let call = format!("f{arguments}");
    let reason = |error: ParserError| wrong(mistake(&call, ty, &error));
    let parsed = UntypedFuncCall::parse(&call).map_err(reason)?;
    let types: Vec<NativeType> = function.params().map(|(_, ty)| ty).collect();
    let vals: Vec<Val> = parsed.to_wasm_params(types.iter()).map_err(reason)?;
    if vals.len() != ty.params.len() {
        return Err(wrong(format!("it has {} arguments", vals.len())));
    }
    let mut store = Store::new(&component.native.engine, ());
    let values = vals
        .into_iter()
        .zip(ty.params.iter())
        .map(|(val, field)| from_val(val, &field.ty, &mut store));
    let values: wasmtime::Result<Vec<Value>> = values.collect();
    Ok((export, values.map_err(|error| wrong(format!("{error:#}")))?))
}

/// Write a result as text.
///
/// # Errors
/// [`Error::Text`] for a value that has no text, such as a resource.
pub fn print(engine: &Engine, ty: &Type, value: Value) -> Result<String, Error> {
    let mut store = Store::new(engine, ());
    let val = to_val(value, ty, &mut store).map_err(|error| Error::Text(format!("{error:#}")))?;
    wasm_wave::to_string(&val).map_err(|error| Error::Text(error.to_string()))
}

/// Write text that stands for a result as [`print`] writes it. `None` for a function without a result.
///
/// # Errors
/// [`Error::Text`] where it is no such result.
pub fn normalise(
    component: &Component,
    export: usize,
    text: &str,
) -> Result<Option<String>, Error> {
    let Some(ty) = native(component, export)?.results().next() else {
        return Ok(None);
    };
    let wrong = |error: &dyn std::fmt::Display| {
        let path = component.exports[export].path();
        Error::Text(format!("{text:?} is no result of {path}: {error}"))
    };
    let value: Val = wasm_wave::from_str(&ty, text).map_err(|error| wrong(&error))?;
    wasm_wave::to_string(&value)
        .map(Some)
        .map_err(|error| wrong(&error))
}

/// By path, or by the function's own name where one interface only has it.
pub(crate) fn find(component: &Component, path: &str) -> Result<usize, Error> {
    component.export(path).or_else(|unknown| {
        let mut found =
            (0..component.exports.len()).filter(|&index| &*component.exports[index].name == path);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(unknown),
        }
    })
}

fn native(component: &Component, export: usize) -> Result<ComponentFunc, Error> {
    let function = &component.exports[export];
    let engine = &component.native.engine;
    let ty = component.compiled.component_type();
    let item = match &function.interface {
        None => ty.get_export(engine, &function.name).map(|item| item.ty),
        Some(interface) => match ty.get_export(engine, interface).map(|item| item.ty) {
            Some(ComponentItem::ComponentInstance(instance)) => instance
                .get_export(engine, &function.name)
                .map(|item| item.ty),
            _ => None,
        },
    };
    match item {
        Some(ComponentItem::ComponentFunc(func)) => Ok(func),
        _ => Err(Error::Internal(format!(
            "the export {} has no type",
            function.path()
        ))),
    }
}

/// What is wrong with a call, in words: where, and what a bare word lacks.
fn mistake(call: &str, ty: &FuncType, error: &ParserError) -> String {
    let what = match (error.detail(), error.kind()) {
        (_, ParserErrorKind::InvalidParams) => {
            let count = match ty.params.len() {
                0 => return "it takes no arguments".to_owned(),
                1 => "1 argument".to_owned(),
                count => format!("{count} arguments"),
            };
            return format!("it takes {count}");
        }
        (_, ParserErrorKind::UnexpectedEnd) => return "it has no end".to_owned(),
        (Some(detail), kind) => format!("{kind}: {detail}"),
        (None, kind) => kind.to_string(),
    };
    let Some(there) = call.get(error.span()).filter(|there| !there.is_empty()) else {
        return what;
    };
    let is_word = there.starts_with(char::is_alphabetic)
        && there
            .chars()
            .all(|letter| letter.is_alphanumeric() || "-_".contains(letter));
    let text = ty.params.iter().any(|param| has_text(&param.ty));
    if is_word && text {
        format!("{what} at `{there}`; a string stands in quotes: \"{there}\"")
    } else {
        format!("{what} at `{there}`")
    }
}

/// Whether a value of the type may have a string in it.
fn has_text(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Char => true,
        Type::List(item) | Type::FixedList(item, _) | Type::Option(item) => has_text(item),
        Type::Map(pair) => has_text(&pair.0) || has_text(&pair.1),
        Type::Record(record) => record.fields.iter().any(|field| has_text(&field.ty)),
        Type::Tuple(items) => items.iter().any(has_text),
        Type::Variant(variant) => variant
            .cases
            .iter()
            .any(|case| case.ty.as_ref().is_some_and(has_text)),
        Type::Result(result) => {
            let sides = [&result.ok, &result.err];
            sides.into_iter().flatten().any(has_text)
        }
        _ => false,
    }
}

fn example_call(path: &str, ty: &FuncType) -> String {
    let arguments: Vec<String> = ty.params.iter().map(|param| example(&param.ty)).collect();
    format!("{path}({})", arguments.join(", "))
}

/// Some value of a type, as it is written.
fn example(ty: &Type) -> String {
    let all = |items: &[Type]| items.iter().map(example).collect::<Vec<_>>().join(", ");
    let with = |name: &str, ty: Option<&Type>| match ty {
        Some(ty) => format!("{name}({})", example(ty)),
        None => name.to_owned(),
    };
    match ty {
        Type::Bool => "true".to_owned(),
        Type::F32 | Type::F64 => "1.5".to_owned(),
        Type::Char => "'a'".to_owned(),
        Type::String => "\"text\"".to_owned(),
        Type::List(item) => format!("[{}]", example(item)),
        Type::FixedList(item, length) => {
            let items = vec![example(item); usize::try_from(*length).unwrap_or_default().min(8)];
            format!("[{}]", items.join(", "))
        }
        Type::Map(pair) => format!("{{{}: {}}}", example(&pair.0), example(&pair.1)),
        Type::Record(record) => {
            let fields: Vec<String> = record
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.name, example(&field.ty)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Type::Tuple(items) => format!("({})", all(items)),
        Type::Variant(variant) => variant
            .cases
            .first()
            .map_or_else(String::new, |case| with(&case.name, case.ty.as_ref())),
        Type::Enum(cases) => cases.cases.first().map_or("", |name| name).to_owned(),
        Type::Flags(flags) => format!("{{{}}}", flags.flags.first().map_or("", |name| name)),
        Type::Option(item) => with("some", Some(item)),
        Type::Result(result) => with("ok", result.ok.as_ref()),
        // Numbers; what has no text was refused before.
        _ => "1".to_owned(),
    }
}

fn signature(path: &str, ty: &FuncType) -> String {
    let params: Vec<String> = ty
        .params
        .iter()
        .map(|field| format!("{}: {}", field.name, field.ty))
        .collect();
    format!("{path}({})", params.join(", "))
}
