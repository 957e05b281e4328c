//! Core modules that many components have in common, taken out of a component so that each is compiled once.
//!
//! Interpreters are linked of libraries, which import their memory and are the same bytes in every component that was
//! made by the same tool; what a component says itself is in the module that has the memory.

use std::collections::{BTreeMap, BTreeSet};

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    ComponentImportSection, ComponentSection, ComponentTypeRef, CoreTypeSection, EntityType,
    ModuleType,
};
use wasmparser::{
    Chunk, CompositeInnerType, Encoding, ExternalKind, FuncType, GlobalType, MemoryType, Parser,
    Payload, TableType, TypeRef,
};

/// Bytes of code from which on compiling a library once is worth looking its imports up by name at each start.
const WORTH_BYTES: u32 = 64 << 10;

/// A component without its libraries.
pub struct Split<'a> {
    /// The component, which imports each library by [`import_name`].
    pub skeleton: Vec<u8>,
    /// The libraries, as they were in the component.
    pub libraries: Vec<&'a [u8]>,
}

/// Under which name the component imports the library at `position`.
#[must_use]
pub fn import_name(position: usize) -> String {
    format!("airssys-shared-library-{position}")
}

/// Take the libraries out of a component; `None` where it has none, or something that is not understood here.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let mut parser = Parser::new(0);
    let (mut position, mut skeleton, mut libraries) = (0, Vec::new(), Vec::new());
    loop {
        let Chunk::Parsed { consumed, payload } = parser.parse(&bytes[position..], true).ok()?
        else {
            return None;
        };
        let mut end = position + consumed;
        match payload {
            // The type of a library would come before these and move their numbers.
            Payload::CoreTypeSection(_) => return None,
            Payload::ModuleSection {
                unchecked_range, ..
            } => {
                end = unchecked_range.end;
                let module = bytes.get(unchecked_range)?;
                if let Some(ty) = library(module) {
                    import(&mut skeleton, libraries.len(), &ty)?;
                    libraries.push(module);
                    position = end;
                    continue;
                }
            }
            Payload::ComponentSection {
                unchecked_range, ..
            } => end = unchecked_range.end,
            Payload::End(_) => break,
            _ => {}
        }
        skeleton.extend_from_slice(bytes.get(position..end)?);
        position = end;
    }
    (!libraries.is_empty()).then_some(Split {
        skeleton,
        libraries,
    })
}

fn import(skeleton: &mut Vec<u8>, position: usize, ty: &ModuleType) -> Option<()> {
    let number = u32::try_from(position).ok()?;
    let mut types = CoreTypeSection::new();
    types.ty().module(ty);
    types.append_to_component(skeleton);
    let mut imports = ComponentImportSection::new();
    imports.import(
        import_name(position).as_str(),
        ComponentTypeRef::Module(number),
    );
    imports.append_to_component(skeleton);
    Some(())
}

/// What a module has that exports refer to by number.
#[derive(Default)]
struct Spaces {
    types: Vec<FuncType>,
    functions: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
}

/// The type of a module that is a library worth sharing.
fn library(module: &[u8]) -> Option<ModuleType> {
    let (mut spaces, mut imports, mut exports) = (Spaces::default(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::Version {
                encoding: Encoding::Component,
                ..
            }
            | Payload::TagSection(_) => return None,
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group.ok()?.into_types() {
                        let CompositeInnerType::Func(function) = ty.composite_type.inner else {
                            return None;
                        };
                        spaces.types.push(function);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.ok()?;
                    match import.ty {
                        TypeRef::Func(ty) => spaces.functions.push(ty),
                        TypeRef::Table(ty) => spaces.tables.push(ty),
                        TypeRef::Memory(ty) => spaces.memories.push(ty),
                        TypeRef::Global(ty) => spaces.globals.push(ty),
                        TypeRef::Tag(_) | TypeRef::FuncExact(_) => return None,
                    }
                    imports.push(import);
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    spaces.functions.push(ty.ok()?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    spaces.tables.push(table.ok()?.ty);
                }
            }
            // What has a memory of its own has its own data too.
            Payload::MemorySection(_) => return None,
            Payload::GlobalSection(section) => {
                for global in section {
                    spaces.globals.push(global.ok()?.ty);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    exports.push(export.ok()?);
                }
            }
            Payload::CodeSectionStart { size, .. } => {
                // All that a type is made of comes before the code.
                return (size >= WORTH_BYTES && !spaces.memories.is_empty())
                    .then(|| module_type(&spaces, &imports, &exports))
                    .flatten();
            }
            _ => {}
        }
    }
    None
}

fn module_type(
    spaces: &Spaces,
    imports: &[wasmparser::Import<'_>],
    exports: &[wasmparser::Export<'_>],
) -> Option<ModuleType> {
    let mut described = Described::default();
    let mut seen = BTreeSet::new();
    for import in imports {
        // A module may import a name twice, and the type of a module may not.
        if !seen.insert((import.module, import.name)) {
            return None;
        }
        let ty = described.entity(spaces, import.ty)?;
        described.ty.import(import.module, import.name, ty);
    }
    for export in exports {
        let index = usize::try_from(export.index).ok()?;
        let ty = match export.kind {
            ExternalKind::Func => TypeRef::Func(*spaces.functions.get(index)?),
            ExternalKind::Table => TypeRef::Table(*spaces.tables.get(index)?),
            ExternalKind::Memory => TypeRef::Memory(*spaces.memories.get(index)?),
            ExternalKind::Global => TypeRef::Global(*spaces.globals.get(index)?),
            ExternalKind::Tag | ExternalKind::FuncExact => return None,
        };
        let ty = described.entity(spaces, ty)?;
        described.ty.export(export.name, ty);
    }
    Some(described.ty)
}

/// The type of a module while it is written, and where in it the function types of the module are.
#[derive(Default)]
struct Described {
    ty: ModuleType,
    functions: BTreeMap<u32, u32>,
}

impl Described {
    fn entity(&mut self, spaces: &Spaces, ty: TypeRef) -> Option<EntityType> {
        let TypeRef::Func(number) = ty else {
            return RoundtripReencoder.entity_type(ty).ok();
        };
        if let Some(found) = self.functions.get(&number) {
            return Some(EntityType::Function(*found));
        }
        let function = spaces.types.get(usize::try_from(number).ok()?)?;
        let function = RoundtripReencoder.func_type(function.clone()).ok()?;
        let place = self.ty.type_count();
        self.ty.ty().func_type(&function);
        self.functions.insert(number, place);
        Some(EntityType::Function(place))
    }
}
