//! Writes that are acknowledged before they are durable: they gather in memory and go to the backend beneath in one
//! transaction, some milliseconds later. What a kill leaves is all of them up to some point, and none after it.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::backend::{Backend, Fixed, Reader, Table, Work};
use super::error::StorageError;
use super::layer::{Draft, Layer, Over};

/// Bytes that may wait for the disk; a writer beyond that waits for room.
const MOST_WAITING: usize = 16 << 20;

/// Bytes of what has come since the last flush that are copied at most to hold a state.
const MOST_HELD: usize = 64 << 10;

/// A backend whose writes reach the one beneath within an interval.
pub struct Relaxed {
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    beneath: Box<dyn Backend>,
    layers: RwLock<Layers>,
    one_writer: Mutex<()>,
    one_flush: Mutex<()>,
    signals: Mutex<Signals>,
    /// Told of anything to do, and of room.
    changed: Condvar,
}

#[derive(Clone, Default)]
struct Layers {
    /// What has come since the flush under way began.
    fresh: Layer,
    /// What the flush under way writes; seen until the backend beneath has it.
    leaving: Option<Arc<Layer>>,
}

#[derive(Default)]
struct Signals {
    over: bool,
    urgent: bool,
    /// Why the last flush failed; the next write gets it.
    failed: Option<StorageError>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relaxed {
    /// Gather writes for at most `interval` before they go to `beneath`.
    #[must_use]
    pub fn over(beneath: Box<dyn Backend>, interval: Duration) -> Self {
        let shared = Arc::new(Shared {
            beneath,
            layers: RwLock::default(),
            one_writer: Mutex::new(()),
            one_flush: Mutex::new(()),
            signals: Mutex::default(),
            changed: Condvar::new(),
        });
        let for_thread = shared.clone();
        let flusher = std::thread::Builder::new()
            .name("airssys-kv-flush".into())
            .spawn(move || for_thread.flush_each(interval))
            .expect("a thread can be had when the storage is opened");
        Self {
            shared,
            flusher: Mutex::new(Some(flusher)),
        }
    }
}

impl Shared {
    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush_each(&self, interval: Duration) {
        loop {
            {
                let signals = locked(&self.signals);
                let (mut signals, _) = self
                    .changed
                    .wait_timeout_while(signals, interval, |signals| {
                        !signals.over && !signals.urgent
                    })
                    .unwrap_or_else(PoisonError::into_inner);
                signals.urgent = false;
                if signals.over {
                    return;
                }
            }
            let failed = self.flush().err();
            locked(&self.signals).failed = failed;
            self.changed.notify_all();
        }
    }

    fn flush(&self) -> Result<(), StorageError> {
        let _one_flush = locked(&self.one_flush);
        let leaving = {
            let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = std::mem::take(&mut layers.fresh);
            // A flush that failed left its layer: it goes out with this one.
            let leaving = match layers.leaving.take() {
                None => fresh,
                Some(failed) => {
                    let mut all = Arc::unwrap_or_clone(failed);
                    all.absorb(fresh);
                    all
                }
            };
            if leaving.is_empty() {
                return Ok(());
            }
            let leaving = Arc::new(leaving);
            layers.leaving = Some(leaving.clone());
            leaving
        };
        let written = self.beneath.write(&mut |writer| leaving.write_to(writer));
        written?;
        self.layers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .leaving = None;
        Ok(())
    }

    /// Wait until the layers have room, or writing them has failed.
    fn wait_for_room(&self) -> Result<(), StorageError> {
        let mut signals = locked(&self.signals);
        loop {
            if let Some(failed) = &signals.failed {
                return Err(failed.clone());
            }
            if self.layers().fresh.bytes < MOST_WAITING {
                return Ok(());
            }
            if signals.over {
                return Err(StorageError::Closed);
            }
            signals.urgent = true;
            self.changed.notify_all();
            signals = self
                .changed
                .wait(signals)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Backend for Relaxed {
    fn read(&self) -> Result<Box<dyn Reader + '_>, StorageError> {
        // In this order: what leaves the layers meanwhile is beneath already.
        let layers = self.shared.layers();
        let beneath = self.shared.beneath.read()?;
        Ok(Box::new(View { layers, beneath }))
    }

    fn write(&self, work: Work<'_>) -> Result<(), StorageError> {
        let _one_writer = locked(&self.shared.one_writer);
        self.shared.wait_for_room()?;
        let changes = {
            let view = self.read()?;
            let mut draft = Draft::over(&*view);
            work(&mut draft)?;
            draft.layer
        };
        self.shared
            .layers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .fresh
            .absorb(changes);
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn Reader + '_>, StorageError> {
        self.flush()?;
        self.shared.beneath.snapshot()
    }

    fn fixed(&self) -> Result<Option<Fixed>, StorageError> {
        // In this order, as for a read.
        let layers = self.shared.layers();
        let Some(beneath) = self.shared.beneath.fixed()? else {
            return Ok(None);
        };
        if layers.fresh.bytes > MOST_HELD {
            return Ok(None);
        }
        let layers = Box::new(layers.clone());
        Ok(Some(Box::new(View { layers, beneath })))
    }

    fn waits_for_disk(&self) -> bool {
        false
    }

    fn flush(&self) -> Result<(), StorageError> {
        let flushed = self.shared.flush();
        locked(&self.shared.signals).failed = flushed.as_ref().err().cloned();
        self.shared.changed.notify_all();
        flushed
    }
}

impl Drop for Relaxed {
    fn drop(&mut self) {
        locked(&self.shared.signals).over = true;
        self.shared.changed.notify_all();
        if let Some(flusher) = locked(&self.flusher).take() {
            // A flusher that panicked has nothing more to say.
            let _ = flusher.join();
        }
    }
}

struct View<L, R> {
    layers: L,
    beneath: R,
}

impl<L: Deref<Target = Layers>, R: Reader> View<L, R> {
    fn with<T>(&self, look: impl FnOnce(&dyn Reader) -> T) -> T {
        let beneath: &dyn Reader = &self.beneath;
        match &self.layers.leaving {
            None => look(&Over {
                layer: &self.layers.fresh,
                beneath,
            }),
            Some(leaving) => look(&Over {
                layer: &self.layers.fresh,
                beneath: &Over {
                    layer: leaving,
                    beneath,
                },
            }),
        }
    }
}

impl<L: Deref<Target = Layers>, R: Reader> Reader for View<L, R> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        self.with(|reader| reader.get(table, key, show))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        self.with(|reader| reader.scan(table, from, to, show))
    }
}
