//! Units taken from Redis ahead of their use.

/// Units that Redis has charged and this node may still spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) left: u32,
    /// When they were asked for: Redis charged them no earlier.
    pub(crate) asked: u64,
    /// When Redis charged them, by its clock.
    pub(crate) granted_at: u64,
}

/// The units of one key and one policy set, and how fast they go.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    pub(crate) mask: u64,
    /// The one before the last, while it lasts, and the last: spent in this order.
    grants: [Option<Grant>; 2],
    /// Units spent of each of them.
    taken: [u32; 2],
    /// What the last grant was made of.
    size: u32,
    /// Units spent since the last ask.
    used: u32,
    asked: Option<u64>,
    /// Whether more was asked for ahead of need and is on its way.
    pub(crate) coming: bool,
}

/// How leases are sized and how long they last, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) ttl: u64,
    pub(crate) most: u32,
}

impl Lease {
    pub(crate) fn new(mask: u64) -> Self {
        Self { mask, ..Self::default() }
    }

    /// Spends `need` units, all of one grant or none.
    pub(crate) fn take(&mut self, need: u32, now: u64, terms: Terms) -> bool {
        for (grant, taken) in self.grants.iter_mut().zip(&mut self.taken) {
            if let Some(grant) = grant
                && grant.left >= need
                && is_live(grant, now, terms)
            {
                grant.left -= need;
                *taken = taken.saturating_add(need);
                self.used = self.used.saturating_add(need);
                return true;
            }
        }
        false
    }

    /// Units that may be spent at `now`.
    pub(crate) fn left(&self, now: u64, terms: Terms) -> u32 {
        let live = self.grants.iter().flatten().filter(|grant| is_live(grant, now, terms));
        live.fold(0, |sum, grant| sum.saturating_add(grant.left))
    }

    /// Whether it is time to ask for more before the last unit is gone.
    pub(crate) fn is_low(&self, now: u64, terms: Terms) -> bool {
        !self.coming && self.size >= WORTH_A_REFILL && self.left(now, terms) <= self.size / 3
    }

    /// How many units more to ask for than are needed: about as many as will be spent in half a
    /// lease's time at the rate seen, at most four times the last, and none for a key that is new
    /// or was not asked for lately.
    pub(crate) fn want(&mut self, need: u32, now: u64, terms: Terms) -> u32 {
        let used = self.used.saturating_add(need);
        // A rate is not told from two asks in one instant, of whom the other may be the same.
        let least = (terms.ttl / SHORTEST).max(1);
        let elapsed = self.asked.map(|asked| now.saturating_sub(asked).max(least));
        self.asked = Some(now);
        self.used = 0;
        let Some(elapsed) = elapsed.filter(|elapsed| *elapsed < terms.ttl.saturating_mul(2)) else {
            return 0;
        };
        let expected = u64::from(used).saturating_mul(terms.ttl) / elapsed.saturating_mul(2);
        let growth = u64::from(self.size).saturating_mul(4).saturating_add(4);
        u32::try_from(expected.min(growth)).unwrap_or(u32::MAX).min(terms.most)
    }

    /// Adds a grant; gives back what there is no place for.
    pub(crate) fn add(&mut self, grant: Grant) -> Option<Grant> {
        self.size = grant.left;
        if grant.left == 0 {
            return None;
        }
        let [before, last] = &mut self.grants;
        let over = match (before.take(), last.replace(grant)) {
            (kept, None) => {
                *before = kept;
                None
            }
            (over, last) => {
                *before = last.filter(|it| it.left > 0);
                self.taken[0] = self.taken[1];
                over
            }
        };
        self.taken[1] = 0;
        over.filter(|grant| grant.left > 0)
    }

    /// Takes out a grant that is over, or any if `all`, for what is left of it to be returned.
    pub(crate) fn expired(&mut self, now: u64, terms: Terms, all: bool) -> Option<Grant> {
        for place in &mut self.grants {
            if let Some(grant) = place.take_if(|it| all || it.left == 0 || !is_live(it, now, terms))
                && grant.left > 0
            {
                return Some(grant);
            }
        }
        None
    }

