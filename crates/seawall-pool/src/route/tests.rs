use proptest::prelude::*;

use super::{Intent, NodeView, Request, choose};
use crate::{Lsn, Role};

const PRIMARY: NodeView = NodeView {
    primary: true,
    role: Role::General,
    weight: 1,
    up: true,
    writable: true,
    replayed: Lsn(0),
};

const REPLICA: NodeView =
    NodeView { primary: false, writable: false, replayed: Lsn(100), ..PRIMARY };
const ANALYTICS: NodeView = NodeView { role: Role::Analytics, ..REPLICA };

fn down(node: NodeView) -> NodeView {
    NodeView { up: false, ..node }
}

/// Every node that some ticket reaches, with its share of 10 000 tickets.
fn shares(nodes: &[NodeView], request: Request) -> Vec<(usize, f64)> {
    let mut counts = vec![0u32; nodes.len()];
    for ticket in 0..10_000 {
        if let Some(node) = choose(nodes, request, ticket) {
            counts[node] += 1;
        }
    }
    let share = |(node, count): (usize, u32)| (count > 0).then(|| (node, f64::from(count) / 1e4));
    counts.into_iter().enumerate().filter_map(share).collect()
}

fn reached(nodes: &[NodeView], request: Request) -> Vec<usize> {
    shares(nodes, request).into_iter().map(|(node, _)| node).collect()
}

#[test]
fn weights_one_to_three_give_a_quarter_and_three_quarters() {
    let nodes = [PRIMARY, REPLICA, NodeView { weight: 3, ..REPLICA }];
    let shares = shares(&nodes, Request::new(Intent::Read));
    assert_eq!(shares.len(), 2);
    assert!((shares[0].1 - 0.25).abs() < 0.002, "{shares:?}");
    assert!((shares[1].1 - 0.75).abs() < 0.002, "{shares:?}");
}

#[test]
fn equal_weights_do_not_send_runs_to_one_node() {
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let picks: Vec<_> = (0..1000).map(|t| choose(&nodes, Request::new(Intent::Read), t)).collect();
    let longest = picks.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(longest <= Some(2), "longest run {longest:?}");
}

#[test]
fn writes_go_to_the_primary_only() {
    let nodes = [PRIMARY, REPLICA, ANALYTICS];
    assert_eq!(reached(&nodes, Request::new(Intent::Write)), [0]);
    let request = Request::new(Intent::Write).after(Lsn(u64::MAX));
    assert_eq!(reached(&nodes, request), [0]);
}

#[test]
fn a_primary_thought_down_still_gets_writes_and_last_reads() {
    let nodes = [down(PRIMARY), down(REPLICA)];
    assert_eq!(reached(&nodes, Request::new(Intent::Write)), [0]);
    assert_eq!(reached(&nodes, Request::new(Intent::Read)), [0]);
}

#[test]
fn a_primary_in_recovery_gets_no_writes() {
    let nodes = [NodeView { writable: false, ..PRIMARY }, REPLICA];
    assert_eq!(choose(&nodes, Request::new(Intent::Write), 0), None);
}

#[test]
fn a_primary_in_recovery_serves_reads_only_up_to_what_it_replayed() {
    let nodes = [NodeView { writable: false, replayed: Lsn(50), ..PRIMARY }];
    let read = Request::new(Intent::Read);
    assert_eq!(choose(&nodes, read, 0), Some(0));
    assert_eq!(choose(&nodes, read.after(Lsn(50)), 0), Some(0));
    assert_eq!(choose(&nodes, read.after(Lsn(51)), 0), None);
}

#[test]
fn reads_leave_a_replica_that_is_down() {
    let nodes = [PRIMARY, down(REPLICA), REPLICA];
    assert_eq!(reached(&nodes, Request::new(Intent::Read)), [2]);
}

#[test]
fn untagged_reads_reach_the_analytics_replica_only_if_no_other_is_up() {
    let read = Request::new(Intent::Read);
    assert_eq!(reached(&[PRIMARY, REPLICA, ANALYTICS], read), [1]);
    assert_eq!(reached(&[PRIMARY, down(REPLICA), ANALYTICS], read), [2]);
    assert_eq!(reached(&[PRIMARY, ANALYTICS], read), [1]);
}

