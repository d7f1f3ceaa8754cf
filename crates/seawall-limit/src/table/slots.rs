//! One shard: buckets of slots, and the sketch for what does not fit.

use std::hint::black_box;

use super::joint::{Home, Loaded};
use super::sketch::Sketch;
use super::{KeyHash, Layout, MAX_WORDS, Place};

/// See the module above.
///
/// A bucket is eight tags, one cache line, and the words of its eight slots,
/// right behind it: a slot of one word is in the line that the processor fetches
/// along. A tag of 0 is an empty slot.
pub(crate) struct Slots {
    data: Box<[u64]>,
    /// Where in the data a pair of cache lines begins.
    base: usize,
    buckets: usize,
    /// Words a slot, of which so many are times.
    width: usize,
    times: usize,
    latest: u64,
    overflow: Sketch,
}

impl Slots {
    pub(super) fn new(slots: usize, layout: &Layout) -> Self {
        let buckets = slots.div_ceil(WAYS).max(2);
        let times = layout.ceilings.len();
        let width = times + layout.counts;
        // Memory that comes zeroed is not there until it is touched, and then it is a
        // decision that waits for the page. So it is touched here.
        let mut data = vec![1_u64; buckets * WAYS * (1 + width) + LINES].into_boxed_slice();
        black_box(&mut data).fill(0);
        let past = data.as_ptr().addr() / size_of::<u64>() % LINES;
        Self {
            base: (LINES - past) % LINES,
            data,
            buckets,
            width,
            times,
            latest: 0,
            overflow: Sketch::new(buckets * WAYS, times),
        }
    }

    /// The time for a decision. Threads read the clock before they get the
    /// lock, so theirs may be a little behind one that was here first; were
    /// that believed, a slot just taken over could be forgiven its last
    /// instants. A long step back is the caller's wish, and believed.
    #[inline]
    pub(super) fn time(&self, now: u64) -> u64 {
        if now < self.latest && self.latest - now < MAX_SKEW { self.latest } else { now }
    }

    #[inline]
    pub(super) fn observe(&mut self, now: u64) -> u64 {
        self.latest = self.time(now);
        self.latest
    }

    #[inline]
    pub(super) fn buckets(&self, key: KeyHash) -> [usize; 2] {
        let buckets = self.buckets as u64;
        let scale = |half: u64| (((half & 0xffff_ffff) * buckets) >> 32) as usize;
        [scale(key.place), scale(key.tag >> 32)]
    }

    #[inline]
    pub(super) fn find(&self, tag: u64, buckets: [usize; 2]) -> Option<usize> {
        buckets.into_iter().find_map(|bucket| {
            // All eight compared, without a branch to guess wrong.
            let equal =
                |mask, (way, stored): (usize, &u64)| mask | u32::from(*stored == tag) << way;
            let start = self.bucket(bucket);
            let tags = &self.data[start..start + WAYS];
            let mask = tags.iter().enumerate().fold(0, equal);
            (mask != 0).then(|| bucket * WAYS + mask.trailing_zeros() as usize)
        })
    }

    #[inline]
    pub(super) fn words(&mut self, slot: usize) -> &mut [u64] {
        let start = self.start(slot);
        &mut self.data[start..start + self.width]
    }

    /// A copy of the words that a decision about the key is made on.
    pub(super) fn load(
        &mut self,
        key: KeyHash,
        now: u64,
        layout: &Layout,
        taken: &[usize],
    ) -> Loaded {
        let buckets = self.buckets(key);
        let Some(slot) = self.find(key.tag, buckets) else {
            return self.newcomer(key, buckets, now, layout, taken);
        };
        let mut words = [0; MAX_WORDS];
        words[..self.width].copy_from_slice(self.words(slot));
        Loaded { words, len: self.width, place: Place::Slot, now, home: Home::Slot(slot) }
    }

