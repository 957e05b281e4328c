//! From a core module to a component.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW_1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::world::select;

/// Make a component of a core module that keeps to the canonical ABI of its world.
///
/// What it imports of WASI 0.1, as a libc does, becomes what WASI 0.2 has for it.
///
/// # Arguments
/// * `module`: The module in binary form.
/// * `world`: The folder of its WIT and, where there are several, the name of its world; `None` where the module
///   says in a custom section of its own what it implements.
///
/// # Errors
/// What the module lacks, or does not fit.
pub fn componentise(
    module: &[u8],
    world: Option<(&Path, Option<&str>)>,
) -> Result<Vec<u8>, String> {
    let mut module = module.to_vec();
    if let Some((wit, name)) = world {
        let (resolve, id) = select(wit, name)?;
        embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8)
            .map_err(|error| format!("{error:#}"))?;
    }
    let adapted = imports_preview_1(&module);
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| {
            if adapted {
                encoder.adapter(PREVIEW_1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
            } else {
                Ok(encoder)
            }
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

/// A module that is none has no imports; the encoder says what is wrong with it.
fn imports_preview_1(module: &[u8]) -> bool {
    Parser::new(0)
        .parse_all(module)
        .any(|payload| match payload {
            Ok(Payload::ImportSection(imports)) => imports
                .into_imports()
                .any(|import| import.is_ok_and(|import| import.module == PREVIEW_1)),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with one world in a folder of its own.
    fn package(name: &str, text: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("airssys-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        std::fs::write(folder.join("world.wit"), text).expect("it is writable");
        folder
    }

    const ADD: &str = r#"(module
        (func (export "add") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1))))"#;

    #[test]
    fn a_module_becomes_the_component_of_its_world() {
        let wit = package(
            "adds",
            "package a:b; world adds { export add: func(a: u32, b: u32) -> u32; }",
        );
        let module = wat::parse_str(ADD).expect("it is valid");
        let component = componentise(&module, Some((&wit, Some("adds")))).expect("it fits");
        assert_eq!(component[..8], *b"\0asm\x0d\x00\x01\x00");
        let world = super::super::read_world(&wit, None).expect("there is one");
        assert_eq!(
            (world.name.as_str(), &*world.exports),
            ("adds", &["add".to_owned()][..])
        );
        std::fs::remove_dir_all(wit).expect("it is there");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wit = package(
            "subtracts",
            "package a:b; world subtracts { export subtract: func(a: u32, b: u32) -> u32; }",
        );
        let module = wat::parse_str(ADD).expect("it is valid");
        let reason = componentise(&module, Some((&wit, None))).expect_err("it exports add");
        assert!(reason.contains("subtract"), "{reason}");
        std::fs::remove_dir_all(wit).expect("it is there");
    }

    #[test]
    fn a_mistake_has_its_place() {
        let wit = package("mistake", "package a:b;\nworld w {\n  import nosuch;\n}\n");
        let reason = super::super::read_world(&wit, None).expect_err("there is no such interface");
        assert!(reason.contains("world.wit:3:10"), "{reason}");
        std::fs::remove_dir_all(wit).expect("it is there");
    }
}
