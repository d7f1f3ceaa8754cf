//! The examples of docs/policies.md, read and decided on.

use std::time::Duration;

use jiff::Zoned;
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use crate::{Policy, State, decide};

const PAGE: &str = include_str!("../../../docs/policies.md");

#[test]
fn every_example_of_the_policies_page_decides_as_it_says() {
    let mut given = 0;
    for block in PAGE.split("```toml").skip(1).filter_map(|rest| rest.split("```").next()) {
        let policy: Policy =
            toml::from_str(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        policy.validate().unwrap_or_else(|error| panic!("{error}\n{block}"));
        let text = toml::to_string(&policy).expect("writes");
        assert_eq!(toml::from_str::<Policy>(&text).expect("reads"), policy, "{text}");
        for line in block.lines().filter_map(|line| line.strip_prefix("# given ")) {
            check(&policy, line);
            given += 1;
        }
    }
    assert!(given >= 30, "only {given} were found: has the form changed?");
}

/// `NAME = VALUE, NAME = VALUE [at TIME] from N then M`
fn check(policy: &Policy, line: &str) {
    let (world, sizes) = line.rsplit_once(" from ").expect(line);
    let (from, then) = sizes.split_once(" then ").expect(line);
    let (world, at) = match world.rsplit_once(" at ") {
        Some((world, at)) => (world, Some(at)),
        None => (world, None),
    };
    let now = Instant::now() + Duration::from_secs(100_000);
    let mut signals = Signals::new();
    let mut rest = world;
    while let Some((name, after)) = rest.split_once(" = ") {
        let (value, next) = after.split_once(", ").unwrap_or((after, ""));
        let (value, unit) = read(value);
        signals.set(name, value, unit, now);
        rest = next;
    }
    let mut state = State::new(from.parse().expect(line));
    if let Some(at) = at {
        let zoned: Zoned = at.parse().expect(line);
        let unix = u64::try_from(zoned.timestamp().as_nanosecond()).expect(line);
        state.set_clock(now, Duration::from_nanos(unix));
    }
    let decision = decide(policy, &state, &signals, now);
    assert_eq!(decision.target.to_string(), then, "{line}\n{}", decision.explain());
}

fn read(text: &str) -> (f64, Unit) {
    let number = |text: &str| text.parse::<f64>().expect(text);
    if let Some(percent) = text.strip_suffix('%') {
        (number(percent) / 100.0, Unit::Ratio)
    } else if let Some(rate) = text.strip_suffix("/s") {
        (number(rate), Unit::PerSecond)
    } else if let Some(time) = text.strip_suffix("ms") {
        (number(time) / 1000.0, Unit::Seconds)
    } else {
        (number(text), Unit::Count)
    }
}
