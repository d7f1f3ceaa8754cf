//! Whether an entry that was right at an earlier epoch still is.

use std::borrow::{Borrow, Cow};
use std::sync::Arc;

use super::cell::{Cell, Standing};
use super::clock::Tick;
use super::engine::Engine as _;
use super::entry::{Entry, Phase};
use super::table::Item as _;
use super::{Local, Look};
use crate::key::CacheKey;
use crate::marks::{Mark, Verdict};

/// What can be said of an entry without asking L2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is what L2 has, as far as this node was told. `degraded`: it cannot be told.
    Valid { degraded: bool },
    /// The same, but a mark says that it is stale.
    Stale { degraded: bool },
    /// Its version must be compared with L2's.
    Suspect,
    /// Marks of it must be read.
    Unknown,
    /// A mark says that it must not be served.
    Gone,
}

/// What is known of an entry that is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right {
    /// As of which epoch.
    pub(super) epoch: u64,
    /// The version of the namespace's mark that it was compared with; 0 for none.
    pub(super) namespace: u64,
}

/// What marks say of an entry that was just read from L2 or loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamped {
    Fresh,
    Stale,
    Gone,
    /// Marks must be read first: [`Local::compare`] says then.
    Unknown,
}

impl<K, V, R> Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The part of [`hit`](Self::hit) that is not a plain hit. Stores that the entry is right as
    /// of the present epoch, if it is, so that the next look is plain.
    #[cold]
    pub(super) fn look_closer<Q>(
        &self,
        key: &Q,
        entry: Entry<V>,
        phase: Phase,
        now: Tick,
    ) -> Look<V>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        if phase == Phase::Expired {
            return Look::Miss;
        }
        let in_time = matches!(phase, Phase::Fresh | Phase::Early);
        let vouched = in_time && self.vouches(&entry, now);
        let trust = if vouched {
            Trust::Valid { degraded: false }
        } else {
            let (trust, right) = self.judge(key, &entry, now);
            if let Some(right) = right {
                self.confirm(key, &entry, right);
            }
            trust
        };
        match (trust, phase) {
            (Trust::Gone, _) | (_, Phase::Expired) => Look::Miss,
            (Trust::Suspect, _) => Look::Suspect(entry),
            (Trust::Unknown, _) => Look::Unknown(entry),
            (_, Phase::Recheck) => Look::Recheck(entry),
            (Trust::Stale { degraded }, _) => Look::Stale { entry, marked: true, degraded },
            (Trust::Valid { degraded }, Phase::Stale) => {
                Look::Stale { entry, marked: false, degraded }
            }
            (Trust::Valid { degraded: true }, _) => Look::Degraded(entry),
            (_, Phase::Early) => Look::Early(entry),
            (_, Phase::Fresh) => Look::Hit(entry),
        }
    }

    /// What can be said of `entry` at `now` without asking L2. In this order: a mark that says it
    /// is gone is believed even if it is old, for marks never take that back; then whether its
    /// node may have changed it untold; then whether its marks are known.
    ///
    /// With it comes what may be [confirmed](Self::confirm), if there is nothing against it.
    pub(super) fn judge<Q>(&self, key: &Q, entry: &Entry<V>, now: Tick) -> (Trust, Option<Right>)
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        // First: what happens from here on makes another epoch.
        let epoch = self.coherence.epoch();
        let validated = entry.validated();
        let marks = self.standing(key, entry.namespace(), entry.tags(), validated, now);
        let (verdict, unknown, namespace, marks_down) = match marks {
            Summary::Known { verdict, namespace, degraded } => {
                (verdict, false, namespace, degraded)
            }
            Summary::Unknown(verdict) => (verdict, true, 0, true),
        };
        if verdict == Verdict::Gone {
            return (Trust::Gone, None);
        }
        let node = self.coherence.node(entry.node());
        if node.missed_since(validated) || !self.is_current(entry, now) {
            return (Trust::Suspect, None);
        }
        // What L2 had no word on is said to be degraded anyway, and must do while L2 is away.
        if unknown && !entry.degraded() {
            return (Trust::Unknown, None);
        }
        let degraded = marks_down || !node.up;
        if verdict == Verdict::Stale {
            return (Trust::Stale { degraded }, None);
        }
        (Trust::Valid { degraded }, (!degraded).then_some(Right { epoch, namespace }))
    }

    /// Notes in the entry that the engine holds what was found `right` for `copy`, if that is still
    /// the one: the next look is then plain.
    pub(super) fn confirm<Q>(&self, key: &Q, copy: &Entry<V>, right: Right)
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.engine().reach(key, |entry| {
            if entry.is(copy) {
                entry.raise_namespace(right.namespace);
                entry.validate(right.epoch);
            }
        });
    }

    /// What marks say of what was just read from L2 or loaded, under stamps `namespace` and
    /// `tags`. `since`: the epoch before L2 was asked for it; 0 if it was read from L2, which may
    /// not know yet of advances of ours.
    pub(crate) fn stamped<Q>(
        &self,
        key: &Q,
        namespace: u64,
        tags: &[(Arc<Cell>, u64)],
        since: u64,
        now: Tick,
    ) -> Stamped
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        self.standing(key, namespace, tags, since, now).stamped()
    }

    /// The same of `entry`, which L2 said was right after the cache was at `epoch`, and the epoch
    /// that it may say it was validated at: see [`Coherence`](super::Coherence).
    pub(super) fn validation<Q>(
        &self,
        key: &Q,
        entry: &Entry<V>,
        since: u64,
        epoch: u64,
        now: Tick,
    ) -> (Stamped, u64)
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let marks = self.standing(key, entry.namespace(), entry.tags(), since, now);
        let plain =
            matches!(marks, Summary::Known { verdict: Verdict::Fresh, degraded: false, .. })
                && self.coherence.node(entry.node()).up;
        (marks.stamped(), if plain { epoch } else { epoch - 1 })
    }

    /// What `marks`, just read from L2, say of the entry of `key` with those stamps: each pair is
    /// a mark and the stamp to compare it with. Also of stamps from the future, which say that a
    /// mark was lost: gone.
    pub(crate) fn compare<'m, Q>(
        &self,
        key: &Q,
        marks: impl IntoIterator<Item = (&'m Mark, u64)>,
    ) -> Verdict
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let said = marks.into_iter().map(|(mark, stamp)| mark.check(stamp, || plain(key)));
        said.max().unwrap_or(Verdict::Fresh)
    }

    fn standing<Q>(
        &self,
        key: &Q,
        namespace: u64,
        tags: &[(Arc<Cell>, u64)],
        since: u64,
        now: Tick,
    ) -> Summary
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let first = self.check(self.cells.namespace(), key, namespace, since, now);
        let mut all = match first {
            Standing::Known { verdict, version, degraded } => {
                Summary::Known { verdict, namespace: version, degraded }
            }
            Standing::Unknown(verdict) => Summary::Unknown(verdict),
        };
        for (cell, stamp) in tags {
            all = all.and(self.check(cell, key, *stamp, since, now));
        }
        all
    }

    fn check<Q>(&self, cell: &Cell, key: &Q, stamp: u64, since: u64, now: Tick) -> Standing
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        cell.check(&self.coherence, stamp, since, || plain(key), now, self.mark_bound)
    }

    /// Whether the bound on staleness holds for `entry`, if one is set.
    fn is_current(&self, entry: &Entry<V>, now: Tick) -> bool {
        self.coherence.is_trusted(now) || self.coherence.is_recent(entry.at(), now)
    }
}

