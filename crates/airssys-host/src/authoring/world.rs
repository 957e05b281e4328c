//! A world as its author wrote it.

use std::error::Error;
use std::path::Path;

use wit_parser::{ParseError, Resolve, ResolveError, WorldId, WorldItem, WorldKey};

/// A world, and the paths of its functions: `add`, or `demo:calc/ops#add` for an interface's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    pub name: String,
    /// Names of the interfaces and functions.
    pub imports: Vec<String>,
    /// Paths of the functions.
    pub exports: Vec<String>,
}

/// Read the world `world` of the package in the folder `wit`; the only one by default.
///
/// # Errors
/// What is wrong, with ` --> file:line:column` where that is known.
pub fn read_world(wit: &Path, world: Option<&str>) -> Result<World, String> {
    let (resolve, id) = select(wit, world)?;
    let world = &resolve.worlds[id];
    let imports = world
        .imports
        .iter()
        .filter(|(_, item)| !matches!(item, WorldItem::Type { .. }))
        .map(|(key, _)| resolve.name_world_key(key));
    let mut exports = Vec::new();
    for (key, item) in &world.exports {
        match item {
            WorldItem::Function(function) => exports.push(function.name.clone()),
            WorldItem::Interface { id, .. } => {
                let interface = match key {
                    WorldKey::Interface(id) => resolve.id_of(*id).unwrap_or_default(),
                    WorldKey::Name(name) => name.clone(),
                };
                let functions = resolve.interfaces[*id].functions.keys();
                exports.extend(functions.map(|name| format!("{interface}#{name}")));
            }
            WorldItem::Type { .. } => {}
        }
    }
    Ok(World {
        name: world.name.clone(),
        imports: imports.collect(),
        exports,
    })
}

/// Parse a package and find a world of it.
pub(super) fn select(wit: &Path, world: Option<&str>) -> Result<(Resolve, WorldId), String> {
    let mut resolve = Resolve::default();
    let (package, _) = match resolve.push_dir(wit) {
        Ok(found) => found,
        Err(error) => {
            let explained = explained(error.chain(), &resolve);
            return Err(explained.unwrap_or_else(|| format!("{error:#}")));
        }
    };
    let id = resolve
        .select_world(&[package], world)
        .map_err(|error| format!("{error:#}"))?;
    Ok((resolve, id))
}

/// What is wrong with some WIT and where, if one of the causes of an error says so.
pub(super) fn explained<'a>(
    mut causes: impl Iterator<Item = &'a (dyn Error + 'static)>,
    resolve: &Resolve,
) -> Option<String> {
    causes.find_map(|cause| {
        let parsing = cause.downcast_ref::<ParseError>();
        let parsing = parsing.map(|error| error.render(&resolve.source_map));
        let resolving = cause.downcast_ref::<ResolveError>();
        parsing.or_else(|| Some(resolving?.render(&resolve.source_map)))
    })
}
