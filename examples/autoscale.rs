//! A worker pool that an engine sizes while real load comes and goes.
//!
//! Workers are tasks of this process that take jobs from one queue; a job holds its worker for
//! some 10 ms. For nine seconds clients send jobs: calm, a surge of eight times as many, calm
//! again. Ten times a second the engine reads what the pool measured and decides; the pool starts
//! workers, each ready after a moment, or lets them finish and go. Every change is printed with its
//! reason. In the end the log of all decisions is replayed.
//!
//! ```sh
//! cargo run --release --example autoscale
//! ```

#![expect(clippy::print_stdout, reason = "a program to be read")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_scale::{
    Action, Decision, Engine, Policy, Queue, Rate, Rates, Rule, Step, Target, Trigger, log,
};
use seawall_signal::{Signals, Unit};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let policy = policy()?;
    println!(
        "{}: {} to {} workers, each good for about {:.0} jobs/s, ready {} ms after its start\n",
        policy.group,
        policy.min,
        policy.max,
        1.0 / SERVICE.as_secs_f64(),
        START.as_millis()
    );
    println!("     t   jobs/s  queue   busy  workers  action      reason");

    let mut pool = Pool::new(policy.min);
    let sender = tokio::spawn(send(pool.queue.clone()));
    let (last, history) = drive(Engine::new(policy, 2)?, &mut pool).await;
    let (sent, refused) = sender.await?;

    println!("\n{} changes of size; the history has them as rows:", last.events().len());
    for event in last.events() {
        let row = event.row();
        println!(
            "  {:<10} {:>2} -> {:>2}  {:<12} {:>8.2} against {:>6.2}",
            row.scaling_action,
            row.previous_capacity,
            row.new_capacity,
            row.trigger_metric,
            row.trigger_value,
            row.threshold_value
        );
    }
    let replayed = log::replay(&history)?;
    let same = replayed.iter().filter(|each| each.same()).count();
    println!(
        "\n{} decisions replayed from the log, {same} of them the same to the bit",
        replayed.len()
    );
    let done = pool.stop().await;
    println!("{sent} jobs sent, {done} done, {refused} refused");
    Ok(())
}

/// Seconds in place of minutes, so that a surge fits into nine of them.
fn policy() -> Result<Policy, Box<dyn Error>> {
    let calm = Rule::scale_down("busy < 40% and queue < 20 for 500ms")?.by(Step::Percent(50.0));
    let policy = Policy {
        group: "workers".into(),
        min: 2,
        max: 24,
        targets: vec![Target::utilisation("busy", 0.7)],
        queues: vec![Queue {
            drain: Duration::from_secs(1),
            ..Queue::new("queue", 90.0).arrivals("jobs")
        }],
        rules: vec![calm],
        cooldown_up: 3 * START,
        cooldown_down: Duration::from_millis(400),
        window_down: Duration::from_secs(1),
        rates_up: Rates {
            policies: vec![Rate { instances: 6, percent: 100.0, period: Duration::from_secs(1) }],
            ..Rates::default()
        },
        max_signal_age: Duration::from_secs(2),
        start_delay: START,
        evaluate_every: TICK,
        ..Policy::default()
    };
    policy.validate()?;
    Ok(policy)
}

/// Decides and obeys until the load is over and the pool is small again.
async fn drive(mut engine: Engine, pool: &mut Pool) -> (Engine, Vec<log::Entry>) {
    let (begun, entries) = (Instant::now(), log::Entries::default());
    engine.log_to(entries.clone(), begun);
    let mut signals = Signals::new();
    let mut before = pool.seen();
    let mut quiet_until = Duration::ZERO;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        let elapsed = now - begun;
        if elapsed > LENGTH {
            break;
        }
        let seen = pool.seen();
        let measured = seen.since(&before);
        before = seen;
        if let Some(measured) = &measured {
            signals.set("jobs", measured.arrivals, Unit::PerSecond, now);
            signals.set("busy", measured.busy, Unit::Ratio, now);
        }
        signals.set("queue", pool.waiting(), Unit::Count, now);
        let decision = engine.tick(&signals, now);
        pool.resize(decision.target);
        if decision.action != Action::Hold || elapsed >= quiet_until {
            show(elapsed, &signals, &decision);
            quiet_until = elapsed + Duration::from_secs(1);
        }
    }
    (engine, entries.take())
}

fn show(elapsed: Duration, signals: &Signals, decision: &Decision) {
    let value = |name| signals.get(name).map_or(0.0, |sample| sample.value);
    let mut reasons = decision.reasons.iter();
    let first = reasons.next().map(ToString::to_string).unwrap_or_default();
    println!(
        "{:>5.1}s {:>7.0} {:>6.0} {:>5.0}% {:>8}  {:<10}  {first}",
        elapsed.as_secs_f64(),
        value("jobs"),
        value("queue"),
        value("busy") * 100.0,
        decision.target,
        decision.action.name(),
    );
    // Who wanted less is of no interest; what stood in the way is.
    for reason in reasons.filter(|reason| reason.limits()) {
        println!("{:54}{reason}", "");
    }
    if let Some(Trigger { metric, .. }) = &decision.trigger
        && !first.contains(metric.as_str())
    {
        println!("{:54}because of {metric}", "");
    }
}

