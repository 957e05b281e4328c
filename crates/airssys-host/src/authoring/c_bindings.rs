//! A world as C sees it.

use std::path::Path;

use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;

use super::world::select;

/// Return the header and the source that C programs of a world are compiled with, by their names.
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
        // `componentise` says what the module implements.
        no_object_file: true,
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
