//! What a component may weigh before any of it is compiled.

use sha2::Digest;
use wasmparser::{Encoding, Parser, Payload};

use crate::error::Error;

/// Bounds on what is handed to the compiler. Each is far above what toolchains produce.
#[derive(Clone, Debug)]
pub struct StaticLimits {
    pub bytes: u64,
    pub functions: u64,
    pub imports: u64,
    pub exports: u64,
    pub types: u64,
    pub memories: u64,
    pub tables: u64,
    pub data_bytes: u64,
    pub modules: u64,
    pub nesting: u64,
}

impl Default for StaticLimits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            functions: 500_000,
            imports: 20_000,
            exports: 50_000,
            types: 100_000,
            memories: 100,
            tables: 200,
            data_bytes: 256 << 20,
            modules: 200,
            nesting: 32,
        }
    }
}

/// What a component holds, counted without compiling.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Contents {
    pub functions: u64,
    pub imports: u64,
    pub exports: u64,
    pub types: u64,
    pub memories: u64,
    pub tables: u64,
    pub data_bytes: u64,
    pub modules: u64,
    pub nesting: u64,
    /// Whether it uses tags or garbage-collected types, which need a heap besides linear memory.
    pub needs_heap: bool,
    /// Bytes of linear memory that the component has from its first instruction.
    pub initial_memory: u64,
    /// `sha256:…` of the binary.
    pub digest: String,
    /// The component's world in WIT.
    pub wit: String,
}

impl Contents {
    /// Refuse what is above `limits`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] naming it.
    pub fn refuse_beyond(&self, limits: &StaticLimits) -> Result<(), Error> {
        refuse("functions", self.functions, limits.functions)?;
        refuse("imports", self.imports, limits.imports)?;
        refuse("exports", self.exports, limits.exports)?;
        refuse("types", self.types, limits.types)?;
        refuse("memories", self.memories, limits.memories)?;
        refuse("tables", self.tables, limits.tables)?;
        refuse("data bytes", self.data_bytes, limits.data_bytes)?;
        refuse("modules", self.modules, limits.modules)?;
        refuse("nesting", self.nesting, limits.nesting)
    }

    /// Add what takes reading the whole binary once more. The binary is a valid one.
    pub fn describe(&mut self, bytes: &[u8]) {
        use std::fmt::Write;
        let mut digest = String::from("sha256:");
        for byte in sha2::Sha256::digest(bytes) {
            write!(digest, "{byte:02x}").expect("writing to a string succeeds");
        }
        self.digest = digest;
        self.wit = wit(bytes)
            .unwrap_or_else(|error| format!("// this component has no WIT form: {error:#}\n"));
    }
}

fn wit(bytes: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    // The decoder panics on some names that the engine accepts.
    std::panic::catch_unwind(|| decoded_wit(bytes))
        .unwrap_or_else(|_| Err("the decoder does not know its names".into()))
}

fn decoded_wit(bytes: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let decoded = wit_component::decode(bytes)?;
    let mut printer = wit_component::WitPrinter::default();
    printer.print(decoded.resolve(), decoded.package(), &[])?;
    Ok(printer.output.to_string())
}

/// Count what is in `bytes` and refuse what is too large, foreign or broken.
///
/// # Errors
/// [`Error::CoreModule`] for a core module, [`Error::NotWasm`] for anything else that is not a component,
/// [`Error::TooLarge`] naming what is above its bound, [`Error::Invalid`] for a broken binary.
pub fn check(bytes: &[u8], limits: &StaticLimits) -> Result<Contents, Error> {
    refuse_bytes(bytes, limits)?;
    if bytes.get(..4) != Some(b"\0asm") {
        return Err(Error::NotWasm {
            beginning: bytes[..bytes.len().min(8)].to_vec(),
        });
    }
    let mut contents = Contents::default();
    let mut depth: u64 = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| Error::Invalid(format!("{error}")))?;
        match payload {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => return Err(Error::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                contents.modules += 1;
                contents.nesting = contents.nesting.max(depth);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::FunctionSection(section) => contents.functions += u64::from(section.count()),
            Payload::ImportSection(section) => contents.imports += u64::from(section.count()),
            Payload::ComponentImportSection(section) => {
                contents.imports += u64::from(section.count())
            }
            Payload::ExportSection(section) => contents.exports += u64::from(section.count()),
            Payload::ComponentExportSection(section) => {
                contents.exports += u64::from(section.count())
            }
            Payload::TypeSection(section) => {
                contents.types += u64::from(section.count());
                contents.needs_heap = contents.needs_heap || has_heap_types(section)?;
            }
            Payload::TagSection(_) => contents.needs_heap = true,
            Payload::ComponentTypeSection(section) => contents.types += u64::from(section.count()),
            Payload::TableSection(section) => contents.tables += u64::from(section.count()),
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(|error| Error::Invalid(format!("{error}")))?;
                    contents.memories += 1;
                    // A page size that is none is left to the engine to refuse.
                    let page = 1_u64
                        .checked_shl(memory.page_size_log2.unwrap_or(16))
                        .unwrap_or(u64::MAX);
                    contents.initial_memory = contents
                        .initial_memory
                        .saturating_add(memory.initial.saturating_mul(page));
                }
            }
            Payload::DataSection(section) => contents.data_bytes += section.range().len() as u64,
            _ => {}
        }
        contents.refuse_beyond(limits)?;
    }
    Ok(contents)
}

fn has_heap_types(section: wasmparser::TypeSectionReader<'_>) -> Result<bool, Error> {
    use wasmparser::CompositeInnerType::{Array, Struct};
    for group in section {
        let group = group.map_err(|error| Error::Invalid(format!("{error}")))?;
        if group
            .into_types()
            .any(|ty| matches!(ty.composite_type.inner, Array(_) | Struct(_)))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuse a file that is too large to be looked at.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn refuse_bytes(bytes: &[u8], limits: &StaticLimits) -> Result<(), Error> {
    refuse("bytes", bytes.len() as u64, limits.bytes)
}

fn refuse(what: &'static str, found: u64, most: u64) -> Result<(), Error> {
    if found > most {
        Err(Error::TooLarge { what, found, most })
    } else {
        Ok(())
    }
}