    /// Gives units back to a grant that is still live and of which so many were spent; whether there
    /// is one. More would be units that Redis never charged.
    pub(crate) fn put_back(&mut self, units: u32, now: u64, terms: Terms) -> bool {
        for (grant, taken) in self.grants.iter_mut().zip(&mut self.taken).rev() {
            if let Some(grant) = grant
                && *taken >= units
                && is_live(grant, now, terms)
            {
                grant.left = grant.left.saturating_add(units);
                *taken -= units;
                self.used = self.used.saturating_sub(units);
                return true;
            }
        }
        false
    }

    /// Whether nothing is held, and nothing worth remembering of its rate.
    pub(crate) fn is_idle(&self, now: u64, terms: Terms) -> bool {
        let recent = self.asked.is_some_and(|asked| now < asked.saturating_add(terms.ttl));
        !recent && !self.coming && self.grants.iter().flatten().all(|grant| grant.left == 0)
    }
}

fn is_live(grant: &Grant, now: u64, terms: Terms) -> bool {
    now < grant.asked.saturating_add(terms.ttl)
}

/// Below this the round trip ahead of need would cost as much as the one at need.
const WORTH_A_REFILL: u32 = 8;
/// Rates are taken over this part of a lease's time at the least.
const SHORTEST: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { ttl: 1_000, most: 100 };

    fn grant(left: u32, asked: u64) -> Grant {
        Grant { left, asked, granted_at: asked }
    }

    #[test]
    fn a_lease_ends_with_its_time() {
        let mut lease = Lease::new(1);
        assert_eq!(lease.add(grant(5, 10)), None);
        assert!(lease.take(2, 1_009, TERMS));
        assert!(!lease.take(1, 1_010, TERMS));
        assert_eq!(lease.expired(1_010, TERMS, false), Some(grant(3, 10)));
        assert_eq!(lease.expired(1_010, TERMS, false), None);
    }

    #[test]
    fn a_new_key_takes_nothing_ahead_and_a_busy_one_more_and_more() {
        let mut lease = Lease::new(1);
        assert_eq!(lease.want(1, 0, TERMS), 0);
        let first = lease.want(1, 10, TERMS);
        assert_eq!(first, 4);
        lease.add(grant(first, 10));
        for _ in 0..4 {
            assert!(lease.take(1, 12, TERMS));
        }
        assert_eq!(lease.want(1, 14, TERMS), 20);
        lease.add(grant(20, 14));
        // Nobody came for long: back to one by one.
        assert_eq!(lease.want(1, 9_000, TERMS), 0);
    }

    #[test]
    fn two_asks_in_one_instant_are_no_high_rate() {
        let terms = Terms { ttl: 1_000_000, most: 10_000 };
        let mut lease = Lease::new(1);
        let mut wanted = 0;
        // One a second; and each time it is looked twice, as who tries first does.
        for second in 1..20 {
            let _ = lease.want(1, second * 1_000_000, terms);
            wanted = lease.want(1, second * 1_000_000 + 5, terms);
            lease.add(Grant { left: wanted, ..grant(0, second * 1_000_000) });
        }
        assert!(wanted <= 32, "{wanted}");
    }

    #[test]
    fn a_third_grant_pushes_the_first_out_to_be_returned() {
        let mut lease = Lease::new(1);
        assert_eq!(lease.add(grant(1, 1)), None);
        assert_eq!(lease.add(grant(2, 2)), None);
        assert_eq!(lease.add(grant(3, 3)), Some(grant(1, 1)));
        assert_eq!(lease.left(3, TERMS), 5);
    }

    #[test]
    fn a_cost_is_not_pieced_together() {
        let mut lease = Lease::new(1);
        lease.add(grant(2, 1));
        lease.add(grant(2, 1));
        assert!(!lease.take(3, 2, TERMS));
        assert_eq!(lease.left(2, TERMS), 4);
    }
}
