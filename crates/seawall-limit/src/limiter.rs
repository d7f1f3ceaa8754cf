//! Policies, a table of keys, and the check.

mod builder;

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::time::Instant;

pub(crate) use builder::validate;
pub use builder::{LimiterBuilder, MAX_KEYS, MAX_POLICIES};

use crate::decide::{Outcome, decide};
use crate::decision::Decision;
use crate::error::Error;
use crate::gcra::Gcra;
use crate::key::Key;
use crate::policy::Policy;
use crate::set::PolicySet;
use crate::stats::Stats;
use crate::table::{KeyHash, Table};

/// Quotas per key under named policies. Clones share everything.
///
/// Deciding never fails, never waits and allocates nothing: it hashes the key,
/// locks one shard, and compares integers. The caller passes the time, so one
/// clock read serves the whole request. Times should not go back; a step back
/// of less than a second is read as no step.
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
        now: Instant,
    ) -> Decision<'s> {
        self.check_n(key, set, 1, now)
    }

    /// Charges `cost` units to every policy of the set, or none to any. A cost
    /// of 0 is allowed and leaves no trace; one above a burst is
    /// [too large](Decision::is_too_large).
    pub fn check_n<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        cost: u32,
        now: Instant,
    ) -> Decision<'s> {
        let inner = set.limiter();
        let now = inner.nanos(now);
        let (ruling, saturated) = inner.table.update(inner.hash(key.into()), now, |tats, now| {
            decide(&inner.gcras, set.ids(), tats, now, cost, true)
        });
        inner.stats.decided(ruling.policy, ruling.outcome == Outcome::Allowed);
        if saturated {
            inner.stats.saturated(now);
        }
        Decision::new(set, ruling)
    }

    /// Tells what a check would say, without charging: `remaining` is as before
    /// the charge. Leaves no trace in the table and in the metrics.
    pub fn peek<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        now: Instant,
    ) -> Decision<'s> {
        let inner = set.limiter();
        let ruling = inner.table.peek(inner.hash(key.into()), inner.nanos(now), |tats, now| {
            decide(&inner.gcras, set.ids(), tats, now, 1, false)
        });
        Decision::new(set, ruling)
    }

    /// Gives `cost` units back to every policy of the set. A refund of a charge
    /// restores the state exactly; what is more than was spent is lost, and so
    /// is a refund to a key that has refilled, or that was charged to a shared
    /// cell while the table was full. So it can be given at any time after.
    pub fn refund<'k>(&self, key: impl Into<Key<'k>>, set: &PolicySet, cost: u32) {
        let inner = set.limiter();
        inner.table.amend(inner.hash(key.into()), |tats| {
            for id in set.ids() {
                let id = usize::from(*id);
                tats[id] = inner.gcras[id].refund(tats[id], cost);
            }
        });
    }

    /// The policies, in the order given.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.inner.policies
    }

    /// Counts the keys that have not refilled. Walks the whole table, one
    /// shard's lock at a time: for a gauge every few seconds, not for requests.
    #[must_use]
    pub fn live_keys(&self, now: Instant) -> usize {
        self.inner.table.live(self.inner.nanos(now))
    }

    pub(crate) fn id(&self, name: &str) -> Result<u8, Error> {
        let found = self.inner.policies.iter().zip(0..).find(|(policy, _)| policy.name() == name);
        found.map(|(_, id)| id).ok_or_else(|| Error::UnknownPolicy { name: name.into() })
    }

    /// A set of ids that came from [`id`](Self::id).
    pub(crate) fn set_of(&self, ids: impl IntoIterator<Item = u8>) -> PolicySet {
        PolicySet::new(Arc::clone(&self.inner), ids)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("policies", &self.inner.policies).finish_non_exhaustive()
    }
}

/// What the clones of a limiter, and its sets, share.
pub(crate) struct Inner {
    policies: Box<[Policy]>,
    gcras: Box<[Gcra]>,
    #[cfg(feature = "tower")]
    texts: Box<[crate::answer::Text]>,
    table: Table,
    seeds: [RandomState; 2],
    start: Instant,
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

    #[inline]
    fn hash(&self, key: Key<'_>) -> KeyHash {
        let [place, tag] = &self.seeds;
        // 0 marks an empty slot.
        KeyHash { place: place.hash_one(key), tag: tag.hash_one(key).max(1) }
    }

    /// Nanoseconds since the limiter was built: enough for 584 years.
    #[inline]
    fn nanos(&self, now: Instant) -> u64 {
        let since: Duration = now.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
