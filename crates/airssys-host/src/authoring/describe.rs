//! WIT as data: interfaces, their types and functions, and what a world has of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::{Value, json};
use wit_component::DecodedWasm;
use wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, PackageId, Resolve, Type, TypeDef,
    TypeDefKind, TypeId, TypeOwner, WorldId, WorldItem,
};

use super::world::{explained, select};

/// What WIT is read from.
#[derive(Clone, Copy, Debug)]
pub enum Wit<'a> {
    /// A component in binary or text format, a package in binary form, or WIT text.
    Content(&'a [u8]),
    /// The folder of a package.
    Folder(&'a Path),
}

/// Describe the interfaces of some WIT, and a world of it if it has any, as JSON.
///
/// # Errors
/// What is wrong with it, in words.
pub fn describe(wit: Wit<'_>, world: Option<&str>) -> Result<String, String> {
    let assembled;
    let wit = match wit {
        Wit::Content(content) if is_assembly(content) => {
            assembled = wat::parse_bytes(content)
                .map_err(|error| format!("it begins as a component in text format: {error}"))?;
            Wit::Content(&assembled)
        }
        other => other,
    };
    let (resolve, world) = match wit {
        Wit::Folder(folder) => {
            let (resolve, id) = select(folder, world)?;
            (resolve, Some(id))
        }
        Wit::Content(content) if content.starts_with(b"\0asm") => {
            // The decoder panics on some names that the engine accepts.
            let decoded = catch_unwind(AssertUnwindSafe(|| wit_component::decode(content)))
                .map_err(|_| "the decoder does not know its names".to_owned())?
                .map_err(|error| format!("{error:#}"))?;
            match decoded {
                DecodedWasm::Component(resolve, id) => (resolve, Some(id)),
                DecodedWasm::WitPackage(resolve, package) => {
                    let id = chosen(&resolve, package, world)?;
                    (resolve, id)
                }
            }
        }
        Wit::Content(text) => {
            let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
            let mut resolve = Resolve::default();
            let package = match resolve.push_str("given.wit", text) {
                Ok(package) => package,
                Err(error) => {
                    let explained = explained(error.chain(), &resolve);
                    return Err(explained.unwrap_or_else(|| format!("{error:#}")));
                }
            };
            let id = chosen(&resolve, package, world)?;
            (resolve, id)
        }
    };
    let interfaces: Vec<_> = resolve
        .interfaces
        .iter()
        .filter_map(|(id, interface)| {
            let name = resolve.id_of(id)?;
            Some(described(&resolve, &name, interface))
        })
        .collect();
    let world = world.map(|id| of_world(&resolve, id));
    Ok(json!({ "interfaces": interfaces, "world": world }).to_string())
}

/// Whether a text is a module or component: no WIT begins with a parenthesis, or has such comments.
fn is_assembly(content: &[u8]) -> bool {
    let text = content.trim_ascii_start();
    text.starts_with(b"(") || text.starts_with(b";;")
}

fn chosen(
    resolve: &Resolve,
    package: PackageId,
    world: Option<&str>,
) -> Result<Option<WorldId>, String> {
    if world.is_none() && resolve.packages[package].worlds.len() != 1 {
        return Ok(None);
    }
    let found = resolve.select_world(&[package], world);
    found.map(Some).map_err(|error| format!("{error:#}"))
}

fn of_world(resolve: &Resolve, id: WorldId) -> Value {
    let world = &resolve.worlds[id];
    let mut types = Vec::new();
    let mut sides = [&world.imports, &world.exports].map(|items| {
        let (mut interfaces, mut functions) = (Vec::new(), Vec::new());
        for (key, item) in items {
            match item {
                WorldItem::Function(function) => functions.push(of_function(resolve, function)),
                WorldItem::Type { id, .. } => {
                    types.push(of_definition(resolve, &resolve.types[*id]));
                }
                WorldItem::Interface { id, .. } => interfaces.push(match resolve.id_of(*id) {
                    Some(name) => json!(name),
                    // One that is written inside of the world has no package.
                    None => described(
                        resolve,
                        &resolve.name_world_key(key),
                        &resolve.interfaces[*id],
                    ),
                }),
            }
        }
        json!({ "interfaces": interfaces, "functions": functions })
    });
    json!({
        "name": world.name,
        "docs": docs(&world.docs),
        "types": types,
        "imports": sides[0].take(),
        "exports": sides[1].take(),
    })
}

fn described(resolve: &Resolve, name: &str, interface: &Interface) -> Value {
    let types: Vec<_> = interface
        .types
        .values()
        .map(|id| of_definition(resolve, &resolve.types[*id]))
        .collect();
    let functions: Vec<_> = interface
        .functions
        .values()
        .map(|function| of_function(resolve, function))
        .collect();
    json!({ "name": name, "docs": docs(&interface.docs), "types": types, "functions": functions })
}

fn of_function(resolve: &Resolve, function: &Function) -> Value {
    let parameters: Vec<_> = function
        .params
        .iter()
        .map(|each| json!({ "name": each.name, "type": of_type(resolve, &each.ty) }))
        .collect();
    let free = matches!(
        function.kind,
        FunctionKind::Freestanding | FunctionKind::AsyncFreestanding
    );
    json!({
        "name": function.name,
        "docs": docs(&function.docs),
        "parameters": parameters,
        "result": function.result.map(|each| of_type(resolve, &each)),
        "free": free,
    })
}

fn of_definition(resolve: &Resolve, definition: &TypeDef) -> Value {
    let member = |name: &str, about: &Docs, kind: Value| json!({ "name": name, "docs": docs(about), "type": kind });
    let members: Vec<_> = match &definition.kind {
        TypeDefKind::Record(record) => record
            .fields
            .iter()
            .map(|each| member(&each.name, &each.docs, of_type(resolve, &each.ty)))
            .collect(),
        TypeDefKind::Variant(variant) => variant
            .cases
            .iter()
            .map(|each| {
                let kind = each.ty.map_or(Value::Null, |kind| of_type(resolve, &kind));
                member(&each.name, &each.docs, kind)
            })
            .collect(),
        TypeDefKind::Enum(cases) => cases
            .cases
            .iter()
            .map(|each| member(&each.name, &each.docs, Value::Null))
            .collect(),
        TypeDefKind::Flags(flags) => flags
            .flags
            .iter()
            .map(|each| member(&each.name, &each.docs, Value::Null))
            .collect(),
        _ => Vec::new(),
    };
    let kind = match &definition.kind {
        TypeDefKind::Record(_) => "record",
        TypeDefKind::Variant(_) => "variant",
        TypeDefKind::Enum(_) => "enum",
        TypeDefKind::Flags(_) => "flags",
        TypeDefKind::Resource => "resource",
        _ => "alias",
    };
    let alias = (kind == "alias").then(|| of_kind(resolve, &definition.kind));
    json!({
        "name": definition.name,
        "docs": docs(&definition.docs),
        "kind": kind,
        "members": members,
        "alias": alias,
    })
}

fn of_type(resolve: &Resolve, kind: &Type) -> Value {
    match kind {
        Type::Bool => json!("bool"),
        Type::U8 => json!("u8"),
        Type::U16 => json!("u16"),
        Type::U32 => json!("u32"),
        Type::U64 => json!("u64"),
        Type::S8 => json!("s8"),
        Type::S16 => json!("s16"),
        Type::S32 => json!("s32"),
        Type::S64 => json!("s64"),
        Type::F32 => json!("f32"),
        Type::F64 => json!("f64"),
        Type::Char => json!("char"),
        Type::String => json!("string"),
        Type::ErrorContext => json!("error-context"),
        Type::Id(id) => {
            let definition = &resolve.types[*id];
            if definition.name.is_some() {
                named("named", resolve, *id)
            } else {
                of_kind(resolve, &definition.kind)
            }
        }
    }
}

/// The type without a name that a definition has, or that stands in a signature.
fn of_kind(resolve: &Resolve, kind: &TypeDefKind) -> Value {
    let one = |of: &Type| vec![of_type(resolve, of)];
    let maybe = |of: &Option<Type>| of.map_or(Value::Null, |of| of_type(resolve, &of));
    let (kind, of) = match kind {
        TypeDefKind::Type(other) => return of_type(resolve, other),
        TypeDefKind::Handle(Handle::Own(id)) => return named("own", resolve, *id),
        TypeDefKind::Handle(Handle::Borrow(id)) => return named("borrow", resolve, *id),
        TypeDefKind::Option(of) => ("option", one(of)),
        TypeDefKind::List(of) | TypeDefKind::FixedLengthList(of, _) => ("list", one(of)),
        TypeDefKind::Tuple(tuple) => (
            "tuple",
            tuple.types.iter().map(|of| of_type(resolve, of)).collect(),
        ),
        TypeDefKind::Result(result) => ("result", vec![maybe(&result.ok), maybe(&result.err)]),
        TypeDefKind::Map(key, value) => {
            ("map", vec![of_type(resolve, key), of_type(resolve, value)])
        }
        TypeDefKind::Future(of) => ("future", vec![maybe(of)]),
        TypeDefKind::Stream(of) => ("stream", vec![maybe(of)]),
        other => (other.as_str(), Vec::new()),
    };
    json!({ "kind": kind, "of": of })
}

fn named(kind: &str, resolve: &Resolve, id: TypeId) -> Value {
    let definition = &resolve.types[id];
    let interface = match definition.owner {
        TypeOwner::Interface(owner) => resolve.id_of(owner),
        TypeOwner::World(_) | TypeOwner::None => None,
    };
    json!({ "kind": kind, "name": definition.name, "interface": interface })
}

fn docs(docs: &Docs) -> &str {
    docs.contents.as_deref().unwrap_or_default().trim()
}
