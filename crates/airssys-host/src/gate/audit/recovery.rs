//! What opening a log finds and repairs.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::chain::{Chain, GENESIS, follow, read, unhex};
use super::checkpoint::{Checkpoint, kept, public_key};
use super::prune::PRUNED;
use super::segment;
use super::{AuditError, Options};

/// How the previous owner of the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There was none.
    New,
    Closed,
    /// Killed, on the same boot of the machine: nothing is lost.
    Killed,
    /// The machine stopped: the records of the last group may be lost.
    MachineStopped,
}

impl Ending {
    pub const fn name(self) -> &'static str {
        match self {
            Ending::New => "new",
            Ending::Closed => "closed",
            Ending::Killed => "killed",
            Ending::MachineStopped => "machine-stopped",
        }
    }
}

/// The state in which writing goes on.
#[derive(Debug)]
pub struct Recovered {
    pub ending: Ending,
    pub chain: Chain,
    /// The segment to go on with, and how much of it is used.
    pub segment: Option<(PathBuf, usize)>,
    pub quarantined: Option<(PathBuf, usize)>,
    /// Set when a truncation was acknowledged: the number that the next record must exceed.
    pub beyond: Option<u64>,
    /// Lines of the last segments, by sequence number, that the counts of coalesced denials refer to.
    pub referred: HashMap<u64, Vec<u8>>,
    /// The series that the last record already counted.
    pub last_repeats: Option<u64>,
}

/// Examine the log from its newest checkpoint on, or its last two segments, and repair a torn end.
pub fn recover(
    directory: &Path,
    options: &Options,
    pending: &[(u64, u64)],
) -> Result<Recovered, AuditError> {
    let acknowledge = options.acknowledge_truncation;
    let public = options.key.as_deref().map(public_key).transpose()?;
    let fault = |error| AuditError::Io(directory.to_owned(), error);
    let segments = segment::list(directory).map_err(fault)?;
    let newest_kept = kept(directory)?.pop();
    let mut checkpoints: Vec<Checkpoint> = newest_kept
        .into_iter()
        .chain(options.checkpoint.clone())
        .collect();
    checkpoints.sort_by_key(|checkpoint| checkpoint.sequence);
    let protected = checkpoints
        .last()
        .map_or(0, |checkpoint| checkpoint.sequence);
    let mut recovered = Recovered {
        ending: ending(directory, !segments.is_empty()).map_err(fault)?,
        chain: Chain {
            sequence: 0,
            head: Some(GENESIS),
        },
        segment: None,
        quarantined: None,
        beyond: None,
        referred: HashMap::new(),
        last_repeats: None,
    };
    let earliest = checkpoints
        .first()
        .map_or(u64::MAX, |checkpoint| checkpoint.sequence);
    let from = segments
        .iter()
        .rposition(|(first, _)| *first <= earliest)
        .unwrap_or(0)
        .min(segments.len().saturating_sub(2));
    if let Some((first, _)) = segments.get(from)
        && *first > 1
    {
        recovered.chain = Chain {
            sequence: first - 1,
            head: None,
        };
    }
    let mut heads = HashMap::new();
    let mut prunings = Vec::new();
    for (position, (_, path)) in segments.iter().enumerate().skip(from) {
        let bytes = read(path)?;
        let (whole, broken) = follow(&bytes, &mut recovered.chain, |row, line| {
            if checkpoints
                .iter()
                .any(|checkpoint| checkpoint.sequence == row.seq)
            {
                heads.insert(row.seq, super::chain::hash_line(line));
            }
            if pending.iter().any(|(first, _)| *first == row.seq) {
                recovered.referred.insert(row.seq, line.to_vec());
            }
            if let (PRUNED, Some(through)) = (&*row.op, row.through) {
                prunings.push((row.seq, through));
            }
            recovered.last_repeats = row.repeats;
        });
        let is_last = position + 1 == segments.len();
        let torn = bytes[whole..]
            .iter()
            .rposition(|byte| *byte != 0)
            .map(|last| &bytes[whole..=whole + last]);
        if let Some(torn) = torn {
            let reason = broken.map_or_else(
                || "bytes behind the last record".to_owned(),
                |broken| broken.reason,
            );
            if !is_last || recovered.chain.sequence < protected && !acknowledge {
                return Err(AuditError::Corrupt {
                    segment: path.clone(),
                    offset: whole,
                    sequence: recovered.chain.sequence + 1,
                    reason,
                });
            }
            let file = quarantine(directory, path, whole, torn).map_err(fault)?;
            recovered.quarantined = Some((file, torn.len()));
        }
        if is_last {
            recovered.segment = Some((path.clone(), whole));
        } else if whole < bytes.len() {
            // The process died between starting the next segment and ending this one.
            OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|file| file.set_len(whole as u64))
                .map_err(fault)?;
        }
    }
    let fits = |checkpoint: &Checkpoint| {
        let found = heads.get(&checkpoint.sequence);
        found.is_some() && found.copied() == unhex(&checkpoint.head)
    };
    // Anybody can write that records were pruned; the key signs it before they go.
    let own = |checkpoint: &Checkpoint| checkpoint.verify(public.as_deref()).is_ok();
    let signed = checkpoints
        .iter()
        .filter(|checkpoint| fits(checkpoint) && own(checkpoint))
        .map(|checkpoint| checkpoint.sequence)
        .max();
    let pruned_through = prunings
        .iter()
        .filter(|(sequence, _)| {
            public.is_none() || signed.is_some_and(|signed| *sequence <= signed)
        })
        .map(|(_, through)| *through)
        .max()
        .unwrap_or_default();
    for checkpoint in &checkpoints {
        let right = checkpoint.sequence <= pruned_through || fits(checkpoint);
        // A key that is gone is acknowledged as well as records that are.
        if right && (!acknowledge || own(checkpoint)) {
            continue;
        }
        if !acknowledge {
            return Err(AuditError::Truncated {
                checkpoint: checkpoint.sequence,
                last: recovered.chain.sequence,
            });
        }
        recovered.beyond = Some(protected.max(recovered.chain.sequence));
    }
    if recovered.chain.head.is_none() {
        // An empty last segment after lost ones: nothing is left to continue from.
        return Err(AuditError::Truncated {
            checkpoint: recovered.chain.sequence,
            last: 0,
        });
    }
    Ok(recovered)
}

