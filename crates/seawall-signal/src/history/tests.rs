use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::Unit;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// Feeds one value every ten seconds and returns what `name` is in the end.
fn run(name: &str, signal: &str, unit: Unit, values: &[f64]) -> Option<(f64, Unit)> {
    let start = Instant::now();
    let mut history = History::default();
    assert!(history.watch_name(name));
    let mut signals = Signals::new();
    for (step, value) in values.iter().enumerate() {
        signals.set(signal, *value, unit, at(start, 10 * step as u64));
        history.step(&mut signals);
    }
    signals.get(name).map(|sample| (sample.value, sample.unit))
}

#[test]
fn each_function_reduces_the_window_and_nothing_before_it() {
    // Of 13 samples a window of a minute holds the last six: 7 to 12.
    let values: Vec<f64> = (0..13).map(f64::from).collect();
    for (name, value) in [
        ("avg(x, 1m)", 9.5),
        ("min(x, 1m)", 7.0),
        ("max(x, 1m)", 12.0),
        ("p50(x, 1m)", 9.0),
        ("p95(x, 1m)", 12.0),
        ("quantile(0.1, x, 1m)", 7.0),
        // From the last sample before the window: a full minute.
        ("delta(x, 1m)", 6.0),
        ("rate(x, 1m)", 0.1),
        ("avg(x)", 9.5),
    ] {
        let got = run(name, "x", Unit::Count, &values).map(|(value, _)| value);
        assert!(got.is_some_and(|got| (got - value).abs() < 1e-9), "{name}: {got:?}");
    }
}

#[test]
fn a_rank_is_not_one_too_high_for_the_noise_of_a_product() {
    // 0.999 * 1000 and 0.07 * 100 are a little above 999 and 7 in doubles.
    let values: Vec<f64> = (1..=1000).map(f64::from).collect();
    for (name, values, value) in [
        ("p99.9(x, 3h)", &values[..], 999.0),
        ("p999(x, 3h)", &values[..], 999.0),
        ("p7(x, 20m)", &values[..100], 7.0),
        ("quantile(0.55, x, 20m)", &values[..100], 55.0),
        ("p0(x, 20m)", &values[..100], 1.0),
        ("p100(x, 20m)", &values[..100], 100.0),
    ] {
        assert_eq!(run(name, "x", Unit::Count, values).map(|it| it.0), Some(value), "{name}");
    }
}

#[test]
fn a_counter_that_begins_anew_has_grown_by_what_it_holds() {
    let values = [100.0, 160.0, 20.0, 80.0];
    let (rate, unit) = run("rate(x_total)", "x_total", Unit::Count, &values).expect("covered");
    assert!((rate - (60.0 + 20.0 + 60.0) / 30.0).abs() < 1e-9, "{rate}");
    assert_eq!(unit, Unit::PerSecond);
    let unit = |unit| run("rate(x)", "x", unit, &values).map(|(_, unit)| unit);
    assert_eq!(unit(Unit::Bytes), Some(Unit::BytesPerSecond));
    assert_eq!(unit(Unit::Seconds), Some(Unit::Ratio));
}

#[test]
fn a_window_that_was_hardly_seen_is_missing_and_not_wrong() {
    let values = [0.9; 16];
    assert_eq!(run("avg(cpu, 5m)", "cpu", Unit::Ratio, &values[..15]), None);
    assert!(run("avg(cpu, 5m)", "cpu", Unit::Ratio, &values).is_some());
    assert_eq!(run("rate(cpu, 10s)", "cpu", Unit::Ratio, &values[..1]), None);
}

#[test]
fn a_gap_is_not_bridged_by_what_lies_before_it() {
    let start = Instant::now();
    let mut history = History::default();
    history.watch_name("avg(x, 1m)");
    history.watch_name("delta(x, 1m)");
    let mut signals = Signals::new();
    for seconds in [0, 30, 60] {
        signals.set("x", 1.0, Unit::Count, at(start, seconds));
        history.step(&mut signals);
    }
    assert_eq!(signals.get("avg(x, 1m)").map(|it| it.at), Some(at(start, 60)));
    // Ten minutes later: one sample is no minute, and the old average grows old.
    signals.set("x", 9.0, Unit::Count, at(start, 660));
    history.step(&mut signals);
    assert_eq!(signals.get("avg(x, 1m)").map(|it| (it.value, it.at)), Some((1.0, at(start, 60))));
    signals.set("x", 9.0, Unit::Count, at(start, 690));
    history.step(&mut signals);
    assert_eq!(signals.get("avg(x, 1m)").map(|it| it.value), Some(9.0));
    assert_eq!(signals.get("delta(x, 1m)").map(|it| it.value), Some(0.0));
}

