//! How keys, records and totals stand in the tables.

/// Milliseconds since 1970.
pub type Millis = u64;

/// Version, expiry and check, before the value.
const HEADER: usize = 20;

/// A value with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Vec<u8>,
    /// Counts the changes of the namespace; larger than that of any earlier value.
    pub version: u64,
    /// When it ends.
    pub expires: Option<Millis>,
}

impl Entry {
    #[must_use]
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

/// The head of a record, without its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub version: u64,
    pub expires: Option<Millis>,
    /// Bytes of the value.
    pub size: u64,
}

impl Head {
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }

    pub fn of(record: &[u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            Some(u64::from_le_bytes(record.get(range)?.try_into().ok()?))
        };
        let size = record.len().checked_sub(HEADER)? as u64;
        Some(Self {
            version: number(0..8)?,
            expires: number(8..16).filter(|expires| *expires != 0),
            size,
        })
    }
}

fn check(key: &[u8], version_and_expiry: &[u8], value: &[u8]) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key).update(version_and_expiry).update(value);
    let mut check = [0; 4];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    check
}

/// A record of `value` under the full `key`.
pub(super) fn encode(key: &[u8], version: u64, expires: Option<Millis>, value: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER + value.len());
    record.extend_from_slice(&version.to_le_bytes());
    record.extend_from_slice(&expires.unwrap_or(0).to_le_bytes());
    let check = check(key, &record, value);
    record.extend_from_slice(&check);
    record.extend_from_slice(value);
    record
}

/// The entry in `record`, or `None` where its bytes are not those that were written.
pub(super) fn decode(key: &[u8], record: &[u8]) -> Option<Entry> {
    let head = Head::of(record)?;
    let value = &record[HEADER..];
    (check(key, &record[..16], value) == record[16..HEADER]).then(|| Entry {
        value: value.to_vec(),
        version: head.version,
        expires: head.expires,
    })
}

/// The full key of an entry: the number of its namespace first, so that no key reaches another's.
pub(super) fn entry_key(namespace: u64, key: &str) -> Vec<u8> {
    let mut full = Vec::with_capacity(8 + key.len());
    full.extend_from_slice(&namespace.to_be_bytes());
    full.extend_from_slice(key.as_bytes());
    full
}

/// The first full key after all that begin with `prefix`.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(end);
        }
        end.pop();
    }
    None
}

/// Orders what expires by time.
pub(super) fn expiry_key(expires: Millis, entry: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(8 + entry.len());
    full.extend_from_slice(&expires.to_be_bytes());
    full.extend_from_slice(entry);
    full
}

/// Time, number of the namespace and key.
pub(super) fn split_expiry_key(full: &[u8]) -> Option<(Millis, u64, &str)> {
    let time = u64::from_be_bytes(full.get(..8)?.try_into().ok()?);
    let namespace = u64::from_be_bytes(full.get(8..16)?.try_into().ok()?);
    Some((time, namespace, std::str::from_utf8(&full[16..]).ok()?))
}

/// Number and totals of a namespace. What has expired counts until it is swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub number: u64,
    pub keys: u64,
    pub bytes: u64,
    pub version: u64,
}

impl Totals {
    pub fn encode(self) -> [u8; 32] {
        let mut row = [0; 32];
        let numbers = [self.number, self.keys, self.bytes, self.version];
        for (place, number) in row.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        row
    }

    pub fn decode(row: &[u8]) -> Option<Self> {
        if row.len() != 32 {
            return None;
        }
        let mut numbers = row
            .chunks_exact(8)
            .map(|place| u64::from_le_bytes(place.try_into().expect("eight bytes each")));
        let mut next = || numbers.next().expect("four numbers");
        Some(Self {
            number: next(),
            keys: next(),
            bytes: next(),
            version: next(),
        })
    }
}
