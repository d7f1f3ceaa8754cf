use std::time::Duration;

use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::PlanFeed;
use crate::capacity::{Planner, PlannerConfig, Service};
use crate::{Engine, Forecast, Policy, State};

fn feed() -> PlanFeed {
    let service = Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 };
    PlanFeed::new(Planner::new(PlannerConfig::default(), service, 15.0), "load")
}

/// What is published at each quarter of a minute, where the feed is asked every `every` seconds.
fn plans(every: usize) -> Vec<f64> {
    let (mut feed, policy, begun) = (feed(), Policy::default(), Instant::now());
    let mut signals = Signals::new();
    let mut plans = Vec::new();
    for second in (0..7_200_u32).step_by(every) {
        let now = begun + Duration::from_secs(u64::from(second));
        // Rises for ten minutes, and falls.
        let load = 100.0 + f64::from(second.div_euclid(15) % 40) * 10.0;
        signals.set("load", load, Unit::PerSecond, now);
        feed.publish(&mut signals, &policy, &State::new(30), now);
        if second % 15 == 0 {
            plans.push(signals.get("plan").expect("published").value);
        }
    }
    plans
}

#[test]
fn a_decision_before_its_time_does_not_teach_the_planner_twice() {
    // Bursts, cooldowns and windows make an engine decide between two intervals.
    assert_eq!(plans(5), plans(15));
}

#[test]
fn a_plan_between_two_intervals_is_the_last_one_and_as_old() {
    let (mut feed, policy, begun) = (feed(), Policy::default(), Instant::now());
    let mut signals = Signals::new();
    signals.set("load", 100.0, Unit::PerSecond, begun);
    feed.publish(&mut signals, &policy, &State::new(4), begun);
    let first = *signals.get("plan").expect("published");
    let soon = begun + Duration::from_secs(2);
    let mut others = Signals::new();
    others.set("load", 500.0, Unit::PerSecond, soon);
    feed.publish(&mut others, &policy, &State::new(4), soon);
    assert_eq!(others.get("plan"), Some(&first));
}

#[test]
fn the_event_names_the_plan_its_horizon_its_interval_and_how_often_that_did_not_hold() {
    // Case 20 of the research.
    let policy = Policy { max: 100, forecasts: vec![Forecast::plan("plan")], ..Policy::default() };
    policy.validate().expect("valid");
    let (mut feed, mut signals) = (feed(), Signals::new());
    let mut engine = Engine::new(policy, 4).expect("valid");
    let begun = Instant::now();
    let mut explained = Vec::new();
    for tick in 0..40_u32 {
        let now = begun + Duration::from_secs(15) * tick;
        // A step that nobody could know.
        let load = if tick < 20 { 60.0 } else { 300.0 };
        signals.set("load", load, Unit::PerSecond, now);
        feed.publish(&mut signals, engine.policy(), engine.state(), now);
        explained.push(engine.tick(&signals, now).explain());
    }
    let told = |name: &str| signals.get(name).map(|sample| sample.value);
    let (low, plan, high) = (told("plan_low"), told("plan"), told("plan_high"));
    assert!(low <= high && plan >= high && low > Some(30.0), "{low:?} {plan:?} {high:?}");
    let (first, last) = (&explained[0], &explained[39]);
    assert!(first.starts_with("plan foresees 9 in 15 s (7 to 9, missed 0 % so far)"), "{first}");
    let share = told("plan_missed").expect("told");
    // One of forty measurements, of 300 where the others are 60 or 300: 300 of 7 200.
    assert!((share - 300.0 / 7_200.0).abs() < 0.001, "{share}");
    let missed = format!(", missed {} so far)", Unit::Ratio.show(share));
    assert!(last.starts_with("plan foresees ") && last.contains(&missed), "{last}");
}

