//! The policies of one decision, looked up once.

use std::fmt;
use std::sync::Arc;

use crate::decide::Entry;
use crate::exception::Exceptions;
use crate::key::Key;
use crate::limiter::Inner;
use crate::policy::Policy;
use crate::table::KeyHash;
use crate::trial::Trial;

/// Policies that are charged together, most specific first.
///
/// Made by [`Limiter::set`](crate::Limiter::set), so that checking does no
/// look-up by name. A clone costs one reference count. A set belongs to the
/// limiter that made it and decides there, whichever limiter it is handed to.
#[derive(Clone)]
pub struct PolicySet {
    resolved: Arc<Resolved>,
}

struct Resolved {
    limiter: Arc<Inner>,
    /// Empty where all policies are shadowed.
    entries: Box<[Entry]>,
    /// The first of all policies, shadowed or not.
    first: u8,
    /// Whether it is the same set for every key.
    plain: bool,
    /// The sets of keys that have other quotas.
    exceptions: Exceptions<PolicySet>,
    trial: Option<Trial>,
    #[cfg(feature = "tower")]
    header: crate::answer::PolicyFields,
}

/// The sets that a decision on one key is made on.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'s> {
    pub(crate) live: &'s PolicySet,
    /// What would be enforced, had all trials ended well.
    pub(crate) twin: Option<&'s PolicySet>,
}

impl PolicySet {
    /// The names, most specific first, shadowed ones included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.resolved.trial.as_ref().map_or(self, |trial| trial.twin());
        all.entries().iter().map(|entry| all.policy(entry.id).name())
    }

    /// Takes ids of `limiter`; repeated ones count once.
    pub(crate) fn new(limiter: &Arc<Inner>, wanted: impl IntoIterator<Item = u8>) -> Self {
        let mut ids = Vec::new();
        for id in wanted {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let mut made: Vec<(Vec<u8>, Self)> = Vec::new();
        let mut exceptions = Exceptions::default();
        for (key, swaps) in limiter.exceptions() {
            let swapped = |id: &u8| swaps.iter().find(|swap| swap.usual == *id);
            let theirs: Vec<u8> =
                ids.iter().map(|id| swapped(id).map_or(*id, |swap| swap.instead)).collect();
            if theirs == ids {
                continue;
            }
            let set = match made.iter().find(|(ids, _)| *ids == theirs) {
                Some((_, set)) => set.clone(),
                None => {
                    let set = Self::tried(limiter, &ids, &theirs, Exceptions::default());
                    made.push((theirs, set.clone()));
                    set
                }
            };
            exceptions.insert(*key, set);
        }
        Self::tried(limiter, &ids, &ids, exceptions)
    }

    /// Of the policies `usual`, with `ids` in their places.
    fn tried(limiter: &Arc<Inner>, usual: &[u8], ids: &[u8], exceptions: Exceptions<Self>) -> Self {
        let first = usual.first().copied().unwrap_or(0);
        let trial = limiter.twin.as_ref().map(|twin| {
            let variant =
                |ids: &[u8]| Self::resolve(limiter, first, ids, Exceptions::default(), None);
            Trial::new(limiter, twin, usual, ids, variant)
        });
        Self::resolve(limiter, first, ids, exceptions, trial)
    }

    fn resolve(
        limiter: &Arc<Inner>,
        first: u8,
        ids: &[u8],
        exceptions: Exceptions<Self>,
        trial: Option<Trial>,
    ) -> Self {
        Self {
            resolved: Arc::new(Resolved {
                #[cfg(feature = "tower")]
                header: crate::answer::policy_fields(ids.iter().map(|id| limiter.text(*id))),
                entries: ids.iter().map(|id| limiter.entry(*id)).collect(),
                first,
                plain: exceptions.is_empty() && trial.is_none(),
                exceptions,
                trial,
                limiter: Arc::clone(limiter),
            }),
        }
    }

    /// The set as it is for this key, about which to decide now.
    #[inline]
    pub(crate) fn of(&self, key: Key<'_>, hash: KeyHash, now: u64) -> Chosen<'_> {
        let limiter = self.limiter();
        limiter.heritage.bring(limiter, hash, Some(key), now);
        self.own(key, hash)
    }

    /// The same, without bringing the key over from a limiter before.
    #[inline]
    pub(crate) fn own(&self, key: Key<'_>, hash: KeyHash) -> Chosen<'_> {
        if self.resolved.plain {
            return Chosen { live: self, twin: None };
        }
        let set = self.resolved.exceptions.get(&hash.tag).unwrap_or(self);
        match &set.resolved.trial {
            None => Chosen { live: set, twin: None },
            Some(trial) => trial.choose(key, hash),
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn trial(&self) -> Option<&Trial> {
        self.resolved.trial.as_ref()
    }

    /// Brings a key over from a limiter before, where only its hash is known.
    pub(crate) fn bring(&self, hash: KeyHash, now: u64) {
        let limiter = self.limiter();
        limiter.heritage.bring(limiter, hash, None, now);
    }

    /// The first of all policies, shadowed or not.
    pub(crate) fn first(&self) -> u8 {
        self.resolved.first
    }

    #[inline]
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.resolved.entries
    }

    #[inline]
    pub(crate) fn limiter(&self) -> &Inner {
        &self.resolved.limiter
    }

    pub(crate) fn policy(&self, id: u8) -> &Policy {
        self.resolved.limiter.policy(id)
    }

    /// The `RateLimit-Policy` field.
    #[cfg(feature = "tower")]
    pub(crate) fn header(&self) -> &crate::answer::PolicyFields {
        &self.resolved.header
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
