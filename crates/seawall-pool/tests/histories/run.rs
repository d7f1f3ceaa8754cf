//! Histories, one after the other.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::check::{Checked, Violation, check};
use crate::clients::{self, Shared};
use crate::cluster::Cluster;
use crate::faults;
use crate::history::{Act, History, Recorder};
use crate::plan::{Plan, Promotion};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_history_breaks_a_promise() {
    let number = |name: &str, otherwise: u64| {
        let value = std::env::var(name).ok();
        value.map_or(otherwise, |value| value.parse().expect("a number"))
    };
    let (histories, first) = (number("HISTORIES", 20), number("SEED", 1));
    let begun = Instant::now();
    let mut sum = Checked::default();
    let mut cluster = Some(Cluster::start().await);
    for seed in first..first + histories {
        let plan = Plan::new(seed);
        let mut at = match cluster.take() {
            Some(cluster) => cluster,
            None => Cluster::start().await,
        };
        let (history, left) = one(&mut at, &plan).await;
        match left {
            Left::AsItWas => cluster = Some(at),
            Left::Promoted => at.shutdown().await,
        }
        match check(&history) {
            Ok(checked) => sum = add(sum, checked),
            Err(violation) => panic!("{}", trace(&plan, &history, &violation)),
        }
        if (seed - first + 1).is_multiple_of(50) {
            println!("{} histories: {sum:?}", seed - first + 1);
        }
    }
    if let Some(cluster) = cluster {
        cluster.shutdown().await;
    }
    println!("{histories} histories from seed {first} in {:?}: {sum:?}", begun.elapsed());
    assert!(sum.reads > 20 * sum.early, "too much is excused: {sum:?}");
    assert!(sum.reads > 50 && sum.writes > 20, "hardly anything happened: {sum:?}");
}

/// What became of the cluster.
enum Left {
    AsItWas,
    Promoted,
}

async fn one(cluster: &mut Cluster, plan: &Plan) -> (History, Left) {
    let (number, pool) = cluster.open(plan.sessions).await;
    if plan.promotion.is_some_and(|(_, how)| how == Promotion::Synchronous) {
        cluster.synchronise().await;
    }
    let shared = Arc::new(Shared {
        pool: pool.clone(),
        history: number,
        recorder: Recorder::new(),
        values: AtomicI64::new(0),
        tokens: (0..plan.sessions).map(|_| Mutex::default()).collect(),
        until: Instant::now() + plan.lasts,
        seed: plan.seed,
    });
    let mut sessions = JoinSet::new();
    for session in 0..plan.sessions {
        sessions.spawn(clients::run(Arc::clone(&shared), session));
    }
    let primary = faults::run(cluster, plan, &shared.recorder).await;
    while let Some(ended) = sessions.join_next().await {
        ended.unwrap();
    }
    drop(pool);
    let left = match plan.promotion {
        Some(_) => Left::Promoted,
        None => {
            cluster.heal().await;
            Left::AsItWas
        }
    };
    let last = cluster.state(primary, number).await;
    (shared.recorder.finish(last), left)
}

fn add(one: Checked, other: Checked) -> Checked {
    Checked {
        reads: one.reads + other.reads,
        writes: one.writes + other.writes,
        failed: one.failed + other.failed,
        unknown: one.unknown + other.unknown,
        lost: one.lost + other.lost,
        early: one.early + other.early,
    }
}

/// The violation, what was done to the servers, and what happened to the value and in the
/// session that show it.
fn trace(plan: &Plan, history: &History, violation: &Violation) -> String {
    let Violation { rule, key, value, ops } = violation;
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").unwrap();
    line(format!("seed {}: {rule:?} broken for value {value} of {key:?}", plan.seed));
    line(format!(
        "again: HISTORIES=1 SEED={} cargo test -p seawall-pool --test histories",
        plan.seed
    ));
    line(format!("{plan:?}\n{:?}\nin the end {:?}", history.promotion, history.last.get(key)));
    let session = ops.last().map(|op| history.ops[*op].session);
    let until = ops.iter().map(|op| history.ops[*op].at.1).max();
    let mut lines: Vec<_> = history
        .faults
        .iter()
        .map(|(at, what)| (*at, format!("{:>9} us               {what}", at.as_micros())))
        .collect();
    for (number, op) in history.ops.iter().enumerate() {
        let shows = ops.contains(&number);
        let of_key = match op.act {
            Act::Write { key: of, .. } | Act::Read { key: of } => of == *key,
            Act::Take { .. } => true,
        };
        let near = until.is_none_or(|until| op.at.0 <= until);
        if shows || (near && of_key && Some(op.session) == session) {
            lines.push((op.at.0, format!("{}{op}", if shows { ">>>" } else { "   " })));
        }
    }
    lines.sort();
    lines.into_iter().for_each(|(_, text)| line(text));
    text
}