/// The size after three hours in which each instance finished 20 a second, and what was taken for
/// that: 10 are given.
fn sized(mut feed: PlanFeed, waits: f64) -> (u32, f64) {
    let policy = Policy {
        max: 100,
        forecasts: vec![Forecast::plan("plan")],
        window_down: Duration::from_secs(60),
        cooldown_down: Duration::ZERO,
        ..Policy::default()
    };
    let mut engine = Engine::new(policy, 30).expect("valid");
    let (mut signals, begun) = (Signals::new(), Instant::now());
    for tick in 0..720_u32 {
        let now = begun + Duration::from_secs(15) * tick;
        let load = 200.0 + 40.0 * (f64::from(tick) / 100.0).sin();
        let busy = load / 20.0 / f64::from(engine.state().current);
        signals.set("load", load, Unit::PerSecond, now);
        signals.set("busy", busy, Unit::Ratio, now);
        signals.set("waiting", waits, Unit::Count, now);
        feed.publish(&mut signals, engine.policy(), engine.state(), now);
        let _ = engine.tick(&signals, now);
    }
    (engine.state().current, signals.get("plan_rate").expect("told").value)
}

#[test]
fn what_an_instance_can_do_is_learned_from_how_busy_it_is() {
    let (given, learned) = (sized(feed(), 0.0), sized(feed().learn("busy"), 0.0));
    assert!((given.1 - 10.0).abs() < 1e-9 && given.0 >= 20, "{given:?}");
    assert!((learned.1 / 20.0 - 1.0).abs() < 0.1 && learned.0 <= 16, "{learned:?}");
    assert!(learned.0 >= 10, "{learned:?}");
}

#[test]
fn nothing_is_learned_while_work_waits_or_the_signal_is_missing() {
    let busy = sized(feed().learn("busy").backlog("waiting"), 1_000.0);
    assert!((busy.1 - 10.0).abs() < 1e-9, "{busy:?}");
    let unknown = sized(feed().learn("nothing"), 0.0);
    assert!((unknown.1 - 10.0).abs() < 1e-9, "{unknown:?}");
}

#[test]
fn a_rate_that_is_thought_too_high_is_learned_where_its_backlog_holds_the_group_just_too_small() {
    let policy = Policy {
        max: 200,
        forecasts: vec![Forecast::plan("plan")],
        window_down: Duration::from_secs(60),
        cooldown_down: Duration::ZERO,
        ..Policy::default()
    };
    let mut engine = Engine::new(policy, 30).expect("valid");
    let mut feed = feed().learn("busy").backlog("waiting");
    let (mut signals, begun, mut waits) = (Signals::new(), Instant::now(), 0.0_f64);
    for tick in 0..2_880_u32 {
        let now = begun + Duration::from_secs(15) * tick;
        let load = 200.0 + 40.0 * (f64::from(tick) / 100.0).sin();
        // Five a second each: half of what is given.
        let most = 5.0 * f64::from(engine.state().current);
        signals.set("busy", ((load + waits / 15.0) / most).min(1.0), Unit::Ratio, now);
        waits = (waits + 15.0 * (load - most)).max(0.0);
        signals.set("load", load, Unit::PerSecond, now);
        signals.set("waiting", waits, Unit::Count, now);
        feed.publish(&mut signals, engine.policy(), engine.state(), now);
        let _ = engine.tick(&signals, now);
    }
    let learned = signals.get("plan_rate").expect("told").value;
    assert!((learned / 5.0 - 1.0).abs() < 0.1, "{learned}, {waits} wait");
    assert!(waits < 1.0, "{waits} wait");
}

#[test]
fn a_backlog_that_is_not_known_does_not_shrink_the_group() {
    let begun = Instant::now() + Duration::from_secs(1_000);
    let plan = |backlog: Option<f64>| {
        let (mut feed, mut signals) = (feed().backlog("waiting"), Signals::new());
        signals.set("load", 10.0, Unit::PerSecond, begun);
        if let Some(backlog) = backlog {
            signals.set("waiting", backlog, Unit::Count, begun);
        }
        feed.publish(&mut signals, &Policy::default(), &State::new(40), begun);
        signals.get("plan").expect("published").value
    };
    assert!(plan(Some(0.0)) < 40.0);
    for unknown in [None, Some(f64::NAN), Some(-1.0)] {
        assert!(plan(unknown) >= 40.0, "{unknown:?}");
    }
}
