//! The simulation's verdicts, at several seeds.

use seawall_balance::Policy;

use crate::sim::{self, Fault, Ours, Peer, Report, Scenario};

fn compare(fault: Fault, load: f64, check: impl Fn(&Report, &Report)) {
    for seed in 1..=3 {
        let scenario = Scenario { fault, requests: 20_000, load, seed };
        let peer = sim::run(scenario, || Ok(Peer::new(seed))).unwrap();
        let ours = sim::run(scenario, || Ours::new(Policy::PeakEwma, seed)).unwrap();
        check(&ours, &peer);
    }
}

#[test]
fn a_slow_node_costs_the_tail_less_than_with_tower_s_balancer() {
    compare(Fault::Slow, 0.6, |ours, peer| {
        assert!(
            ours.quantile(0.999) < 0.8 * peer.quantile(0.999),
            "{} {}",
            ours.quantile(0.999),
            peer.quantile(0.999)
        );
        assert!(ours.quantile(0.99) < 1.02 * peer.quantile(0.99));
        assert_eq!(ours.failed, 0);
    });
}

#[test]
fn a_flapping_node_costs_no_more_than_with_tower_s_balancer() {
    compare(Fault::Flapping, 0.6, |ours, peer| {
        assert!(ours.quantile(0.99) < 1.05 * peer.quantile(0.99));
        assert!(
            ours.quantile(0.999) < 1.1 * peer.quantile(0.999),
            "{} {}",
            ours.quantile(0.999),
            peer.quantile(0.999)
        );
        assert_eq!(ours.failed, 0);
    });
}

#[test]
fn a_fast_failing_node_attracts_traffic_in_tower_s_balancer_and_not_here() {
    compare(Fault::FastFailing, 0.6, |ours, peer| {
        assert!(peer.share_of_bad() > 0.15 && ours.share_of_bad() < 0.002);
        assert!(peer.failed > 100 && ours.failed <= 1, "{} {}", peer.failed, ours.failed);
        assert!(ours.quantile(0.99) < 1.05 * peer.quantile(0.99));
    });
}

#[test]
fn without_a_fault_the_tail_is_that_of_tower_s_balancer() {
    compare(Fault::None, 0.6, |ours, peer| {
        assert!(ours.quantile(0.99) < 1.03 * peer.quantile(0.99));
        assert!(ours.quantile(0.999) < 1.1 * peer.quantile(0.999));
    });
}

#[test]
fn policies_that_do_not_look_at_the_load_pay_for_a_slow_node() {
    // What the example shows; if this fails, its text is wrong.
    let scenario = Scenario { fault: Fault::Slow, requests: 20_000, load: 0.6, seed: 1 };
    let p99 = |policy| sim::run(scenario, || Ours::new(policy, 1)).unwrap().quantile(0.99);
    let ewma = p99(Policy::PeakEwma);
    for policy in [Policy::RoundRobin, Policy::SmoothWeighted, Policy::Rendezvous, Policy::Maglev] {
        assert!(p99(policy) > 3.0 * ewma, "{policy:?}");
    }
}

#[test]
fn a_run_is_its_seed() {
    let scenario = Scenario { fault: Fault::Flapping, requests: 3_000, load: 0.6, seed: 5 };
    let run = || sim::run(scenario, || Ours::new(Policy::PeakEwma, 5)).unwrap();
    let (one, two) = (run(), run());
    assert_eq!((one.latencies, one.attempts), (two.latencies, two.attempts));
}
