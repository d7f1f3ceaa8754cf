//! Nodes that come, go, drain, lag and start slowly.

use std::time::Duration;

use seawall_balance::{Balancer, Error, Member, Outcome, PickOptions, Policy, Standing};
use tokio::time::Instant;

use crate::support::{SECOND, balancer, config, fail, home, serve, spread, weighted};

#[test]
fn a_removed_node_finishes_what_it_has_and_gets_nothing_new() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let balancer = balancer(config(policy), 3, now);
        let only = |id: &usize| *id == 1;
        let held: Vec<_> = (0..3)
            .map(|_| balancer.pick(&PickOptions::new().filter(&only), now).unwrap())
            .collect();
        balancer.remove(&1, now);
        for _ in 0..300 {
            assert_ne!(serve(&balancer, now), 1, "{policy:?}");
        }
        let status = balancer.status(now);
        assert_eq!((status.nodes.len(), status.leaving[0].outstanding), (2, 3));
        for pick in held {
            // Also its failures concern nobody any more.
            pick.finish(Outcome::Failure, now);
        }
        assert_eq!(balancer.status(now).leaving, []);
    }
}

#[test]
fn a_node_that_comes_back_while_it_drains_keeps_its_counts() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::LeastOutstanding), 2, now);
    let held: Vec<_> = (0..4).map(|_| balancer.next(now).unwrap()).collect();
    balancer.remove(&1, now);
    balancer.insert(1, now).unwrap();
    let status = balancer.status(now);
    assert_eq!((status.nodes[1].outstanding, status.leaving.len()), (2, 0));
    drop(held);
    assert_eq!(balancer.status(now).nodes[1].outstanding, 0);
}

#[test]
fn an_update_keeps_what_is_known_of_the_nodes_that_stay() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::PeakEwma), 5, now);
    fail(&balancer, 3, 5, now);
    balancer.update([9, 3, 1], now).unwrap();
    let status = balancer.status(now);
    let ids: Vec<_> = status.nodes.iter().map(|node| node.id).collect();
    assert_eq!(ids, [9, 3, 1]);
    assert_eq!(status.nodes[1].standing, Standing::Ejected);
    assert!(status.nodes[0].ramp < 1.0 && status.nodes[2].ramp == 1.0);
}

#[test]
fn a_set_that_names_a_node_twice_or_too_heavy_changes_nothing() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::Maglev), 3, now);
    let before = balancer.status(now);
    let error = balancer.update([1, 2, 1], now).unwrap_err();
    assert_eq!(error, Error::DuplicateNode { node: "1".into() });
    let error = balancer.update([Member::new(1).weight(70_000)], now).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { field: "weight", .. }) && !error.is_retryable());
    assert_eq!(balancer.status(now), before);
}

#[test]
fn drained_nodes_take_nothing_until_restored() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 3, now);
    balancer.drain(&0, now).unwrap();
    assert_eq!(spread(&balancer, 3, 100, now), [0, 50, 50]);
    balancer.drain(&1, now).unwrap();
    balancer.drain(&2, now).unwrap();
    let error = balancer.next(now).unwrap_err();
    assert_eq!(error.to_string(), "no node takes new work: 0 draining, 1 draining, 2 draining");
    balancer.restore(&1, now).unwrap();
    assert_eq!(serve(&balancer, now), 1);
    assert_eq!(balancer.drain(&7, now), Err(Error::UnknownNode { node: "7".into() }));
}

#[test]
fn an_empty_set_says_so() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let balancer = Balancer::<usize>::new(config(policy), now).unwrap();
        assert_eq!(balancer.next(now).unwrap_err(), Error::NoNodes);
        balancer.update([1], now).unwrap();
        assert_eq!(serve(&balancer, now), 1);
        balancer.update([0_usize; 0], now).unwrap();
        assert_eq!(balancer.next(now).unwrap_err(), Error::NoNodes);
    }
}

#[test]
fn weights_of_zero_take_nothing_and_all_zero_is_an_error() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let balancer = weighted(config(policy), &[0, 3, 0, 1], now);
        for key in 0..200 {
            assert!([1, 3].contains(&home(&balancer, key, now)), "{policy:?}");
        }
        balancer.insert(Member::new(1).weight(0), now).unwrap();
        balancer.insert(Member::new(3).weight(0), now).unwrap();
        let error = balancer.next(now).unwrap_err();
        assert!(error.to_string().starts_with("no node takes new work: 0 weightless"), "{error}");
    }
}

