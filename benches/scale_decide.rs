//! What does one scaling decision cost, and one condition?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use seawall_scale::{Policy, Rule, State, Target, decide};
use seawall_signal::{Condition, Signals, Unit};
use tokio::time::Instant;

fn main() -> std::io::Result<()> {
    let now = Instant::now();
    let mut signals = Signals::new();
    for index in 0..20 {
        signals.set(&format!("signal_{index}"), 0.5, Unit::Ratio, now);
    }
    let policy = Policy {
        max: 100,
        targets: (0..10).map(|index| Target::utilisation(format!("signal_{index}"), 0.7)).collect(),
        rules: (10..20)
            .map(|index| Rule::scale_up(&format!("signal_{index} > 80%")).unwrap())
            .collect(),
        ..Policy::default()
    };
    let state = State::new(10);
    let condition: Condition =
        "signal_1 > 80% and signal_2 > 50% or not signal_3 < 10%".parse().unwrap();
    let age = Duration::from_secs(60);

    let mut bench = Bench::new("scale_decide");
    bench.case(
        "decide, 20 signals, 10 targets, 10 rules",
        vec![Subject::new("seawall-scale", Role::Ours, |times| {
            (0..times).for_each(|_| {
                let _ = black_box(decide(&policy, &state, &signals, now));
            });
        })],
    );
    bench.case(
        "evaluate a condition of three terms",
        vec![
            Subject::new("seawall-signal", Role::Ours, |times| {
                (0..times).for_each(|_| {
                    let _ = black_box(condition.evaluate(&signals, now, age));
                });
            }),
            Subject::new("three look-ups and comparisons by hand", Role::Floor, |times| {
                let value = |name: &str| signals.get(name).map_or(f64::NAN, |sample| sample.value);
                (0..times).for_each(|_| {
                    black_box(
                        value("signal_1") > 0.8 && value("signal_2") > 0.5
                            || value("signal_3") >= 0.1,
                    );
                });
            }),
        ],
    );
    bench.finish()
}
