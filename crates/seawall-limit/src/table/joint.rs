//! One decision about several keys.

use super::slots::Slots;
use super::{KeyHash, MAX_WORDS, MutexGuard, Place, Table};

/// A copy of a key's words, to decide on.
#[derive(Clone, Copy)]
pub(crate) struct Loaded {
    pub(super) words: [u64; MAX_WORDS],
    pub(super) len: usize,
    pub(crate) place: Place,
    pub(crate) now: u64,
    pub(super) home: Home,
}

/// Where the words belong.
#[derive(Clone, Copy)]
pub(super) enum Home {
    Slot(usize),
    /// A slot that is free.
    Vacancy(usize),
    Overflow,
}

impl Loaded {
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words[..self.len]
    }
}

/// Lets `decide` read and change copies of the words of all `keys` at once, each
/// at its time in `now`, under the locks of all their shards; then puts back
/// what it left. A key that occurs twice is loaded once: `decide` gets, for each
/// of `keys`, which of the copies is its.
pub(crate) fn update_all<const N: usize, R>(
    keys: [(&Table, KeyHash); N],
    now: [u64; N],
    decide: impl FnOnce(&mut [Loaded; N], &[usize; N]) -> R,
) -> R {
    let shards = keys.map(|(table, key)| table.shard(key));
    let address = |index: usize| std::ptr::from_ref(shards[index]).addr();
    let mut order: [usize; N] = std::array::from_fn(|index| index);
    order.sort_unstable_by_key(|index| address(*index));

    // By shard, in order of address; the guard is with the first that needs it.
    let mut guards: [Option<MutexGuard<'_, Slots>>; N] = std::array::from_fn(|_| None);
    let mut guard_of = [0; N];
    for (position, index) in order.into_iter().enumerate() {
        match position.checked_sub(1).map(|before| order[before]) {
            Some(before) if address(before) == address(index) => guard_of[index] = guard_of[before],
            _ => {
                guards[index] = Some(shards[index].0.lock());
                guard_of[index] = index;
            }
        }
    }

    let same =
        |one: usize, other: usize| address(one) == address(other) && keys[one].1 == keys[other].1;
    let copy_of: [usize; N] =
        std::array::from_fn(|index| (0..index).find(|other| same(*other, index)).unwrap_or(index));
    // (shard, slot) that are to be a newcomer's.
    let mut taken = [(usize::MAX, usize::MAX); N];
    let mut copies: [Loaded; N] = std::array::from_fn(|index| {
        let slots = guards[guard_of[index]].as_deref_mut();
        let Some(slots) = slots else { return Loaded::NONE };
        let now = slots.observe(now[index]);
        let mut here = [usize::MAX; N];
        for (here, (shard, slot)) in here.iter_mut().zip(taken) {
            if shard == guard_of[index] {
                *here = slot;
            }
        }
        let loaded = slots.load(keys[index].1, now, &keys[index].0.layout, &here);
        if let Home::Vacancy(slot) = loaded.home {
            taken[index] = (guard_of[index], slot);
        }
        loaded
    });
    let answer = decide(&mut copies, &copy_of);
    for (index, loaded) in copies.iter().enumerate() {
        if copy_of[index] == index
            && let Some(slots) = guards[guard_of[index]].as_deref_mut()
        {
            slots.settle(keys[index].1, loaded);
        }
    }
    answer
}

impl Loaded {
    const NONE: Self = Self {
        words: [0; MAX_WORDS],
        len: 0,
        place: Place::Overflow,
        now: 0,
        home: Home::Overflow,
    };
}
