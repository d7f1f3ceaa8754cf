//! A seeded simulation: ten nodes, one of them bad, the same arrivals for every
//! balancer.
//!
//! Time is tokio's paused clock, moved from event to event, since tower's
//! peak-EWMA reads that clock by itself. The example `balance` shares this folder.

mod ours;
mod peer;
mod world;

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp};
use seawall_balance::Error;
use tokio::time::Instant;

pub(crate) use ours::Ours;
pub(crate) use peer::Peer;
use world::World;

/// What is wrong with node 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// From a quarter of the run on, everything takes it ten times as long.
    Slow,
    /// It stands still for 1.5 s out of every 3 s.
    Flapping,
    /// It answers everything within half a millisecond, with an error.
    FastFailing,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// What is wrong with node 0.
    pub(crate) fault: Fault,
    /// How many requests arrive.
    pub(crate) requests: usize,
    /// Their rate, as a share of what all nodes can do.
    pub(crate) load: f64,
    /// Arrivals, service times and picks.
    pub(crate) seed: u64,
}

/// Who decides where a request goes.
pub(crate) trait Subject {
    /// What is kept until the request ends.
    type Token;

    /// A node for a request with this key.
    fn pick(&mut self, key: u64) -> (usize, Self::Token);

    /// The node answered.
    fn finish(&mut self, token: Self::Token, good: bool);

    /// No answer came within the client's patience.
    fn timed_out(&mut self, token: Self::Token);
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Milliseconds from arrival to the good answer, retries included, ascending.
    pub(crate) latencies: Vec<f64>,
    /// Requests without a good answer after all attempts.
    pub(crate) failed: usize,
    /// Attempts by node.
    pub(crate) attempts: [usize; NODES],
}

impl Report {
    /// Milliseconds, at a share of 0 to 1.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// Node 0's part of all attempts.
    pub(crate) fn share_of_bad(&self) -> f64 {
        self.attempts[0] as f64 / self.attempts.iter().sum::<usize>().max(1) as f64
    }
}

/// Nodes of the set.
pub(crate) const NODES: usize = 10;

/// Runs `scenario` in a runtime of its own, whose clock is paused.
pub(crate) fn run<S: Subject>(
    scenario: Scenario,
    subject: impl FnOnce() -> Result<S, Error>,
) -> Result<Report, Box<dyn std::error::Error>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async { Ok(simulate(scenario, subject()?).await) })
}

async fn simulate<S: Subject>(scenario: Scenario, mut subject: S) -> Report {
    let begun = Instant::now();
    let rate = CAPACITY * scenario.load;
    let span = Duration::from_secs_f64(scenario.requests as f64 / rate);
    let mut world = World::new(scenario.fault, span, scenario.seed);
    let mut chance = StdRng::seed_from_u64(scenario.seed ^ 1);
    let gap = Exp::new(rate).ok();
    let mut next = Duration::ZERO;
    for request in 0..scenario.requests as u64 {
        next += Duration::from_secs_f64(gap.map_or(1.0 / rate, |gap| gap.sample(&mut chance)));
        world.schedule(next, Event::Arrive { request });
    }
    let keys: Vec<u64> = (0..scenario.requests).map(|_| chance.random_range(0..1_000)).collect();

    let mut report = Report::default();
    let mut arrived: HashMap<u64, Duration> = HashMap::new();
    let mut open: HashMap<u64, Attempt<S::Token>> = HashMap::new();
    let mut made = 0;
    while let Some((at, event)) = world.next() {
        let past = begun.elapsed();
        if at > past {
            tokio::time::advance(at - past).await;
        }
        let (request, tries) = match event {
            Event::Arrive { request } => {
                arrived.insert(request, at);
                (request, 0)
            }
            Event::Worked { node, attempt } => {
                world.worked(node, at);
                let Some(done) = open.remove(&attempt) else { continue };
                let good = !world.fails(node);
                subject.finish(done.token, good);
                if good {
                    let since = arrived.remove(&done.request).unwrap_or_default();
                    report.latencies.push((at - since).as_secs_f64() * 1e3);
                    continue;
                }
                if done.tries + 1 == TRIES {
                    report.failed += 1;
                    continue;
                }
                (done.request, done.tries + 1)
            }
            Event::TimeOut { attempt } => {
                let Some(late) = open.remove(&attempt) else { continue };
                subject.timed_out(late.token);
                if late.tries + 1 == TRIES {
                    report.failed += 1;
                    continue;
                }
                (late.request, late.tries + 1)
            }
        };
        let (node, token) = subject.pick(keys[request as usize]);
        report.attempts[node] += 1;
        made += 1;
        open.insert(made, Attempt { request, tries, token });
        world.send(node, made, at);
        world.schedule(at + PATIENCE, Event::TimeOut { attempt: made });
    }
    report.latencies.sort_by(f64::total_cmp);
    report
}

struct Attempt<T> {
    request: u64,
    tries: u32,
    token: T,
}

enum Event {
    Arrive { request: u64 },
    Worked { node: usize, attempt: u64 },
    TimeOut { attempt: u64 },
}

/// Requests a second that all nodes can do.
const CAPACITY: f64 = 4_000.0;
/// Of a client with one attempt.
const PATIENCE: Duration = Duration::from_secs(1);
/// Attempts for one request.
const TRIES: u32 = 3;
