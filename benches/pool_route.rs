//! What does it cost to decide where a read goes?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use seawall_pool::route::{Intent, NodeView, Replica, Request, Router, Verdict};
use seawall_pool::{Lsn, Policy, RoutingConfig};
use tokio::time::Instant;

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("pool_route");
    for replicas in [2, 8] {
        let peak = cluster(Policy::PeakEwma, replicas);
        let smooth = cluster(Policy::SmoothWeighted, replicas);
        let read = Request::new(Intent::Read);
        bench.case(
            &format!("decide and tell, {replicas} replicas, clock read included"),
            vec![
                Subject::new("peak EWMA", Role::Ours, |times| decide(&peak, &read, times)),
                Subject::new("peak EWMA, after a position", Role::Ours, |times| {
                    decide(&peak, &read.after(Lsn(7)), times);
                }),
                Subject::new("smooth weighted", Role::Ours, |times| decide(&smooth, &read, times)),
                Subject::new("the clock alone", Role::Floor, |times| {
                    for _ in 0..times {
                        black_box(Instant::now());
                    }
                }),
            ],
        );
    }
    bench.finish()
}

struct Cluster {
    router: Router,
    nodes: Vec<NodeView>,
}

fn cluster(policy: Policy, replicas: usize) -> Cluster {
    let config = RoutingConfig { policy, ..RoutingConfig::default() };
    let replica = Replica { role: seawall_pool::Role::General, weight: 1 };
    let node =
        NodeView { primary: false, up: true, writable: false, replayed: Lsn(7), timeline: 1 };
    let mut nodes = vec![node; replicas + 1];
    nodes[0].primary = true;
    Cluster {
        router: Router::new(&config, &vec![replica; replicas], Instant::now()).unwrap(),
        nodes,
    }
}

fn decide(cluster: &Cluster, request: &Request, times: u64) {
    for _ in 0..times {
        let view = |node: usize| cluster.nodes[node];
        let choice = cluster.router.choose(view, black_box(request), Instant::now()).unwrap();
        black_box(choice.node);
        choice.finish(Verdict::Success, Duration::from_micros(200));
    }
}