#[test]
fn what_a_source_computes_itself_is_left_alone_until_it_stops() {
    let start = Instant::now();
    let mut history = History::default();
    history.watch_name("max(x, 1m)");
    let mut signals = Signals::new();
    for step in 0..=6 {
        signals.set("x", 1.0, Unit::Count, at(start, 10 * step));
        signals.set("max(x, 1m)", 5.0, Unit::Count, at(start, 10 * step));
        history.step(&mut signals);
    }
    assert_eq!(signals.get("max(x, 1m)").map(|it| it.value), Some(5.0));
    signals.set("x", 1.0, Unit::Count, at(start, 70));
    history.step(&mut signals);
    assert_eq!(signals.get("max(x, 1m)").map(|it| it.value), Some(1.0));
}

#[test]
fn windows_nest() {
    let start = Instant::now();
    let mut history = History::default();
    let condition = Condition::parse("max(rate(x, 20s), 1m) > 1/s").expect("parses");
    assert_eq!(history.watch(&condition), 0);
    let mut signals = Signals::new();
    for step in 0..20_u64 {
        let value = if step < 15 { step * 100 } else { 1_400 };
        signals.set("x", value as f64, Unit::Count, at(start, 10 * step));
        history.step(&mut signals);
    }
    assert_eq!(signals.get("rate(x, 20s)").map(|it| it.value), Some(0.0));
    // What was there before the standstill is within the minute.
    assert_eq!(signals.get("max(rate(x, 20s), 1m)").map(|it| it.value), Some(10.0));
}

#[test]
fn memory_is_bounded_and_what_is_refused_is_counted() {
    let config = HistoryConfig { max_samples: 4, max_signals: 2, ..HistoryConfig::default() };
    let mut history = History::new(config).expect("valid");
    let condition =
        Condition::parse("avg(a) > 1 and max(a) > 1 and avg(b) > 1 and avg(c) > 1").expect("ok");
    assert_eq!(history.watch(&condition), 1);
    assert_eq!(history.refused(), 1);
    let start = Instant::now();
    let mut signals = Signals::new();
    for step in 0..1000 {
        for name in ["a", "b", "c"] {
            signals.set(name, 1.0, Unit::Count, at(start, step));
        }
        history.step(&mut signals);
        history.step(&mut signals); // the same samples once more
    }
    assert_eq!(history.samples(), 8);
    // Four seconds of samples are no minute.
    assert_eq!(signals.get("avg(a)"), None);
}

#[test]
fn a_setting_out_of_bounds_is_named() {
    for (config, says) in [
        (
            HistoryConfig { max_samples: 1, ..HistoryConfig::default() },
            "max_samples is 1: must be 2",
        ),
        (HistoryConfig { max_signals: 0, ..HistoryConfig::default() }, "max_signals is 0"),
        (HistoryConfig { min_coverage: f64::NAN, ..HistoryConfig::default() }, "min_coverage"),
    ] {
        let error = History::new(config).expect_err(says).to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn names_that_are_no_windows_are_left_to_the_sources() {
    for name in
        ["x", "odd(x)", "avg(5m)", "avg(x, 5)", "avg(x, 5m, 6m)", "avg(x, 0s)", "quantile(2, x)"]
    {
        assert_eq!(Aggregate::of_name(name), None, "{name}");
    }
}

proptest! {
    /// Against the definition, computed from all samples there ever were.
    #[test]
    fn a_window_is_what_its_definition_says(
        steps in prop::collection::vec((1_u64..40, -100.0..100.0_f64), 1..60),
        window in 20_u64..200,
    ) {
        let start = Instant::now();
        let config = HistoryConfig { min_coverage: 0.0, ..HistoryConfig::default() };
        let mut history = History::new(config).expect("valid");
        let name = |function: &str| {
            let condition = format!("{function}(x, {window}s) > 0");
            let condition = Condition::parse(&condition).expect("parses");
            condition.signals().first().map(ToString::to_string).expect("one")
        };
        let names = ["avg", "min", "max", "p90"].map(name);
        for name in &names {
            history.watch_name(name);
        }
        let mut signals = Signals::new();
        let (mut all, mut seconds) = (Vec::new(), 0);
        for (step, value) in steps {
            seconds += step;
            all.push((seconds, value));
            signals.set("x", value, Unit::Count, at(start, seconds));
            history.step(&mut signals);
            let mut inside: Vec<f64> = all
                .iter()
                .filter(|(then, _)| seconds - then < window)
                .map(|(_, value)| *value)
                .collect();
            inside.sort_by(f64::total_cmp);
            let count = inside.len();
            let rank = (0.9 * count as f64).ceil() as usize - 1;
            let expected =
                [inside.iter().sum::<f64>() / count as f64, inside[0], inside[count - 1], inside[rank]];
            for (name, expected) in names.iter().zip(expected) {
                let got = signals.get(name).map(|it| it.value).expect("published");
                prop_assert!((got - expected).abs() < 1e-9, "{} {} {}", name, got, expected);
            }
        }
    }

    #[test]
    fn no_name_panics(name in "[a-z0-9(), .%]{0,30}") {
        let _ = Aggregate::of_name(&name);
        let _ = Unit::of_name(&name);
        History::default().watch_name(&name);
    }
}
