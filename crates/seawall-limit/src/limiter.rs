//! Policies, a table of keys, and the check.

mod builder;
mod inner;
mod load;

use std::fmt;
use std::sync::Arc;

pub(crate) use builder::validate;
pub use builder::{LimiterBuilder, MAX_KEYS, MAX_POLICIES};
pub(crate) use inner::Inner;
pub use load::TableLoad;

use crate::decide::{self, Charge, Outcome, Place, Ruled};
use crate::decision::Decision;
use crate::error::Error;
use crate::key::Key;
use crate::moment::Moment;
use crate::policy::Policy;
use crate::set::{Chosen, PolicySet};
use crate::table::KeyHash;
use crate::trial::{self, ShadowStats};

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
        let (key, now) = (key.into(), now.into().nanos());
        let hash = set.limiter().hash(key);
        let Chosen { live, twin } = set.of(key, hash, now);
        if let Some(twin) = twin {
            let _ = charge(twin, hash, cost, now);
        }
        charge(live, hash, cost, now)
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
        let (key, now) = (key.into(), now.into().nanos());
        let hash = set.limiter().hash(key);
        let Chosen { live, twin } = set.of(key, hash, now);
        let drain = |set: &PolicySet| {
            set.limiter().table.update(hash, now, |words, place, now| {
                decide::drain(set.entries(), words, place, now)
            })
        };
        if let Some(twin) = twin {
            twin.bring(hash, now);
            drain(twin);
        }
        Decision::new(live, drain(live))
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
        let (key, now) = (key.into(), now.into().nanos());
        let hash = set.limiter().hash(key);
        let set = set.of(key, hash, now).live;
        Decision::new(set, peek(set, hash, cost, now))
    }

    /// Gives `cost` units back to every policy of the set, at once, whenever they
    /// were charged: a window admits as much more as was given back in it. What
    /// is more than was spent is lost, and so is a refund to a key that has
    /// refilled, or that was charged to the overflow while the table was full.
    ///
    /// For a charge that may turn out not to be due, [`reserve`](Self::reserve)
    /// is exact: it gives back what has not come back by itself.
    pub fn refund<'k>(&self, key: impl Into<Key<'k>>, set: &PolicySet, cost: u32) {
        let key = key.into();
        let hash = set.limiter().hash(key);
        let Chosen { live, twin } = set.own(key, hash);
        for set in std::iter::once(live).chain(twin) {
            set.limiter().table.amend(hash, |words| {
                for entry in set.entries() {
                    let state = entry.law.refund(entry.load(words, Place::Slot), cost);
                    entry.store(words, Place::Slot, state);
                }
            });
        }
    }

    /// What shadowed policies and candidates would have changed, since this
    /// limiter was built or reloaded; `None` if nothing is on trial.
    ///
    /// While a policy of a limiter is on trial
    /// ([`Policy::enforced`], [`Policy::candidate`]), each of its decisions has
    /// a twin in a table of its own: what would be decided if every policy were
    /// enforced for all keys and every candidate were the policy. The twin
    /// charges what it admits and refuses nobody; a decision so costs twice, and
    /// memory does too.
    ///
    /// Refunds and forced charges go to both. So a refund of what the twin had
    /// refused makes it a little laxer, and a [reservation](Self::reserve) that
    /// the limiter refused and the twin did not stays charged there as estimated.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_limit::{Limiter, Policy, Quota, Share};
    /// # use tokio::time::Instant;
    /// let minute = Duration::from_secs(60);
    /// let policy = Policy::new("api", Quota::per(3, minute)?)
    ///     .candidate(Quota::per(2, minute)?, Share::NONE);
    /// let limiter = Limiter::builder().policy(policy).build()?;
    /// let (set, now) = (limiter.set(&["api"])?, Instant::now());
    /// let admitted = (0..5).filter(|_| limiter.check("alice", &set, now).is_allowed()).count();
    /// let difference = limiter.shadow().expect("a candidate").requests;
    /// assert_eq!((admitted, difference.both_admit), (3, 2));
    /// assert_eq!((difference.only_shadow_refuses, difference.both_refuse), (1, 2));
    /// # Ok::<(), seawall_limit::Error>(())
    /// ```
    #[must_use]
    pub fn shadow(&self) -> Option<ShadowStats> {
        self.inner.twin.as_ref().map(|twin| twin.stats(self.policies()))
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
        let hash = inner.hash(key);
        let Chosen { live, twin } = set.of(key, hash, now);
        let ruled = inner.table.update(hash, now, |words, place, now| {
            decide::decide(live.entries(), words, place, now, cost, charge)
        });
        record(live, &ruled);
        if let Some(twin) = twin {
            trial::decide((live, &ruled), twin, hash, now, cost, charge);
        }
        Decision::new(live, ruled)
    }

    pub(crate) fn id(&self, name: &str) -> Result<u8, Error> {
        self.inner.id(name).ok_or_else(|| Error::UnknownPolicy { name: name.into() })
    }

    pub(crate) fn shared(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// A set of ids that came from [`id`](Self::id).
    pub(crate) fn set_of(&self, ids: impl IntoIterator<Item = u8>) -> PolicySet {
        PolicySet::new(&self.inner, ids)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("policies", &self.policies()).finish_non_exhaustive()
    }
}

/// Counts a decision.
#[inline]
pub(crate) fn record(set: &PolicySet, ruled: &Ruled) {
    let stats = &set.limiter().stats;
    // None: all are shadowed.
    if let Some(entry) = set.entries().get(usize::from(ruled.position)) {
        stats.decided(entry.id, ruled.outcome == Outcome::Allowed);
    }
    if ruled.place == Place::Overflow {
        stats.saturated(ruled.now);
    }
}

/// See [`Limiter::charge`]. The set is the key's own.
pub(crate) fn charge(set: &PolicySet, key: KeyHash, cost: u32, now: u64) -> Decision<'_> {
    set.bring(key, now);
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

#[cfg(test)]
mod tests;
