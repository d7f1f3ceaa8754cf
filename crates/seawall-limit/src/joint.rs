//! One decision about several subjects: a share inside a total.

use std::time::Duration;

use crate::decide::{Charge, Outcome, Ruled, decide};
use crate::decision::Decision;
use crate::key::Key;
use crate::limiter::{Limiter, record};
use crate::moment::Moment;
use crate::set::{Chosen, PolicySet};
use crate::table::{KeyHash, Loaded, update_all};
use crate::trial;

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
        let now = now.into().nanos();
        let subjects = subjects.map(|(key, set)| {
            let hash = set.limiter().hash(key);
            (hash, set.of(key, hash, now))
        });
        let live = subjects.map(|(hash, chosen)| (hash, chosen.live));
        let ruled = rule(live, cost, now, [true; N]);
        for ((_, set), ruled) in live.iter().zip(&ruled) {
            record(set, ruled);
        }
        if subjects.iter().any(|(_, chosen)| chosen.twin.is_some()) {
            shadow(&subjects, &ruled, cost, now);
        }
        let decision = |index: usize| Decision::new(live[index].1, ruled[index]);
        Joint { decisions: std::array::from_fn(decision) }
    }
}

/// Decides on those subjects that are `asked` together, and charges all of them or none.
fn rule<const N: usize>(
    subjects: [(KeyHash, &PolicySet); N],
    cost: u32,
    now: u64,
    asked: [bool; N],
) -> [Ruled; N] {
    let keys = subjects.map(|(hash, set)| (&set.limiter().table, hash));
    update_all(keys, [now; N], |copies, copy_of| {
        let each = |copies: &mut [Loaded; N], charge| -> [Ruled; N] {
            std::array::from_fn(|index| {
                let copy = &mut copies[copy_of[index]];
                let (place, now) = (copy.place, copy.now);
                let entries = if asked[index] { subjects[index].1.entries() } else { &[] };
                decide(entries, copy.words_mut(), place, now, cost, charge)
            })
        };
        // First without charging, but keeping what was brought near after
        // a clock was set back.
        let seen = each(copies, Charge::None);
        if cost == 0 || seen.iter().any(|ruled| ruled.outcome != Outcome::Allowed) {
            return seen;
        }
        let before = *copies;
        let charged = each(copies, Charge::AllOrNone);
        // A subject that is named twice may admit once only.
        if charged.iter().any(|ruled| ruled.outcome != Outcome::Allowed) {
            *copies = before;
        }
        charged
    })
}

/// The same for the twins. A subject that has none, as nothing of its limiter is
/// on trial, stands as it was decided.
#[cold]
fn shadow<const N: usize>(
    subjects: &[(KeyHash, Chosen<'_>); N],
    live: &[Ruled; N],
    cost: u32,
    now: u64,
) {
    let asked = subjects.map(|(_, chosen)| chosen.twin.is_some());
    let stands =
        live.iter().zip(asked).all(|(ruled, asked)| asked || ruled.outcome == Outcome::Allowed);
    for (hash, chosen) in subjects {
        if let Some(twin) = chosen.twin {
            twin.bring(*hash, now);
        }
    }
    let twins = subjects.map(|(hash, chosen)| (hash, chosen.twin.unwrap_or(chosen.live)));
    let ruled = rule(twins, if stands { cost } else { 0 }, now, asked);
    let pairs: Vec<_> = (0..N)
        .filter(|index| asked[*index])
        .map(|index| (subjects[index].1.live, &live[index], twins[index].1, &ruled[index]))
        .collect();
    trial::compare(&pairs);
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
