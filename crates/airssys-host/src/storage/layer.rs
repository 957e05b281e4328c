//! Changes in memory over a reader beneath them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::backend::{Reader, Table, Writer};
use super::error::StorageError;

/// Changes by table and key; `None` deletes.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    tables: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; 3],
    /// Bytes of keys and values held, about.
    pub bytes: usize,
}

impl Layer {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    pub fn change(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        let size = key.len();
        if let Some(replaced) = self.tables[table as usize].insert(key, value) {
            self.bytes -= size + replaced.map_or(0, |value| value.len());
        }
    }

    /// Put `later` changes over these.
    pub fn absorb(&mut self, later: Self) {
        for (table, changes) in Table::ALL.into_iter().zip(later.tables) {
            for (key, value) in changes {
                self.change(table, key, value);
            }
        }
    }

    /// Make these changes in a transaction.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn write_to(&self, writer: &mut dyn Writer) -> Result<(), StorageError> {
        for (table, changes) in Table::ALL.into_iter().zip(&self.tables) {
            for (key, value) in changes {
                match value {
                    Some(value) => writer.put(table, key, value)?,
                    None => writer.delete(table, key)?,
                }
            }
        }
        Ok(())
    }

    /// Make these changes in plain tables.
    pub fn write_to_maps(self, maps: &mut [BTreeMap<Vec<u8>, Vec<u8>>; 3]) {
        for (map, changes) in maps.iter_mut().zip(self.tables) {
            for (key, value) in changes {
                match value {
                    Some(value) => map.insert(key, value),
                    None => map.remove(&key),
                };
            }
        }
    }
}

/// What a reader sees with a layer over it.
pub struct Over<'a> {
    pub layer: &'a Layer,
    pub beneath: &'a dyn Reader,
}

impl Reader for Over<'_> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        match self.layer.tables[table as usize].get(key) {
            Some(Some(value)) => {
                show(value);
                Ok(true)
            }
            Some(None) => Ok(false),
            None => self.beneath.get(table, key, show),
        }
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
        let mut changes = self.layer.tables[table as usize]
            .range::<[u8], _>((Bound::Included(from), end))
            .peekable();
        let mut go_on = true;
        self.beneath.scan(table, from, to, &mut |key, value| {
            while let Some((changed, new)) = changes.next_if(|(changed, _)| ***changed < *key) {
                if let Some(new) = new
                    && !show(changed, new)
                {
                    go_on = false;
                    return false;
                }
            }
            go_on = match changes.next_if(|(changed, _)| ***changed == *key) {
                Some((changed, Some(new))) => show(changed, new),
                Some((_, None)) => true,
                None => show(key, value),
            };
            go_on
        })?;
        if go_on {
            for (key, value) in changes {
                if let Some(value) = value
                    && !show(key, value)
                {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// A transaction whose changes are kept in a layer of their own until it ends well.
pub struct Draft<'a> {
    pub layer: Layer,
    beneath: &'a dyn Reader,
}

impl<'a> Draft<'a> {
    pub fn over(beneath: &'a dyn Reader) -> Self {
        Self {
            layer: Layer::default(),
            beneath,
        }
    }

    fn view(&self) -> Over<'_> {
        Over {
            layer: &self.layer,
            beneath: self.beneath,
        }
    }
}

impl Reader for Draft<'_> {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StorageError> {
        self.view().get(table, key, show)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        self.view().scan(table, from, to, show)
    }
}

impl Writer for Draft<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.layer.change(table, key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StorageError> {
        self.layer.change(table, key.to_vec(), None);
        Ok(())
    }
}
