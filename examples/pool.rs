//! Where statements go: the routing decisions of seawall-pool over clusters in
//! good and bad health. Needs no server: the decision is a function of what is known.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "printing is what it does")]

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_pool::route::{Intent, NodeView, Replica, Request, Router, Verdict};
use seawall_pool::{Lag, Lsn, Role, RoutingConfig};
use tokio::time::Instant;

const NAMES: [&str; 4] = ["primary", "replica-1", "replica-2", "analytics"];
const CALLS: u64 = 1_000;

fn main() {
    let token = Lsn(0x0300_0200);
    println!(
        "Nodes: primary, replica-1 (weight 1), replica-2 (weight 3), analytics (its own role)."
    );
    println!("A writer has just committed at {token}; \"after\" is a read that must see it.");
    println!("Shares of {CALLS} calls each.\n");
    println!("{:<31}{:<29}{:<29}{:<13}analytics", "cluster", "read", "read after", "write");
    for (name, change) in clusters() {
        let cluster = Cluster::new(change);
        let read = Request::new(Intent::Read);
        println!(
            "{name:<31}{:<29}{:<29}{:<13}{}",
            cluster.shares(read),
            cluster.shares(read.after(token)),
            cluster.shares(Request::new(Intent::Write)),
            cluster.shares(Request::new(Intent::Analytics)),
        );
    }
    println!("\nA call that fails for the node's sake excludes it and asks again:");
    retries();
}

/// What the pool knows.
struct Cluster {
    nodes: [NodeView; 4],
    router: Router,
    now: Instant,
    /// What a read takes on each node, in milliseconds.
    takes: [u64; 4],
}

/// A change to a healthy cluster.
type Change = fn(&mut Cluster);

/// The clusters to decide on.
fn clusters() -> [(&'static str, Change); 11] {
    [
        ("all well", |_| {}),
        ("replica-2 lacks the commit", |c| c.nodes[2].replayed = Lsn(0x0300_0000)),
        ("replica-2 is slow", |c| c.takes[2] = 30),
        ("replica-2 lags by 5 s", |c| c.lags(2, 5)),
        ("replicas 1 and 2 lag, 2 less", |c| {
            c.lags(1, 9);
            c.lags(2, 5);
        }),
        ("both lag by a minute", |c| {
            c.lags(1, 60);
            c.lags(2, 60);
        }),
        ("replica-2 is back, 3 s ago", |c| {
            c.router.found(2, false, c.now);
            c.router.found(2, true, c.now);
            c.now += Duration::from_secs(3);
        }),
        ("replica-2 is drained", |c| c.router.drain(2, true, c.now)),
        ("replica-2 is down", |c| c.nodes[2].up = false),
        ("all replicas are down", |c| c.nodes[1..].iter_mut().for_each(|node| node.up = false)),
        ("the primary is in recovery", |c| c.nodes[0].writable = false),
    ]
}

impl Cluster {
    fn new(change: Change) -> Self {
        let general = Replica { role: Role::General, weight: 1 };
        let replicas = [
            general,
            Replica { weight: 3, ..general },
            Replica { role: Role::Analytics, ..general },
        ];
        let now = Instant::now();
        let level = Lsn(0x0300_0200);
        let node =
            NodeView { primary: false, up: true, writable: false, replayed: level, timeline: 1 };
        let mut cluster = Self {
            nodes: [NodeView { primary: true, writable: true, ..node }, node, node, node],
            router: Router::new(&RoutingConfig::default(), &replicas, now).unwrap(),
            now,
            takes: [1; 4],
        };
        change(&mut cluster);
        cluster
    }

    fn lags(&mut self, node: usize, secs: u64) {
        let lag = Lag { bytes: 1_000, time: Duration::from_secs(secs) };
        self.router.lags(node, lag, self.now);
    }

    fn choose(&self, request: Request, now: Instant) -> Option<usize> {
        let choice = self.router.choose(|node| self.nodes[node], &request, now)?;
        let node = choice.node;
        choice.finish(Verdict::Success, Duration::from_millis(self.takes[node]));
        Some(node)
    }

    /// Who gets the calls, such as `replica-1 25% replica-2 75%`.
    fn shares(&self, request: Request) -> String {
        let mut counts = BTreeMap::<Option<usize>, u64>::new();
        for call in 0..CALLS {
            let now = self.now + Duration::from_micros(call);
            *counts.entry(self.choose(request, now)).or_default() += 1;
        }
        let share = |(node, count): (Option<usize>, u64)| {
            let name = node.map_or("refused", |node| NAMES[node]);
            if count == CALLS {
                name.to_owned()
            } else {
                format!("{name} {}%", (count * 100 + CALLS / 2) / CALLS)
            }
        };
        counts.into_iter().map(share).collect::<Vec<_>>().join(" ")
    }
}

/// One read whose every attempt fails.
fn retries() {
    let cluster = Cluster::new(|_| {});
    let mut request = Request::new(Intent::Read);
    for attempt in 1.. {
        match cluster.choose(request, cluster.now) {
            Some(node) => {
                println!("  attempt {attempt}: {}", NAMES[node]);
                request.excluded |= 1 << node;
            }
            None => {
                println!("  attempt {attempt}: no node left, the error lists the state of each");
                break;
            }
        }
    }
}
