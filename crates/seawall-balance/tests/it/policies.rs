//! What each policy promises when all is well.

use std::collections::BTreeSet;

use proptest::prelude::{any, proptest};
use seawall_balance::{BalanceConfig, Outcome, PickOptions, Policy};
use tokio::time::Instant;

use crate::support::{balancer, config, home, serve, spread, weighted};

#[test]
fn the_same_seed_picks_the_same_and_another_does_not() {
    for policy in Policy::ALL {
        let now = Instant::now();
        let run = |seed| {
            let config = BalanceConfig { seed: Some(seed), ..config(policy) };
            let balancer = balancer(config, 10, now);
            (0..200).map(|_| serve(&balancer, now)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1), "{policy:?}");
        let by_chance = !matches!(policy, Policy::RoundRobin | Policy::SmoothWeighted);
        assert_eq!(run(1) != run(2), by_chance, "{policy:?}");
    }
}

#[test]
fn round_robin_goes_round() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 3, now);
    let turns: Vec<_> = (0..7).map(|_| serve(&balancer, now)).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn a_node_passed_over_does_not_double_the_turns_of_the_next() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 4, now);
    let not_two = |id: &usize| *id != 2;
    let mut counts = [0; 4];
    for _ in 0..300 {
        let pick = balancer.pick(&PickOptions::new().filter(&not_two), now).unwrap();
        counts[*pick.id()] += 1;
    }
    assert_eq!(counts, [100, 100, 0, 100]);
}

#[test]
fn smooth_weighted_is_nginx_s_sequence() {
    let now = Instant::now();
    let balancer = weighted(config(Policy::SmoothWeighted), &[5, 1, 1], now);
    let turns: Vec<_> = (0..14).map(|_| serve(&balancer, now)).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0].repeat(2));
}

proptest! {
    #[test]
    fn smooth_weighted_gives_each_its_exact_share_of_every_round(
        weights in proptest::collection::vec(0..20_u32, 1..8),
    ) {
        let round: u32 = weights.iter().sum();
        if round > 0 {
            let now = Instant::now();
            let balancer = weighted(config(Policy::SmoothWeighted), &weights, now);
            for _ in 0..2 {
                let counts = spread(&balancer, weights.len(), round as usize, now);
                assert!(counts.iter().zip(&weights).all(|(count, weight)| *count == *weight as usize));
            }
        }
    }

    #[test]
    fn no_policy_picks_a_node_without_weight_or_one_the_filter_refuses(
        weights in proptest::collection::vec(0..3_u32, 1..12),
        refused in 0..12_usize,
        keys in proptest::collection::vec(any::<u64>(), 20),
    ) {
        let now = Instant::now();
        for policy in Policy::ALL {
            let config = BalanceConfig { maglev_slots: 251, ..config(policy) };
            let balancer = weighted(config, &weights, now);
            let filter = |id: &usize| *id != refused;
            let some = weights.iter().enumerate().any(|(id, weight)| *weight > 0 && id != refused);
            for key in &keys {
                match balancer.pick(&PickOptions::new().key_hash(*key).filter(&filter), now) {
                    Ok(pick) => assert!(weights[*pick.id()] > 0 && *pick.id() != refused),
                    Err(error) => assert!(!some, "{policy:?} {error}"),
                }
            }
        }
    }

    #[test]
    fn a_key_goes_where_it_went_whatever_the_order_of_the_set(
        keys in proptest::collection::vec(any::<u64>(), 50), turn in 0..9_usize,
    ) {
        let now = Instant::now();
        for policy in [Policy::Rendezvous, Policy::Ring, Policy::Maglev] {
            let config = BalanceConfig { maglev_slots: 1_009, ..config(policy) };
            let one = balancer(config.clone(), 9, now);
            let other = seawall_balance::Balancer::new(config, now).unwrap();
            let mut order: Vec<usize> = (0..9).collect();
            order.rotate_left(turn);
            other.update(order, now).unwrap();
            for key in &keys {
                assert_eq!(home(&one, *key, now), home(&other, *key, now), "{policy:?}");
            }
        }
    }
}

#[test]
fn weights_are_shares_of_the_load() {
    let weights = [1, 2, 4, 1];
    for policy in Policy::ALL {
        if policy == Policy::RoundRobin || policy == Policy::Sticky {
            continue; // the one ignores weights; the other's are of nodes of a key
        }
        let now = Instant::now();
        let balancer = weighted(config(policy), &weights, now);
        let mut counts = [0.0; 4];
        for key in 0..40_000_u64 {
            counts[home(&balancer, key, now)] += 1.0;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let expected = 5_000.0 * f64::from(weight);
            let off = (count / expected - 1.0).abs();
            // The ring's shares deviate by about one over the root of its points.
            let bound = if policy == Policy::Ring { 0.25 } else { 0.06 };
            assert!(off < bound, "{policy:?} {counts:?}");
        }
    }
}

