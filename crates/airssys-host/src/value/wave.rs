//! Calls and results as text that people type and read (WAVE), by way of `Val`.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
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
        None => (text, "()"),
    };
    let export = find(component, path)?;
    let (function, ty) = (native(component, export)?, &component.exports[export].ty);
    let wrong = |reason: String| {
        Error::Text(format!(
            "{text:?} is not a call of {ty}: {reason}",
            ty = signature(path, ty)
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
    // The reader wants a plain name; what was asked for may be an interface's function.
    let call = format!("f{arguments}");
    let parsed = UntypedFuncCall::parse(&call).map_err(|error| wrong(error.to_string()))?;
    let types: Vec<NativeType> = function.params().map(|(_, ty)| ty).collect();
    let vals: Vec<Val> = parsed
        .to_wasm_params(types.iter())
        .map_err(|error| wrong(error.to_string()))?;
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

fn signature(path: &str, ty: &FuncType) -> String {
    let params: Vec<String> = ty
        .params
        .iter()
        .map(|field| format!("{}: {}", field.name, field.ty))
        .collect();
    format!("{path}({})", params.join(", "))
}
