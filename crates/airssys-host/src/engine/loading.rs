//! From bytes to code that can be instantiated: checked, found in the cache or compiled, and kept there.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use wasmtime::Module;
use wasmtime::component::Component;

use super::cache::{Cache, Lookup, Summary};
use super::split::split;
use super::static_limits::{self, Contents, StaticLimits};
use super::{Allocation, Native, Profile, compile};
use crate::error::Error;

/// Steps of loading, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Checking,
    LookingUp,
    Compiling,
    Storing,
}

/// How a component is loaded.
pub struct Loading<'a> {
    pub limits: StaticLimits,
    pub cache: Option<&'a Cache>,
    /// Compile in this process whatever its size.
    pub in_process: bool,
    /// Told of each phase.
    pub progress: &'a mut dyn FnMut(Phase),
    /// Asked every 50 ms while a child compiles.
    pub interrupted: &'a mut dyn FnMut() -> bool,
    /// Told of a cache entry that was not used, and why.
    pub report: &'a mut dyn FnMut(String),
}

/// The code of a component.
pub(crate) struct Code {
    pub native: &'static Native,
    pub compiled: Component,
    /// What the compiled code imports by [`super::import_name`], in its order.
    pub libraries: Vec<Arc<Module>>,
    pub contents: Contents,
    /// Whether none of it was compiled now.
    pub from_cache: bool,
}

/// Check, and compile or find.
///
/// # Errors
/// As [`static_limits::check`], [`compile::compile`] and [`Native::get`].
pub(crate) fn code(bytes: &[u8], mut loading: Loading<'_>) -> Result<Code, Error> {
    super::rearm_signal_handlers();
    static_limits::refuse_bytes(bytes, &loading.limits)?;
    (loading.progress)(Phase::LookingUp);
    let source = blake3::hash(bytes);
    for profile in [Profile::Plain, Profile::Concurrent] {
        if let Some(found) = found(&source, profile, &mut loading)? {
            return Ok(found);
        }
    }
    (loading.progress)(Phase::Checking);
    let contents = static_limits::check(bytes, &loading.limits)?;
    (loading.progress)(Phase::Compiling);
    compiled(bytes, &source, contents, &mut loading)
}

/// What the cache has of a component.
fn found(
    source: &blake3::Hash,
    profile: Profile,
    loading: &mut Loading<'_>,
) -> Result<Option<Code>, Error> {
    let Some(cache) = loading.cache else {
        return Ok(None);
    };
    // Artefacts do not depend on where instances are allocated.
    for allocation in [Allocation::Pool, Allocation::OnDemand] {
        let native = Native::get(profile, allocation)?;
        let (compiled, summary) = match cache.find::<Component>(source, native) {
            Lookup::Hit(compiled, summary) => (compiled, summary),
            Lookup::Refused(reason) => {
                (loading.report)(reason);
                return Ok(None);
            }
            Lookup::Miss => return Ok(None),
        };
        if allocation == Allocation::Pool && !fits_a_slot(&summary.contents) {
            continue;
        }
        summary.contents.refuse_beyond(&loading.limits)?;
        let mut libraries = Vec::new();
        for digest in &summary.libraries {
            let known = blake3::Hash::from_hex(digest).ok();
            let Some(library) = known.and_then(|digest| library(&digest, native, loading)) else {
                return Ok(None);
            };
            libraries.push(library);
        }
        return Ok(Some(Code {
            native,
            compiled,
            libraries,
            contents: summary.contents,
            from_cache: true,
        }));
    }
    Ok(None)
}

fn compiled(
    bytes: &[u8],
    source: &blake3::Hash,
    mut contents: Contents,
    loading: &mut Loading<'_>,
) -> Result<Code, Error> {
    let allocation = if fits_a_slot(&contents) {
        Allocation::Pool
    } else {
        Allocation::OnDemand
    };
    let mut shared = Vec::new();
    let (native, artefact) = match split(bytes) {
        None => any_profile(bytes, allocation, loading)?,
        Some(parts) => match any_profile(&parts.skeleton, allocation, loading) {
            // What is wrong is told of the component as it is.
            Err(Error::Invalid(_)) => any_profile(bytes, allocation, loading)?,
            other => {
                shared = parts.libraries;
                other?
            }
        },
    };
    let mut libraries = Vec::new();
    let mut summary = Summary::default();
    for bytes in shared {
        let digest = blake3::hash(bytes);
        let known = library(&digest, native, loading);
        // One that this process has may come from another cache; one that was not sound is written anew.
        let kept = known.is_some()
            && (loading.cache).is_none_or(|cache| cache.has::<Module>(&digest, native));
        let library = match known {
            Some(library) => library,
            None => compile_library(bytes, &digest, native, loading)?,
        };
        if !kept {
            store_library(&library, &digest, native, loading);
        }
        libraries.push(library);
        summary.libraries.push(digest.to_hex().to_string());
    }
    // Only now: the engine has validated what the description is read from.
    contents.describe(bytes);
    summary.contents = contents;
    if let Some(cache) = loading.cache {
        (loading.progress)(Phase::Storing);
        if let Err(error) = cache.store::<Component>(source, native, &summary, &artefact) {
            (loading.report)(format!("compiled code could not be stored: {error}"));
        }
    }
    // SAFETY: the engine of this process, or a child of it running the same code, has just made these bytes.
    let compiled = unsafe { Component::deserialize(&native.engine, &artefact) }
        .map_err(|error| Error::Internal(format!("{error:#}")))?;
    Ok(Code {
        native,
        compiled,
        libraries,
        contents: summary.contents,
        from_cache: false,
    })
}

