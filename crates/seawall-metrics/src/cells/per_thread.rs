//! Storage with a part for each thread that writes often, small while few do.
//!
//! The first thread that writes owns `base`: it is the only one ever to write
//! there and needs plain loads and stores. Others use `rest` by
//! read-modify-write. When they have done so [`PATIENCE`] times the storage
//! grows a part for each thread number; the owner then leaves `base`
//! too, so that nobody writes to the line that all read. `base` and `rest` keep
//! what they have; the whole is always the sum of all parts.
//!
//! Only thread numbers own parts (see [`numbers`](super::numbers)), so a part has one
//! writer at any time, also when the number goes on to another thread. The
//! orderings are relaxed: a part is a part whoever reads it, and the numbers
//! change hands under a mutex.

use super::numbers::{self, LAST, SHARED};
use super::sync::{AtomicU32, OnceBox, OnceLock, Ordering::Relaxed};

/// `base` is a `T`. The other parts may be places for something larger: most
/// storage is only ever written by one thread.
pub(crate) struct PerThread<T, S, R = T> {
    /// Nobody, or the thread number that writes to `base`.
    owner: AtomicU32,
    /// Writes to `rest` by threads that have a number.
    strangers: AtomicU32,
    base: T,
    rest: R,
    spread: OnceBox<Spread<S>>,
}

/// Where the current thread is to write.
pub(crate) enum Part<'a, T, S, R = T> {
    /// Nobody else writes here: load and store will do.
    Base(&'a T),
    /// Nor here.
    Spread(&'a S),
    /// Others write here too.
    Rest(&'a R),
}

impl<T: Default, S: Default, R: Default> PerThread<T, S, R> {
    pub(crate) fn new() -> Self {
        Self {
            owner: AtomicU32::new(NOBODY),
            strangers: AtomicU32::new(0),
            base: T::default(),
            rest: R::default(),
            spread: OnceBox::new(),
        }
    }

    /// The part that only the thread with the number `me`, the current one,
    /// writes to, if it has one of the first. Use it at once: not after another
    /// call that may record, and not from another thread.
    ///
    /// Ask for the number first: what is at hand at that moment has to be saved.
    #[inline]
    pub(crate) fn own(&self, me: u32) -> Option<Part<'_, T, S, R>> {
        match self.spread.get() {
            Some(spread) => spread.first.get(me.wrapping_sub(1) as usize).map(Part::Spread),
            None => (self.owner.load(Relaxed) == me).then_some(Part::Base(&self.base)),
        }
    }

    /// The part of the current thread; the same holds for it.
    pub(crate) fn part(&self) -> Part<'_, T, S, R> {
        self.own(numbers::peek()).unwrap_or_else(|| self.other_part())
    }

    /// What takes additions by read-modify-write from anybody.
    pub(crate) fn rest(&self) -> &R {
        &self.rest
    }

    /// Every part there is.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_, T, S, R>> {
        let spread = self.spread.get().into_iter().flat_map(|spread| {
            let more = spread.more.iter().filter_map(OnceLock::get).flat_map(|part| part.iter());
            spread.first.iter().chain(more)
        });
        [Part::Base(&self.base), Part::Rest(&self.rest)].into_iter().chain(spread.map(Part::Spread))
    }

    #[inline(never)]
    fn other_part(&self) -> Part<'_, T, S, R> {
        let me = numbers::slot();
        if me == SHARED {
            return Part::Rest(&self.rest);
        }
        if let Some(spread) = self.spread.get() {
            return spread.part(me).map_or(Part::Rest(&self.rest), Part::Spread);
        }
        match self.owner.compare_exchange(NOBODY, me, Relaxed, Relaxed) {
            Ok(_) => Part::Base(&self.base),
            // The thread had no number yet when it looked.
            Err(owner) if owner == me => Part::Base(&self.base),
            Err(_) => {
                if self.strangers.fetch_add(1, Relaxed) >= PATIENCE {
                    numbers::suspended(|| self.spread.get_or_init(Box::default));
                }
                Part::Rest(&self.rest)
            }
        }
    }
}

struct Spread<S> {
    first: [S; FIRST],
    /// Each as large as all before it.
    more: [OnceLock<Box<[S]>>; MORE],
}

impl<S: Default> Default for Spread<S> {
    fn default() -> Self {
        Self {
            first: std::array::from_fn(|_| S::default()),
            more: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

impl<S: Default> Spread<S> {
    fn part(&self, slot: u32) -> Option<&S> {
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
                parts.get_or_init(|| (0..size).map(|_| S::default()).collect())
            }),
        };
        parts.get(at - size)
    }
}

const NOBODY: u32 = 0;
/// Writes by others that are borne before the storage grows by 1 KiB.
const PATIENCE: u32 = if cfg!(seawall_loom) { 1 } else { 64 };
const FIRST: usize = if cfg!(seawall_loom) { 2 } else { 8 };
const MORE: usize = (LAST as usize / FIRST).ilog2() as usize;

#[cfg(all(test, not(seawall_loom)))]
#[path = "per_thread/tests.rs"]
mod tests;