#[test]
fn least_outstanding_fills_nodes_evenly_by_weight() {
    let now = Instant::now();
    let balancer = weighted(config(Policy::LeastOutstanding), &[1, 3], now);
    let mut held = Vec::new();
    for _ in 0..400 {
        held.push(balancer.next(now).unwrap());
    }
    let light = held.iter().filter(|pick| *pick.id() == 0).count();
    assert!((99..=101).contains(&light), "{light}");
}

#[test]
fn two_choices_keep_the_longest_queue_short() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::PeakEwma), 100, now);
    let held: Vec<_> = (0..10_000).map(|_| balancer.next(now).unwrap()).collect();
    let mut counts = [0; 100];
    held.iter().for_each(|pick| counts[*pick.id()] += 1);
    // One choice by chance would leave some node with 130 or more; two choices
    // exceed the mean by log log n / log 2 and a constant.
    assert!(counts.iter().all(|count| (90..=106).contains(count)), "{counts:?}");
}

#[test]
fn sticky_keys_use_their_few_nodes_and_only_those() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::Sticky), 20, now);
    for key in 0..50_u64 {
        let held: Vec<_> =
            (0..30).map(|_| balancer.pick(&PickOptions::new().key(&key), now).unwrap()).collect();
        let nodes: BTreeSet<usize> = held.iter().map(|pick| *pick.id()).collect();
        assert_eq!(nodes.len(), 3);
        held.into_iter().for_each(|pick| pick.finish(Outcome::Success, now));
    }
}

#[test]
fn the_ring_bounds_every_node_s_load_under_one_hot_key() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::Ring), 10, now);
    let mut held = Vec::new();
    let mut counts = [0_usize; 10];
    for taken in 1..=1_000_usize {
        let pick = balancer.pick(&PickOptions::new().key("hot"), now).unwrap();
        counts[*pick.id()] += 1;
        held.push(pick);
        let bound = (1.25 * taken as f64 / 10.0).ceil() as usize;
        assert!(counts.iter().all(|count| *count <= bound), "{taken}: {counts:?}");
    }
    drop(held);
    assert!(balancer.status(now).nodes.iter().all(|node| node.outstanding == 0));
}

proptest! {
    /// The law of bounded loads: no pick takes a node above its share of all requests outstanding,
    /// times the bound, and no key leaves its home while that has room.
    #[test]
    fn no_pick_goes_over_a_node_s_bound_and_none_leaves_home_without_need(
        weights in proptest::collection::vec(1_u32..6, 2..9),
        steps in proptest::collection::vec((0_u64..12, 0_u8..5), 1..250),
        load_bound in 1.01_f64..3.0,
    ) {
        let now = Instant::now();
        let ring = seawall_balance::RingConfig { load_bound, ..Default::default() };
        let balancer = weighted(BalanceConfig { ring, ..config(Policy::Ring) }, &weights, now);
        let homes: Vec<usize> = (0..12).map(|key| home(&balancer, key, now)).collect();
        let sum = f64::from(weights.iter().sum::<u32>());
        let (mut held, mut counts) = (std::collections::VecDeque::new(), vec![0.0; weights.len()]);
        for (key, ends) in steps {
            for _ in 0..ends / 2 {
                let Some((node, pick)) = held.pop_front() else { break };
                seawall_balance::Pick::finish(pick, Outcome::Success, now);
                counts[node] -= 1.0;
            }
            let all = held.len() as f64 + 1.0;
            // Shares are kept as f32: a bound next to a whole number may be on either side.
            let bound = |node: usize, off: f64| {
                (load_bound * all * f64::from(weights[node]) / sum + off).ceil()
            };
            let pick = balancer.pick(&PickOptions::new().key(&key), now).unwrap();
            let (node, home) = (*pick.id(), homes[key as usize]);
            assert!(counts[node] + 1.0 <= bound(node, 1e-4), "{node} of {counts:?}, {weights:?}");
            assert!(node == home || counts[home] >= bound(home, -1e-4), "{key} left {home}: {counts:?}");
            counts[node] += 1.0;
            held.push_back((node, pick));
        }
    }
}

#[test]
fn a_hot_key_s_overflow_goes_where_it_went_before() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::Ring), 10, now);
    let fill = || {
        let held: Vec<_> =
            (0..20).map(|_| balancer.pick(&PickOptions::new().key("hot"), now).unwrap()).collect();
        held.iter().map(|pick| *pick.id()).collect::<Vec<_>>()
    };
    assert_eq!(fill(), fill());
}
