//! What a limiter is made of.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;

use crate::decide::Entry;
use crate::exception::Exceptions;
use crate::heritage::Heritage;
use crate::key::Key;
use crate::policy::Policy;
use crate::share::{Share, Urn};
use crate::stats::Stats;
use crate::table::{KeyHash, Table};
use crate::trial::Twin;

/// What the clones of a limiter, and its sets, share.
pub(crate) struct Inner {
    /// Those with a name of their own, and those that stand in for them.
    pub(super) policies: Box<[Policy]>,
    pub(super) named: usize,
    pub(super) exceptions: Exceptions,
    /// The named policy that each stands in for; itself, if it is one.
    pub(super) usual: Box<[u8]>,
    /// Candidates that are in force for some keys, by the policy that they stand in for.
    pub(super) candidates: Box<[Option<u8>]>,
    pub(crate) twin: Option<Twin>,
    /// Of the shares.
    pub(super) share_seed: u64,
    pub(crate) heritage: Heritage,
    pub(super) entries: Box<[Entry]>,
    #[cfg(feature = "tower")]
    pub(super) texts: Box<[crate::answer::Text]>,
    pub(crate) table: Table,
    pub(super) seed: RandomState,
    pub(super) stats: Stats,
}

impl Inner {
    pub(crate) fn policy(&self, id: u8) -> &Policy {
        &self.policies[usize::from(id)]
    }

    /// All policies, with those that stand in for named ones after them.
    #[cfg(feature = "redis")]
    pub(crate) const fn all(&self) -> &[Policy] {
        &self.policies
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

    /// Says when this limiter takes over from the one before; before it is used.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
    pub(crate) fn begin(&self, now: u64) {
        for inner in std::iter::once(self).chain(self.twin.as_ref().map(Twin::inner)) {
            inner.heritage.begin(now);
        }
    }

    /// Brings all keys over from the limiter before.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
    pub(crate) fn finish(&self, now: u64) {
        for inner in std::iter::once(self).chain(self.twin.as_ref().map(Twin::inner)) {
            inner.heritage.finish(inner, now);
        }
    }

    /// What keys draw for a policy's share.
    pub(crate) fn urn(&self, policy: u8) -> Urn {
        Urn::new(self.share_seed, self.policy(policy).name())
    }

    /// The named policy that this one stands in for.
    pub(crate) fn usual(&self, id: u8) -> u8 {
        self.usual[usize::from(id)]
    }

    /// The candidate that stands in for a named policy, and for which keys.
    pub(crate) fn candidate(&self, named: u8) -> Option<(u8, Share)> {
        let (_, share) = self.policy(named).tried()?;
        self.candidates[usize::from(named)].map(|id| (id, share))
    }

    /// What a named policy is for this key; `None` if that takes the key itself, and it is not known.
    pub(crate) fn own(&self, named: u8, hash: KeyHash, key: Option<Key<'_>>) -> Option<u8> {
        let instead = self.instead(hash, named);
        match self.candidate(named) {
            Some((candidate, share)) if instead == named => {
                let lot = if share.is_partial() { self.urn(named).draw(key?) } else { 0 };
                Some(if share.has(lot) { candidate } else { named })
            }
            _ => Some(instead),
        }
    }

    /// Whether a candidate is in force for some keys only.
    pub(crate) fn has_partial_candidate(&self) -> bool {
        let partial = |policy: &Policy| policy.tried().is_some_and(|(_, share)| share.is_partial());
        self.policies[..self.named].iter().any(partial)
    }

    pub(crate) const fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    #[inline]
    pub(crate) fn hash(&self, key: Key<'_>) -> KeyHash {
        KeyHash::new(self.seed.hash_one(key))
    }
}
