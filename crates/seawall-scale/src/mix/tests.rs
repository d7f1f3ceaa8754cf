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
