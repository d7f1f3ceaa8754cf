//! What does it cost to decide where a read goes?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use seawall_devstack::Stack;
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
    beside_a_select(&mut bench);
    classify(&mut bench);
    bench.finish()
}

/// The whole of it, a known statement's kind and its way, beside the least that a SELECT costs.
fn beside_a_select(bench: &mut Bench) {
    const SQL: &str = "SELECT name FROM item WHERE id = $1";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stack = runtime.block_on(Stack::builder().postgres().start()).unwrap();
    let (client, statement) = runtime.block_on(async {
        let client = stack.primary().unwrap().client().await.unwrap();
        let rows = "CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL);
            INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 10000) n; ANALYZE item";
        client.batch_execute(rows).await.unwrap();
        let statement = client.prepare(SQL).await.unwrap();
        (client, statement)
    });
    let cluster = cluster(Policy::PeakEwma, 2);
    let classifier = Classifier::new();
    bench.case(
        "a known statement routed, beside a prepared primary-key SELECT on loopback",
        vec![
            Subject::new("its kind and a replica for it", Role::Ours, |times| {
                for _ in 0..times {
                    assert_eq!(classifier.classify(black_box(SQL)), Kind::Read);
                    decide(&cluster, &Request::new(Intent::Read), 1);
                }
            }),
            Subject::new("the SELECT, one task, one connection", Role::Floor, |times| {
                runtime.block_on(async {
                    for id in 0..times {
                        let id = 1 + (id * 7 % 10_000) as i64;
                        black_box(client.query(&statement, &[&id]).await.unwrap());
                    }
                });
            }),
        ],
    );
    runtime.block_on(stack.shutdown());
}

/// Known and unknown statements of some lengths.
fn classify(bench: &mut Bench) {
    let long = "WITH best AS (SELECT item, max(price) AS price FROM bid WHERE at > $1 GROUP BY item) \
        SELECT i.id, lower(i.name), coalesce(b.price, i.start) AS price, count(*) OVER () AS total \
        FROM item i LEFT JOIN best b ON b.item = i.id WHERE i.kind = ANY($2) AND NOT i.sold \
        ORDER BY price DESC, i.id LIMIT $3";
    let quoted = long.replace("lower(i.name)", "pg_catalog.\"lower\"(i.name)");
    let volatile = long.replace("lower(i.name)", "touch(i.name)");
    // Where a function may have the name of a keyword, it is left to the parser.
    let odd = long.replace("GROUP BY item", "GROUP BY item, CUBE (kind)");
    let write = "UPDATE item SET name = $2, sold = true WHERE id = $1 AND NOT sold RETURNING id";
    for (name, sql, kind) in [
        ("point read", "SELECT name FROM item WHERE id = $1", Kind::Read),
        ("report of 400 bytes", long, Kind::Read),
        ("report with quotes and a schema", quoted.as_str(), Kind::Read),
        ("report that calls an unknown function", volatile.as_str(), Kind::Write),
        ("report that has to be parsed", odd.as_str(), Kind::Read),
        ("write", write, Kind::Write),
    ] {
        let known = Classifier::new();
        assert_eq!(known.classify(sql), kind);
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