#[test]
fn a_lagging_general_replica_does_not_push_reads_onto_analytics() {
    let nodes = [PRIMARY, NodeView { replayed: Lsn(1), ..REPLICA }, ANALYTICS];
    assert_eq!(reached(&nodes, Request::new(Intent::Read).after(Lsn(100))), [0]);
}

#[test]
fn analytics_falls_back_to_a_replica_then_to_the_primary() {
    let analytics = Request::new(Intent::Analytics);
    assert_eq!(reached(&[PRIMARY, REPLICA, ANALYTICS], analytics), [2]);
    assert_eq!(reached(&[PRIMARY, REPLICA, down(ANALYTICS)], analytics), [1]);
    assert_eq!(reached(&[PRIMARY, down(REPLICA), down(ANALYTICS)], analytics), [0]);
}

#[test]
fn a_read_after_a_position_skips_replicas_behind_it() {
    let behind = NodeView { replayed: Lsn(99), ..REPLICA };
    let read = Request::new(Intent::Read).after(Lsn(100));
    assert_eq!(reached(&[PRIMARY, behind, REPLICA], read), [2]);
    assert_eq!(reached(&[PRIMARY, behind, behind], read), [0]);
}

#[test]
fn failed_nodes_are_not_chosen_again() {
    let nodes = [PRIMARY, REPLICA, REPLICA];
    let read = Request { excluded: 0b010, ..Request::new(Intent::Read) };
    assert_eq!(reached(&nodes, read), [2]);
    let read = Request { excluded: 0b111, ..read };
    assert_eq!(choose(&nodes, read, 0), None);
}

#[test]
fn more_nodes_than_fit_are_ignored_not_indexed() {
    let nodes = vec![REPLICA; 100];
    assert_eq!(reached(&nodes, Request::new(Intent::Read)).len(), 64);
}

proptest! {
    /// Whatever the cluster looks like, a replica that is chosen is up, not
    /// excluded, caught up and of non-zero weight, and writes reach no replica.
    #[test]
    fn a_chosen_replica_is_always_fit(
        specs in prop::collection::vec((any::<bool>(), any::<bool>(), 0u32..4, 0u64..4), 0..8),
        intent in prop::sample::select(vec![Intent::Read, Intent::Write, Intent::Analytics]),
        after in prop::option::of(0u64..4),
        excluded in 0u64..256,
        ticket: u64,
    ) {
        let replica = |&(up, analytics, weight, lsn): &(bool, bool, u32, u64)| NodeView {
            up,
            weight,
            replayed: Lsn(lsn),
            ..if analytics { ANALYTICS } else { REPLICA }
        };
        let nodes: Vec<_> = std::iter::once(PRIMARY).chain(specs.iter().map(replica)).collect();
        let request = Request { intent, after: after.map(Lsn), excluded };
        match choose(&nodes, request, ticket) {
            Some(index) => {
                prop_assert_eq!(excluded >> index & 1, 0);
                let node = nodes[index];
                if !node.primary {
                    prop_assert!(intent != Intent::Write && node.up && node.weight > 0);
                    prop_assert!(request.after.is_none_or(|lsn| node.replayed >= lsn));
                }
            }
            None => prop_assert_eq!(excluded & 1, 1, "the primary was there to take it"),
        }
    }

    /// Any run of tickets, not only one that starts at zero, keeps the shares.
    #[test]
    fn any_run_of_tickets_keeps_the_weights(start: u64, a in 1u32..10, b in 1u32..10) {
        let nodes = [PRIMARY, NodeView { weight: a, ..REPLICA }, NodeView { weight: b, ..REPLICA }];
        let runs = 1000u32;
        let hits = (0..u64::from(runs))
            .filter(|t| {
                choose(&nodes, Request::new(Intent::Read), start.wrapping_add(*t)) == Some(1)
            })
            .count();
        let expected = f64::from(runs) * f64::from(a) / f64::from(a + b);
        let hits = f64::from(u32::try_from(hits).unwrap());
        prop_assert!((hits - expected).abs() < 10.0, "{} against {}", hits, expected);
    }
}
