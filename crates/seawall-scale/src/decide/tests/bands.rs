use seawall_signal::Unit;

use super::{bare, codes, once, seconds, start};
use crate::{Band, Bands, Change, Policy, State, Step, decide};

fn band(from: Option<f64>, to: Option<f64>, change: &str) -> Band {
    Band { from, to, change: change.parse().expect(change) }
}

fn depth(bands: Vec<Band>) -> Policy {
    let bands = Bands { signal: "depth".into(), bands, cooldown: None };
    Policy { bands: vec![bands], ..bare() }
}

fn usual() -> Policy {
    depth(vec![
        band(None, Some(100.0), "-1"),
        band(Some(100.0), Some(1000.0), "0"),
        band(Some(1000.0), Some(5000.0), "+50%"),
        band(Some(5000.0), None, "=20"),
    ])
}

#[test]
fn a_lower_end_belongs_to_its_band_and_an_upper_end_does_not() {
    for (value, expected) in [
        (0.0, 9),
        (99.999, 9),
        (100.0, 10),
        (999.9, 10),
        (1000.0, 15),
        (4999.9, 15),
        (5000.0, 20),
        (1e12, 20),
    ] {
        let decision = once(&usual(), 10, &[("depth", value, Unit::Count)]);
        assert_eq!(decision.target, expected, "{value}");
        assert_eq!(codes(&decision)[0], "band");
    }
    let decision = once(&usual(), 10, &[("depth", 1200.0, Unit::Count)]);
    assert_eq!(decision.explain(), "depth is 1200, at least 1000: wants 15 instances, from 10");
}

#[test]
fn a_band_that_stays_keeps_others_from_shrinking_and_no_band_does_not() {
    let mut policy = usual();
    policy.targets = vec![crate::Target::utilisation("cpu", 0.5)];
    let samples = |depth| [("cpu", 0.1, Unit::Ratio), ("depth", depth, Unit::Count)];
    assert_eq!(once(&policy, 10, &samples(500.0)).target, 10);
    policy.bands[0].bands = vec![band(Some(1000.0), None, "+1")];
    assert_eq!(once(&policy, 10, &samples(500.0)).target, 2);
}

#[test]
fn a_step_counts_what_is_on_the_way() {
    let mut policy = depth(vec![band(Some(10.0), Some(20.0), "+2"), band(Some(20.0), None, "+3")]);
    policy.cooldown_up = seconds(300);
    let (now, mut state) = (start(), State::new(10));
    let mut sizes = Vec::new();
    for (second, depth) in [(0, 15.0), (15, 25.0), (30, 25.0)] {
        let now = now + seconds(second);
        let signals = super::measured(&[("depth", depth, Unit::Count)], now);
        let decision = decide(&policy, &state, &signals, now);
        state.apply(&decision, now);
        sizes.push(decision.target);
    }
    assert_eq!(sizes, [12, 13, 13]);
}

#[test]
fn a_smaller_size_in_a_band_that_grows_is_not_taken() {
    let mut policy = Policy {
        bands: vec![Bands {
            signal: "cpu".into(),
            bands: vec![band(Some(0.8), None, "+1")],
            cooldown: None,
        }],
        ..super::ruled(&[], &["cpu < 50"])
    };
    let samples = [("cpu", 0.45, Unit::Ratio)];
    let decision = once(&policy, 2, &samples);
    assert_eq!((decision.target, codes(&decision)), (2, vec!["rule", "would_flap"]));
    policy.bands.clear();
    assert_eq!(once(&policy, 2, &samples).target, 1);
}

#[test]
fn gaps_overlaps_and_empty_bands_are_refused() {
    let wrong = |bands| depth(bands).validate().expect_err("wrong").to_string();
    let (one, two, three) = (Some(1.0), Some(2.0), Some(3.0));
    assert_eq!(wrong(vec![]), "bands[0]: bands: none, must be at least one");
    assert_eq!(wrong(vec![band(two, one, "+1")]), "bands[0]: bands[0]: from must be less than to");
    for second in [three, one] {
        assert_eq!(
            wrong(vec![band(None, two, "-1"), band(second, None, "+1")]),
            "bands[0]: bands[0]: to must be where the next band is from"
        );
    }
    assert_eq!(wrong(vec![band(None, None, "+0")]), "bands[0]: change: 0, must be at least 1");
    usual().validate().expect("valid");
}

#[test]
fn changes_are_read_as_they_are_written() {
    for change in [
        Change::Add(Step::Instances(2)),
        Change::Remove(Step::Percent(12.5)),
        Change::Exactly(10),
        Change::Stay,
    ] {
        assert_eq!(change.to_string().parse(), Ok(change));
    }
    for text in ["", "2", "+", "=x", "--1", "0%"] {
        text.parse::<Change>().expect_err(text);
    }
}
