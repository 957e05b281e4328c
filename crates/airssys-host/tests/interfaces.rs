//! The WIT packages are what guests are built against: they parse, fit together, and are documented.

use std::path::{Path, PathBuf};

use wit_parser::{Resolve, WorldItem};

/// Packages in the order of their dependencies.
const PACKAGES: &[&str] = &["core", "messaging", "security", "storage"];

fn folder(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wit")
        .join(package)
}

fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        resolve
            .push_dir(folder(package))
            .unwrap_or_else(|error| panic!("{package}: {error:#}"));
    }
    resolve
}

#[test]
fn every_package_parses_and_has_the_version_of_the_contract() {
    let resolve = resolve();
    let mut names: Vec<String> = resolve
        .packages
        .iter()
        .map(|(_, package)| package.name.to_string())
        .collect();
    names.sort();
    let expected: Vec<String> = PACKAGES
        .iter()
        .map(|package| format!("airssys:{package}@1.0.0"))
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn every_interface_function_and_type_is_documented() {
    let resolve = resolve();
    let mut missing = Vec::new();
    for (_, interface) in resolve.interfaces.iter() {
        let name = interface.name.clone().expect("all are named");
        if interface.docs.contents.is_none() {
            missing.push(name.clone());
        }
        for (function, item) in &interface.functions {
            if item.docs.contents.is_none() {
                missing.push(format!("{name}.{function}"));
            }
        }
        for (ty, id) in &interface.types {
            let item = &resolve.types[*id];
            // A type that is brought in by `use` has its words where it is defined.
            let used = matches!(
                item.kind,
                wit_parser::TypeDefKind::Type(wit_parser::Type::Id(_))
            );
            if item.docs.contents.is_none() && !used {
                missing.push(format!("{name}.{ty}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn worlds_export_what_they_promise() {
    let resolve = resolve();
    let exports = |package: &str, world: &str| -> Vec<String> {
        let (_, package) = resolve
            .packages
            .iter()
            .find(|(_, found)| found.name.name == package)
            .expect("the package is there");
        let world = &resolve.worlds[package.worlds[world]];
        world
            .exports
            .values()
            .map(|item| match item {
                WorldItem::Interface { id, .. } => {
                    resolve.interfaces[*id].name.clone().expect("named")
                }
                other => panic!("a world exports interfaces only, not {other:?}"),
            })
            .collect()
    };
    assert_eq!(exports("core", "component"), Vec::<String>::new());
    assert_eq!(exports("core", "service"), ["lifecycle", "handler"]);
    assert_eq!(exports("core", "function"), Vec::<String>::new());
    assert_eq!(exports("messaging", "actor"), ["lifecycle", "handler"]);
    assert_eq!(exports("messaging", "imports"), Vec::<String>::new());
}
