//! A surge on the auction's launch policy, decided in virtual time.
//!
//! One hour of load is computed, not waited for: traffic rises sixfold, the
//! metrics agent fails for a while, the traffic goes. Every line is a change
//! of size, or a hold for another reason than the last, with what asked for it
//! and what held it back.
//!
//! ```sh
//! cargo run --example autoscale
//! ```

#![expect(clippy::print_stdout, reason = "a program to be read")]

use std::collections::VecDeque;
use std::time::Duration;

use seawall_scale::{Action, Decision, Engine, Goal, Reason, presets};
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

fn main() -> Result<(), seawall_scale::PolicyError> {
    let policy = presets::auction_launch();
    println!(
        "group {}: {} to {} instances, each good for {CAPACITY} requests/s, ready {} s after its start",
        policy.group,
        policy.min,
        policy.max,
        START_DELAY.as_secs()
    );
    for rule in &policy.rules {
        println!("  rule    {}", rule.condition);
    }
    for target in &policy.targets {
        match target.goal {
            Goal::Utilisation(level) => {
                println!("  target  {} at {:.0} %", target.signal, level * 100.0);
            }
            goal => println!("  target  {} at {}", target.signal, goal.level()),
        }
    }
    println!();
    println!("     t   load/s   cpu  ready  size  action      reason");

    let mut engine = Engine::new(policy, 3)?;
    let mut fleet = Fleet::new(3);
    let mut signals = Signals::new();
    let start = Instant::now();
    let mut told = Vec::new();
    let mut quiet_until = Duration::ZERO;
    for tick in 0..=LENGTH.as_secs() / TICK.as_secs() {
        let elapsed = TICK * u32::try_from(tick).unwrap_or(u32::MAX);
        let now = start + elapsed;
        let load = load(elapsed);
        let ready = fleet.ready(now);
        let cpu = (load / (f64::from(ready) * CAPACITY)).min(1.0);
        if !OUTAGE.contains(&elapsed.as_secs()) {
            signals.set("cpu_usage", cpu, Unit::Ratio, now);
        }
        signals.set("rate(http_server_request_duration_seconds)", load, Unit::PerSecond, now);
        signals.set("memory_usage", 0.4 + 0.3 * cpu, Unit::Ratio, now);
        signals.set("response_time", 60.0 / (1.02 - cpu), Unit::None, now);

        let decision = engine.tick(&signals, now);
        fleet.resize(decision.target, now);

        let codes: Vec<_> = decision.reasons.iter().map(Reason::code).collect();
        let news = codes != told && elapsed >= quiet_until;
        if decision.action != Action::Hold || news {
            let lines = lines(&decision);
            let clock = format!("{:02}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60);
            println!(
                "{clock:>6} {load:>8.0} {:>4.0}% {ready:>6} {:>5}  {:<10}  {}",
                cpu * 100.0,
                decision.target,
                decision.action.name(),
                lines[0]
            );
            for line in &lines[1..] {
                println!("{:47}{line}", "");
            }
            told = codes;
            quiet_until = elapsed + Duration::from_secs(60);
        }
    }
    println!("\n{} changes of size:", engine.events().len());
    for event in engine.events() {
        let Some(trigger) = &event.trigger else {
            continue;
        };
        println!(
            "  {:>4} s  {:<10} {:>2} -> {:>2}  {} {:.2} against {:.2}",
            (event.at - start).as_secs(),
            event.action.name(),
            event.previous,
            event.new,
            trigger.metric,
            trigger.value,
            trigger.threshold
        );
    }
    Ok(())
}

/// What asked for the decision, then whatever stood in its way.
fn lines(decision: &Decision) -> Vec<String> {
    let (asked, rest): (Vec<&Reason>, Vec<&Reason>) = decision.reasons.iter().partition(|reason| {
        matches!(
            reason,
            Reason::Target { .. }
                | Reason::Rule { .. }
                | Reason::WithinTolerance { .. }
                | Reason::Quiet
        )
    });
    let first = asked.first().map(ToString::to_string);
    first.into_iter().chain(rest.iter().map(ToString::to_string)).collect()
}

/// Requests per second: calm, a steep rise, a plateau, a slow end.
fn load(elapsed: Duration) -> f64 {
    let minute = elapsed.as_secs_f64() / 60.0;
    let height = match minute {
        m if m < 4.0 => 0.0,
        m if m < 8.0 => (m - 4.0) / 4.0,
        m if m < 20.0 => 1.0,
        m if m < 30.0 => (30.0 - m) / 10.0,
        _ => 0.0,
    };
    let ripple = (minute * 2.1).sin() * 100.0;
    2000.0 + 10_000.0 * height + ripple
}

/// Instances, and those that are still starting.
struct Fleet {
    running: u32,
    starting: VecDeque<Instant>,
}

impl Fleet {
    fn new(running: u32) -> Self {
        Self { running, starting: VecDeque::new() }
    }

    fn ready(&mut self, now: Instant) -> u32 {
        while self.starting.front().is_some_and(|started| now - *started >= START_DELAY) {
            self.starting.pop_front();
            self.running += 1;
        }
        self.running
    }

    fn resize(&mut self, size: u32, now: Instant) {
        let all =
            |fleet: &Self| fleet.running + u32::try_from(fleet.starting.len()).unwrap_or(u32::MAX);
        while all(self) < size {
            self.starting.push_back(now);
        }
        while all(self) > size {
            // What has not started yet goes first.
            if self.starting.pop_back().is_none() {
                self.running -= 1;
            }
        }
    }
}

const CAPACITY: f64 = 1400.0;
const START_DELAY: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_secs(15);
const LENGTH: Duration = Duration::from_secs(3600);
/// Seconds in which nobody publishes the CPU use.
const OUTAGE: std::ops::Range<u64> = 1500..1800;