/// What all marks of an entry say together.
enum Summary {
    Known { verdict: Verdict, namespace: u64, degraded: bool },
    Unknown(Verdict),
}

impl Summary {
    fn stamped(&self) -> Stamped {
        match self {
            Self::Known { verdict, .. } => (*verdict).into(),
            Self::Unknown(Verdict::Gone) => Stamped::Gone,
            Self::Unknown(_) => Stamped::Unknown,
        }
    }

    fn and(self, other: Standing) -> Self {
        match (self, other) {
            (
                Self::Known { verdict, namespace, degraded },
                Standing::Known { verdict: another, degraded: down, .. },
            ) => {
                let verdict = verdict.max(another);
                Self::Known { verdict, namespace, degraded: degraded || down }
            }
            (Self::Known { verdict, .. }, Standing::Unknown(another))
            | (Self::Unknown(verdict), Standing::Known { verdict: another, .. })
            | (Self::Unknown(verdict), Standing::Unknown(another)) => {
                Self::Unknown(verdict.max(another))
            }
        }
    }
}

impl From<Verdict> for Stamped {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fresh => Self::Fresh,
            Verdict::Stale => Self::Stale,
            Verdict::Gone => Self::Gone,
        }
    }
}

fn plain<Q: CacheKey + ?Sized>(key: &Q) -> Cow<'static, str> {
    let mut plain = String::with_capacity(24);
    key.write_key(&mut plain);
    plain.into()
}
