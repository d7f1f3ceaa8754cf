//! Nodes that fail, and what is not a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_balance::{BalanceConfig, Error, Outcome, Pick, PickOptions, Policy, Standing};
use tokio::time::Instant;

use crate::support::{SECOND, balancer, config, end, fail, serve, spread};

#[test]
fn five_failures_in_a_row_eject_and_a_success_between_does_not() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 10, now);
    fail(&balancer, 3, 4, now);
    let only = |id: &usize| *id == 3;
    balancer.pick(&PickOptions::new().filter(&only), now).unwrap().finish(Outcome::Success, now);
    fail(&balancer, 3, 4, now);
    assert_eq!(balancer.status(now).nodes[3].standing, Standing::Open);
    fail(&balancer, 3, 1, now);
    let status = balancer.status(now);
    assert_eq!(status.nodes[3].standing, Standing::Ejected);
    assert_eq!(status.nodes[3].ejected_until, Some(now + 30 * SECOND));
    assert_eq!(spread(&balancer, 10, 900, now)[3], 0);
}

#[test]
fn cancelled_requests_do_not_count_as_failures() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 10, now);
    for turn in 0..1_000 {
        let pick = balancer.next(now).unwrap();
        if turn % 2 == 0 { drop(pick) } else { pick.cancel(now + 10 * SECOND) }
    }
    let status = balancer.status(now + 20 * SECOND);
    for node in status.nodes {
        assert_eq!((node.standing, node.outstanding, node.success), (Standing::Open, 0, 1.0));
        assert_eq!(node.latency, None);
    }
}

#[test]
fn a_row_of_failures_is_not_broken_by_cancelled_requests() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 1, now);
    for _ in 0..5 {
        end(&balancer, now, Outcome::Failure);
        drop(balancer.next(now).unwrap());
    }
    assert_eq!(balancer.status(now).nodes[0].standing, Standing::Ejected);
}

#[test]
fn no_more_than_the_share_is_ejected_but_one_always_may() {
    let now = Instant::now();
    for (nodes, share, expected) in
        [(10, 0.1, 1), (3, 0.1, 1), (10, 0.35, 3), (10, 1.0, 10), (10, 0.0, 0)]
    {
        let mut config = config(Policy::RoundRobin);
        config.outlier.max_ejected = share;
        let balancer = balancer(config, nodes, now);
        for node in 0..nodes {
            // In a panic all are picked, also those that are out.
            fail(&balancer, node, 5, now);
        }
        let out = balancer.status(now).nodes;
        let out = out.iter().filter(|node| node.standing == Standing::Ejected).count();
        assert_eq!(out, expected, "{share} of {nodes}");
    }
}

#[test]
fn with_all_nodes_ejected_panic_uses_all() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let mut config = config(policy);
        config.outlier.max_ejected = 1.0;
        let balancer = balancer(config, 4, now);
        (0..4).for_each(|node| fail(&balancer, node, 5, now));
        let status = balancer.status(now);
        assert!(status.panic && status.nodes.iter().all(|node| node.picked), "{policy:?}");
        // The others prefer whoever has answered since.
        if [Policy::RoundRobin, Policy::SmoothWeighted, Policy::LeastOutstanding].contains(&policy)
        {
            assert!(spread(&balancer, 4, 400, now).iter().all(|count| *count > 50), "{policy:?}");
        }
        // When the ejections are over, so is the panic.
        let status = balancer.status(now + 30 * SECOND);
        assert!(!status.panic && status.nodes.iter().all(|node| node.picked), "{policy:?}");
    }
}

#[test]
fn who_would_rather_fail_than_panic_learns_each_node_s_state() {
    let now = Instant::now();
    let mut config = BalanceConfig { fail_on_panic: true, ..config(Policy::PeakEwma) };
    config.outlier.max_ejected = 1.0;
    let balancer = balancer(config, 3, now);
    fail(&balancer, 0, 5, now);
    fail(&balancer, 1, 5, now);
    let error = balancer.next(now).unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), "too few nodes are healthy: 0 ejected, 1 ejected, 2 open");
}

#[test]
fn each_ejection_is_longer_than_the_last() {
    let mut now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 10, now);
    for times in 1..=3 {
        fail(&balancer, 0, 5, now);
        assert_eq!(balancer.status(now).nodes[0].ejected_until, Some(now + 30 * SECOND * times));
        now += 30 * SECOND * times;
        assert_eq!(balancer.status(now).nodes[0].standing, Standing::Open);
    }
}

