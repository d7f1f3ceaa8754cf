//! What would be, had every trial ended well: decisions made twice, and the difference.
//!
//! A limiter with a policy on trial has a twin: a limiter with a table of its
//! own in which every policy is enforced for all keys and every candidate is the
//! policy. Each decision is made there as well and charged to the twin alone, so
//! the twin is at any time what the limiter would be after the change; nothing
//! is inferred from what the limiter refused. The two are not decided under one
//! lock: each is exact for itself, and which of two threads was first may differ.

mod stats;

use std::sync::Arc;

use crate::decide::{self, Charge, Ruled};
use crate::key::Key;
use crate::limiter::{Inner, Limiter};
use crate::policy::Policy;
use crate::set::{Chosen, PolicySet};
use crate::share::{Share, Urn};
use crate::table::KeyHash;

pub(crate) use stats::tell_shares;
pub use stats::{Difference, ShadowPolicy, ShadowStats};

/// What a limiter would be.
pub(crate) struct Twin {
    limiter: Limiter,
    stats: stats::Differences,
}

/// A set's part in it.
pub(crate) struct Trial {
    /// The policies that are in force for some keys, bit by bit.
    lots: Box<[(Urn, Share)]>,
    /// By those bits, what is in force.
    variants: Box<[PolicySet]>,
    twin: PolicySet,
}

impl Twin {
    pub(crate) fn new(limiter: Limiter, policies: &[Policy]) -> Self {
        Self { limiter, stats: stats::Differences::new(policies) }
    }

    pub(crate) const fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(crate) fn inner(&self) -> &Inner {
        self.limiter.shared()
    }

    pub(crate) fn stats(&self, policies: &[Policy]) -> ShadowStats {
        self.stats.read(policies)
    }
}

impl Trial {
    /// For a set of the policies `usual` with `ids` in their places; `variant` makes what is in
    /// force of ids.
    pub(crate) fn new(
        limiter: &Arc<Inner>,
        twin: &Twin,
        usual: &[u8],
        ids: &[u8],
        variant: impl Fn(&[u8]) -> PolicySet,
    ) -> Self {
        let mut lots = Vec::new();
        // For each policy: what it is if its bit is set, and if not.
        let sides: Vec<(Option<usize>, Option<u8>, Option<u8>)> = usual
            .iter()
            .zip(ids)
            .map(|(usual, id)| {
                // Who has an exception keeps it.
                let candidate = limiter.candidate(*usual).filter(|_| usual == id);
                let (share, inside, outside) = match candidate {
                    Some((candidate, share)) => (share, Some(candidate), Some(*id)),
                    None => (limiter.policy(*usual).share(), Some(*id), None),
                };
                if share.is_partial() {
                    lots.push((limiter.urn(*usual), share));
                    return (Some(lots.len() - 1), inside, outside);
                }
                let fixed = if share == Share::ALL { inside } else { outside };
                (None, fixed, fixed)
            })
            .collect();
        let of = |mask: usize| {
            let in_force = sides.iter().filter_map(|(bit, inside, outside)| {
                if bit.is_none_or(|bit| mask >> bit & 1 == 1) { *inside } else { *outside }
            });
            variant(&in_force.collect::<Vec<_>>())
        };
        Self {
            variants: (0..1 << lots.len()).map(of).collect(),
            lots: lots.into(),
            twin: twin.limiter.set_of(usual.iter().copied()),
        }
    }

    pub(crate) fn choose(&self, key: Key<'_>, hash: KeyHash) -> Chosen<'_> {
        Chosen { live: &self.variants[self.mask(key)], twin: Some(self.twin.own(key, hash).live) }
    }

    /// What is in force for this key: its place among the [`variants`](Self::variants).
    pub(crate) fn mask(&self, key: Key<'_>) -> usize {
        let draws = self.lots.iter().enumerate();
        draws.fold(0, |mask, (bit, (urn, share))| {
            mask | usize::from(share.has(urn.draw(key))) << bit
        })
    }

    #[cfg(feature = "redis")]
    pub(crate) const fn variants(&self) -> &[PolicySet] {
        &self.variants
    }

    pub(crate) const fn twin(&self) -> &PolicySet {
        &self.twin
    }
}

/// Decides on `twin` what was decided on `live`, and counts the difference.
#[cold]
pub(crate) fn decide(
    live: (&PolicySet, &Ruled),
    twin: &PolicySet,
    key: KeyHash,
    now: u64,
    cost: u32,
    charge: Charge,
) {
    twin.bring(key, now);
    let ruled = twin.limiter().table.update(key, now, |words, place, now| {
        decide::decide(twin.entries(), words, place, now, cost, charge)
    });
    compare(&[(live.0, live.1, twin, &ruled)]);
}

/// Counts the difference of one request: for each subject what is in force, what it ruled, what
/// would be, and what that ruled.
pub(crate) fn compare(subjects: &[(&PolicySet, &Ruled, &PolicySet, &Ruled)]) {
    for (live, ruled, shadow, theirs) in subjects {
        if let Some(stats) = stats_of(live) {
            by_policy(stats, (live, ruled.violated), (shadow, theirs.violated));
            stats.saturated(theirs);
        }
    }
    let refuses = |ruled: &Ruled| ruled.outcome != decide::Outcome::Allowed;
    if let Some((live, ruled, ..)) = subjects.first()
        && let Some(stats) = stats_of(live)
    {
        let live = subjects.iter().any(|(_, ruled, ..)| refuses(ruled));
        let shadow = subjects.iter().find(|(.., theirs)| refuses(theirs));
        let named = shadow.map(|(_, _, set, theirs)| {
            (set.policy(set.entries()[usize::from(theirs.position)].id).name(), theirs.wait)
        });
        stats.request(live, named, ruled.now);
    }
}

/// The same of one subject whose quotas others keep.
#[cfg(feature = "redis")]
pub(crate) fn compare_rulings(
    (live, ruling): (&PolicySet, &decide::Ruling),
    (shadow, theirs): (&PolicySet, &decide::Ruling),
    now: u64,
) {
    let Some(stats) = stats_of(live) else { return };
    by_policy(stats, (live, ruling.violated), (shadow, theirs.violated));
    let refuses = |ruling: &decide::Ruling| ruling.outcome != decide::Outcome::Allowed;
    let named = refuses(theirs).then(|| (shadow.policy(theirs.policy).name(), theirs.wait));
    stats.request(refuses(ruling), named, now);
}

fn by_policy(
    stats: &stats::Differences,
    (live, violated): (&PolicySet, u16),
    (shadow, theirs): (&PolicySet, u16),
) {
    let limiter = live.limiter();
    let in_force = live.entries().iter().enumerate();
    let named = |(position, entry): (usize, &decide::Entry)| {
        (limiter.usual(entry.id), violated >> position & 1 == 1)
    };
    for (position, entry) in shadow.entries().iter().enumerate() {
        let policy = shadow.limiter().usual(entry.id);
        let refuses = theirs >> position & 1 == 1;
        let live = in_force.clone().map(named).find(|(id, _)| *id == policy);
        stats.policy(policy, live.map(|(_, refuses)| refuses), refuses);
    }
}

fn stats_of(live: &PolicySet) -> Option<&stats::Differences> {
    live.limiter().twin.as_ref().map(|twin| &twin.stats)
}

/// The most policies of one limiter that can be in force for some keys only:
/// a set has a variant for each combination.
pub(crate) const MAX_PARTIAL: usize = 4;

#[cfg(test)]
mod tests;
