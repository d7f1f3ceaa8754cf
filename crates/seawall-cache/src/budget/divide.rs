//! How a budget is divided among caches. Pure.

/// What one cache asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// At least 1: its part where there is not enough for all, in proportion to the others'.
    pub(super) weight: u32,
    /// What it keeps in any case.
    pub(super) floor: u64,
    /// The most it can use.
    pub(super) most: u64,
    /// What it uses now.
    pub(super) used: u64,
}

/// Divides `total`, in the order of `claims`. The shares add up to no more than `total`.
///
/// By weight, but none gets less than its floor. Those that do not use what their weight is worth
/// get what they use and a quarter, so that one that grows can grow on, and one that is idle lends.
/// What is left when all have that goes by weight, up to the most they can use. If the floors are
/// more than `total`, they are cut in proportion.
pub(super) fn divide(total: u64, claims: &[Claim]) -> Vec<u64> {
    let floors: Vec<u64> = claims.iter().map(|claim| claim.floor.min(claim.most)).collect();
    let needed = floors.iter().fold(0_u64, |sum, floor| sum.saturating_add(*floor));
    if needed > total {
        return floors.iter().map(|floor| portion(total, *floor, needed)).collect();
    }
    let weights: u64 = claims.iter().map(|claim| u64::from(claim.weight)).sum();
    let wanted: Vec<u64> = claims
        .iter()
        .zip(&floors)
        .map(|(claim, floor)| {
            // Also one that was empty until now may grow at once, a little.
            let headroom = portion(total, claim.weight.into(), weights) / 16;
            let wanted = claim.used.saturating_add((claim.used / 4).max(headroom));
            wanted.clamp(*floor, claim.most)
        })
        .collect();
    if add_up(&wanted) > u128::from(total) {
        return fill(total, claims, &floors, &wanted);
    }
    let most: Vec<u64> = claims.iter().map(|claim| claim.most).collect();
    fill(total, claims, &wanted, &most)
}

/// The shares that are as their weights, but not below `least` nor above `most`, and add up to
/// `total` or, for rounding, a little less. `least` adds up to no more than `total`.
fn fill(total: u64, claims: &[Claim], least: &[u64], most: &[u64]) -> Vec<u64> {
    let shares = |level: f64| -> Vec<u64> {
        let bounds = least.iter().zip(most);
        let share = |(claim, (least, most)): (&Claim, (&u64, &u64))| {
            ((level * f64::from(claim.weight)) as u64).clamp(*least, *most)
        };
        claims.iter().zip(bounds).map(share).collect()
    };
    let (mut low, mut high) = (0.0, total as f64);
    // Each halves the doubt about the level: after these there is none.
    for _ in 0..128 {
        let level = f64::midpoint(low, high);
        if add_up(&shares(level)) <= u128::from(total) {
            low = level;
        } else {
            high = level;
        }
    }
    shares(low)
}

fn add_up(shares: &[u64]) -> u128 {
    shares.iter().map(|share| u128::from(*share)).sum()
}

/// `total * part / whole`, rounded down.
fn portion(total: u64, part: u64, whole: u64) -> u64 {
    let portion = u128::from(total) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(portion).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(weight: u32, floor: u64, used: u64) -> Claim {
        Claim { weight, floor, most: u64::MAX, used }
    }

    #[test]
    fn one_that_floods_does_not_take_what_others_use() {
        let shares = divide(1_000, &[claim(1, 100, 400), claim(1, 100, u64::MAX)]);
        // The quiet one keeps what it uses and room to grow, up to its half.
        assert_eq!(shares, [500, 500]);
        let shares = divide(1_000, &[claim(1, 100, 120), claim(1, 100, u64::MAX)]);
        assert_eq!(shares, [151, 849]);
        let shares = divide(1_000, &[claim(1, 100, 0), claim(1, 100, u64::MAX)]);
        assert_eq!(shares, [100, 900]);
        let shares = divide(1_000, &[claim(1, 600, 600), claim(1, 0, u64::MAX)]);
        assert_eq!(shares, [600, 400]);
    }

    #[test]
    fn where_all_want_more_weights_decide() {
        let shares = divide(1_000, &[claim(3, 0, 800), claim(1, 0, 900)]);
        assert_eq!(shares, [750, 250]);
    }

    #[test]
    fn what_nobody_uses_is_lent_out() {
        let shares = divide(1_000, &[claim(1, 0, 0), claim(1, 0, 0)]);
        assert_eq!(shares, [500, 500]);
        let small = Claim { weight: 1, floor: 0, most: 50, used: 50 };
        assert_eq!(divide(1_000, &[small, claim(1, 0, 10)]), [50, 950]);
    }

    #[test]
    fn floors_above_the_total_are_cut_in_proportion() {
        assert_eq!(divide(100, &[claim(1, 300, 0), claim(9, 100, 0)]), [75, 25]);
        assert_eq!(divide(0, &[claim(1, 300, 0)]), [0]);
        assert!(divide(100, &[]).is_empty());
    }

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let claim = (1..5_u32, 0..2_000_u64, any::<u64>(), 0..20_000_u64, any::<bool>());
        let claim = claim.prop_map(|(weight, floor, most, used, bounded)| {
            let most = if bounded { most % 10_000 } else { most };
            Claim { weight, floor, most, used }
        });
        proptest::collection::vec(claim, 0..8)
    }

    proptest! {
        #[test]
        fn shares_never_add_up_to_more_than_the_total(
            total in prop_oneof![0..30_000_u64, any::<u64>()],
            claims in claims(),
        ) {
            let shares = divide(total, &claims);
            prop_assert_eq!(shares.len(), claims.len());
            let sum: u128 = shares.iter().map(|share| u128::from(*share)).sum();
            prop_assert!(sum <= u128::from(total));
            let floors: u128 = claims.iter().map(|c| u128::from(c.floor.min(c.most))).sum();
            for (share, claim) in shares.iter().zip(&claims) {
                prop_assert!(*share <= claim.most);
                prop_assert!(floors > u128::from(total) || *share >= claim.floor.min(claim.most));
            }
        }

        #[test]
        fn nearly_all_is_given_if_someone_can_use_it(
            total in 1_000..30_000_u64,
            claims in claims(),
        ) {
            let mut claims = claims;
            claims.push(Claim { weight: 1, floor: 0, most: u64::MAX, used: 0 });
            let shares = divide(total, &claims);
            let sum: u64 = shares.iter().sum();
            // Rounded down, once for each.
            prop_assert!(total - sum <= claims.len() as u64, "{} of {}", sum, total);
        }
    }
}