/// Copy torn bytes aside, durably, and only then clear them.
fn quarantine(directory: &Path, path: &Path, offset: usize, torn: &[u8]) -> io::Result<PathBuf> {
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or("segment");
    let mut number = 0;
    let (target, mut file) = loop {
        let target = directory.join(format!("quarantine-{name}-{offset}-{number}"));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target)
        {
            Ok(file) => break (target, file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    file.write_all(torn)?;
    file.sync_all()?;
    let segment = OpenOptions::new().write(true).open(path)?;
    segment.write_all_at(&vec![0; torn.len()], offset as u64)?;
    segment.sync_all()?;
    Ok(target)
}

const OWNER: &str = "owner";

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn ending(directory: &Path, used: bool) -> io::Result<Ending> {
    match std::fs::read_to_string(directory.join(OWNER)) {
        Ok(text) if text == "closed" => Ok(Ending::Closed),
        Ok(text) if text == boot_id() => Ok(Ending::Killed),
        Ok(_) => Ok(Ending::MachineStopped),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(if used {
            Ending::MachineStopped
        } else {
            Ending::New
        }),
        Err(error) => Err(error),
    }
}

/// Note that the log is in use, or that it was closed.
pub fn note_owner(directory: &Path, closed: bool) -> io::Result<()> {
    let text = if closed {
        "closed".to_owned()
    } else {
        boot_id()
    };
    let temporary = directory.join("owner.new");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, directory.join(OWNER))?;
    std::fs::File::open(directory)?.sync_all()
}
