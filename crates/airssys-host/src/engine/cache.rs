//! Compiled code on disk. An artefact is machine code, so none is loaded that this user did not write.
//!
//! An entry is two files: the artefact, and a note with a keyed BLAKE3 over the entry's name, the summary and the
//! artefact. The key is per user and private. Names carry the component's digest, the profile
//! and the engine's compatibility, so a foreign entry is not found; a corrupt, truncated or tampered one fails
//! its check and is compiled again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::Native;
use super::static_limits::Contents;
use crate::error::Error;

/// Artefacts up to this size are read and checked in memory; larger ones are mapped after the check.
const MAPPED_ABOVE: u64 = 4 << 20;

/// What is known of an entry without loading it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    pub contents: Contents,
    /// The BLAKE3 digests of the libraries that the code of a component is without, which have entries of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    mac: String,
    #[serde(flatten)]
    summary: Summary,
}

/// What there is compiled code of.
pub trait Code: Sized {
    /// How the names of its entries begin.
    const KIND: &'static str;

    /// # Safety
    /// As the engine's `deserialize`: the bytes are what it serialised.
    unsafe fn from_bytes(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self>;

    /// # Safety
    /// As the engine's `deserialize_file`: the file holds what it serialised, and stays as it is.
    unsafe fn from_file(engine: &Engine, path: &str) -> wasmtime::Result<Self>;
}

/// The code of a component, beside that of the modules that several have in common.
pub type Compiled = Component;

impl Code for Component {
    const KIND: &'static str = "";

    unsafe fn from_bytes(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize(engine, bytes) }
    }

    unsafe fn from_file(engine: &Engine, path: &str) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize_file(engine, path) }
    }
}

impl Code for Module {
    const KIND: &'static str = "library-";

    unsafe fn from_bytes(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize(engine, bytes) }
    }

    unsafe fn from_file(engine: &Engine, path: &str) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize_file(engine, path) }
    }
}

/// What a look into the cache found.
pub enum Lookup<C> {
    Hit(C, Summary),
    Miss,
    /// An entry was there and was not used: the reason, for a report.
    Refused(String),
}

/// A folder of compiled components.
pub struct Cache {
    directory: PathBuf,
    key: [u8; 32],
}

impl Cache {
    /// Open the cache in `directory`, making it and its key when they are missing.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder or the key cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let path = directory.join("key");
        let mut key = [0; 32];
        if !path.exists() {
            File::open("/dev/urandom")?.read_exact(&mut key)?;
            let temporary = directory.join(format!("key.{}", std::process::id()));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&key)?;
            file.sync_all()?;
            // Whoever links first has made the key; the others use it.
            if let Err(error) = fs::hard_link(&temporary, &path)
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(error.into());
            }
            fs::remove_file(&temporary)?;
        }
        File::open(&path)?.read_exact(&mut key)?;
        Ok(Self {
            directory: directory.to_owned(),
            key,
        })
    }

    fn name<C: Code>(source: &blake3::Hash, native: &Native) -> String {
        format!(
            "{}{}-{:?}-{}",
            C::KIND,
            &source.to_hex()[..40],
            native.profile,
            native.compatibility
        )
        .to_lowercase()
    }

    fn mac(&self, name: &str, summary: &Summary, artefact: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        hasher.update(&serde_json::to_vec(&summary.contents).expect("numbers serialise"));
        if !summary.libraries.is_empty() {
            hasher.update(&serde_json::to_vec(&summary.libraries).expect("texts serialise"));
        }
        hasher.update(artefact);
        hasher.finalize()
    }

    /// Whether there is an entry, sound or not.
    #[must_use]
    pub fn has<C: Code>(&self, source: &blake3::Hash, native: &Native) -> bool {
        let name = Self::name::<C>(source, native);
        self.directory.join(format!("{name}.json")).exists()
    }

    /// Load what is stored for a component or a library with this digest.
    #[must_use]
    pub fn find<C: Code>(&self, source: &blake3::Hash, native: &Native) -> Lookup<C> {
        let name = Self::name::<C>(source, native);
        let path = self.directory.join(format!("{name}.cwasm"));
        let Ok(note) = fs::read(path.with_extension("json")) else {
            return Lookup::Miss;
        };
        match self.load(&name, &path, &note, native) {
            Ok((code, summary)) => Lookup::Hit(code, summary),
            Err(reason) => Lookup::Refused(format!("{}: {reason}", path.display())),
        }
    }

    fn load<C: Code>(
        &self,
        name: &str,
        path: &Path,
        note: &[u8],
        native: &Native,
    ) -> Result<(C, Summary), String> {
        let note: Note =
            serde_json::from_slice(note).map_err(|error| format!("unreadable note: {error}"))?;
        let expected = blake3::Hash::from_hex(&note.mac)
            .map_err(|error| format!("unreadable note: {error}"))?;
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let code = if length <= MAPPED_ABOVE {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)
                .map_err(|error| error.to_string())?;
            if self.mac(name, &note.summary, &bytes) != expected {
                return Err("the artefact is not the one that was stored".into());
            }
            // SAFETY: the MAC says that this user's host made these bytes.
            unsafe { C::from_bytes(&native.engine, &bytes) }
        } else {
            let usable = usize::try_from(length).map_err(|error| error.to_string())?;
            // SAFETY: a private, read-only mapping of a file in a folder that only this user can write.
            let mapped = unsafe {
                rustix::mm::mmap(
                    std::ptr::null_mut(),
                    usable,
                    rustix::mm::ProtFlags::READ,
                    rustix::mm::MapFlags::PRIVATE | rustix::mm::MapFlags::POPULATE,
                    &file,
                    0,
                )
            }
            .map_err(|error| error.to_string())?;
            // SAFETY: the mapping is `usable` bytes long and lives until the unmapping below.
            let bytes = unsafe { std::slice::from_raw_parts(mapped.cast::<u8>(), usable) };
            let found = self.mac(name, &note.summary, bytes);
            // SAFETY: nothing refers to the mapping any more.
            unsafe { rustix::mm::munmap(mapped, usable) }.map_err(|error| error.to_string())?;
            if found != expected {
                return Err("the artefact is not the one that was stored".into());
            }
            // The descriptor, not the path: what was checked is what is loaded.
            // SAFETY: the MAC says that this user's host made this file.
            unsafe {
                C::from_file(
                    &native.engine,
                    &format!("/proc/self/fd/{}", file.as_raw_fd()),
                )
            }
        };
        code.map(|code| (code, note.summary))
            .map_err(|error| format!("{error:#}"))
    }

    /// Store an artefact. A crash leaves the old entry, the new one, or none.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be written.
    pub fn store<C: Code>(
        &self,
        source: &blake3::Hash,
        native: &Native,
        summary: &Summary,
        artefact: &[u8],
    ) -> Result<(), Error> {
        let name = Self::name::<C>(source, native);
        let note = Note {
            mac: self.mac(&name, summary, artefact).to_hex().to_string(),
            summary: summary.clone(),
        };
        let path = self.directory.join(format!("{name}.cwasm"));
        self.write(&path, artefact)?;
        self.write(
            &path.with_extension("json"),
            &serde_json::to_vec(&note).expect("numbers serialise"),
        )
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let unique = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let temporary = self
            .directory
            .join(format!(".{}-{unique}.tmp", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // Best effort: the error that matters is the one returned.
            drop(fs::remove_file(&temporary));
        }
        Ok(written?)
    }
}
