//! Policies, a table of keys, and the check.

mod builder;

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

pub(crate) use builder::validate;
pub use builder::{LimiterBuilder, MAX_KEYS, MAX_POLICIES};
use foldhash::quality::RandomState;

use crate::decide::{self, Charge, Entry, Outcome, Place, Ruled};
use crate::decision::Decision;
use crate::error::Error;
use crate::exception::Exceptions;
use crate::heritage::Heritage;
use crate::key::Key;
use crate::moment::Moment;
use crate::policy::Policy;
use crate::set::PolicySet;
use crate::stats::Stats;
use crate::table::{KeyHash, Table};

/// Quotas per key under named policies. Clones share everything.
///
/// Deciding never fails, never waits and allocates nothing: it hashes the key,
/// locks one shard, and compares integers. The caller passes the time, an
/// `Instant` or a [`Moment`], so one clock read serves the whole request. Times
/// should not go back; a step back of less than a second is read as no step.
#[derive(Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

impl Limiter {
    /// Starts a limiter.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder::default()
    }

    /// Looks up policies by name, most specific first. A repeated name counts once.
    ///
    /// # Errors
    /// If there is no name, or a name that no policy has.
    pub fn set<N: AsRef<str>>(&self, names: &[N]) -> Result<PolicySet, Error> {
        let ids = names.iter().map(|name| self.id(name.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Err(Error::Empty { what: "a policy set", of: "policy" });
        }
        Ok(self.set_of(ids))
    }

    /// Charges one unit to every policy of the set, or to none.
    #[inline]
    pub fn check<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        self.check_n(key, set, 1, now)
    }

    /// Charges `cost` units to every policy of the set, or none to any. A cost
    /// of 0 is allowed and leaves no trace; one above a burst is
    /// [too large](Decision::is_too_large).
    #[inline]
    pub fn check_n<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        cost: u32,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        self.decide(key.into(), set, cost, now, Charge::AllOrNone)
    }

    /// The same; but if that is rejected, what is left is taken from every
    /// policy of the set, so that asking for too much does not leave the rest.
    /// The decision is the rejection, with nothing remaining.
    pub fn check_or_drain<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        cost: u32,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        self.decide(key.into(), set, cost, now, Charge::OrDrain)
    }

    /// Charges `cost` units to every policy of the set, whatever is left: for
    /// what has been done already. What a policy does not have becomes debt, up
    /// to its [`debt`](crate::Quota::with_debt); what is above that is lost.
    ///
    /// The decision is what a request of one unit would meet afterwards. It is
    /// not counted in the metrics.
    pub fn charge<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        cost: u32,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        let inner = set.limiter();
        charge(set, inner.hash(key.into()), cost, now.into().nanos())
    }

    /// Empties every policy of the set for the key, as if all had been spent
    /// now: a penalty. Debt stays as it is.
    ///
    /// The decision is what a request of one unit would meet afterwards. It is
    /// not counted in the metrics.
    pub fn drain<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        let inner = set.limiter();
        let key = inner.hash(key.into());
        let now = now.into().nanos();
        let set = set.of(key, now);
        let ruled = inner
            .table
            .update(key, now, |words, place, now| decide::drain(set.entries(), words, place, now));
        Decision::new(set, ruled)
    }

    /// Tells what a check would say, without charging: `remaining` is as before
    /// the charge. Leaves no trace in the table and in the metrics.
    pub fn peek<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        self.peek_n(key, set, 1, now)
    }

    /// The same for a cost.
    pub fn peek_n<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        cost: u32,
        now: impl Into<Moment>,
    ) -> Decision<'s> {
        let inner = set.limiter();
        let key = inner.hash(key.into());
        let now = now.into().nanos();
        let set = set.of(key, now);
        Decision::new(set, peek(set, key, cost, now))
    }

    /// Gives `cost` units back to every policy of the set, at once, whenever they
    /// were charged: a window admits as much more as was given back in it. What
    /// is more than was spent is lost, and so is a refund to a key that has
    /// refilled, or that was charged to the overflow while the table was full.
    ///
    /// For a charge that may turn out not to be due, [`reserve`](Self::reserve)
    /// is exact: it gives back what has not come back by itself.
    pub fn refund<'k>(&self, key: impl Into<Key<'k>>, set: &PolicySet, cost: u32) {
        let inner = set.limiter();
        let key = inner.hash(key.into());
        let set = set.own(key);
        inner.table.amend(key, |words| {
            for entry in set.entries() {
                let state = entry.law.refund(entry.load(words, Place::Slot), cost);
                entry.store(words, Place::Slot, state);
            }
        });
    }

    /// The policies, in the order given; without exceptions.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.inner.policies[..self.inner.named]
    }

    /// Counts the keys that have not refilled. Walks the whole table, one
    /// shard's lock at a time: for a gauge every few seconds, not for requests.
    #[must_use]
    pub fn live_keys(&self, now: impl Into<Moment>) -> usize {
        self.inner.table.load(now.into().nanos()).live
    }

    /// How full the table is. Walks it as [`live_keys`](Self::live_keys) does.
    #[must_use]
    pub fn table_load(&self, now: impl Into<Moment>) -> TableLoad {
        let load = self.inner.table.load(now.into().nanos());
        TableLoad { live: load.live, slots: load.slots, collision: load.collision }
    }

    #[inline]
    fn decide<'s>(
        &self,
        key: Key<'_>,
        set: &'s PolicySet,
        cost: u32,
        now: impl Into<Moment>,
        charge: Charge,
    ) -> Decision<'s> {
        let inner = set.limiter();
        let now = now.into().nanos();
        let key = inner.hash(key);
        let set = set.of(key, now);
        let ruled = inner.table.update(key, now, |words, place, now| {
            decide::decide(set.entries(), words, place, now, cost, charge)
        });
        record(set, &ruled);
        Decision::new(set, ruled)
    }

    pub(crate) fn id(&self, name: &str) -> Result<u8, Error> {
        self.inner.id(name).ok_or_else(|| Error::UnknownPolicy { name: name.into() })
    }

    pub(crate) fn shared(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// A set of ids that came from [`id`](Self::id).
    pub(crate) fn set_of(&self, ids: impl IntoIterator<Item = u8>) -> PolicySet {
        PolicySet::new(Arc::clone(&self.inner), ids)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("policies", &self.policies()).finish_non_exhaustive()
    }
}

