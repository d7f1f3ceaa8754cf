//! The edges: one node, a thousand, a clock that stands still or goes back.

use std::time::Duration;

use seawall_balance::{Error, Outcome, PickOptions, Policy};
use tokio::time::Instant;

use crate::support::{balancer, config, fail, home, serve, spread};

#[test]
fn one_node_takes_everything_and_cannot_be_ejected_away() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let balancer = balancer(config(policy), 1, now);
        for key in 0..100 {
            assert_eq!(home(&balancer, key, now), 0);
        }
        fail(&balancer, 0, 20, now);
        assert!(balancer.status(now).panic, "{policy:?}");
        assert_eq!(serve(&balancer, now), 0);
    }
}

#[test]
fn a_thousand_nodes_all_get_their_part() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let balancer = balancer(config(policy), 1_000, now);
        let mut counts = vec![0_u32; 1_000];
        for key in 0..5_000_u64 {
            counts[home(&balancer, key, now)] += 1;
        }
        let without = counts.iter().filter(|count| **count == 0).count();
        assert!(without < 50 && counts.iter().all(|count| *count < 30), "{policy:?} {without}");
    }
}

#[test]
fn one_fitting_node_among_a_thousand_is_found() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let balancer = balancer(config(policy), 1_000, now);
        for node in [0, 499, 999] {
            let only = |id: &usize| *id == node;
            let options = PickOptions::new().key(&node).filter(&only);
            assert_eq!(*balancer.pick(&options, now).unwrap().id(), node, "{policy:?}");
        }
        let none = |_: &usize| false;
        let error = balancer.pick(&PickOptions::new().filter(&none), now).unwrap_err();
        let Error::Filtered(nodes) = &error else { panic!("{policy:?} {error}") };
        assert_eq!((nodes.total(), nodes.iter().len()), (1_000, 16));
        assert!(error.to_string().ends_with("15 open and 984 more"), "{error}");
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_does_no_harm() {
    let begun = Instant::now();
    let hour = Duration::from_secs(3_600);
    for policy in Policy::ALL {
        let balancer = balancer(config(policy), 5, begun + hour);
        for (turn, at) in
            [hour, hour, 2 * hour, hour, Duration::ZERO].into_iter().cycle().take(500).enumerate()
        {
            let pick = balancer.next(begun + at).unwrap();
            let outcome = if turn % 7 == 0 { Outcome::Failure } else { Outcome::Success };
            pick.finish(outcome, begun + if turn % 2 == 0 { hour } else { at });
        }
        let status = balancer.status(begun);
        for node in &status.nodes {
            assert_eq!(node.outstanding, 0);
            assert!(node.success > 0.0 && node.success <= 1.0, "{policy:?} {node:?}");
            assert!(node.latency.is_none_or(|latency| latency <= 2 * hour), "{policy:?} {node:?}");
        }
    }
}

#[test]
fn the_same_now_for_every_pick_still_spreads() {
    let now = Instant::now();
    for policy in [Policy::PeakEwma, Policy::LeastOutstanding, Policy::RoundRobin] {
        let counts = spread(&balancer(config(policy), 10, now), 10, 10_000, now);
        assert!(counts.iter().all(|count| (700..1_300).contains(count)), "{policy:?} {counts:?}");
    }
}
