//! A charge that is settled when it is known what it should have been.

use std::fmt;

use tokio::time::Instant;

use crate::decide::{Charge, Outcome, Place, Ruled, decide};
use crate::decision::Decision;
use crate::key::Key;
use crate::limiter::{self, Limiter, record};
use crate::moment::Moment;
use crate::set::{Chosen, PolicySet};
use crate::table::KeyHash;
use crate::trial;

/// A request's place in the quota, to be [settled](Self::settle) once, when its
/// real cost is known: by status, by bytes, by what the work turned out to be.
///
/// It holds no lock and blocks nobody; it may be kept for as long as the
/// response takes, moved between threads, and dropped at any point. Settling
/// takes it, so that it cannot be done twice.
#[must_use = "dropped at once, it is settled as `dropped_as` says"]
pub struct Reservation {
    key: KeyHash,
    live: Part,
    /// What would be enforced, if it admitted as well.
    twin: Option<Part>,
    /// What it counts for if it is dropped.
    dropped_as: u32,
    settled: bool,
}

struct Part {
    set: PolicySet,
    /// Units charged so far.
    charged: u32,
    /// When: tells, later, how much of the charge has come back by itself.
    at: u64,
}

impl Limiter {
    /// Charges `cost` units now, to be set right later. Whoever asks in between
    /// sees them as spent, so concurrent requests cannot overrun the quota; but
    /// requests in flight count, though they may turn out to cost nothing.
    ///
    /// If it is dropped unsettled, the charge stays:
    /// see [`dropped_as`](Reservation::dropped_as).
    ///
    /// # Errors
    /// The decision, if a policy rejects; then none was charged.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_limit::{Limiter, Policy, Quota};
    /// # use tokio::time::Instant;
    /// # let now = Instant::now();
    /// let kilobytes = Quota::per(1_000, Duration::from_secs(60))?;
    /// let limiter = Limiter::builder().policy(Policy::new("kilobytes", kilobytes)).build()?;
    /// let set = limiter.set(&["kilobytes"])?;
    /// let reservation = limiter.reserve("alice", &set, 600, now).expect("a full quota");
    /// assert!(limiter.reserve("alice", &set, 600, now).is_err());
    /// reservation.settle(250, now); // the response was shorter than feared
    /// assert_eq!(limiter.peek("alice", &set, now).remaining(), 750);
    /// # Ok::<(), seawall_limit::Error>(())
    /// ```
    pub fn reserve<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        cost: u32,
        now: impl Into<Moment>,
    ) -> Result<Reservation, Decision<'s>> {
        begin(key.into(), set, now.into().nanos(), cost, cost, |set, key, now| {
            set.limiter().table.update(key, now, |words, place, now| {
                decide(set.entries(), words, place, now, cost, Charge::AllOrNone)
            })
        })
    }

    /// Admits a request that would be admitted at a cost of one, and charges
    /// nothing until it is settled: for what only counts by its outcome, such as
    /// failed sign-ins. Requests in flight never count, so thousands that turn
    /// out well cost nothing; but as many as are in flight at once may turn out
    /// badly together. Give the quota a [debt](crate::Quota::with_debt), and
    /// what they overran is recovered before another is admitted.
    ///
    /// If it is dropped unsettled, one unit is charged, so that hanging up early
    /// does not hide an attempt: see [`dropped_as`](Reservation::dropped_as).
    ///
    /// # Errors
    /// The decision, if a policy rejects.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_limit::{Limiter, Policy, Quota};
    /// # use tokio::time::Instant;
    /// # let now = Instant::now();
    /// let failures = Quota::strict(5, Duration::from_secs(900))?.with_burst(5)?.with_debt(5)?;
    /// let limiter = Limiter::builder().policy(Policy::new("failures", failures)).build()?;
    /// let set = limiter.set(&["failures"])?;
    /// for status in [200, 401, 200] {
    ///     let attempt = limiter.admit("203.0.113.7", &set, now).expect("few have failed");
    ///     attempt.settle(u32::from(status == 401), now);
    /// }
    /// assert_eq!(limiter.peek("203.0.113.7", &set, now).remaining(), 4);
    /// # Ok::<(), seawall_limit::Error>(())
    /// ```
    pub fn admit<'s, 'k>(
        &self,
        key: impl Into<Key<'k>>,
        set: &'s PolicySet,
        now: impl Into<Moment>,
    ) -> Result<Reservation, Decision<'s>> {
        begin(key.into(), set, now.into().nanos(), 0, 1, |set, key, now| {
            limiter::peek(set, key, 1, now)
        })
    }
}

