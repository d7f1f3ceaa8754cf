#[cfg(all(feature = "serde", feature = "schedules"))]
mod documented;
mod ping_pong;

use std::time::Duration;

use crate::{Policy, PolicyError, Rule, Step, StepLimit, Target};

#[test]
fn the_default_is_valid() {
    Policy::default().validate().expect("valid");
}

#[test]
fn each_field_out_of_bounds_is_named_with_its_value() {
    let wrong = |change: fn(&mut Policy)| {
        let mut policy = Policy {
            targets: vec![Target::utilisation("cpu", 0.7)],
            rules: vec![Rule::scale_up("cpu > 80%").expect("parses")],
            ..Policy::default()
        };
        policy.validate().expect("valid before");
        change(&mut policy);
        policy.validate().expect_err("out of bounds").to_string()
    };
    let nothing = |p: &mut Policy| {
        p.limit_down = Some(StepLimit { instances: 0, percent: 0.0 });
    };
    for (text, expected) in [
        (wrong(|p| p.group.clear()), "group: 0 bytes long, must be 1 to 100"),
        (wrong(|p| p.group = "x".repeat(101)), "group: 101 bytes long, must be 1 to 100"),
        (wrong(|p| p.max = 0), "max: 0, must be at least 1"),
        (wrong(|p| p.min = 11), "min: 11, must be at most max, which is 10"),
        (wrong(|p| p.tolerance = 1.0), "tolerance: 1, must be 0 to below 1"),
        (wrong(|p| p.tolerance = f64::NAN), "tolerance: NaN, must be 0 to below 1"),
        (wrong(|p| p.max_signal_age = Duration::ZERO), "max_signal_age: 0ns, must be 1s to 86400s"),
        (
            wrong(|p| p.cooldown_up = Duration::from_secs(604_801)),
            "cooldown_up: 604801s, must be 0ns to 604800s",
        ),
        (
            wrong(nothing),
            "limit_down.percent: 0, must be finite and not negative, and above 0 if instances is 0",
        ),
        (
            wrong(|p| p.targets[0] = Target::utilisation("cpu", 70.0)),
            "targets[0]: goal.utilisation: 70, must be a ratio above 0 and at most 10",
        ),
        (
            wrong(|p| p.targets[0] = Target::total("cpu", f64::INFINITY)),
            "targets[0]: goal.total: inf, must be finite and above 0",
        ),
        (
            wrong(|p| p.targets[0].signal.clear()),
            "targets[0]: signal: empty, must be a signal's name",
        ),
        (wrong(|p| p.rules[0].by = Step::Instances(0)), "rules[0]: by: 0, must be at least 1"),
        (
            wrong(|p| p.rules[0].by = Step::Percent(f64::NAN)),
            "rules[0]: by: NaN, must be above 0 and at most 1000 per cent",
        ),
        (
            wrong(|p| p.rules[0].cooldown = Some(Duration::MAX)),
            "rules[0]: cooldown: 18446744073709551615.999999999s, must be 0ns to 604800s",
        ),
    ] {
        assert_eq!(text, expected);
    }
}

#[test]
fn steps_are_read_as_they_are_written() {
    for step in [Step::Instances(2), Step::Percent(12.5)] {
        assert_eq!(step.to_string().parse(), Ok(step));
    }
    assert_eq!("50 %".parse(), Ok(Step::Percent(50.0)));
    for text in ["", "%", "-1", "two", "1.5"] {
        assert_eq!(text.parse::<Step>(), Err(PolicyError::StepText), "{text}");
    }
}

#[test]
fn signals_are_listed_once() {
    let policy = Policy {
        targets: vec![Target::utilisation("cpu", 0.7), Target::utilisation("ram", 0.8)],
        rules: vec![Rule::scale_up("cpu > 80% or absent(p95(x))").expect("parses")],
        ..Policy::default()
    };
    assert_eq!(policy.signals(), ["cpu", "p95(x)", "ram"]);
}

#[test]
fn what_an_outlook_names_is_listed_and_may_be_unknown() {
    let forecasts = vec![crate::Forecast::plan("plan")];
    let policy = Policy { forecasts, ..Policy::default() };
    let all = ["plan", "plan_high", "plan_horizon", "plan_low", "plan_missed"];
    assert_eq!(policy.signals(), all);
    let units = |names: &[&str]| -> seawall_signal::Units {
        names.iter().map(|name| ((*name).to_owned(), seawall_signal::Unit::Count)).collect()
    };
    assert_eq!(policy.lint(&units(&["plan"])), []);
    assert_eq!(policy.lint(&units(&all[1..])).len(), 1, "the plan itself decides");
}

#[cfg(feature = "serde")]
mod files {
    use super::*;
    use crate::{Goal, RuleAction};

    #[test]
    fn a_rule_file_reads_as_the_requirements_write_it() {
        let text = r#"{ "condition": "cpu_usage > 80", "action": "scale_up", "cooldown": 300 }"#;
        let rule: Rule = serde_json::from_str(text).expect("parses");
        assert_eq!(rule.condition.to_string(), "cpu_usage > 80");
        assert_eq!(rule.action, RuleAction::ScaleUp);
        assert_eq!(rule.cooldown, Some(Duration::from_secs(300)));
        assert_eq!((rule.by, rule.priority), (Step::Instances(1), 0));
    }

    #[test]
    fn a_whole_policy_survives_a_file() {
        let text = r#"
            group = "auction"
            min = 3
            max = 20
            cooldown_up = 300
            cooldown_down = "10m"
            limit_up = { instances = 4, percent = 100.0 }

            [[targets]]
            signal = "cpu_usage"
            goal = { utilisation = 0.7 }

            [[targets]]
            signal = "rate(requests)"
            goal = { per_instance = 1000.0 }

            [[rules]]
            condition = "p95(http_request_duration) > 500ms for 2m"
            action = "scale_up"
            by = "50%"
            cooldown = "90s"
        "#;
        let policy: Policy = toml::from_str(text).expect("parses");
        policy.validate().expect("valid");
        assert_eq!(policy.cooldown_down, Duration::from_secs(600));
        assert_eq!(policy.targets[1].goal, Goal::PerInstance(1000.0));
        assert_eq!(policy.rules[0].by, Step::Percent(50.0));
        assert_eq!(policy.window_down, Policy::default().window_down);

        let toml: Policy =
            toml::from_str(&toml::to_string(&policy).expect("writes")).expect("reads");
        assert_eq!(toml, policy);
        let json = serde_json::to_string(&policy).expect("writes");
        assert_eq!(serde_json::from_str::<Policy>(&json).expect("reads"), policy);
    }

    #[test]
    fn mistakes_in_files_are_refused_and_named() {
        for (text, part) in [
            ("maximum = 5", "unknown field `maximum`"),
            ("cooldown_up = -1", "a number of seconds such as 300"),
            ("cooldown_up = \"soon\"", "a number of seconds such as 300"),
            ("[[rules]]\ncondition = \"cpu over 80\"\naction = \"scale_up\"", "column 5"),
            (
                "[[rules]]\ncondition = \"cpu > 80\"\naction = \"scale_up\"\nby = \"lots\"",
                "must be a number of instances",
            ),
        ] {
            let error = toml::from_str::<Policy>(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