#[test]
fn the_first_set_is_warm_and_later_nodes_start_slowly() {
    let now = Instant::now();
    for policy in
        [Policy::RoundRobin, Policy::SmoothWeighted, Policy::LeastOutstanding, Policy::PeakEwma]
    {
        let balancer = balancer(config(policy), 4, now);
        assert!(spread(&balancer, 4, 400, now).iter().all(|count| *count > 60), "{policy:?}");
        balancer.insert(4, now).unwrap();
        let share = |at| spread(&balancer, 5, 5_000, at)[4] as f64 / 1_000.0;
        for (seconds, least, most) in [(0, 0.02, 0.2), (5, 0.3, 0.7), (10, 0.85, 1.15)] {
            let share = share(now + SECOND * seconds);
            assert!((least..most).contains(&share), "{policy:?} at {seconds} s: {share}");
        }
    }
}

#[test]
fn a_herd_after_recovery_is_held_back_by_slow_start() {
    // Nothing else is near as fast as an empty node: without a slow start it
    // would get nearly every request.
    let now = Instant::now();
    let balancer = balancer(config(Policy::LeastOutstanding), 10, now);
    fail(&balancer, 0, 5, now);
    let busy: Vec<_> = (0..900).map(|_| balancer.next(now).unwrap()).collect();
    assert!(busy.iter().all(|pick| *pick.id() != 0));
    let back = now + 30 * SECOND;
    let herd: Vec<_> = (0..100).map(|_| balancer.next(back).unwrap()).collect();
    let to_it = herd.iter().filter(|pick| *pick.id() == 0).count();
    assert!(to_it <= 11, "{to_it} of 100 at once to the node that is just back");
}

#[test]
fn when_every_node_starts_all_share_alike() {
    let now = Instant::now();
    // But for those that prefer whoever has answered since.
    let fair = |policy: &Policy| ![Policy::PeakEwma, Policy::Sticky].contains(policy);
    for policy in Policy::ALL.into_iter().filter(fair) {
        let mut config = config(policy);
        config.outlier.max_ejected = 1.0;
        let balancer = balancer(config, 4, now);
        (0..4).for_each(|node| fail(&balancer, node, 5, now));
        let back = now + 30 * SECOND;
        let mut counts = [0; 4];
        (0..400).for_each(|key| counts[home(&balancer, key, back)] += 1);
        assert!(counts.iter().all(|count| (50..160).contains(count)), "{policy:?} {counts:?}");
    }
}

#[test]
fn a_lagging_node_is_left_out_and_a_hard_lag_is_never_overruled() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 3, now);
    balancer.set_lag(&0, 2 * SECOND, now).unwrap();
    assert_eq!(spread(&balancer, 3, 100, now), [0, 50, 50]);
    assert_eq!(balancer.status(now).nodes[0].standing, Standing::Lagging);
    for (node, lag) in [(0, 5), (1, 3), (2, 4)] {
        balancer.set_lag(&node, lag * SECOND, now).unwrap();
    }
    assert_eq!(spread(&balancer, 3, 10, now), [0, 10, 0]);
    balancer.set_lag(&1, 6 * SECOND, now).unwrap();
    assert_eq!(spread(&balancer, 3, 10, now), [0, 0, 10]);
    (0..3).for_each(|node| balancer.set_lag(&node, 60 * SECOND, now).unwrap());
    assert!(matches!(balancer.next(now), Err(Error::AllLagging(_))));
    balancer.set_lag(&2, Duration::ZERO, now).unwrap();
    assert_eq!(serve(&balancer, now), 2);
}

#[test]
fn a_pick_may_outlive_its_balancer() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::Ring), 1, now);
    let picks: Vec<_> = (0..20).map(|_| balancer.next(now).unwrap()).collect();
    drop(balancer);
    for (turn, pick) in picks.into_iter().enumerate() {
        match turn % 3 {
            0 => pick.finish(Outcome::Failure, now),
            1 => pick.finish(Outcome::Saturated(None), now),
            _ => drop(pick),
        }
    }
}
