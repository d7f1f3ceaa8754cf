//! What does it cost to evaluate a thousand conditions over ten thousand
//! signals, to parse one, and to compute windows?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use seawall_signal::{Condition, Evaluator, History, Signals, Unit};
use tokio::time::Instant;

const SIGNALS: usize = 10_000;
const CONDITIONS: usize = 1_000;

fn main() -> std::io::Result<()> {
    let now = Instant::now();
    let mut signals = Signals::new();
    for index in 0..SIGNALS {
        let value = (index % 100) as f64 / 100.0;
        signals.set(&name(index), value, Unit::Ratio, now);
    }
    let texts: Vec<String> = (0..CONDITIONS).map(text).collect();
    let conditions: Vec<Condition> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let reads: usize = conditions.iter().map(|it| it.signals().len()).sum();
    let mut evaluators: Vec<_> = conditions.iter().cloned().map(Evaluator::new).collect();
    let age = Duration::from_secs(60);

    let mut bench = Bench::new("conditions");
    bench.case(
        "1 000 conditions over 10 000 signals",
        vec![
            Subject::new("seawall-signal, evaluate", Role::Ours, |times| {
                for _ in 0..times {
                    for condition in &conditions {
                        let _ = black_box(condition.evaluate(&signals, now, age));
                    }
                }
            }),
            Subject::new("seawall-signal, with for and clear", Role::Ours, |times| {
                for _ in 0..times {
                    for evaluator in &mut evaluators {
                        let _ = black_box(evaluator.step(&signals, now));
                    }
                }
            }),
            Subject::new("as many look-ups by hand", Role::Floor, |times| {
                let names: Vec<&str> = conditions.iter().flat_map(Condition::signals).collect();
                assert_eq!(names.len(), reads);
                for _ in 0..times {
                    for name in &names {
                        black_box(signals.get(name).is_some_and(|sample| sample.value > 0.8));
                    }
                }
            }),
        ],
    );
    let mut index = 0;
    bench.case(
        "parse one condition",
        vec![Subject::new("seawall-signal", Role::Ours, |times| {
            for _ in 0..times {
                index = (index + 1) % texts.len();
                black_box(Condition::parse(&texts[index]).is_ok());
            }
        })],
    );
    let mut history = History::default();
    for index in 0..100 {
        history.watch_name(&format!("avg({}, 5m)", name(index)));
    }
    let mut samples = Signals::new();
    let mut seconds = 0;
    bench.case(
        "100 windows of 5 min, a sample every 10 s",
        vec![Subject::new("seawall-signal, History::step", Role::Ours, |times| {
            for _ in 0..times {
                seconds += 10;
                let at = now + Duration::from_secs(seconds);
                for index in 0..100 {
                    samples.set(&name(index), 0.5, Unit::Ratio, at);
                }
                history.step(&mut samples);
            }
        })],
    );
    bench.finish()
}

fn name(index: usize) -> String {
    format!("service_{}_queue_{index}_utilization_ratio", index % 50)
}

/// Three to five comparisons, spread over all signals.
fn text(index: usize) -> String {
    let at = |step: usize| name((index * 10 + step * 1_237) % SIGNALS);
    format!(
        "({} > 80% clear < 70% or {} / {} > 5%) and not {} < 10% for 2m",
        at(0),
        at(1),
        at(2),
        at(3)
    )
}