    /// The same for a key that has no slot. `taken` are slots that are as good
    /// as live.
    pub(super) fn newcomer(
        &mut self,
        key: KeyHash,
        buckets: [usize; 2],
        now: u64,
        layout: &Layout,
        taken: &[usize],
    ) -> Loaded {
        let mut words = [0; MAX_WORDS];
        let shared = self.overflow.load(key, now, &layout.ceilings, &mut words[..self.times]);
        match self.vacancy(key.tag, buckets, now, taken) {
            Some(slot) => {
                if shared {
                    (layout.inherit)(&mut words[..self.width], now);
                }
                Loaded {
                    words,
                    len: self.width,
                    place: Place::Slot,
                    now,
                    home: Home::Vacancy(slot),
                }
            }
            None => {
                Loaded { words, len: self.times, place: Place::Overflow, now, home: Home::Overflow }
            }
        }
    }

    /// Puts the words back. A newcomer gets its slot if it is short of its quota.
    #[inline]
    pub(super) fn settle(&mut self, key: KeyHash, loaded: &Loaded) {
        let words = &loaded.words[..loaded.len];
        match &loaded.home {
            Home::Slot(slot) => self.words(*slot).copy_from_slice(words),
            Home::Vacancy(slot) => {
                if words[..self.times].iter().any(|time| *time > loaded.now) {
                    let tag = self.bucket(slot / WAYS) + slot % WAYS;
                    self.data[tag] = key.tag;
                    self.words(*slot).copy_from_slice(words);
                }
            }
            Home::Overflow => self.overflow.raise(key, words),
        }
    }

    pub(super) fn live(&self, now: u64) -> usize {
        (0..self.len()).filter(|slot| self.is_live(*slot, now)).count()
    }

    /// The tags of the keys that are live.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
    pub(super) fn tags(&self, now: u64) -> Vec<u64> {
        let live = (0..self.len()).filter(|slot| self.is_live(*slot, now));
        live.map(|slot| self.data[self.bucket(slot / WAYS) + slot % WAYS]).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.buckets * WAYS
    }

    pub(super) fn collision(&self, now: u64) -> f64 {
        self.overflow.collision(now)
    }

    /// A slot for a new key: one that was never used, so that keys which come
    /// back find themselves; else one that is free again. In the first of its
    /// buckets while that has some to spare, then in the emptier: so nine keys in
    /// ten of a full table are where they are looked for first, and yet hardly
    /// any finds both full.
    fn vacancy(&self, tag: u64, buckets: [usize; 2], now: u64, taken: &[usize]) -> Option<usize> {
        let [first, second] = buckets.map(|bucket| {
            self.room(tag, bucket, taken, |slot| {
                self.data[self.bucket(slot / WAYS) + slot % WAYS] == 0
            })
        });
        if first.0 + second.0 > 0 {
            return if prefers_second(first.0, second.0) { second.1 } else { first.1 };
        }
        let [first, second] =
            buckets.map(|bucket| self.room(tag, bucket, taken, |slot| !self.is_live(slot, now)));
        if prefers_second(first.0, second.0) { second.1 } else { first.1 }
    }

    /// How many slots of a bucket are free, and one of them. Each key looks
    /// from a place of its own, so that keys which refill quickly do not take
    /// one and the same slot from each other again and again.
    #[inline]
    fn room(
        &self,
        tag: u64,
        bucket: usize,
        taken: &[usize],
        free: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        let slots = (0..WAYS).map(|way| bucket * WAYS + (tag as usize % WAYS + way) % WAYS);
        let mut vacant = slots.filter(|slot| free(*slot) && !taken.contains(slot));
        let slot = vacant.next();
        (usize::from(slot.is_some()) + vacant.count(), slot)
    }

    fn is_live(&self, slot: usize, now: u64) -> bool {
        let start = self.start(slot);
        self.data[start..start + self.times].iter().any(|time| *time > now)
    }

    /// Where a bucket's tags are.
    #[inline]
    fn bucket(&self, bucket: usize) -> usize {
        self.base + bucket * WAYS * (1 + self.width)
    }

    /// Where a slot's words are.
    #[inline]
    fn start(&self, slot: usize) -> usize {
        self.bucket(slot / WAYS) + WAYS + slot % WAYS * self.width
    }
}

/// By how many slots are free.
fn prefers_second(first: usize, second: usize) -> bool {
    first <= SPARE && second > first
}

const WAYS: usize = 8;
/// Free slots that a key's first bucket keeps for those who have no other.
const SPARE: usize = 2;
/// Words of two cache lines of 64 bytes.
const LINES: usize = 16;
const MAX_SKEW: u64 = 1_000_000_000;
