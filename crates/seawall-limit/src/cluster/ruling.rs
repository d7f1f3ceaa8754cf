//! From how each policy stands to the one answer that a client gets.

use super::law::Law;
use crate::decide::{Outcome, Ruling};

/// One policy in one decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Its place among the limiter's policies.
    pub(crate) id: u8,
    pub(crate) law: Law,
    /// Microseconds in use, this charge included if it was made.
    pub(crate) spent: u64,
}

/// All admit, and were charged. `more`: units that this node holds besides.
pub(crate) fn allowed(standings: impl Iterator<Item = Standing>, more: u64) -> Ruling {
    let mut ruling: Option<Ruling> = None;
    for Standing { id, law, spent } in standings {
        let remaining = units(law.units(spent).saturating_add(more));
        if ruling.is_none_or(|tightest| remaining < tightest.remaining) {
            let (reset, next) = (nanos(spent), nanos(law.next(spent)));
            ruling = Some(Ruling { policy: id, remaining, reset, next, ..EMPTY });
        }
    }
    ruling.unwrap_or(EMPTY)
}

/// What the first of them that has no room for `need` says; `None` if all have.
pub(crate) fn refused(standings: impl Iterator<Item = Standing>, need: u32) -> Option<Ruling> {
    let mut ruling: Option<Ruling> = None;
    for (position, Standing { id, law, spent }) in standings.enumerate() {
        let (never, wait) = (law.never(need), law.wait(spent, need));
        if wait == 0 {
            continue;
        }
        let named = ruling.get_or_insert(EMPTY);
        let first = named.violated == 0;
        named.violated |= 1 << position;
        if !never {
            named.wait = named.wait.max(nanos(wait));
        }
        // The most specific that rejects; before all, one that no waiting helps.
        if first || (never && named.outcome != Outcome::TooLarge) {
            named.policy = id;
            named.remaining = units(law.units(spent));
            named.reset = nanos(spent);
            named.next = if never { 0 } else { nanos(wait) };
            named.outcome = if never { Outcome::TooLarge } else { Outcome::Rejected };
        }
    }
    ruling
}

/// Rejected for a reason that is no quota: blocked, or Redis out of reach. The policy at
/// `position` of the set answers for it.
pub(crate) const fn turned_away(position: usize, id: u8, wait: u64) -> Ruling {
    let (wait, violated) = (nanos(wait), 1 << position);
    Ruling {
        outcome: Outcome::Rejected,
        policy: id,
        remaining: 0,
        reset: wait,
        next: wait,
        wait,
        violated,
    }
}

const EMPTY: Ruling = Ruling {
    outcome: Outcome::Allowed,
    policy: 0,
    remaining: u32::MAX,
    reset: 0,
    next: 0,
    wait: 0,
    violated: 0,
};

const fn nanos(micros: u64) -> u64 {
    micros.saturating_mul(1_000)
}

fn units(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u8, emission: u64, burst: u64, spent: u64) -> Standing {
        Standing { id, law: Law { emission, capacity: emission * burst }, spent }
    }

    #[test]
    fn the_tightest_of_all_that_admit_is_named() {
        let ruling = allowed([at(3, 10, 5, 10), at(1, 10, 5, 20)].into_iter(), 0);
        assert_eq!((ruling.policy, ruling.remaining, ruling.reset), (1, 3, 20_000));
        let held = allowed([at(3, 10, 5, 10)].into_iter(), 7);
        assert_eq!(held.remaining, 11);
    }

    #[test]
    fn the_most_specific_rejects_and_the_longest_wait_counts() {
        let all = [at(2, 10, 5, 45), at(0, 10, 5, 0), at(1, 100, 5, 500)];
        let ruling = refused(all.into_iter(), 1).expect("two are spent");
        assert_eq!((ruling.policy, ruling.next, ruling.wait), (2, 5_000, 100_000));
        assert_eq!(ruling.violated, 0b101);
        assert!(refused([at(0, 10, 5, 40)].into_iter(), 1).is_none());
    }

    #[test]
    fn a_cost_above_a_burst_is_named_before_a_wait() {
        let ruling = refused([at(0, 10, 9, 90), at(1, 10, 2, 0)].into_iter(), 3).expect("both");
        assert_eq!((ruling.policy, ruling.outcome), (1, Outcome::TooLarge));
    }
}
