use std::time::Duration;

use proptest::prelude::*;
use seawall_balance::{Policy, Standing};
use tokio::time::Instant;

use super::{Intent, NodeView, Replica, Request, Router, Verdict};
use crate::{Lag, LagLimits, Lsn, Role, RoutingConfig};

const PRIMARY: NodeView =
    NodeView { primary: true, up: true, writable: true, replayed: Lsn(0), timeline: 2 };
const REPLICA: NodeView =
    NodeView { primary: false, writable: false, replayed: Lsn(100), ..PRIMARY };
const GENERAL: Replica = Replica { role: Role::General, weight: 1 };
const REPORTS: Replica = Replica { role: Role::Analytics, weight: 1 };
const DOWN: NodeView = NodeView { up: false, ..REPLICA };
const READ: Request = Request::new(Intent::Read);

fn router(replicas: &[Replica]) -> Router {
    Router::new(&RoutingConfig::default(), replicas, Instant::now()).unwrap()
}

fn exact(replicas: &[Replica]) -> Router {
    let config = RoutingConfig { policy: Policy::SmoothWeighted, ..RoutingConfig::default() };
    Router::new(&config, replicas, Instant::now()).unwrap()
}

/// Every node that some of 1 000 calls reach, with how many, all answered alike.
fn shares(
    router: &Router,
    nodes: &[NodeView],
    request: Request,
    now: Instant,
) -> Vec<(usize, u32)> {
    let mut counts = vec![0u32; nodes.len()];
    for _ in 0..1_000 {
        if let Some(choice) = router.choose(|node| nodes[node], &request, now) {
            counts[choice.node] += 1;
            choice.finish(Verdict::Success, Duration::from_millis(1));
        }
    }
    (0..).zip(counts).filter(|(_, count)| *count > 0).collect()
}

fn reached(router: &Router, nodes: &[NodeView], request: Request) -> Vec<usize> {
    shares(router, nodes, request, Instant::now()).into_iter().map(|(node, _)| node).collect()
}

#[test]
fn weights_one_to_three_give_a_quarter_and_three_quarters_also_after_a_change() {
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let heavy = Replica { weight: 3, ..GENERAL };
    let now = Instant::now();
    let by_weight = exact(&[GENERAL, heavy]);
    assert_eq!(shares(&by_weight, &nodes, READ, now), [(1, 250), (2, 750)]);
    by_weight.set_weight(1, 3, now);
    assert_eq!(shares(&by_weight, &nodes, READ, now), [(1, 500), (2, 500)]);

    let by_cost = shares(&router(&[GENERAL, heavy]), &nodes, READ, now);
    assert!((200..=300).contains(&by_cost[0].1), "{by_cost:?}");
}

