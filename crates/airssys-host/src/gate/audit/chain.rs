//! Reading records back, and the chain that holds them together.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::AuditError;

/// What stands for the record before the first.
pub const GENESIS: [u8; 32] = [0; 32];

/// The name of the record that acknowledges that records are missing before it.
pub const TRUNCATION_ACKNOWLEDGED: &str = "audit.truncation-acknowledged";

/// The fields of a record that programs look at.
#[derive(Debug, Deserialize)]
pub struct Row<'a> {
    pub seq: u64,
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    #[serde(borrow, default)]
    pub principal: Cow<'a, str>,
    #[serde(borrow)]
    pub op: Cow<'a, str>,
    #[serde(borrow, default)]
    pub target: Cow<'a, str>,
    #[serde(borrow, default)]
    pub decision: Cow<'a, str>,
    #[serde(borrow, default)]
    pub rule: Cow<'a, str>,
    pub repeats: Option<u64>,
    pub count: Option<u64>,
    /// In a record of pruning: the number and the hash of the last record that went.
    pub through: Option<u64>,
    #[serde(borrow, default)]
    pub head: Cow<'a, str>,
    #[serde(borrow)]
    pub prev: Cow<'a, str>,
}

/// How far a chain is known to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Sequence number of the last record, 0 before the first.
    pub sequence: u64,
    /// Hash of the last record; `None` where reading begins in the middle of the log.
    pub head: Option<[u8; 32]>,
}

/// Where the records of a segment ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub offset: usize,
    pub reason: String,
}

pub fn hash_line(line: &[u8]) -> [u8; 32] {
    *blake3::hash(line).as_bytes()
}

pub fn hex(hash: &[u8; 32]) -> String {
    let mut text = Vec::with_capacity(64);
    super::line::push_hex(&mut text, hash);
    String::from_utf8(text).expect("hexadecimal digits are ASCII")
}

/// The hash that 64 hexadecimal digits write.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(hash)
}

/// Follow the chain through the bytes of one segment, up to the first byte that is zero or the end.
/// Returns the length of the whole records, and what is wrong with what stands behind them, if anything.
pub fn follow(
    bytes: &[u8],
    chain: &mut Chain,
    mut visit: impl FnMut(&Row<'_>, &[u8]),
) -> (usize, Option<Broken>) {
    let mut offset = 0;
    while offset < bytes.len() && bytes[offset] != 0 {
        let rest = &bytes[offset..];
        let broken = |reason: String| Some(Broken { offset, reason });
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
            return (offset, broken("the line has no end".to_owned()));
        };
        let line = &rest[..length];
        let row: Row<'_> = match serde_json::from_slice(line) {
            Ok(row) => row,
            Err(error) => return (offset, broken(format!("not a record: {error}"))),
        };
        let gap = row.op == TRUNCATION_ACKNOWLEDGED && row.seq > chain.sequence;
        if chain.head.is_some() && row.seq != chain.sequence + 1 && !gap {
            let expected = chain.sequence + 1;
            return (
                offset,
                broken(format!("sequence {} where {expected} follows", row.seq)),
            );
        }
        let previous = unhex(&row.prev);
        if previous.is_none() || chain.head.is_some() && chain.head != previous {
            return (
                offset,
                broken("it does not carry the hash of the record before it".to_owned()),
            );
        }
        *chain = Chain {
            sequence: row.seq,
            head: Some(hash_line(line)),
        };
        visit(&row, line);
        offset += length + 1;
    }
    (offset, None)
}

/// Read a segment from disk.
pub fn read(path: &Path) -> Result<Vec<u8>, AuditError> {
    std::fs::read(path).map_err(|error| AuditError::Io(path.to_owned(), error))
}