/// Decides by `rule`, which charges `charged` units if it admits.
fn begin<'s>(
    key: Key<'_>,
    set: &'s PolicySet,
    now: u64,
    charged: u32,
    dropped_as: u32,
    rule: impl Fn(&PolicySet, KeyHash, u64) -> Ruled,
) -> Result<Reservation, Decision<'s>> {
    let hash = set.limiter().hash(key);
    let Chosen { live, twin } = set.of(key, hash, now);
    let ruled = rule(live, hash, now);
    record(live, &ruled);
    let part = |set: &PolicySet, ruled: &Ruled| {
        let allowed = ruled.outcome == Outcome::Allowed;
        allowed.then(|| Part { set: set.clone(), charged, at: ruled.now })
    };
    let twin = twin.and_then(|twin| {
        twin.bring(hash, now);
        let theirs = rule(twin, hash, now);
        trial::compare(&[(live, &ruled, twin, &theirs)]);
        part(twin, &theirs)
    });
    match part(live, &ruled) {
        Some(live) => Ok(Reservation { key: hash, live, twin, dropped_as, settled: false }),
        None => Err(Decision::new(live, ruled)),
    }
}

impl Reservation {
    /// Units charged so far.
    #[must_use]
    pub const fn charged(&self) -> u32 {
        self.live.charged
    }

    /// What it is settled at if it is dropped, at the time of the drop. The
    /// default keeps what was charged, and is one unit for one from
    /// [`admit`](Limiter::admit). 0 takes it all back.
    pub const fn dropped_as(mut self, units: u32) -> Self {
        self.dropped_as = units;
        self
    }

    /// Makes the charge `actual` units in all.
    ///
    /// What is less is given back, except for what has come back by itself in
    /// the meantime, so that no window admits more than the quota's bound: a
    /// bucket has refilled for as long as the reservation was held, and a window
    /// mode gives back to the window that was charged only. If the key had to share its quota
    /// because the table was full, nothing is given back.
    ///
    /// What is more is charged whatever is left, as
    /// [`Limiter::charge`] does, down to the quota's debt.
    pub fn settle(mut self, actual: u32, now: impl Into<Moment>) {
        self.settle_at(actual, now.into());
    }

    /// What a request of one unit would meet now.
    #[cfg(feature = "tower")]
    pub(crate) fn peek(&self, now: Moment) -> Decision<'_> {
        let (set, now) = (&self.live.set, now.nanos());
        Decision::new(set, limiter::peek(set, self.key, 1, now))
    }

    pub(crate) fn settle_at(&mut self, actual: u32, now: Moment) {
        self.settled = true;
        for part in std::iter::once(&self.live).chain(&self.twin) {
            part.settle(self.key, actual, now.nanos());
        }
    }
}

impl Part {
    fn settle(&self, key: KeyHash, actual: u32, now: u64) {
        if let Some(more) = actual.checked_sub(self.charged) {
            if more > 0 {
                let _ = limiter::charge(&self.set, key, more, now);
            }
            return;
        }
        let less = self.charged - actual;
        self.set.limiter().table.amend(key, |words| {
            for entry in self.set.entries() {
                let state = entry.load(words, Place::Slot);
                entry.store(words, Place::Slot, entry.law.undo(state, now, self.at, less));
            }
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.settled && self.dropped_as != self.live.charged {
            self.settle_at(self.dropped_as, Instant::now().into());
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("set", &self.live.set)
            .field("charged", &self.live.charged)
            .field("dropped_as", &self.dropped_as)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
