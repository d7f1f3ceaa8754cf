use seawall_signal::Unit;

use super::{codes, cpu, once};
use crate::{Forecast, Outlook, Policy, Skill};

fn policy(forecast: Forecast) -> Policy {
    Policy { forecasts: vec![forecast], ..cpu(0.5) }
}

fn load() -> Forecast {
    Forecast::of_load("forecast", 100.0)
}

#[test]
fn the_larger_of_what_is_and_what_is_foreseen_counts() {
    // Case 20 of the research.
    let at = |cpu, load| {
        let samples = [("cpu", cpu, Unit::Ratio), ("forecast", load, Unit::PerSecond)];
        once(&policy(self::load()), 5, &samples)
    };
    assert_eq!(at(0.9, 200.0).target, 9);
    let foreseen = at(0.2, 900.0);
    assert_eq!((foreseen.target, codes(&foreseen)), (9, vec!["forecast", "target"]));
    assert_eq!(
        foreseen.reasons[0].to_string(),
        "forecast foresees 900 /s: wants 9 instances, from 5"
    );
    assert_eq!(at(0.2, 100.0).target, 2);
}

#[test]
fn the_record_names_horizon_interval_error_and_skill_as_far_as_they_are_known() {
    // Case 20 of the research.
    let name = |text: &str| Some(text.to_owned());
    let outlook = Outlook {
        horizon: name("ahead"),
        low: name("low"),
        high: name("high"),
        error: name("error"),
        missed: name("missed"),
    };
    let policy = policy(Forecast {
        outlook: Some(outlook),
        skill: Some(Skill { signal: "skill".into(), at_least: 0.1 }),
        ..load()
    });
    policy.validate().expect("valid");
    let samples = [
        ("cpu", 0.2, Unit::Ratio),
        ("forecast", 900.0, Unit::PerSecond),
        ("skill", 0.3, Unit::Ratio),
        ("ahead", 105.0, Unit::Seconds),
        ("low", 700.0, Unit::PerSecond),
        ("high", 1100.0, Unit::PerSecond),
        ("error", 0.04, Unit::Ratio),
        ("missed", 0.02, Unit::Ratio),
    ];
    let told = |count| once(&policy, 5, &samples[..count]).reasons[0].to_string();
    assert_eq!(
        told(7),
        "forecast foresees 900 /s in 105 s (700 /s to 1100 /s, off by 4 % so far, skill 30 %): \
         wants 9 instances, from 5"
    );
    assert_eq!(
        told(8),
        "forecast foresees 900 /s in 105 s (700 /s to 1100 /s, off by 4 % so far, missed 2 % so \
         far, skill 30 %): wants 9 instances, from 5"
    );
    // They are only told: without them the decision is the same.
    assert_eq!(told(3), "forecast foresees 900 /s (skill 30 %): wants 9 instances, from 5");
    assert_eq!(
        told(4),
        "forecast foresees 900 /s in 105 s (skill 30 %): wants 9 instances, from 5"
    );
    assert!(policy.signals().contains(&"high"), "the log has it");
}

#[test]
fn a_floor_alone_never_shrinks_and_a_plan_does() {
    let mut alone = policy(load());
    alone.targets.clear();
    let low = [("forecast", 100.0, Unit::PerSecond)];
    assert_eq!(once(&alone, 5, &low).target, 5);
    alone.forecasts = vec![Forecast::plan("forecast")];
    assert_eq!(once(&alone, 5, &[("forecast", 2.0, Unit::Count)]).target, 2);
    assert_eq!(once(&alone, 5, &[]).target, 5);
}

#[test]
fn a_forecast_without_skill_is_left_out_and_said() {
    let skill = Some(Skill { signal: "skill".into(), at_least: 0.1 });
    let gated = policy(Forecast { skill, ..load() });
    let at = |skill| {
        let samples = [
            ("cpu", 0.2, Unit::Ratio),
            ("forecast", 900.0, Unit::PerSecond),
            ("skill", skill, Unit::Ratio),
        ];
        once(&gated, 5, &samples)
    };
    assert_eq!(at(0.1).target, 9);
    let off = at(0.05);
    assert_eq!((off.target, codes(&off)), (2, vec!["target", "forecast_off"]));
    assert_eq!(
        off.reasons[1].to_string(),
        "forecast is left out: its skill is 5 %, and must be 10 %"
    );
}

#[test]
fn a_missing_forecast_keeps_the_size_unless_told_not_to() {
    let samples = [("cpu", 0.2, Unit::Ratio)];
    assert_eq!(once(&policy(load()), 5, &samples).target, 5);
    let lenient = Forecast { ignore_missing: true, ..load() };
    assert_eq!(once(&policy(lenient), 5, &samples).target, 2);
}