#[test]
fn writes_go_to_the_primary_only() {
    let router = router(&[GENERAL, REPORTS]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let write = Request::new(Intent::Write);
    assert_eq!(reached(&router, &nodes, write), [0]);
    assert_eq!(reached(&router, &nodes, write.after(Lsn(u64::MAX))), [0]);
}

#[test]
fn a_primary_thought_down_still_gets_writes_and_last_reads() {
    let router = router(&[GENERAL]);
    let nodes = [NodeView { up: false, ..PRIMARY }, DOWN];
    assert_eq!(reached(&router, &nodes, Request::new(Intent::Write)), [0]);
    assert_eq!(reached(&router, &nodes, READ), [0]);
}

#[test]
fn a_primary_in_recovery_gets_no_writes() {
    let nodes = [NodeView { writable: false, ..PRIMARY }, REPLICA];
    assert_eq!(reached(&router(&[GENERAL]), &nodes, Request::new(Intent::Write)), [0usize; 0]);
}

#[test]
fn a_primary_in_recovery_serves_reads_only_up_to_what_it_replayed() {
    let router = router(&[]);
    let nodes = [NodeView { writable: false, replayed: Lsn(50), ..PRIMARY }];
    assert_eq!(reached(&router, &nodes, READ), [0]);
    assert_eq!(reached(&router, &nodes, READ.after(Lsn(50))), [0]);
    assert_eq!(reached(&router, &nodes, READ.after(Lsn(51))), [0usize; 0]);
}

#[test]
fn reads_leave_a_replica_that_is_down() {
    assert_eq!(reached(&router(&[GENERAL, GENERAL]), &[PRIMARY, DOWN, REPLICA], READ), [2]);
}

#[test]
fn reads_reach_the_analytics_replica_only_if_no_other_is_up() {
    let mixed = router(&[GENERAL, REPORTS]);
    assert_eq!(reached(&mixed, &[PRIMARY, REPLICA, REPLICA], READ), [1]);
    assert_eq!(reached(&mixed, &[PRIMARY, DOWN, REPLICA], READ), [2]);
    assert_eq!(reached(&router(&[REPORTS]), &[PRIMARY, REPLICA], READ), [1]);
}

#[test]
fn a_general_replica_behind_does_not_push_reads_onto_analytics() {
    let nodes = [PRIMARY, NodeView { replayed: Lsn(1), ..REPLICA }, REPLICA];
    assert_eq!(reached(&router(&[GENERAL, REPORTS]), &nodes, READ.after(Lsn(100))), [0]);
}

#[test]
fn with_all_replicas_full_one_of_them_is_said_to_be_and_the_primary_is_for_other_reasons() {
    let router = router(&[GENERAL, GENERAL]);
    let now = Instant::now();
    let fill = |nodes: &[NodeView]| {
        let choice = router.choose(|node| nodes[node], &READ, now).unwrap();
        let chosen = (choice.node, choice.is_full());
        choice.finish(Verdict::Saturated(None), Duration::ZERO);
        chosen
    };
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let first = fill(&nodes);
    assert!(!first.1);
    // The other has room.
    assert_eq!(fill(&nodes), (3 - first.0, false));
    assert!(matches!(fill(&nodes), (1 | 2, true)));
    assert_eq!(fill(&[PRIMARY, DOWN, REPLICA]), (2, true));
    assert_eq!(fill(&[PRIMARY, DOWN, DOWN]), (0, false), "they are dead, which counts for more");
    let behind = router.choose(|node| nodes[node], &READ.after(Lsn(101)), now).unwrap();
    assert_eq!((behind.node, behind.is_full()), (0, false), "nor would they do");
    let rested = router.choose(|node| nodes[node], &READ, now + Duration::from_secs(1)).unwrap();
    assert!(!rested.is_full());
}

#[test]
fn analytics_falls_back_to_a_replica_then_to_the_primary() {
    let router = router(&[GENERAL, REPORTS]);
    let analytics = Request::new(Intent::Analytics);
    assert_eq!(reached(&router, &[PRIMARY, REPLICA, REPLICA], analytics), [2]);
    assert_eq!(reached(&router, &[PRIMARY, REPLICA, DOWN], analytics), [1]);
    assert_eq!(reached(&router, &[PRIMARY, DOWN, DOWN], analytics), [0]);
}

#[test]
fn a_read_after_a_position_skips_replicas_behind_it() {
    let router = router(&[GENERAL, GENERAL]);
    let behind = NodeView { replayed: Lsn(99), ..REPLICA };
    let read = READ.after(Lsn(100));
    assert_eq!(reached(&router, &[PRIMARY, behind, REPLICA], read), [2]);
    assert_eq!(reached(&router, &[PRIMARY, behind, behind], read), [0]);
}

#[test]
fn a_read_after_a_position_skips_replicas_of_another_timeline() {
    let router = router(&[GENERAL, GENERAL]);
    let left_behind = NodeView { timeline: 1, ..REPLICA };
    let read = Request { timeline: 2, ..READ.after(Lsn(100)) };
    assert_eq!(reached(&router, &[PRIMARY, left_behind, REPLICA], read), [2]);
    assert_eq!(reached(&router, &[PRIMARY, left_behind, left_behind], read), [0]);
    // Where nobody knows, the position must do.
    let unknown = NodeView { timeline: 0, ..REPLICA };
    assert_eq!(reached(&router, &[PRIMARY, left_behind, unknown], read), [2]);
    assert_eq!(reached(&router, &[PRIMARY, left_behind, REPLICA], READ), [1, 2]);
}

#[test]
fn failed_nodes_are_not_chosen_again() {
    let router = router(&[GENERAL, GENERAL]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    assert_eq!(reached(&router, &nodes, Request { excluded: 0b010, ..READ }), [2]);
    assert_eq!(reached(&router, &nodes, Request { excluded: 0b111, ..READ }), [0usize; 0]);
}

#[test]
fn more_nodes_than_fit_are_ignored_not_indexed() {
    let router = exact(&[GENERAL; 100]);
    assert_eq!(
        reached(&router, &[[PRIMARY; 1].as_slice(), &[REPLICA; 100]].concat(), READ).len(),
        63
    );
}

#[test]
fn a_replica_twenty_milliseconds_slower_gets_little_and_has_its_share_back_when_cured() {
    let router = router(&[GENERAL, GENERAL]);
    let start = Instant::now();
    let mut now = start;
    let mut load = |slow: Duration, until: Duration| {
        let mut counts = [0u32; 3];
        let until = start + until;
        while now < until {
            let choice = router.choose(|node| [PRIMARY, REPLICA, REPLICA][node], &READ, now);
            let choice = choice.unwrap();
            counts[choice.node] += 1;
            let took = Duration::from_micros(500);
            let took = if choice.node == 1 { took + slow } else { took };
            choice.finish(Verdict::Success, took);
            now += Duration::from_millis(2);
        }
        f64::from(counts[1]) / f64::from(counts[1] + counts[2])
    };
    let slow = load(Duration::from_millis(20), Duration::from_secs(20));
    assert!(slow < 0.15, "{slow}");
    load(Duration::ZERO, Duration::from_secs(28));
    let cured = load(Duration::ZERO, Duration::from_secs(30));
    assert!((0.35..0.65).contains(&cured), "{cured}");
}

#[test]
fn a_lagging_replica_is_left_out_and_comes_back_with_hysteresis() {
    let router = router(&[GENERAL, GENERAL]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let now = Instant::now();
    let of_bytes = |bytes| Lag { bytes, time: Duration::ZERO };
    let soft = LagLimits::default().soft_bytes;
    router.lags(1, of_bytes(soft + 1), now);
    assert_eq!(router.standing(1, now), Some(Standing::Lagging));
    assert_eq!(reached(&router, &nodes, READ), [2]);
    router.lags(1, of_bytes(soft / 10 * 9), now);
    assert_eq!(reached(&router, &nodes, READ), [2], "not yet back");
    router.lags(1, of_bytes(soft / 10 * 7), now);
    assert_eq!(reached(&router, &nodes, READ), [1, 2]);
}

#[test]
fn of_replicas_that_all_lag_the_least_lagged_serves_up_to_the_hard_limit() {
    let router = router(&[GENERAL, GENERAL]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let now = Instant::now();
    let of_secs = |secs| Lag { bytes: 9, time: Duration::from_secs(secs) };
    router.lags(1, of_secs(5), now);
    router.lags(2, of_secs(9), now);
    assert_eq!(reached(&router, &nodes, READ), [1]);
    router.lags(1, of_secs(12), now);
    assert_eq!(reached(&router, &nodes, READ), [2]);
    router.lags(1, of_secs(31), now);
    router.lags(2, of_secs(31), now);
    assert_eq!(reached(&router, &nodes, READ), [0]);
}

#[test]
fn a_replica_whose_statements_fail_is_ejected_until_its_time_is_over() {
    let router = router(&[GENERAL, GENERAL]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let now = Instant::now();
    for _ in 0..5 {
        let only = Request { excluded: 0b100, ..READ };
        let choice = router.choose(|node| nodes[node], &only, now).unwrap();
        assert_eq!(choice.node, 1);
        choice.finish(Verdict::Failure, Duration::from_millis(1));
    }
    assert_eq!(router.standing(1, now), Some(Standing::Ejected));
    assert_eq!(reached(&router, &nodes, READ), [2]);
    // With nobody else it is better than nothing.
    router.found(2, false, now);
    assert_eq!(reached(&router, &[PRIMARY, REPLICA, DOWN], READ), [1]);
    router.found(2, true, now);
    let later = now + Duration::from_secs(60);
    assert_eq!(shares(&router, &nodes, READ, later).len(), 2);
}

#[test]
fn a_replica_that_was_down_starts_with_a_small_share() {
    let router = router(&[GENERAL, GENERAL]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let now = Instant::now();
    router.found(1, false, now);
    router.found(1, true, now);
    let at = |millis| shares(&router, &nodes, READ, now + Duration::from_millis(millis));
    let (first, last) = (at(1)[0].1, at(10_001)[0].1);
    assert!((10..=120).contains(&first), "{first}");
    assert!((350..=650).contains(&last), "{last}");
}

#[test]
fn a_drained_replica_gets_nothing_new() {
    let router = router(&[GENERAL, GENERAL]);
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let now = Instant::now();
    router.drain(1, true, now);
    assert_eq!(reached(&router, &nodes, READ), [2]);
    router.drain(1, false, now);
    assert_eq!(reached(&router, &nodes, READ), [1, 2]);
}

#[test]
fn after_a_failover_the_two_have_changed_places() {
    let router = exact(&[GENERAL, GENERAL]);
    let now = Instant::now();
    router.leaves(1, now);
    router.set_weight(0, 1, now);
    // The old one is gone.
    let nodes = [DOWN, PRIMARY, REPLICA];
    assert_eq!(reached(&router, &nodes, Request::new(Intent::Write)), [1]);
    assert_eq!(reached(&router, &nodes, READ), [2]);
    // And back, as a standby.
    router.found(0, false, now);
    router.found(0, true, now);
    let nodes = [REPLICA, PRIMARY, REPLICA];
    assert_eq!(reached(&router, &nodes, Request::new(Intent::Write)), [1]);
    assert_eq!(reached(&router, &nodes, READ), [0, 2]);
    assert_eq!(reached(&router, &[REPLICA, PRIMARY, DOWN], READ.after(Lsn(101))), [1]);
    assert_eq!(router.standing(1, now), None);
}

proptest! {
    /// Whatever the cluster looks like, a replica that is chosen is up, not
    /// excluded, caught up and of non-zero weight, and writes reach no replica.
    #[test]
    fn a_chosen_replica_is_always_fit(
        specs in prop::collection::vec((any::<bool>(), any::<bool>(), 0u32..4, 0u64..4), 0..8),
        intent in prop::sample::select(vec![Intent::Read, Intent::Write, Intent::Analytics]),
        policy in prop::sample::select(Policy::ALL.to_vec()),
        after in prop::option::of(0u64..4),
        key: Option<u64>,
        excluded in 0u64..256,
    ) {
        let replica = |&(_, analytics, weight, _): &(bool, bool, u32, u64)| Replica {
            weight,
            ..if analytics { REPORTS } else { GENERAL }
        };
        let view = |&(up, _, _, lsn): &(bool, bool, u32, u64)| {
            NodeView { up, replayed: Lsn(lsn), ..REPLICA }
        };
        let replicas: Vec<_> = specs.iter().map(replica).collect();
        let nodes: Vec<_> = std::iter::once(PRIMARY).chain(specs.iter().map(view)).collect();
        let config = RoutingConfig { policy, ..RoutingConfig::default() };
        let router = Router::new(&config, &replicas, Instant::now()).unwrap();
        let request = Request { intent, after: after.map(Lsn), timeline: 0, key, excluded };
        match router.choose(|node| nodes[node], &request, Instant::now()) {
            Some(choice) => {
                prop_assert_eq!(excluded >> choice.node & 1, 0);
                let node = nodes[choice.node];
                if !node.primary {
                    prop_assert!(intent != Intent::Write && node.up);
                    prop_assert!(replicas[choice.node - 1].weight > 0);
                    prop_assert!(request.after.is_none_or(|lsn| node.replayed >= lsn));
                }
            }
            None => prop_assert_eq!(excluded & 1, 1, "the primary was there to take it"),
        }
    }
}
