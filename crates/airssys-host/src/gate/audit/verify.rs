//! Checking a whole log, also one that is being written.

use std::path::Path;

use super::AuditError;
use super::chain::{Chain, GENESIS, follow, hash_line, hex, read};
use super::checkpoint::{Checkpoint, kept};
use super::prune::PRUNED;
use super::segment;

/// What a whole log contains.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub records: u64,
    /// Denials that were counted rather than written.
    pub coalesced: u64,
    pub first: u64,
    pub last: u64,
    pub head: String,
    pub segments: usize,
    /// Checkpoints whose signature and hash fit.
    pub checkpoints: usize,
    /// Number of the last record that was pruned, 0 where none was.
    pub pruned_through: u64,
    /// Sequence numbers of acknowledged truncations.
    pub acknowledged: Vec<u64>,
}

/// Follow the chain from the first record to the last and check every checkpoint.
///
/// # Errors
/// A record is damaged, or the log disagrees with a checkpoint that no acknowledgement follows.
pub fn verify(
    directory: &Path,
    public_key: Option<&[u8]>,
    known: Option<Checkpoint>,
) -> Result<Report, AuditError> {
    let mut checkpoints = kept(directory)?;
    checkpoints.extend(known);
    checkpoints.sort_by_key(|checkpoint| checkpoint.sequence);
    let signed: Vec<_> = checkpoints
        .iter()
        .map(|checkpoint| checkpoint.verify(public_key))
        .collect();
    let segments =
        segment::list(directory).map_err(|error| AuditError::Io(directory.to_owned(), error))?;
    let first = segments.first().map_or(1, |(first, _)| *first);
    let mut chain = if first == 1 {
        Chain {
            sequence: 0,
            head: Some(GENESIS),
        }
    } else {
        Chain {
            sequence: first - 1,
            head: None,
        }
    };
    let mut report = Report {
        first,
        segments: segments.len(),
        ..Report::default()
    };
    let mut fits = vec![false; checkpoints.len()];
    // What stood before each segment, and what the records of prunings say stood there.
    let mut boundaries = Vec::with_capacity(segments.len());
    let mut prunings = Vec::new();
    for (position, (number, path)) in segments.iter().enumerate() {
        let bytes = read(path)?;
        let (whole, broken) = follow(&bytes, &mut chain, |row, line| {
            report.records += 1;
            if row.seq == *number {
                boundaries.push((row.seq - 1, row.prev.to_string()));
            }
            if let (PRUNED, Some(through)) = (&*row.op, row.through) {
                prunings.push((row.seq, (through, row.head.to_string())));
            }
            report.coalesced += row.repeats.and(row.count).unwrap_or(0);
            if row.op == super::chain::TRUNCATION_ACKNOWLEDGED {
                report.acknowledged.push(row.seq);
            }
            let start = checkpoints.partition_point(|checkpoint| checkpoint.sequence < row.seq);
            for (checkpoint, fits) in checkpoints[start..].iter().zip(&mut fits[start..]) {
                if checkpoint.sequence != row.seq {
                    break;
                }
                *fits = checkpoint.head == hex(&hash_line(line));
            }
        });
        // Behind the last record of the last segment a writer may be at work.
        let unfinished =
            position + 1 == segments.len() && bytes.get(whole).is_none_or(|byte| *byte == 0);
        if let Some(broken) = broken {
            return Err(AuditError::Corrupt {
                segment: path.clone(),
                offset: broken.offset,
                sequence: chain.sequence + 1,
                reason: broken.reason,
            });
        }
        if !unfinished && whole < bytes.len() && bytes[whole..].iter().any(|byte| *byte != 0) {
            return Err(AuditError::Corrupt {
                segment: path.clone(),
                offset: whole,
                sequence: chain.sequence + 1,
                reason: "bytes behind the last record".to_owned(),
            });
        }
    }
    // Anybody can write that records were pruned, or that a truncation was acknowledged: the key signs it.
    let signed_through = checkpoints
        .iter()
        .zip(&fits)
        .zip(&signed)
        .filter(|((_, fits), signed)| **fits && signed.is_ok())
        .map(|((checkpoint, _), _)| checkpoint.sequence)
        .max()
        .unwrap_or_default();
    // A pruning that was interrupted left some of the segments that it names.
    report.pruned_through = prunings
        .iter()
        .filter(|(sequence, pruning)| *sequence <= signed_through && boundaries.contains(pruning))
        .map(|(_, (through, _))| *through)
        .max()
        .unwrap_or_default()
        .min(first - 1);
    if first > 1 && report.pruned_through < first - 1 {
        return Err(AuditError::Beheaded { first });
    }
    report
        .acknowledged
        .retain(|number| *number <= signed_through);
    for ((checkpoint, fits), signed) in checkpoints.iter().zip(fits).zip(signed) {
        let excused = checkpoint.sequence < first
            || report
                .acknowledged
                .iter()
                .any(|number| *number > checkpoint.sequence);
        if fits && signed.is_ok() {
            report.checkpoints += 1;
        } else if !excused {
            signed?;
            return Err(AuditError::Truncated {
                checkpoint: checkpoint.sequence,
                last: chain.sequence,
            });
        }
    }
    report.last = chain.sequence;
    report.head = chain.head.as_ref().map(hex).unwrap_or_default();
    Ok(report)
}
