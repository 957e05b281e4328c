//! Watching the very object that was checked; Python reads the events.

use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

use super::errors::os_error;

/// Make an inotify descriptor that does not block; the caller closes it.
#[pyfunction]
pub fn inotify_create(py: Python<'_>) -> PyResult<RawFd> {
    init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| os_error(py, &error.into(), "inotify"))
}

/// Watch what a descriptor names; return the number of the watch.
#[pyfunction]
pub fn inotify_add(py: Python<'_>, inotify: RawFd, descriptor: RawFd, mask: u32) -> PyResult<i32> {
    if inotify < 0 || descriptor < 0 {
        return Err(PyValueError::new_err("a descriptor is closed"));
    }
    // SAFETY: not -1; the caller keeps it open during the call, and one that is not open only makes the
    // system call fail.
    let inotify = unsafe { BorrowedFd::borrow_raw(inotify) };
    let path = format!("/proc/self/fd/{descriptor}");
    add_watch(inotify, path.as_str(), WatchFlags::from_bits_retain(mask))
        .map_err(|error| os_error(py, &error.into(), &path))
}
