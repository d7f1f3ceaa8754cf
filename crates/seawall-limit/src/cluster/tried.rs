//! Policies on trial, cluster-wide: what is in force by key, and what would be.

use std::sync::Arc;

use tokio::time::Instant;

use super::decision::Source;
use super::limiter::ClusterSet;
use super::protocol::Spec;
use super::shared::{About, Begun, Said, Shared};
use super::subject::Subject;
use super::table::Place;
use crate::decide::Ruling;
use crate::key::Key;
use crate::set::PolicySet;
use crate::trial;

/// A set's part in the trial of its limiter.
pub(crate) struct Tried {
    /// What is in force, by what keys drew.
    pub(crate) variants: Box<[(PolicySet, Arc<Spec>)]>,
    /// What would be: kept in Redis beside it, under names of its own.
    pub(crate) twin: (PolicySet, Arc<Spec>, Arc<Shared>),
}

/// A request that the twin is to decide on as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second {
    place: Place,
    subject: Subject,
    need: u32,
}

impl Tried {
    pub(crate) fn second(&self, key: Key<'_>, need: u32) -> Second {
        Second { place: self.twin.2.table.place(key), subject: Subject::of(key), need }
    }

    /// Decides as it would be, and counts the difference. Nobody waits for it.
    pub(crate) fn try_as_well(self: &Arc<Self>, second: Second, said: Said) {
        let (_, spec, shared) = &self.twin;
        let subject = second.subject;
        let about = About { spec, variant: 0, place: second.place, subject: move || subject };
        match shared.begin(about, second.need, Instant::now()) {
            Begun::Done(theirs) => self.compare(&said, &theirs),
            Begun::Ask(question) => {
                let this = Arc::clone(self);
                shared.desk.runtime.spawn(async move {
                    let (_, spec, shared) = &this.twin;
                    let theirs = Arc::clone(shared).finish(Arc::clone(spec), question).await;
                    this.compare(&said, &theirs);
                });
            }
        }
    }

    /// Only where quotas decided: not what an operator ordered, nor what was decided without Redis.
    fn compare(&self, said: &Said, theirs: &Said) {
        let by_quota = |said: &Said| {
            matches!(
                said.source,
                Source::Redis | Source::Lease | Source::Memory | Source::Unenforced
            )
        };
        if by_quota(said) && by_quota(theirs) {
            let now = self.twin.2.now().saturating_mul(1_000);
            let live = (&self.variants[said.variant].0, &said.ruling);
            trial::compare_rulings(live, (&self.twin.0, &theirs.ruling), now);
        }
    }
}

impl ClusterSet {
    /// What is in force for a key.
    pub(crate) fn pick(&self, key: Key<'_>) -> usize {
        self.policies().trial().map_or(0, |trial| trial.mask(key))
    }

    /// Where nothing is in force.
    pub(crate) fn unenforced(&self) -> Ruling {
        let first = self.policies().first();
        Ruling::untouched(first, self.policies().policy(first).quota().burst())
    }
}
