//! A world as C sees it.

use std::path::Path;

use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;

use super::world::select;

/// The stem of the files, and what the names of the world's own types and functions begin with: the same whatever
/// the world is called, so that a library suits each.
const STEM: &str = "component";

/// Return what C programs of a world are compiled with, by their names: a header, a source, and an object that
/// tells `componentise` what the world is.
///
/// # Arguments
/// * `wit`: The folder of its WIT.
/// * `world`: Its name, where there are several.
///
/// # Errors
/// What is wrong with the WIT, or what C has nothing for.
pub fn c_bindings(wit: &Path, world: Option<&str>) -> Result<Vec<(String, Vec<u8>)>, String> {
    let (mut resolve, id) = select(wit, world)?;
    let options = Opts {
        rename_world: Some(STEM.to_owned()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, id, &mut files)
        .map_err(|error| format!("{error:#}"))?;
    Ok(files
        .iter()
        .map(|(name, content)| (name.to_owned(), content.to_vec()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::c_bindings;

    #[test]
    fn names_do_not_depend_on_that_of_the_world() {
        let folder = std::env::temp_dir().join(format!("c-bindings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("world.wit"),
            "package local:greeter;\nworld greeter { export greet: func(name: string) -> string; }\n",
        )
        .unwrap();
        let files = c_bindings(&folder, None).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["component.c", "component.h", "component_component_type.o"]
        );
        let header = String::from_utf8(files[1].1.clone()).unwrap();
        assert!(header.contains(
            "void exports_component_greet(component_string_t *name, component_string_t *ret);"
        ));
    }
}
