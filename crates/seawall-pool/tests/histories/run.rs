//! Histories, several at once, each with servers of its own.

use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
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
    let at_once = number("AT_ONCE", 2).min(histories);
    let run = Arc::new(Run {
        first,
        end: first + histories,
        next: AtomicU64::new(first),
        begun: Instant::now(),
        state: Mutex::default(),
    });
    let mut lines = JoinSet::new();
    for _ in 0..at_once {
        lines.spawn(Arc::clone(&run).line());
    }
    while let Some(ended) = lines.join_next().await {
        // The first violation ends the others.
        if let Err(failed) = ended {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
    let (_, sum) = *run.state.lock();
    println!("{histories} histories from seed {first} in {:?}: {sum:?}", run.begun.elapsed());
    assert!(sum.reads > 20 * sum.early, "too much is excused: {sum:?}");
    assert!(sum.reads > 50 && sum.writes > 20, "hardly anything happened: {sum:?}");
}

/// What those who run histories at the same time share.
struct Run {
    first: u64,
    end: u64,
    /// The seed of the next that nobody has begun.
    next: AtomicU64,
    begun: Instant,
    /// How many are done, and what they were like.
    state: Mutex<(u64, Checked)>,
}

impl Run {
    /// Histories one after the other, on the same servers as long as they are what they were.
    async fn line(self: Arc<Self>) {
        let mut cluster = Some(Cluster::start().await);
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                break;
            }
            let mut at = match cluster.take() {
                Some(cluster) => cluster,
                None => Cluster::start().await,
            };
            let plan = Plan::new(seed).slowed(at.slowness().await);
            // A promotion leaves servers that are of no more use: others start meanwhile.
            let more = self.next.load(Ordering::Relaxed) < self.end;
            let another =
                (more && plan.promotion.is_some()).then(|| tokio::spawn(Cluster::start()));
            let (history, left) = one(&mut at, &plan).await;
            match left {
                Left::AsItWas => cluster = Some(at),
                // Nobody waits for the end of servers that nobody needs.
                Left::Promoted => drop(spawn_blocking(move || drop(at))),
            }
            if let Some(another) = another {
                cluster = Some(another.await.unwrap());
            }
            match check(&history) {
                Ok(checked) => {
                    if checked.lost > REMARKABLE {
                        let (seed, lost) = (plan.seed, checked.lost);
                        println!("seed {seed}: {lost} writes lost behind the switch, {plan:?}");
                    }
                    self.done(checked);
                }
                Err(violation) => panic!("{}", trace(&plan, &history, &violation)),
            }
        }
        if let Some(cluster) = cluster {
            drop(spawn_blocking(move || drop(cluster)));
        }
    }

    fn done(&self, checked: Checked) {
        let mut state = self.state.lock();
        let (done, sum) = &mut *state;
        (*done, *sum) = (*done + 1, add(*sum, checked));
        let (all, spent) = (self.end - self.first, self.begun.elapsed());
        if std::io::stderr().is_terminal() {
            let left = spent.as_secs_f64() / *done as f64 * (all - *done) as f64;
            let left = Duration::from_secs(left as u64);
            eprint!("\r{done} of {all} histories, {} reads, about {left:?} left  ", sum.reads);
            drop(std::io::stderr().flush());
        } else if done.is_multiple_of(50) {
            println!("{done} of {all} histories in {} s: {sum:?}", spent.as_secs());
        }
    }
}

/// More than were on their way when the primary went: the pool took the old one for it to the end.
const REMARKABLE: usize = 20;

/// What became of the cluster.
enum Left {
    AsItWas,
    Promoted,
}

async fn one(cluster: &mut Cluster, plan: &Plan) -> (History, Left) {
    let (number, pool) = cluster.open(plan).await;
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