/// Sends jobs as clients would: at their own pace, whatever becomes of them. Answers how many were
/// sent and how many did not fit into the queue.
async fn send(queue: mpsc::Sender<Job>) -> (u64, u64) {
    let begun = Instant::now();
    let (mut sent, mut refused) = (0_u64, 0_u64);
    let mut due = 0.0;
    let mut last = begun;
    loop {
        sleep(Duration::from_millis(5)).await;
        let now = Instant::now();
        let elapsed = now - begun;
        if elapsed > LENGTH {
            return (sent, refused);
        }
        due += rate(elapsed) * (now - last).as_secs_f64();
        last = now;
        while due >= 1.0 {
            due -= 1.0;
            sent += 1;
            refused += u64::from(queue.try_send(Job).is_err());
        }
    }
}

/// Jobs a second: calm, a surge, calm.
fn rate(elapsed: Duration) -> f64 {
    match elapsed.as_secs_f64() {
        t if t < 1.5 => 120.0,
        t if t < 2.0 => 120.0 + (t - 1.5) * 1600.0,
        t if t < 5.0 => 920.0,
        _ => 100.0,
    }
}

struct Job;

/// Workers that share a queue.
struct Pool {
    queue: mpsc::Sender<Job>,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    /// Who drops one tells its worker to go.
    workers: Vec<oneshot::Sender<()>>,
    counts: Arc<Counts>,
}

/// What the pool has done so far.
#[derive(Default)]
struct Counts {
    started: AtomicU64,
    done: AtomicU64,
    busy_us: AtomicU64,
    ready: AtomicU64,
}

/// A look at the counts.
struct Seen {
    at: Instant,
    arrived: u64,
    busy_us: u64,
    ready: u64,
}

/// Between two looks.
struct Measured {
    arrivals: f64,
    busy: f64,
}

impl Pool {
    fn new(size: u32) -> Self {
        let (queue, jobs) = mpsc::channel(20_000);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut pool = Self { queue, jobs, workers: Vec::new(), counts: Arc::default() };
        pool.resize(size);
        pool
    }

    /// Starts workers, or tells the newest ones to go.
    fn resize(&mut self, size: u32) {
        self.workers.truncate(size as usize);
        while self.workers.len() < size as usize {
            let (stay, go) = oneshot::channel();
            self.workers.push(stay);
            tokio::spawn(worker(go, Arc::clone(&self.jobs), Arc::clone(&self.counts)));
        }
    }

    fn waiting(&self) -> f64 {
        (self.queue.max_capacity() - self.queue.capacity()) as f64
    }

    fn seen(&self) -> Seen {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Seen {
            at: Instant::now(),
            arrived: count(&self.counts.started) + self.waiting() as u64,
            busy_us: count(&self.counts.busy_us),
            ready: count(&self.counts.ready),
        }
    }

    /// Lets the workers do what waits, and go; answers how many jobs were done.
    async fn stop(mut self) -> u64 {
        while self.waiting() > 0.0 {
            sleep(SERVICE).await;
        }
        self.workers.clear();
        while self.counts.ready.load(Ordering::Relaxed) > 0 {
            sleep(SERVICE).await;
        }
        self.counts.done.load(Ordering::Relaxed)
    }
}

impl Seen {
    /// `None` if no time has passed, or nobody was there to be busy.
    fn since(&self, before: &Self) -> Option<Measured> {
        let span = (self.at - before.at).as_secs_f64();
        if span <= 0.0 || self.ready == 0 {
            return None;
        }
        let busy = self.busy_us.saturating_sub(before.busy_us) as f64 / 1e6;
        Some(Measured {
            arrivals: self.arrived.saturating_sub(before.arrived) as f64 / span,
            busy: busy / span / self.ready as f64,
        })
    }
}

/// Works until it is told to go; a job that was begun is finished.
async fn worker(
    mut go: oneshot::Receiver<()>,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    counts: Arc<Counts>,
) {
    sleep(START).await;
    counts.ready.fetch_add(1, Ordering::Relaxed);
    loop {
        // Going comes first: a busy queue would keep everybody.
        let job = tokio::select! {
            biased;
            _ = &mut go => break,
            job = async { jobs.lock().await.recv().await } => job,
        };
        let Some(Job) = job else { break };
        counts.started.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        sleep(SERVICE).await;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        counts.busy_us.fetch_add(took, Ordering::Relaxed);
        counts.done.fetch_add(1, Ordering::Relaxed);
    }
    counts.ready.fetch_sub(1, Ordering::Relaxed);
}

/// How long a job holds its worker, as if it waited for a database.
const SERVICE: Duration = Duration::from_millis(10);
/// Until a worker is ready.
const START: Duration = Duration::from_millis(200);
const TICK: Duration = Duration::from_millis(100);
const LENGTH: Duration = Duration::from_secs(9);
