use std::time::Duration;

use proptest::prelude::*;

use super::{Mix, Why};
use crate::Kind;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn shares(mix: &Mix) -> Vec<(&str, u32)> {
    mix.shares.iter().map(|share| (&*share.kind, share.count)).collect()
}

fn two() -> [Kind; 2] {
    [Kind::new("A", 10, 1.0).start(seconds(45)), Kind::new("B", 20, 1.7).start(seconds(180))]
}

#[test]
fn the_cheap_kind_is_not_chosen_when_it_comes_too_late() {
    // Case 30 of the research.
    let soon = Mix::cheapest(&two(), 35, Some(seconds(60)), 0.5);
    assert_eq!((shares(&soon), soon.cost), (vec![("A", 4)], 4.0));
    assert_eq!(soon.rejected.len(), 1);
    let late = &soon.rejected[0];
    assert_eq!((&*late.kind, late.count, late.cost, late.why), ("B", 2, 3.4, Why::Late));

    let later = Mix::cheapest(&two(), 35, Some(seconds(600)), 0.5);
    assert_eq!((shares(&later), later.cost, later.capacity), (vec![("B", 2)], 3.4, 40));
    assert_eq!((later.rejected[0].why, later.rejected[0].cost), (Why::Dearer, 4.0));
}

#[test]
fn kinds_are_mixed_when_that_is_cheaper() {
    let mix = Mix::cheapest(&two(), 50, None, 0.5);
    assert_eq!((shares(&mix), mix.cost), (vec![("A", 1), ("B", 2)], 4.4));
}

#[test]
fn no_kind_in_time_is_no_reason_for_none() {
    let mix = Mix::cheapest(&two(), 35, Some(seconds(1)), 0.5);
    assert_eq!(shares(&mix), [("B", 2)]);
}

#[test]
fn spot_stays_within_its_share() {
    let spot = Kind { spot: true, ..Kind::new("spot", 10, 0.3) };
    let kinds = [Kind::new("firm", 10, 1.0), spot];
    for (share, expected) in [
        (0.0, vec![("firm", 10)]),
        (0.45, vec![("firm", 6), ("spot", 4)]),
        (0.5, vec![("firm", 5), ("spot", 5)]),
        (1.0, vec![("spot", 10)]),
    ] {
        assert_eq!(shares(&Mix::cheapest(&kinds, 100, None, share)), expected, "{share}");
    }
}

#[test]
fn a_kind_that_runs_out_leaves_the_rest_to_others() {
    let kinds = [Kind { most: Some(3), ..Kind::new("few", 10, 0.5) }, Kind::new("many", 10, 1.0)];
    let mix = Mix::cheapest(&kinds, 50, None, 0.5);
    assert_eq!(shares(&mix), [("few", 3), ("many", 2)]);
    assert_eq!(mix.rejected[0].why, Why::TooFew);
    // All of it is not enough: all of it then, and the capacity says so.
    let mix = Mix::cheapest(&kinds[..1], 50, None, 0.5);
    assert_eq!((shares(&mix), mix.capacity), (vec![("few", 3)], 30));
}

#[test]
fn a_fleet_beyond_the_exact_search_is_covered_too() {
    let kinds = [Kind::new("small", 1, 1.0), Kind::new("big", 64, 50.0)];
    let mix = Mix::cheapest(&kinds, 1_000_000, None, 0.0);
    assert!(mix.capacity >= 1_000_000);
    assert!(mix.cost <= 50.0 * 15_626.0, "{mix:?}");
}

#[test]
fn nothing_needed_or_nothing_to_choose_from_is_nothing() {
    assert_eq!(shares(&Mix::cheapest(&two(), 0, None, 0.5)), []);
    assert_eq!(shares(&Mix::cheapest(&[], 10, None, 0.5)), []);
}

fn zoned(name: &str, capacity: u32, cost: f64, zone: &str) -> Kind {
    Kind { zone: Some(zone.into()), ..Kind::new(name, capacity, cost) }
}

#[test]
fn a_spread_over_zones_goes_before_the_price_and_says_what_it_cost() {
    // Case 30 of the research: two of B are cheapest, unless a spread asks otherwise.
    let mix = Mix::spread(&two(), 35, Some(seconds(600)), 0.5, 2);
    assert_eq!((shares(&mix), mix.capacity), (vec![("A", 2), ("B", 1)], 40));
    assert!((mix.cost - 3.7).abs() < 1e-9);
    let rejected: Vec<_> = mix.rejected.iter().map(|no| (&*no.kind, no.cost, no.why)).collect();
    assert_eq!(rejected, [("A", 4.0, Why::Dearer), ("B", 3.4, Why::Spread)]);
    // The kind that comes too late is no zone.
    let soon = Mix::spread(&two(), 35, Some(seconds(60)), 0.5, 2);
    assert_eq!(shares(&soon), [("A", 4)]);
}

#[test]
fn kinds_of_one_zone_are_no_spread() {
    let kinds = [
        zoned("a small", 1, 1.0, "a"),
        zoned("a large", 10, 5.0, "a"),
        zoned("b", 1, 1.5, "b"),
        zoned("c", 1, 2.0, "c"),
    ];
    assert_eq!(shares(&Mix::spread(&kinds, 11, None, 0.5, 1)), [("a small", 1), ("a large", 1)]);
    assert_eq!(shares(&Mix::spread(&kinds, 11, None, 0.5, 2)), [("a large", 1), ("b", 1)]);
    let three = Mix::spread(&kinds, 11, None, 0.5, 3);
    assert_eq!(shares(&three), [("a large", 1), ("b", 1), ("c", 1)]);
    // There are no more: as many as there are. And of nothing nothing.
    assert_eq!(Mix::spread(&kinds, 11, None, 0.5, 9), three);
    assert_eq!(shares(&Mix::spread(&kinds, 0, None, 0.5, 3)), []);
}