#[test]
fn a_flapping_node_does_not_oscillate_load() {
    // Well for ten seconds, failing for ten, for half an hour; nobody else fails.
    let begun = Instant::now();
    let balancer = balancer(config(Policy::PeakEwma), 10, begun);
    let (mut bad, mut all) = (0, 0);
    let mut late = 0;
    for tick in 0..180_000_u32 {
        let since = Duration::from_millis(10) * tick;
        let now = begun + since;
        let pick = balancer.next(now).unwrap();
        let failing = *pick.id() == 0 && since.as_secs() % 20 >= 10;
        all += 1;
        bad += u32::from(failing);
        late += u32::from(failing && since.as_secs() > 900);
        pick.finish(if failing { Outcome::Failure } else { Outcome::Success }, now);
    }
    // Unwatched, a twentieth of all requests would fail: 9 000.
    assert!(bad * 1_000 < all && late <= bad / 2, "{bad} of {all}, {late} in the second half");
}

#[test]
fn a_fast_failing_node_does_not_attract_traffic() {
    // With ejection off, so that only the price is left.
    let begun = Instant::now();
    let mut config = config(Policy::PeakEwma);
    config.outlier.max_ejected = 0.0;
    let balancer = balancer(config, 10, begun);
    let mut to_bad = 0;
    for tick in 0..20_000_u32 {
        let now = begun + Duration::from_millis(1) * tick;
        let pick = balancer.next(now).unwrap();
        if *pick.id() == 0 {
            to_bad += 1;
            pick.finish(Outcome::Failure, now + Duration::from_micros(100));
        } else {
            pick.finish(Outcome::Success, now + Duration::from_millis(20));
        }
    }
    assert!(to_bad < 60, "{to_bad} of 20 000 to the node that fails; its share were 2 000");
}

#[test]
fn a_node_that_fails_half_its_requests_gets_less_than_half_its_share() {
    let begun = Instant::now();
    let mut config = config(Policy::PeakEwma);
    config.outlier.max_ejected = 0.0;
    let balancer = balancer(config, 10, begun);
    let mut to_bad = 0;
    for tick in 0..20_000_u32 {
        let now = begun + Duration::from_millis(1) * tick;
        let pick = balancer.next(now).unwrap();
        to_bad += u32::from(*pick.id() == 0);
        let fails = *pick.id() == 0 && tick % 2 == 0;
        let outcome = if fails { Outcome::Failure } else { Outcome::Success };
        pick.finish(outcome, now + Duration::from_millis(10));
    }
    assert!(to_bad < 1_000, "{to_bad} of 20 000");
}

#[test]
fn a_fast_node_that_hangs_is_left_before_anything_times_out() {
    // It answers in 1 ms, the others in 20 ms, until it answers nothing any more.
    // By its queue and its past alone it would look cheap for some sixty requests.
    let begun = Instant::now();
    let balancer = balancer(config(Policy::PeakEwma), 10, begun);
    let mut answers: BTreeMap<(Instant, u32), Pick<usize>> = BTreeMap::new();
    let mut hung = Vec::new();
    for tick in 0..2_000_u32 {
        let now = begun + Duration::from_millis(1) * tick;
        while let Some(answer) = answers.first_entry().filter(|answer| answer.key().0 <= now) {
            answer.remove().finish(Outcome::Success, now);
        }
        let pick = balancer.next(now).unwrap();
        match *pick.id() {
            0 if tick >= 1_000 => hung.push(pick),
            0 => drop(answers.insert((now + Duration::from_millis(1), tick), pick)),
            _ => drop(answers.insert((now + Duration::from_millis(20), tick), pick)),
        }
    }
    assert!((1..=15).contains(&hung.len()), "{} hang", hung.len());
}

#[test]
fn one_bad_node_among_many_is_found_by_its_success_rate() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 10, now);
    for turn in 0..4_000 {
        let pick = balancer.next(now).unwrap();
        // Every fourth of node 6: never five in a row.
        let fails = *pick.id() == 6 && (turn / 10) % 4 == 0;
        pick.finish(if fails { Outcome::Failure } else { Outcome::Success }, now);
    }
    assert_eq!(balancer.status(now).nodes[6].standing, Standing::Open);
    let status = balancer.status(now + 10 * SECOND);
    assert_eq!(status.nodes[6].standing, Standing::Ejected);
    assert_eq!(status.nodes.iter().filter(|node| !node.picked).count(), 1);
}

#[test]
fn a_clean_interval_forgives_one_ejection_and_an_idle_one_none() {
    let mut now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 10, now);
    fail(&balancer, 0, 5, now);
    now += 30 * SECOND;
    balancer.tick(now);
    assert_eq!(balancer.status(now).nodes[0].ejections, 1);
    now += 60 * SECOND;
    assert_eq!(balancer.status(now).nodes[0].ejections, 1);
    spread(&balancer, 10, 100, now);
    now += 10 * SECOND;
    assert_eq!(balancer.status(now).nodes[0].ejections, 0);
}