/// How full a limiter's table is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TableLoad {
    /// Keys that are short of their full quota and have a slot of their own.
    pub live: usize,
    /// All slots: about 1.5 x `max_keys`.
    pub slots: usize,
    /// How likely it is, from 0 to 1, that a new key which finds no slot is
    /// judged more strictly than it should be: that others have charged all
    /// four cells of the overflow sketch that are its own.
    pub collision: f64,
}

/// Counts a decision.
#[inline]
pub(crate) fn record(set: &PolicySet, ruled: &Ruled) {
    let stats = &set.limiter().stats;
    let policy = set.entries()[usize::from(ruled.position)].id;
    stats.decided(policy, ruled.outcome == Outcome::Allowed);
    if ruled.place == Place::Overflow {
        stats.saturated(ruled.now);
    }
}

/// See [`Limiter::charge`].
pub(crate) fn charge(set: &PolicySet, key: KeyHash, cost: u32, now: u64) -> Decision<'_> {
    let set = set.of(key, now);
    let ruled = set.limiter().table.update(key, now, |words, place, now| {
        decide::force(set.entries(), words, place, now, cost)
    });
    Decision::new(set, ruled)
}

/// See [`Limiter::peek_n`].
pub(crate) fn peek(set: &PolicySet, key: KeyHash, cost: u32, now: u64) -> Ruled {
    set.limiter().table.peek(key, now, |words, place, now| {
        decide::decide(set.entries(), words, place, now, cost, Charge::None)
    })
}

/// What the clones of a limiter, and its sets, share.
pub(crate) struct Inner {
    /// Those with a name of their own, and those that stand in for them.
    policies: Box<[Policy]>,
    named: usize,
    exceptions: Exceptions,
    pub(crate) heritage: Heritage,
    entries: Box<[Entry]>,
    #[cfg(feature = "tower")]
    texts: Box<[crate::answer::Text]>,
    pub(crate) table: Table,
    seed: RandomState,
    stats: Stats,
}

impl Inner {
    pub(crate) fn policy(&self, id: u8) -> &Policy {
        &self.policies[usize::from(id)]
    }

    #[cfg(feature = "tower")]
    pub(crate) fn text(&self, id: u8) -> &crate::answer::Text {
        &self.texts[usize::from(id)]
    }

    pub(crate) fn entry(&self, id: u8) -> Entry {
        self.entries[usize::from(id)]
    }

    pub(crate) fn id(&self, name: &str) -> Option<u8> {
        let named = self.policies[..self.named].iter().zip(0..);
        named.into_iter().find(|(policy, _)| policy.name() == name).map(|(_, id)| id)
    }

    /// The nanoseconds in which every bucket refills; a window takes up to twice as long.
    pub(crate) fn longest(&self) -> u64 {
        self.entries.iter().map(|entry| entry.relief.ceiling()).max().unwrap_or(0)
    }

    /// The policy that stands in for another, for this key.
    pub(crate) fn instead(&self, key: KeyHash, usual: u8) -> u8 {
        let swaps = self.exceptions.get(&key.tag);
        let swap = swaps.and_then(|swaps| swaps.iter().find(|swap| swap.usual == usual));
        swap.map_or(usual, |swap| swap.instead)
    }

    pub(crate) const fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    #[inline]
    pub(crate) fn hash(&self, key: Key<'_>) -> KeyHash {
        KeyHash::new(self.seed.hash_one(key))
    }
}

#[cfg(test)]
mod tests;