#[test]
fn many_kinds_in_many_zones_are_answered_in_bounded_time() {
    let kinds: Vec<Kind> = (0..60)
        .map(|n| zoned(&n.to_string(), 1 + n % 7, 1.0 + f64::from(n % 11), &(n % 20).to_string()))
        .collect();
    let mix = Mix::spread(&kinds, 900, None, 0.0, 10);
    assert!(mix.capacity >= 900);
    assert!(mix.shares.len() >= 10, "{mix:?}");
}

/// The least cost of all counts up to what would do alone.
fn by_trying_all(kinds: &[Kind], need: u32, spot_most: u32) -> f64 {
    fn go(kinds: &[Kind], left: i64, spot: i64) -> f64 {
        if left <= 0 {
            return 0.0;
        }
        let Some((kind, rest)) = kinds.split_first() else { return f64::INFINITY };
        let enough = (left as u32).div_ceil(kind.capacity).min(kind.most.unwrap_or(u32::MAX));
        let mut best = f64::INFINITY;
        for count in 0..=enough {
            let carried = i64::from(count * kind.capacity);
            let spot = if kind.spot { spot - carried } else { spot };
            if spot >= 0 {
                best = best.min(f64::from(count) * kind.cost + go(rest, left - carried, spot));
            }
        }
        best
    }
    go(kinds, i64::from(need), i64::from(spot_most))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn it_is_as_cheap_as_trying_all(
        data in prop::collection::vec(
            (1_u32..8, 1_u32..20, any::<bool>(), prop::option::of(0_u32..5)),
            1..4,
        ),
        need in 0_u32..30,
        share in 0.0..1.0_f64,
    ) {
        let kinds: Vec<Kind> = data
            .iter()
            .enumerate()
            .map(|(index, &(capacity, cost, spot, most))| Kind {
                spot,
                most,
                ..Kind::new(index.to_string(), capacity, f64::from(cost))
            })
            .collect();
        let spot_most = (f64::from(need) * share + 1e-9) as u32;
        let mix = Mix::cheapest(&kinds, need, None, share);
        let spot: u32 = mix
            .shares
            .iter()
            .map(|share| {
                let kind = kinds.iter().find(|kind| kind.name == share.kind).expect("known");
                prop_assert!(kind.most.is_none_or(|most| share.count <= most));
                Ok(if kind.spot { share.count * kind.capacity } else { 0 })
            })
            .sum::<Result<u32, TestCaseError>>()?;
        prop_assert!(spot <= spot_most);
        let least = by_trying_all(&kinds, need, spot_most);
        if least.is_finite() {
            prop_assert!(mix.capacity >= need);
            prop_assert!((mix.cost - least).abs() < 1e-6, "{} and not {}: {:?}", mix.cost, least, mix);
        } else {
            prop_assert!(mix.capacity < need);
        }
    }
}

/// The least cost of all counts that carry `need` and lie in as many zones as may be, up to so many.
fn spread_by_trying_all(kinds: &[Kind], need: u32, spot_most: u32, zones: usize) -> f64 {
    let mut counts = vec![0_u32; kinds.len()];
    let mut best = (0, f64::INFINITY);
    loop {
        let sum = |of: &dyn Fn(&Kind) -> f64| -> f64 {
            kinds.iter().zip(&counts).map(|(kind, count)| f64::from(*count) * of(kind)).sum()
        };
        let spot = sum(&|kind| if kind.spot { f64::from(kind.capacity) } else { 0.0 });
        if sum(&|kind| f64::from(kind.capacity)) >= f64::from(need) && spot <= f64::from(spot_most)
        {
            let used = kinds.iter().zip(&counts).filter(|(_, count)| **count > 0);
            let mut lies: Vec<_> = used.map(|(kind, _)| kind.zone.clone()).collect();
            lies.sort();
            lies.dedup();
            let lies = lies.len().min(zones);
            let cost = sum(&|kind| kind.cost);
            if lies > best.0 || lies == best.0 && cost < best.1 {
                best = (lies, cost);
            }
        }
        let Some(next) = (0..kinds.len()).find(|&index| {
            let most = need.div_ceil(kinds[index].capacity).max(1);
            let most = most.min(kinds[index].most.unwrap_or(u32::MAX));
            counts[index] = (counts[index] + 1) % (most + 1);
            counts[index] > 0
        }) else {
            return best.1;
        };
        _ = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_spread_is_as_cheap_as_trying_all(
        data in prop::collection::vec(
            (1_u32..7, 1_u32..20, any::<bool>(), prop::option::of(0_u32..4), 0_u8..4),
            1..5,
        ),
        need in 1_u32..9,
        share in 0.0..1.0_f64,
        zones in 1_usize..4,
    ) {
        let kinds: Vec<Kind> = data
            .iter()
            .enumerate()
            .map(|(index, &(capacity, cost, spot, most, zone))| Kind {
                spot,
                most,
                ..zoned(&index.to_string(), capacity, f64::from(cost), &zone.to_string())
            })
            .collect();
        let spot_most = (f64::from(need) * share + 1e-9) as u32;
        let least = spread_by_trying_all(&kinds, need, spot_most, zones);
        let mix = Mix::spread(&kinds, need, None, share, zones as u32);
        if least.is_finite() {
            prop_assert!(mix.capacity >= need);
            prop_assert!((mix.cost - least).abs() < 1e-6, "{} and not {}: {:?}", mix.cost, least, mix);
        }
    }
}