/// Compile for the cheaper engine, or for the one that has what the component needs.
fn any_profile(
    bytes: &[u8],
    allocation: Allocation,
    loading: &mut Loading<'_>,
) -> Result<(&'static Native, Vec<u8>), Error> {
    let in_child = !loading.in_process && bytes.len() > compile::INLINE_BYTES;
    let plain = Native::get(Profile::Plain, allocation)?;
    match compile::compile(bytes, plain, in_child, loading.interrupted) {
        Err(Error::Invalid(reason)) if reason.contains("async") => {
            let concurrent = Native::get(Profile::Concurrent, allocation)?;
            compile::compile(bytes, concurrent, in_child, loading.interrupted)
                .map(|artefact| (concurrent, artefact))
        }
        other => other.map(|artefact| (plain, artefact)),
    }
}

type Libraries = HashMap<(blake3::Hash, Profile, Allocation), Weak<Module>>;

/// The libraries of the components that are loaded: their code is in memory once.
static LIBRARIES: LazyLock<Mutex<Libraries>> = LazyLock::new(Mutex::default);

fn libraries() -> std::sync::MutexGuard<'static, Libraries> {
    LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(digest: &blake3::Hash, native: &Native, library: Module) -> Arc<Module> {
    let mut kept = libraries();
    kept.retain(|_, library| library.strong_count() > 0);
    let place = kept
        .entry((*digest, native.profile, native.allocation))
        .or_default();
    // Another thread may have been first: its code is the same.
    place.upgrade().unwrap_or_else(|| {
        let library = Arc::new(library);
        *place = Arc::downgrade(&library);
        library
    })
}

/// A library that a component in this process has, or that the cache has.
fn library(
    digest: &blake3::Hash,
    native: &Native,
    loading: &mut Loading<'_>,
) -> Option<Arc<Module>> {
    let here = libraries()
        .get(&(*digest, native.profile, native.allocation))
        .and_then(Weak::upgrade);
    if here.is_some() {
        return here;
    }
    match loading.cache?.find::<Module>(digest, native) {
        Lookup::Hit(library, _) => Some(keep(digest, native, library)),
        Lookup::Refused(reason) => {
            (loading.report)(reason);
            None
        }
        Lookup::Miss => None,
    }
}

fn compile_library(
    bytes: &[u8],
    digest: &blake3::Hash,
    native: &'static Native,
    loading: &mut Loading<'_>,
) -> Result<Arc<Module>, Error> {
    let in_child = !loading.in_process && bytes.len() > compile::INLINE_BYTES;
    let artefact = compile::compile(bytes, native, in_child, loading.interrupted)?;
    // SAFETY: the engine of this process, or a child of it running the same code, has just made these bytes.
    let library = unsafe { Module::deserialize(&native.engine, &artefact) }
        .map_err(|error| Error::Internal(format!("{error:#}")))?;
    Ok(keep(digest, native, library))
}

fn store_library(
    library: &Module,
    digest: &blake3::Hash,
    native: &Native,
    loading: &mut Loading<'_>,
) {
    let Some(cache) = loading.cache else { return };
    let stored = library
        .serialize()
        .map_err(|error| Error::Internal(format!("{error:#}")))
        .and_then(|artefact| cache.store::<Module>(digest, native, &Summary::default(), &artefact));
    if let Err(error) = stored {
        (loading.report)(format!("compiled code could not be stored: {error}"));
    }
}

fn fits_a_slot(contents: &Contents) -> bool {
    !contents.needs_heap
        && contents.memories <= u64::from(super::SLOT_MEMORIES)
        && contents.tables <= u64::from(super::SLOT_TABLES)
        && contents.modules <= u64::from(super::SLOT_CORE_INSTANCES)
}
