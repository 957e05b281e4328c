//! One file of the log: reserved in full, written through a shared mapping.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rustix::fs::FallocateFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// A mapped segment. What was copied into it survives the death of the process.
#[derive(Debug)]
pub struct Segment {
    pub file: Arc<File>,
    pub path: PathBuf,
    pub used: usize,
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: the mapping belongs to the segment alone; it is written only through `&mut self`.
unsafe impl Send for Segment {}

impl Segment {
    /// Open or create the file with `capacity` bytes of disk reserved; `used` of them hold records.
    ///
    /// # Errors
    /// The file cannot be opened, reserved (a full disk) or mapped.
    pub fn open(path: &Path, capacity: usize, used: usize) -> io::Result<Segment> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let capacity = capacity.max(usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX));
        // Reserved blocks are why a later write into the mapping cannot fail for want of space.
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, capacity as u64)?;
        // SAFETY: a fresh mapping of a file that is at least `capacity` long; the file is shortened only
        // after the mapping is gone.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                capacity,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &file,
                0,
            )?
        };
        let base =
            NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Segment {
            file: Arc::new(file),
            path: path.to_owned(),
            used,
            base,
            capacity,
        })
    }

    pub fn has_room(&self, length: usize) -> bool {
        // One zero byte stays behind the last record, where a reader stops.
        self.used + length < self.capacity
    }

    /// Copy one line behind the others. Its first byte is stored last: a line of which the first byte is
    /// there is there in full, whenever the process dies.
    pub fn append(&mut self, line: &[u8]) {
        assert!(
            self.has_room(line.len()) && !line.is_empty(),
            "the caller looked for room"
        );
        // SAFETY: `used + line.len()` lies inside the mapping, which `&mut self` alone writes.
        unsafe {
            let start = self.base.as_ptr().add(self.used);
            std::ptr::copy_nonoverlapping(line.as_ptr().add(1), start.add(1), line.len() - 1);
            AtomicU8::from_ptr(start).store(line[0], Ordering::Release);
        }
        self.used += line.len();
    }

    /// The machine word number `position` of the mapping.
    pub fn word(&self, position: usize) -> u64 {
        // SAFETY: checked to lie inside the mapping, whose start is aligned to a page.
        unsafe { AtomicU64::from_ptr(self.word_at(position)) }.load(Ordering::Acquire)
    }

    pub fn set_word(&mut self, position: usize, value: u64) {
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.word_at(position)) }.store(value, Ordering::Release);
    }

    fn word_at(&self, position: usize) -> *mut u64 {
        assert!((position + 1) * 8 <= self.capacity, "a word of the mapping");
        // SAFETY: just checked.
        unsafe { self.base.as_ptr().cast::<u64>().add(position) }
    }

    /// Refuse to go on once the file of this name is another, or none: a mapping takes records all the same, and
    /// nobody would find them.
    ///
    /// # Errors
    /// The log was moved or removed.
    pub fn check_place(&self) -> io::Result<()> {
        let written = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (written.dev(), written.ino()) => Ok(()),
            Ok(_) => Err(self.gone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.gone()),
            Err(error) => Err(error),
        }
    }

    fn gone(&self) -> io::Error {
        io::Error::other(format!(
            "{} was moved or removed while it was written",
            self.path.display()
        ))
    }

    /// Give back what was reserved and not used; the segment is complete.
    ///
    /// # Errors
    /// The file cannot be shortened.
    pub fn seal(self) -> io::Result<Arc<File>> {
        let (file, used) = (Arc::clone(&self.file), self.used);
        drop(self);
        file.set_len(used as u64)?;
        Ok(file)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: base and capacity are those of the mapping made in `open`, unmapped once.
        // A failure leaves a mapping behind, which harms nobody.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.capacity) };
    }
}

/// The name of the segment whose first record has this sequence number.
pub fn name_of(first: u64) -> String {
    format!("segment-{first:020}.jsonl")
}

/// The segments of a directory in order: first sequence number and path.
///
/// # Errors
/// The directory cannot be read.
pub fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_prefix("segment-")?.strip_suffix(".jsonl"))
            .and_then(|digits| digits.parse().ok());
        if let Some(first) = first {
            segments.push((first, entry.path()));
        }
    }
    segments.sort();
    Ok(segments)
}
