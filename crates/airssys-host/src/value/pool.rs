//! Buffers for large byte lists on their way out of guests, kept for the next.
//!
//! A fresh allocation of this size is mapped, faulted in page by page and unmapped again, which takes
//! several times as long as the copy.

use std::sync::Mutex;

use bytes::Bytes;

/// Smaller lists are served well by the allocator.
const SMALLEST: usize = 128 * 1024;
/// Larger ones are not worth the memory that they would hold.
const LARGEST: usize = 4 * 1024 * 1024;
/// At most this many are kept, so at most 16 MiB.
const KEPT: usize = 4;

static POOL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer that goes back to the pool.
struct Pooled(Vec<u8>);

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        let mut pool = POOL.lock().expect("no code under this lock panics");
        if pool.len() < KEPT {
            pool.push(buffer);
        } else if let Some(smallest) = pool.iter_mut().min_by_key(|kept| kept.capacity())
            && smallest.capacity() < buffer.capacity()
        {
            *smallest = buffer;
        }
    }
}

/// Copies `content`.
pub fn copy(content: &[u8]) -> Bytes {
    if !(SMALLEST..=LARGEST).contains(&content.len()) {
        return Bytes::from(content.to_vec());
    }
    let kept = {
        let mut pool = POOL.lock().expect("no code under this lock panics");
        let fitting = pool
            .iter()
            .position(|buffer| buffer.capacity() >= content.len());
        fitting.map(|index| pool.swap_remove(index))
    };
    let mut buffer = kept.unwrap_or_else(|| Vec::with_capacity(content.len()));
    buffer.clear();
    buffer.extend_from_slice(content);
    Bytes::from_owner(Pooled(buffer))
}
