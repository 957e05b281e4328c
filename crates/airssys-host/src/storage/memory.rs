//! The backend that keeps everything in memory, for tests and for what may be lost.

use std::collections::BTreeMap;
use std::ops::{Bound, Deref};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::backend::{Backend, Fixed, Reader, Table, Work};
use super::error::StorageError;
use super::layer::Draft;

/// Bytes of keys and values that are copied at most to hold a state.
const MOST_HELD: usize = 1 << 20;

type Maps = [BTreeMap<Vec<u8>, Vec<u8>>; 3];

/// Everything in memory; gone with the process.
#[derive(Debug, Default)]
pub struct Memory {
    maps: RwLock<Maps>,
    one_writer: Mutex<()>,
}

impl Memory {
    fn maps(&self) -> RwLockReadGuard<'_, Maps> {
        // What a panic interrupted is only ever a draft.
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_writer(&self) -> MutexGuard<'_, ()> {
        self.one_writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Memory {
    fn read(&self) -> Result<Box<dyn Reader + '_>, StorageError> {
        Ok(Box::new(View(self.maps())))
    }

    fn write(&self, work: Work<'_>) -> Result<(), StorageError> {
        let _one_writer = self.one_writer();
        let changes = {
            let view = View(self.maps());
            let mut draft = Draft::over(&view);
            work(&mut draft)?;
            draft.layer
        };
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        changes.write_to_maps(&mut maps);
        Ok(())
    }

    fn fixed(&self) -> Result<Option<Fixed>, StorageError> {
        let maps = self.maps();
        let mut left = MOST_HELD;
        for (key, value) in maps.iter().flatten() {
            match left.checked_sub(key.len() + value.len()) {
                Some(less) => left = less,
                None => return Ok(None),
            }
        }
        Ok(Some(Box::new(View(Box::new(maps.clone())))))
    }

    fn waits_for_disk(&self) -> bool {
        false
    }
}

struct View<M>(M);

impl<M: Deref<Target = Maps>> Reader for View<M> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        Ok(self.0[table as usize]
            .get(key)
            .map(|value| show(value))
            .is_some())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.0[table as usize].range::<[u8], _>((Bound::Included(from), end)) {
            if !show(key, value) {
                break;
            }
        }
        Ok(())
    }
}
