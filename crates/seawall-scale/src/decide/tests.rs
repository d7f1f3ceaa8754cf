mod ahead;
mod bands;
mod bounds;
mod bursts;
mod fleet;
mod forecasts;
mod laws;
mod limits;
mod missing;
mod orders;
mod queues;
mod rules;
mod safety;
#[cfg(feature = "schedules")]
mod schedules;
mod shared;
mod targets;
mod timing;
mod zero;

use std::time::Duration;

use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use crate::{Decision, Policy, Rule, State, Target, decide};

/// A policy that acts at once: no cooldowns, windows or limits.
fn bare() -> Policy {
    Policy {
        min: 1,
        max: 100,
        cooldown_up: Duration::ZERO,
        cooldown_down: Duration::ZERO,
        window_down: Duration::ZERO,
        limit_down: None,
        ..Policy::default()
    }
}

fn cpu(level: f64) -> Policy {
    Policy { targets: vec![Target::utilisation("cpu", level)], ..bare() }
}

fn ruled(up: &[&str], down: &[&str]) -> Policy {
    let ups = up.iter().map(|text| Rule::scale_up(text).expect(text));
    let downs = down.iter().map(|text| Rule::scale_down(text).expect(text));
    Policy { rules: ups.chain(downs).collect(), ..bare() }
}

fn start() -> Instant {
    // Away from the beginning of time, so that tests can look back.
    Instant::now() + Duration::from_secs(100_000)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn measured(samples: &[(&str, f64, Unit)], at: Instant) -> Signals {
    let mut signals = Signals::new();
    for &(name, value, unit) in samples {
        signals.set(name, value, unit, at);
    }
    signals
}

/// Decides once, from `current` and no history.
fn once(policy: &Policy, current: u32, samples: &[(&str, f64, Unit)]) -> Decision {
    let now = start();
    decide(policy, &State::new(current), &measured(samples, now), now)
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.reasons.iter().map(crate::Reason::code).collect()
}
