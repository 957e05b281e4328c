//! What a component on trial has of a storage: a state that is held, and changes of its own over it, which are
//! thrown away.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::{Fixed, Reader};
use super::error::StorageError;
use super::layer::{Draft, Layer, Over};
use super::quota::{Quota, within};
use super::record::Millis;
use super::records::{Operation, Outcome, Records};
use super::store::Clock;
use super::watch::{Watcher, Watchers};

/// Bytes of keys and values that an overlay holds at most.
const MOST_BYTES: usize = 4 << 20;

/// A state of a whole storage that is held, with the moment to which it belongs. Any number of overlays may lie over
/// it, each of which begins with the same.
pub struct Base {
    pub(super) place: PathBuf,
    pub(super) clock: Clock,
    pub(super) at: Millis,
    pub(super) reader: Fixed,
}

/// Changes over a base, seen by whoever has the overlay and nobody else.
pub struct Overlay {
    place: PathBuf,
    clock: Clock,
    /// What time it is there: that of the base when the overlay was made, and going on from there.
    at: Millis,
    began: Millis,
    /// `None` once it has ended.
    laid: Mutex<Option<Laid>>,
    watchers: Watchers,
    overflowed: AtomicBool,
}

struct Laid {
    base: Arc<Base>,
    layer: Layer,
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Overlay {
    /// Lay nothing over `base` yet.
    #[must_use]
    pub fn over(base: &Arc<Base>) -> Arc<Self> {
        Arc::new(Self {
            place: base.place.clone(),
            clock: base.clock.clone(),
            at: base.at,
            began: (base.clock)(),
            laid: Mutex::new(Some(Laid {
                base: base.clone(),
                layer: Layer::default(),
            })),
            watchers: Watchers::default(),
            overflowed: AtomicBool::new(false),
        })
    }

    fn laid(&self) -> MutexGuard<'_, Option<Laid>> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which entries expire.
    pub fn now(&self) -> Millis {
        self.at
            .saturating_add((self.clock)().saturating_sub(self.began))
    }

    fn records(&self) -> Records<'_> {
        Records {
            place: &self.place,
            now: self.now(),
        }
    }

    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(Records<'_>, &dyn Reader) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let laid = self.laid();
        let Laid { base, layer } = laid.as_ref().ok_or(StorageError::Closed)?;
        let beneath = &base.reader;
        look(self.records(), &Over { layer, beneath })
    }

    pub(super) fn apply(
        &self,
        name: &str,
        quota: &Quota,
        operations: &[Operation],
    ) -> Result<Outcome, StorageError> {
        let mut laid = self.laid();
        let Laid { base, layer } = laid.as_mut().ok_or(StorageError::Closed)?;
        let (drafted, (outcome, changes)) = {
            let beneath = &base.reader;
            let present = Over { layer, beneath };
            let mut draft = Draft::over(&present);
            let applied = self.records().apply(&mut draft, name, quota, operations)?;
            (draft.layer, applied?)
        };
        let bytes = (layer.bytes + drafted.bytes) as u64;
        within("trial_storage", MOST_BYTES as u64, bytes)
            .inspect_err(|_| self.overflowed.store(true, Ordering::Release))?;
        layer.absorb(drafted);
        self.watchers.tell(name, &changes);
        Ok(outcome)
    }

    pub(super) fn watch(
        &self,
        name: &str,
        prefix: &str,
        capacity: usize,
    ) -> Result<Watcher, StorageError> {
        // Looked at under the lock, so that none is added after the end.
        let laid = self.laid();
        laid.as_ref().ok_or(StorageError::Closed)?;
        Ok(self.watchers.add(name, prefix, capacity))
    }

    /// Throw the changes away and let go of the base. Returns whether everything that was written was kept until now.
    pub fn end(&self) -> bool {
        let laid = self.laid().take();
        drop(laid);
        self.watchers.close();
        !self.overflowed.load(Ordering::Acquire)
    }
}
