//! The index that serves the reads of the moka engine: papaya maps from the place of a key to its
//! entry.
//!
//! Keyed by a place, which is most of the key's hash, so that the policy beside it needs to hold
//! eight bytes of a key only. Of two keys with one place the later one replaces the earlier, which
//! is then gone as if evicted.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use papaya::{Guard, HashMap, LocalGuard};
use seize::Collector;

use super::stay::{Generation, Place};

/// The entries, in parts that can be gone through one at a time.
pub(super) struct Index<K, T> {
    parts: Box<[Part<K, T>]>,
    weight: CachePadded<AtomicU64>,
    evicted: CachePadded<AtomicU64>,
}

type Part<K, T> = HashMap<Place, Slot<K, T>, Identity>;

/// An entry with what the engine must know of it. In this order: a hit reads the place, which the
/// map keeps before it, the key and what counts uses, and of the value what it has in front.
#[repr(C)]
pub(super) struct Slot<K, T> {
    pub(super) key: K,
    /// Uses since it came or since the clock's hand last passed, up to [`MOST_USES`].
    uses: AtomicU8,
    /// The season in which it was last used.
    season: AtomicU8,
    /// Tells this stay of the key from others: see [`super::moka`].
    generation: Generation,
    pub(super) weight: u32,
    pub(super) value: T,
}

impl<K, T> Index<K, T>
where
    K: Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// For about `entries` entries.
    pub(super) fn new(entries: u64) -> Self {
        let parts = (entries / PART).next_power_of_two().min(MOST_PARTS) as usize;
        // One collector, so that a thread has one batch of garbage, not one for each part.
        let collector = Arc::new(Collector::new());
        let part =
            || HashMap::builder().hasher(Identity).shared_collector(Arc::clone(&collector)).build();
        Self {
            parts: std::iter::repeat_with(part).take(parts).collect(),
            weight: CachePadded::new(AtomicU64::new(0)),
            evicted: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// To be held while a slot is looked at. Entries that went are not dropped before the guards
    /// of their time.
    pub(super) fn guard(&self, place: Place) -> LocalGuard<'_> {
        self.part(place).guard()
    }

    pub(super) fn get<'g>(
        &self,
        place: Place,
        guard: &'g LocalGuard<'_>,
    ) -> Option<&'g Slot<K, T>> {
        self.part(place).get(&place, guard)
    }

    /// Puts `slot` in, and returns what it replaced.
    pub(super) fn insert<'g>(
        &self,
        place: Place,
        slot: Slot<K, T>,
        guard: &'g LocalGuard<'_>,
    ) -> Option<&'g Slot<K, T>> {
        let weight = u64::from(slot.weight);
        let old = self.part(place).insert(place, slot, guard);
        self.weight.fetch_add(weight, Ordering::Relaxed);
        if let Some(old) = old {
            self.weight.fetch_sub(old.weight.into(), Ordering::Relaxed);
        }
        old
    }

    /// Takes the slot of `place` out if `condition` says so.
    pub(super) fn remove_if<'g>(
        &self,
        place: Place,
        condition: impl Fn(&Slot<K, T>) -> bool,
        guard: &'g LocalGuard<'_>,
    ) -> Option<&'g Slot<K, T>> {
        let removed = self.part(place).remove_if(&place, |_, slot| condition(slot), guard);
        let (_, slot) = removed.ok().flatten()?;
        self.weight.fetch_sub(slot.weight.into(), Ordering::Relaxed);
        Some(slot)
    }

    /// Takes the slot of `place` out if it is of `generation`. Returns whether it was.
    pub(super) fn remove_stay(&self, place: Place, generation: Generation) -> bool {
        let guard = self.guard(place);
        self.remove_if(place, |slot| slot.generation() == generation, &guard).is_some()
    }

    /// What the slot of `place` weighs; 1 if there is none.
    pub(super) fn weight_of(&self, place: Place) -> u32 {
        let guard = self.guard(place);
        self.get(place, &guard).map_or(1, |slot| slot.weight)
    }

    pub(super) fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(super) fn count_evicted(&self) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Visits the slots of part `part`, with their places, until `visit` says to stop.
    pub(super) fn visit(&self, part: usize, mut visit: impl FnMut(Place, &Slot<K, T>) -> bool) {
        let part = &self.parts[part % self.parts.len()];
        let guard = part.guard();
        for (place, slot) in part.iter(&guard) {
            if !visit(*place, slot) {
                break;
            }
        }
    }

    /// Drops what it can of this thread's garbage.
    pub(super) fn collect(&self) {
        self.guard(Place::new(0)).flush();
    }

    fn part(&self, place: Place) -> &Part<K, T> {
        let part = place.part(self.parts.len());
        &self.parts[part]
    }
}

impl<K, T> Slot<K, T> {
    pub(super) fn new(key: K, value: T, weight: u32, generation: Generation, uses: u8) -> Self {
        let (uses, season) = (AtomicU8::new(uses), AtomicU8::new(NO_SEASON));
        Self { key, uses, season, generation, weight, value }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// It was used in `season`. Returns whether it was the first time in that season. Entries in
    /// steady use are not written to.
    pub(super) fn touch(&self, season: u8) -> bool {
        let uses = self.uses();
        if uses < MOST_USES {
            // Not added: a use that another thread overwrites does not matter.
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
        let first = self.season.load(Ordering::Relaxed) != season;
        if first {
            self.season.store(season, Ordering::Relaxed);
        }
        first
    }

    pub(super) fn uses(&self) -> u8 {
        self.uses.load(Ordering::Relaxed)
    }

    /// The clock's hand passes. Returns whether the slot was not used since it last did.
    pub(super) fn pass(&self) -> bool {
        let uses = self.uses();
        self.uses.store(uses.saturating_sub(1), Ordering::Relaxed);
        uses == 0
    }
}

/// For places, which are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identity;

impl BuildHasher for Identity {
    type Hasher = Hashed;

    fn build_hasher(&self) -> Hashed {
        Hashed(0)
    }
}

/// The hasher of [`Identity`].
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        // Not reached for places, which are hashed as `u64`; correct all the same.
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn write_u64(&mut self, mixed: u64) {
        self.0 = mixed;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Any season will do: at worst the first use of a new entry counts as its second.
const NO_SEASON: u8 = u8::MAX;

/// Uses are told apart up to here.
const MOST_USES: u8 = 3;

/// About how many entries make a part worth its while.
const PART: u64 = 8_192;

const MOST_PARTS: u64 = 64;
