//! The policies of one decision, looked up once.

use std::fmt;
use std::sync::Arc;

use crate::decide::Entry;
use crate::limiter::Inner;
use crate::policy::Policy;

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
        Self {
            resolved: Arc::new(Resolved {
                #[cfg(feature = "tower")]
                header: crate::answer::policy_fields(ids.iter().map(|id| limiter.text(*id))),
                entries: ids.iter().map(|id| limiter.entry(*id)).collect(),
                limiter,
            }),
        }
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
