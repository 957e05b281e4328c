//! What one namespace may hold.

use super::error::StorageError;

/// The most that one namespace may hold; checked in the transaction of each write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of keys and values together.
    pub bytes: u64,
    pub keys: u64,
    /// Bytes of one key.
    pub key: u64,
    /// Bytes of one value.
    pub value: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            bytes: 50 << 20,
            keys: 100_000,
            key: 256,
            value: 1_000_000,
        }
    }
}

impl Quota {
    /// Bounds that only the disk sets; what an operator's tools use.
    pub const NONE: Self = Self {
        bytes: u64::MAX,
        keys: u64::MAX,
        key: LONGEST_KEY,
        value: 1 << 30,
    };

    /// Refuse a key that no namespace takes, or that is longer than this one takes.
    ///
    /// # Errors
    /// [`StorageError::Invalid`], [`StorageError::Exceeded`].
    pub fn check_key(&self, key: &str) -> Result<(), StorageError> {
        if key.is_empty() {
            return Err(StorageError::Invalid("a key has at least one byte".into()));
        }
        check_form(key)?;
        let odd = key
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."));
        if odd {
            return Err(StorageError::Invalid(format!(
                "the key '{}' has an empty segment, '.' or '..' between its slashes, which rules could not name",
                key.escape_debug()
            )));
        }
        within("storage_key", self.key.min(LONGEST_KEY), key.len() as u64)
    }

    /// Refuse a value that is longer than this namespace takes.
    ///
    /// # Errors
    /// [`StorageError::Exceeded`].
    pub fn check_value(&self, value: &[u8]) -> Result<(), StorageError> {
        within("storage_value", self.value, value.len() as u64)
    }
}

/// No quota allows a longer key: a key is also a target of rules.
const LONGEST_KEY: u64 = 4096;

/// Refuse what can be neither a key nor its beginning.
pub(super) fn check_form(text: &str) -> Result<(), StorageError> {
    if text.contains('\0') {
        return Err(StorageError::Invalid("a key contains no NUL".into()));
    }
    Ok(())
}

pub(super) fn within(
    limit: &'static str,
    configured: u64,
    needed: u64,
) -> Result<(), StorageError> {
    if needed > configured {
        return Err(StorageError::Exceeded {
            limit,
            configured,
            needed,
        });
    }
    Ok(())
}