#[test]
fn who_would_rather_wait_finds_the_emptiest_of_the_saturated_and_no_other() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::PeakEwma), 4, now);
    let any = PickOptions::new();
    assert!(balancer.try_pick_saturated(&any, now).is_none(), "nobody rests");
    balancer.set_healthy(&3, false, now).unwrap();
    for node in [0, 1, 3] {
        balancer.saturate(&node, SECOND, now).unwrap();
    }
    let held: Vec<_> = (0..4).map(|_| balancer.try_pick_saturated(&any, now).unwrap()).collect();
    let on = |node| held.iter().filter(|pick| *pick.id() == node).count();
    assert_eq!((on(0), on(1)), (2, 2), "in turn, and none that is open or dead");
    let only = |id: &usize| *id == 2;
    assert!(balancer.try_pick_saturated(&PickOptions::new().filter(&only), now).is_none());
    assert!(balancer.try_pick_saturated(&any, now + SECOND).is_none(), "they have rested");
}

#[test]
fn a_saturated_node_rests_and_has_not_failed() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 2, now);
    for _ in 0..20 {
        let pick = balancer.next(now).unwrap();
        let full = *pick.id() == 0;
        pick.finish(if full { Outcome::Saturated(None) } else { Outcome::Success }, now);
    }
    let node = &balancer.status(now).nodes[0];
    assert_eq!((node.standing, node.success), (Standing::Saturated, 1.0));
    assert_eq!(node.saturated_until, Some(now + SECOND));
    assert_eq!(spread(&balancer, 2, 10, now), [0, 10]);
    // It comes back whole: it was never weak.
    assert_eq!(spread(&balancer, 2, 10, now + SECOND), [5, 5]);
}

#[test]
fn a_longer_pause_holds_and_a_shorter_one_does_not_cut_it() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 2, now);
    balancer.saturate(&0, 5 * SECOND, now).unwrap();
    balancer.saturate(&0, SECOND, now).unwrap();
    assert_eq!(spread(&balancer, 2, 10, now + 4 * SECOND), [0, 10]);
    balancer.saturate(&0, 9 * SECOND, now).unwrap();
    assert_eq!(spread(&balancer, 2, 10, now + 6 * SECOND), [0, 10]);
    assert_eq!(spread(&balancer, 2, 10, now + 9 * SECOND), [5, 5]);
}

#[test]
fn all_nodes_at_their_limit_is_an_error_that_says_so() {
    let now = Instant::now();
    for policy in Policy::ALL {
        let config = BalanceConfig { max_outstanding: 3, ..config(policy) };
        let balancer = balancer(config, 2, now);
        let held: Vec<_> = (0..6).map(|_| balancer.next(now).unwrap()).collect();
        let error = balancer.next(now).unwrap_err();
        assert_eq!(error.to_string(), "every node is saturated: 0 saturated, 1 saturated");
        assert!(matches!(error, Error::AllSaturated(_)));
        assert!(!balancer.can_pick(&PickOptions::new(), now));
        drop(held);
        assert!(balancer.can_pick(&PickOptions::new(), now));
        serve(&balancer, now);
    }
}

#[test]
fn a_node_found_well_by_a_prober_of_ones_own_starts_slowly_and_is_not_ejected_any_longer() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 2, now);
    fail(&balancer, 0, 5, now);
    assert_eq!(balancer.status(now).nodes[0].standing, Standing::Ejected);
    // No news: a node that fails requests and answers probes stays out.
    balancer.set_healthy(&0, true, now).unwrap();
    assert_eq!(balancer.status(now).nodes[0].standing, Standing::Ejected);
    balancer.set_healthy(&0, false, now).unwrap();
    assert_eq!(spread(&balancer, 2, 10, now), [0, 10]);
    balancer.set_healthy(&0, true, now).unwrap();
    let node = &balancer.status(now).nodes[0];
    assert_eq!((node.standing, node.ramp), (Standing::Open, 0.1));
    assert!(balancer.set_healthy(&2, true, now).is_err());
}

#[test]
fn a_released_pick_is_no_longer_outstanding_and_says_nothing_of_the_node() {
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 1, now);
    let pick = balancer.try_pick(&PickOptions::new(), now).unwrap();
    assert_eq!(balancer.status(now).nodes[0].outstanding, 1);
    pick.release();
    let node = &balancer.status(now + SECOND).nodes[0];
    assert_eq!((node.outstanding, node.latency, node.success), (0, None, 1.0));
    let none = |_: &usize| false;
    assert!(balancer.try_pick(&PickOptions::new().filter(&none), now).is_none());
}
