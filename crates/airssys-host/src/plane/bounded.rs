//! Calls of a guest within their time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use super::cell::Cell;
use crate::engine::slice_begins;
use crate::error::Error;
use crate::instance::{Link, now_nanos};

/// Run a call of the guest within its time: real time while it computes, the plane's while it waits. Also tells
/// when it ended.
pub(super) async fn bounded<R>(
    cell: &Arc<Cell>,
    link: &Arc<Link>,
    may_block: &AtomicBool,
    began: u64,
    future: impl Future<Output = R>,
) -> (Result<R, Error>, u64) {
    drive(cell, link, may_block, began, pin!(future)).await
}

/// As [`bounded`], of a future that stays where it is: one that is moved in would stand twice in the task.
pub(super) async fn drive<R>(
    cell: &Arc<Cell>,
    link: &Arc<Link>,
    may_block: &AtomicBool,
    began: u64,
    mut future: Pin<&mut impl Future<Output = R>>,
) -> (Result<R, Error>, u64) {
    link.begin_call_at(began);
    let mut until = None;
    let result = poll_fn(|context| {
        slice_begins();
        if until.is_some() {
            link.resume_slice();
            // A file operation gave its thread back once before it blocks: now it may, without others in the queue
            // having to wait for it.
            cell.shared.queue.share();
            may_block.store(true, Ordering::Relaxed);
        } else {
            may_block.store(false, Ordering::Relaxed);
        }
        if let Poll::Ready(result) = future.as_mut().poll(context) {
            if until.is_some() {
                link.end_slice();
            }
            return Poll::Ready(Ok(result));
        }
        link.end_slice();
        let clock = &cell.shared.clock;
        let now = clock.now();
        let timeout = u64::try_from(link.limits().call_timeout.as_nanos()).unwrap_or(u64::MAX);
        let until = *until.get_or_insert_with(|| {
            // What it computed so far counts.
            now.saturating_add(timeout)
                .saturating_sub(now_nanos() - began)
        });
        if link.is_paused() {
            return Poll::Pending;
        }
        let until = until.saturating_add(link.paused_nanos());
        if now >= until {
            return Poll::Ready(Err(Error::Limit(link.timed_out())));
        }
        cell.arm(until);
        Poll::Pending
    })
    .await;
    (result, now_nanos())
}
