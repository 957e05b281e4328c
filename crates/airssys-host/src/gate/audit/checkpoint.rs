//! Signed statements of how far the log had come.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::AuditError;
use super::chain::unhex;

const CONTEXT: &str = "airssys audit checkpoint 1";
pub const FILE: &str = "checkpoints.jsonl";

/// That the record `sequence` existed and had the hash `head`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub sequence: u64,
    pub head: String,
    pub time: String,
    /// Ed25519 public key and signature, in hexadecimal.
    pub key: String,
    pub signature: String,
}

impl Checkpoint {
    pub fn sign(
        seed: &[u8],
        sequence: u64,
        head: String,
        time: String,
    ) -> Result<Checkpoint, AuditError> {
        let pair = key_pair(seed)?;
        let signature = pair.sign(&payload(sequence, &head, &time));
        Ok(Checkpoint {
            sequence,
            head,
            time,
            key: to_hex(pair.public_key().as_ref()),
            signature: to_hex(signature.as_ref()),
        })
    }

    /// Read one line; whose key signed it is checked by [`Self::verify`].
    pub fn parse(line: &[u8]) -> Result<Checkpoint, AuditError> {
        serde_json::from_slice(line)
            .map_err(|error| AuditError::BadCheckpoint(format!("it is not understood: {error}")))
    }

    /// Check the signature by `public_key`, or by the key that the checkpoint names.
    pub fn verify(&self, public_key: Option<&[u8]>) -> Result<(), AuditError> {
        let bad = |reason: &str| AuditError::BadCheckpoint(reason.to_owned());
        let named = from_hex(&self.key).ok_or_else(|| bad("its key is not hexadecimal"))?;
        if public_key.is_some_and(|key| key != named) {
            return Err(bad("another key signed it"));
        }
        let signature =
            from_hex(&self.signature).ok_or_else(|| bad("its signature is not hexadecimal"))?;
        UnparsedPublicKey::new(&ED25519, named)
            .verify(&payload(self.sequence, &self.head, &self.time), &signature)
            .map_err(|_| bad("its signature does not fit"))?;
        unhex(&self.head)
            .map(drop)
            .ok_or_else(|| bad("its head is not a hash"))
    }

    pub fn to_line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a checkpoint is plain text")
    }

    /// Add this checkpoint to those beside the log, durably.
    pub fn keep(&self, directory: &Path) -> Result<(), AuditError> {
        let path = directory.join(FILE);
        let store = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            let mut line = self.to_line();
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_all()
        };
        store().map_err(|error| AuditError::Io(path.clone(), error))
    }
}

/// The checkpoints kept beside the log, oldest first. A last line without an end was never acknowledged.
pub fn kept(directory: &Path) -> Result<Vec<Checkpoint>, AuditError> {
    let path = directory.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::Io(path, error)),
    };
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    bytes[..whole]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(Checkpoint::parse)
        .collect()
}

/// The public half of a key.
pub fn public_key(seed: &[u8]) -> Result<Vec<u8>, AuditError> {
    Ok(key_pair(seed)?.public_key().as_ref().to_vec())
}

fn key_pair(seed: &[u8]) -> Result<Ed25519KeyPair, AuditError> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| AuditError::BadKey)
}

fn payload(sequence: u64, head: &str, time: &str) -> Vec<u8> {
    format!("{CONTEXT}\n{sequence}\n{head}\n{time}\n").into_bytes()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
