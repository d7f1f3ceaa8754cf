//! Storage with a part for each thread that writes often, small while few do.
//!
//! The first thread that writes owns `base`: it is the only one ever to write
//! there and needs plain loads and stores. Others use `rest` by
//! read-modify-write. When they have done so [`PATIENCE`] times the storage
//! grows a padded part for each thread number; the owner then leaves `base`
//! too, so that nobody writes to the line that all read. `base` and `rest` keep
//! what they have; the whole is always the sum of all parts.
//!
//! Only thread numbers own parts (see [`numbers`](super::numbers)), so a part has one
//! writer at any time, also when the number goes on to another thread. The
//! orderings are relaxed: a part is a part whoever reads it, and the numbers
//! change hands under a mutex.

use crossbeam_utils::CachePadded;

use super::numbers::{self, LAST, SHARED};
use super::sync::{AtomicU32, OnceLock, Ordering::Relaxed};

pub(crate) struct PerThread<T> {
    /// Nobody, a thread number, or [`SPREAD`].
    owner: AtomicU32,
    /// Writes to `rest` by threads that have a number.
    strangers: AtomicU32,
    base: T,
    rest: T,
    spread: OnceLock<Box<Spread<T>>>,
}

/// Where the current thread is to write.
pub(crate) enum Part<'a, T> {
    /// Nobody else writes here: load and store will do.
    Own(&'a T),
    /// Others write here too.
    Shared(&'a T),
}

impl<T: Default> PerThread<T> {
    pub(crate) fn new() -> Self {
        Self {
            owner: AtomicU32::new(NOBODY),
            strangers: AtomicU32::new(0),
            base: T::default(),
            rest: T::default(),
            spread: OnceLock::new(),
        }
    }

    /// The part of the current thread. Use it at once: not after another call
    /// that may record, and not from another thread.
    #[inline]
    pub(crate) fn part(&self) -> Part<'_, T> {
        let owner = self.owner.load(Relaxed);
        if owner == numbers::peek() {
            return Part::Own(&self.base);
        }
        if owner == SPREAD
            && let Some(spread) = self.spread.get()
            && let Some(part) = spread.first.get(numbers::peek().wrapping_sub(1) as usize)
        {
            return Part::Own(part);
        }
        self.other_part(owner)
    }

    /// The part that takes additions by read-modify-write from anybody.
    pub(crate) fn rest(&self) -> &T {
        &self.rest
    }

    /// Every part there is.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &T> {
        let spread = self.spread.get().into_iter().flat_map(|spread| {
            let more = spread.more.iter().filter_map(OnceLock::get).flat_map(|part| part.iter());
            spread.first.iter().chain(more)
        });
        [&self.base, &self.rest].into_iter().chain(spread.map(|part| &**part))
    }

    #[inline(never)]
    fn other_part(&self, owner: u32) -> Part<'_, T> {
        let me = numbers::slot();
        if me == SHARED {
            return Part::Shared(&self.rest);
        }
        match owner {
            SPREAD => {
                let part = self.spread.get().and_then(|spread| spread.part(me));
                part.map_or(Part::Shared(&self.rest), Part::Own)
            }
            NOBODY if self.owner.compare_exchange(NOBODY, me, Relaxed, Relaxed).is_ok() => {
                Part::Own(&self.base)
            }
            // The thread had no number yet when it looked.
            _ if owner == me => Part::Own(&self.base),
            _ => {
                if self.strangers.fetch_add(1, Relaxed) >= PATIENCE {
                    numbers::suspended(|| self.spread.get_or_init(Box::default));
                    self.owner.swap(SPREAD, Relaxed);
                }
                Part::Shared(&self.rest)
            }
        }
    }
}

struct Spread<T> {
    first: [CachePadded<T>; FIRST],
    /// Each as large as all before it.
    more: [OnceLock<Box<[CachePadded<T>]>>; MORE],
}

impl<T: Default> Default for Spread<T> {
    fn default() -> Self {
        Self {
            first: std::array::from_fn(|_| CachePadded::default()),
            more: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

impl<T: Default> Spread<T> {
    fn part(&self, slot: u32) -> Option<&T> {
        let at = slot as usize - 1;
        if let Some(part) = self.first.get(at) {
            return Some(part);
        }
        let block = (at / FIRST).ilog2() as usize;
        let size = FIRST << block;
        let parts = self.more.get(block)?;
        let parts = match parts.get() {
            Some(parts) => parts,
            None => numbers::suspended(|| {
                parts.get_or_init(|| (0..size).map(|_| CachePadded::default()).collect())
            }),
        };
        parts.get(at - size).map(|part| &**part)
    }
}

const NOBODY: u32 = 0;
/// More than any thread number, and not what a thread without one has.
const SPREAD: u32 = u32::MAX - 2;
/// Writes by others that are borne before the storage grows by 1 KiB.
const PATIENCE: u32 = if cfg!(seawall_loom) { 1 } else { 64 };
const FIRST: usize = if cfg!(seawall_loom) { 2 } else { 8 };
const MORE: usize = (LAST as usize / FIRST).ilog2() as usize;

#[cfg(all(test, not(seawall_loom)))]
#[path = "per_thread/tests.rs"]
mod tests;
