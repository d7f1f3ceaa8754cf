//! One decision about several subjects: a share inside a total.

use std::time::Duration;

use crate::decide::{Charge, Outcome, Ruled, decide};
use crate::decision::Decision;
use crate::key::Key;
use crate::limiter::{Limiter, record};
use crate::moment::Moment;
use crate::set::PolicySet;
use crate::table::update_all;

/// What [`Limiter::check_joint`] says: a [`Decision`] for each subject, of which
/// either all were charged or none.
#[derive(Debug, Clone, Copy)]
#[must_use = "a decision that nobody looks at limits nothing"]
pub struct Joint<'a, const N: usize> {
    decisions: [Decision<'a>; N],
}

impl Limiter {
    /// Charges `cost` units to every policy of every subject, or none to any:
    /// a user's share and the total of its organisation, an address and its
    /// networks. Name the most specific first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_limit::{Key, Limiter, Policy, Quota};
    /// # use tokio::time::Instant;
    /// let minute = Duration::from_secs(60);
    /// let limiter = Limiter::builder()
    ///     .policy(Policy::new("share", Quota::per(2, minute)?))
    ///     .policy(Policy::new("total", Quota::per(3, minute)?))
    ///     .build()?;
    /// let (share, total) = (limiter.set(&["share"])?, limiter.set(&["total"])?);
    /// let now = Instant::now();
    /// let check = |user| {
    ///     let subjects = [(Key::Text(user), &share), (Key::Text("everybody"), &total)];
    ///     limiter.check_joint(subjects, 1, now).is_allowed()
    /// };
    /// assert!(check("greedy") && check("greedy") && !check("greedy"));
    /// assert!(check("modest"), "what greedy was refused is not taken from the total");
    /// # Ok::<(), seawall_limit::Error>(())
    /// ```
    ///
    /// The shards of all subjects are locked in the order of their addresses,
    /// each once, so that no two joint decisions wait for each other. Costs
    /// about as much as a check of each subject. `N` subjects are meant to be
    /// few: at most four or so. A subject named twice is charged twice. Sets may
    /// come from several limiters.
    ///
    /// Each subject's decision is counted in the metrics.
    pub fn check_joint<'s, 'k, const N: usize>(
        &self,
        subjects: [(Key<'k>, &'s PolicySet); N],
        cost: u32,
        now: impl Into<Moment>,
    ) -> Joint<'s, N> {
        let hashed = subjects.map(|(key, set)| (set, set.limiter().hash(key)));
        let keys = hashed.map(|(set, key)| (&set.limiter().table, key));
        let now = now.into().nanos();
        let subjects = hashed.map(|(set, key)| (key, set.of(key, now)));
        let times = [now; N];
        let ruled: [Ruled; N] = update_all(keys, times, |copies, copy_of| {
            // First without charging, but keeping what was brought near after
            // a clock was set back.
            let seen: [Ruled; N] = std::array::from_fn(|index| {
                let copy = &mut copies[copy_of[index]];
                let (place, now) = (copy.place, copy.now);
                decide(
                    subjects[index].1.entries(),
                    copy.words_mut(),
                    place,
                    now,
                    cost,
                    Charge::None,
                )
            });
            if cost == 0 || seen.iter().any(|ruled| ruled.outcome != Outcome::Allowed) {
                return seen;
            }
            let before = *copies;
            let charged: [Ruled; N] = std::array::from_fn(|index| {
                let copy = &mut copies[copy_of[index]];
                let (place, now) = (copy.place, copy.now);
                let entries = subjects[index].1.entries();
                decide(entries, copy.words_mut(), place, now, cost, Charge::AllOrNone)
            });
            // A subject that is named twice may admit once only.
            if charged.iter().any(|ruled| ruled.outcome != Outcome::Allowed) {
                *copies = before;
            }
            charged
        });
        for ((_, set), ruled) in subjects.iter().zip(&ruled) {
            record(set, ruled);
        }
        let decision = |index: usize| Decision::new(subjects[index].1, ruled[index]);
        Joint { decisions: std::array::from_fn(decision) }
    }
}

impl<'a, const N: usize> Joint<'a, N> {
    /// Whether the request may go on; then every policy of every subject was
    /// charged. If not, none was.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decisions.iter().all(Decision::is_allowed)
    }

    /// How long to wait until all admit the same cost, if nobody else spends
    /// meanwhile. `None` if allowed, or if waiting does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if self.decisions.iter().any(Decision::is_too_large) {
            return None;
        }
        self.decisions.iter().filter_map(Decision::retry_after).max()
    }

    /// The decision to tell the client of: the first that rejects, or the one
    /// with the fewest units left. `None` for no subjects.
    #[must_use]
    pub fn named(&self) -> Option<&Decision<'a>> {
        let rejects = self.decisions.iter().find(|decision| !decision.is_allowed());
        rejects.or_else(|| self.decisions.iter().min_by_key(|decision| decision.remaining()))
    }

    /// One for each subject, in their order. If another rejected, one that says
    /// `allowed` was not charged.
    pub const fn decisions(&self) -> &[Decision<'a>; N] {
        &self.decisions
    }
}

#[cfg(test)]
mod tests;
