//! What does it cost to decide where a read goes?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use seawall_pool::classify::{Classifier, Kind};
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
    classify(&mut bench);
    bench.finish()
}

/// Known and unknown statements of some lengths.
fn classify(bench: &mut Bench) {
    let long = "WITH best AS (SELECT item, max(price) AS price FROM bid WHERE at > $1 GROUP BY item) \
        SELECT i.id, lower(i.name), coalesce(b.price, i.start) AS price, count(*) OVER () AS total \
        FROM item i LEFT JOIN best b ON b.item = i.id WHERE i.kind = ANY($2) AND NOT i.sold \
        ORDER BY price DESC, i.id LIMIT $3";
    for (name, sql) in [("point read", "SELECT name FROM item WHERE id = $1"), ("report", long)] {
        let known = Classifier::new();
        assert_eq!(known.classify(sql), Kind::Read);
        let texts: Vec<String> = (0..50_000).map(|n| format!("{sql} -- {n}")).collect();
        let cold = Classifier::new();
        let mut next = 0;
        bench.case(
            &format!("classify a {name}"),
            vec![
                Subject::new("known", Role::Ours, |times| {
                    for _ in 0..times {
                        black_box(known.classify(black_box(sql)));
                    }
                }),
                Subject::new("met for the first time", Role::Ours, |times| {
                    for _ in 0..times {
                        black_box(cold.classify(&texts[next % texts.len()]));
                        next += 1;
                    }
                }),
            ],
        );
    }
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
