//! A limiter that takes over what keys have spent from the one before it.
//!
//! The old table stays as it was at the change. Whoever decides on a key in the
//! new one brings the key over first; meanwhile all keys are brought over one
//! by one, and then the old table is let go, unless it was so full that keys
//! shared its sketch: then it stays until that has nothing to say any more.
//! Bringing a key over again changes nothing: a state is taken if it ends later
//! than what is there.
//!
//! A decision under way in the old limiter might charge a key that was brought
//! over a moment before. So the old one is marked before anything is read from
//! it, and whoever finds the mark after a decision decides again in the new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::decide::{Entry, Place};
use crate::key::Key;
use crate::law::{Law, State};
use crate::limiter::Inner;
use crate::share::Share;
use crate::table::{KeyHash, MAX_WORDS};

/// What a limiter has to do with others.
#[derive(Default)]
pub(crate) struct Heritage {
    /// Whether there is a past.
    from: AtomicBool,
    past: RwLock<Option<Arc<Past>>>,
    /// Whether another has taken over.
    left: AtomicBool,
}

struct Past {
    limiter: Arc<Inner>,
    /// When the change was.
    at: AtomicU64,
    /// Policies by the same name: there, and here.
    pairs: Box<[(u8, u8)]>,
    carry: Carry,
}

/// What a key has spent of a quota, when a reload puts another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Carry {
    /// The same share: 80 of 100 are 40 of 50, and 40 of 50 are 80 of 100.
    #[default]
    Share,
    /// The same units: 40 of 50 are 40 of 100. 80 of 100 are 80 of 50 as far as
    /// that has a debt, and all of it otherwise.
    Units,
}

impl Heritage {
    /// Of the limiter whose policies are `names`, after `limiter`.
    pub(crate) fn after(limiter: Arc<Inner>, names: &[String], carry: Carry) -> Self {
        let same = |(here, name): (u8, &String)| limiter.id(name).map(|there| (there, here));
        let pairs = (0..).zip(names).filter_map(same).collect();
        let past = Past { limiter, at: AtomicU64::new(0), pairs, carry };
        Self {
            from: AtomicBool::new(true),
            past: RwLock::new(Some(Arc::new(past))),
            left: AtomicBool::new(false),
        }
    }

    /// Whether another has taken over.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// Says when the change is; before the limiter is used.
    pub(crate) fn begin(&self, now: u64) {
        if let Some(past) = &*self.past.read() {
            past.at.store(now, Ordering::SeqCst);
        }
    }

    /// Brings all keys over that have a slot of their own.
    pub(crate) fn finish(&self, here: &Inner, now: u64) {
        let past = self.past.read().clone();
        let Some(past) = past else { return };
        past.limiter.heritage.left.store(true, Ordering::SeqCst);
        if past.limiter.heritage.from.load(Ordering::Acquire) {
            past.limiter.heritage.finish(&past.limiter, now);
        }
        past.limiter.table.each(past.at(), |key| past.bring(here, key, None, now));
        if let Some(twin) = &past.limiter.twin {
            twin.inner().table.each(past.at(), |key| past.bring(here, key, None, now));
        }
        if past.limiter.has_partial_candidate() || here.has_partial_candidate() {
            return;
        }
        self.let_go(&past, now);
    }

    /// Brings a key over, if there is anything to bring. Which of two quotas a
    /// key has while a candidate is in force for some, only the key itself tells:
    /// where it is not known, what it spent of those is left for when it is.
    #[inline]
    pub(crate) fn bring(&self, here: &Inner, hash: KeyHash, key: Option<Key<'_>>, now: u64) {
        if self.from.load(Ordering::Acquire) {
            self.bring_past(here, hash, key, now);
        }
    }

    #[cold]
    fn bring_past(&self, here: &Inner, hash: KeyHash, key: Option<Key<'_>>, now: u64) {
        let past = self.past.read().clone();
        let Some(past) = past else { return };
        // By then nothing that was spent before the change is still missing.
        let longest = past.limiter.longest().saturating_mul(2).saturating_add(SLACK);
        if now > past.at().saturating_add(longest) {
            self.forget();
        } else {
            past.bring(here, hash, key, now);
        }
    }

    fn let_go(&self, past: &Past, now: u64) {
        let empty = past.limiter.table.load(past.at().max(now)).collision == 0.0;
        if empty && !past.limiter.heritage.from.load(Ordering::Acquire) {
            self.forget();
        }
    }

    fn forget(&self) {
        *self.past.write() = None;
        self.from.store(false, Ordering::Release);
    }
}

impl Past {
    fn at(&self) -> u64 {
        self.at.load(Ordering::SeqCst)
    }

    fn bring(&self, here: &Inner, hash: KeyHash, key: Option<Key<'_>>, now: u64) {
        let there = &self.limiter;
        there.heritage.left.store(true, Ordering::SeqCst);
        there.heritage.bring(there, hash, key, now);
        let at = self.at();
        let live = Words::of(there, hash, at);
        // A key that was shadowed has spent in the twin.
        let twin = there.twin.as_ref().map(|twin| {
            twin.inner().heritage.bring(twin.inner(), hash, key, now);
            (twin.inner(), Words::of(twin.inner(), hash, at))
        });
        if live.are_empty() && twin.as_ref().is_none_or(|(_, words)| words.are_empty()) {
            return;
        }
        here.table.update(hash, now, |words, place_here, _| {
            for (from, to) in &self.pairs {
                let Some(to) = here.own(*to, hash, key) else { continue };
                let Some(own) = there.own(*from, hash, key) else { continue };
                let mut carried = live.state(there.entry(own));
                if let (None, Some((twin, spent))) = (carried, &twin)
                    && there.policy(*from).share() != Share::ALL
                {
                    carried = spent.state(twin.entry(twin.instead(hash, *from)));
                }
                let Some((law, state)) = carried else { continue };
                let to = here.entry(to);
                let state = law.carry(state, &to.law(place_here), at, self.carry);
                if state.until > to.load(words, place_here).until {
                    to.store(words, place_here, state);
                }
            }
        });
    }
}

/// What a key has spent in a limiter before.
struct Words {
    words: [u64; MAX_WORDS],
    place: Place,
}

impl Words {
    fn of(limiter: &Inner, key: KeyHash, at: u64) -> Self {
        let mut old = [0; MAX_WORDS];
        let place = limiter.table.peek(key, at, |words, place, _| {
            old[..words.len()].copy_from_slice(words);
            place
        });
        Self { words: old, place }
    }

    fn are_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// What is spent of a policy, and under which law; `None` for nothing.
    fn state(&self, entry: Entry) -> Option<(Law, State)> {
        let state = entry.load(&self.words, self.place);
        (state != State::default()).then(|| (entry.law(self.place), state))
    }
}

/// For decisions whose clock was read before the change: a second, in nanoseconds.
const SLACK: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
