//! The policies of one decision, looked up once.

use std::fmt;
use std::sync::Arc;

use crate::decide::Entry;
use crate::exception::Exceptions;
use crate::limiter::Inner;
use crate::policy::Policy;
use crate::table::KeyHash;

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
    entries: Box<[Entry]>,
    /// The sets of keys that have other quotas.
    exceptions: Exceptions<PolicySet>,
    #[cfg(feature = "tower")]
    header: crate::answer::PolicyFields,
}

impl PolicySet {
    /// The names, most specific first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().iter().map(|entry| self.policy(entry.id).name())
    }

    /// Takes ids of `limiter`; repeated ones count once.
    pub(crate) fn new(limiter: Arc<Inner>, wanted: impl IntoIterator<Item = u8>) -> Self {
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
                    let set = Self::plain(Arc::clone(&limiter), &theirs, Exceptions::default());
                    made.push((theirs, set.clone()));
                    set
                }
            };
            exceptions.insert(*key, set);
        }
        Self::plain(limiter, &ids, exceptions)
    }

    fn plain(limiter: Arc<Inner>, ids: &[u8], exceptions: Exceptions<Self>) -> Self {
        Self {
            resolved: Arc::new(Resolved {
                #[cfg(feature = "tower")]
                header: crate::answer::policy_fields(ids.iter().map(|id| limiter.text(*id))),
                entries: ids.iter().map(|id| limiter.entry(*id)).collect(),
                exceptions,
                limiter,
            }),
        }
    }

    /// The set as it is for this key, about which to decide now.
    #[inline]
    pub(crate) fn of(&self, key: KeyHash, now: u64) -> &Self {
        let limiter = self.limiter();
        limiter.heritage.bring(limiter, key, now);
        self.own(key)
    }

    /// The same, without bringing the key over from a limiter before.
    #[inline]
    pub(crate) fn own(&self, key: KeyHash) -> &Self {
        let exceptions = &self.resolved.exceptions;
        if exceptions.is_empty() {
            return self;
        }
        exceptions.get(&key.tag).unwrap_or(self)
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
