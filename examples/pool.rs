//! Where statements go: the routing decisions of seawall-pool over clusters in
//! good and bad health. Needs no server: the decision is a pure function.

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::collections::BTreeMap;

use seawall_pool::route::{Intent, NodeView, Request, choose};
use seawall_pool::{Lsn, Role};

const NAMES: [&str; 4] = ["primary", "replica-1", "replica-2", "analytics"];
const TICKETS: u64 = 1_000;

fn main() {
    let token = Lsn(0x0300_0200);
    println!(
        "Nodes: primary, replica-1 (weight 1), replica-2 (weight 3), analytics (its own role)."
    );
    println!("A writer has just committed at {token}; \"after\" is a read that must see it.");
    println!("Shares of {TICKETS} calls each.\n");
    println!("{:<34}{:<29}{:<29}{:<13}analytics", "cluster", "read", "read after", "write");
    for (name, nodes) in clusters() {
        let read = Request::new(Intent::Read);
        println!(
            "{name:<34}{:<29}{:<29}{:<13}{}",
            shares(&nodes, read),
            shares(&nodes, read.after(token)),
            shares(&nodes, Request::new(Intent::Write)),
            shares(&nodes, Request::new(Intent::Analytics)),
        );
    }
    println!("\nA call that fails for the node's sake excludes it and asks again:");
    retries();
}

/// The clusters to decide on, each a change to a healthy one.
fn clusters() -> Vec<(&'static str, [NodeView; 4])> {
    let level = Lsn(0x0300_0200);
    let replica = NodeView {
        primary: false,
        role: Role::General,
        weight: 1,
        up: true,
        writable: false,
        replayed: level,
    };
    let healthy = [
        NodeView { primary: true, writable: true, ..replica },
        replica,
        NodeView { weight: 3, ..replica },
        NodeView { role: Role::Analytics, ..replica },
    ];
    let change = |edit: fn(&mut [NodeView; 4])| {
        let mut nodes = healthy;
        edit(&mut nodes);
        nodes
    };
    vec![
        ("all well", healthy),
        ("replica-2 behind", change(|nodes| nodes[2].replayed = Lsn(0x0300_0000))),
        ("both behind", change(|nodes| nodes[1..3].iter_mut().for_each(|n| n.replayed = Lsn(0)))),
        ("replica-2 down", change(|nodes| nodes[2].up = false)),
        ("analytics down", change(|nodes| nodes[3].up = false)),
        (
            "replicas 1 and 2 down",
            change(|nodes| nodes[1..3].iter_mut().for_each(|n| n.up = false)),
        ),
        ("all replicas down", change(|nodes| nodes[1..].iter_mut().for_each(|n| n.up = false))),
        ("everything thought down", change(|nodes| nodes.iter_mut().for_each(|n| n.up = false))),
        ("primary in recovery", change(|nodes| nodes[0].writable = false)),
    ]
}

/// Who gets the calls, such as `replica-1 25% replica-2 75%`.
fn shares(nodes: &[NodeView], request: Request) -> String {
    let mut counts = BTreeMap::<Option<usize>, u64>::new();
    for ticket in 0..TICKETS {
        *counts.entry(choose(nodes, request, ticket)).or_default() += 1;
    }
    let share = |(node, count): (Option<usize>, u64)| {
        let name = node.map_or("refused", |node| NAMES[node]);
        if count == TICKETS {
            name.to_owned()
        } else {
            format!("{name} {}%", (count * 100 + TICKETS / 2) / TICKETS)
        }
    };
    counts.into_iter().map(share).collect::<Vec<_>>().join(" ")
}

/// One read whose every attempt fails.
fn retries() {
    let (_, nodes) = clusters().swap_remove(0);
    let mut request = Request::new(Intent::Read);
    for attempt in 1.. {
        match choose(&nodes, request, 0) {
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
