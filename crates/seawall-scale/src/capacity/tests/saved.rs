use super::*;

/// A day of noon, night, noise and timers, by ticks of 15 s.
fn load(tick: u32) -> f64 {
    let day = f64::from(tick) / 5_760.0 * std::f64::consts::TAU;
    let noise = f64::from(tick.wrapping_mul(2_654_435_761) >> 20) / 4_096.0;
    let timer = if tick % 240 < 6 { 150.0 } else { 0.0 };
    150.0 - 90.0 * day.cos() + 20.0 * noise + timer
}

fn warm() -> Planner {
    let mut planner = planner(20.0);
    play(&mut planner, 0, (0..7_000).map(load));
    planner
}

/// To JSON and back: the tests build it with numbers that keep every bit.
fn through_json(planner: &Planner) -> Planner {
    let text = serde_json::to_string(&planner.save()).expect("writes");
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
    serde_json::from_str::<SavedPlanner>(&text).expect("reads").restore().expect("sound")
}

#[test]
fn a_restart_in_the_middle_plans_on_to_the_bit() {
    let mut on = warm();
    let mut restarted = through_json(&on);
    assert!(on == restarted, "learned the same");
    let plans = play(&mut on, 7_000, (7_000..9_000).map(load));
    assert_eq!(plans, play(&mut restarted, 7_000, (7_000..9_000).map(load)));
    assert!(on == restarted, "and learns the same");
}

#[test]
fn a_new_planner_is_saved_too() {
    let new = planner(7.0);
    assert!(through_json(&new) == new);
}

#[test]
fn another_version_or_a_damaged_state_is_refused_by_name() {
    let saved = serde_json::to_value(warm().save()).expect("writes");
    let restored = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = saved.clone();
        change(&mut value);
        serde_json::from_value::<SavedPlanner>(value).map(SavedPlanner::restore)
    };
    assert!(restored(&|_| ()).expect("reads").is_ok());
    let version = restored(&|value| value["version"] = 99.into()).expect("reads");
    assert_eq!(version.expect_err("refused"), RestoreError::Version { found: 99 });
    let first = restored(&|value| {
        value["version"] = 1.into();
        let learned = value["learned"].as_object_mut().expect("an object");
        assert!(learned.remove("loads").is_some() && learned.remove("sizes").is_some());
    });
    let first = first.expect("reads").expect_err("refused");
    assert_eq!(first, RestoreError::Version { found: 1 });
    let config = restored(&|value| value["config"]["price"] = (-1.0).into()).expect("reads");
    assert!(matches!(config, Err(RestoreError::Config(error)) if error.field == "price"));
    let period = restored(&|value| value["period"] = 0.0.into()).expect("reads");
    assert_eq!(period.expect_err("refused"), RestoreError::Damaged { part: "period" });
    let service = restored(&|value| value["service"]["rate"] = 0.0.into()).expect("reads");
    assert_eq!(service.expect_err("refused"), RestoreError::Damaged { part: "service" });
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 7] = [
        |learned| learned["chosen"] = 10_000.into(),
        |learned| learned["candidates"] = serde_json::Value::Array(Vec::new()),
        |learned| learned["candidates"][3]["hold"] = 1.0.into(),
        |learned| learned["candidates"][0]["tail"]["weights"] = serde_json::json!([1.0]),
        |learned| learned["clocks"][0]["cells"][1]["beyond"][0] = (-1.0).into(),
        |learned| learned["clocks"][1]["inside"] = 1_000_000.into(),
        |learned| learned["weight"] = 0.0.into(),
    ];
    for change in changes {
        let damaged = restored(&|value| change(&mut value["learned"])).expect("reads");
        assert_eq!(damaged.expect_err("refused"), RestoreError::Damaged { part: "learned" });
    }
    let unknown = restored(&|value| value["learned"]["more"] = 1.into());
    assert!(unknown.is_err(), "an unknown field is a typing error");
}
