//! Which stripe of a cell the current thread writes to.
//!
//! Threads are numbered in the order in which they first record. A stripe is
//! not owned: two threads with numbers equal modulo the stripe count share
//! one, which costs speed and never correctness, and a thread that ends leaves
//! nothing behind.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// The number of the current thread.
#[inline]
pub(crate) fn slot() -> usize {
    SLOT.try_with(|slot| match slot.get() {
        UNSET => {
            let number = NEXT.fetch_add(1, Ordering::Relaxed) & (UNSET >> 1);
            slot.set(number);
            number
        }
        number => number,
    })
    .unwrap_or(0)
}

/// Stripes per cell on this machine: the parallelism rounded up to a power of
/// two, at most 16.
pub(crate) fn count() -> usize {
    available_parallelism().map_or(1, usize::from).next_power_of_two().min(MAX_STRIPES)
}

const UNSET: usize = usize::MAX;
const MAX_STRIPES: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(UNSET) };
}
