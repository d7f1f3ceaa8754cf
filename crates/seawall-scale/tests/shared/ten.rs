//! Ten entries of every kind over twenty signals: what the test of memory and the bench
//! `scale_engine` decide on.

use seawall_scale::{Band, Bands, Burst, Dependency, Policy, Queue, Rule, Target};

/// Of every kind that looks at signals.
pub(crate) fn policy() -> Policy {
    let band = |from, to, change: &str| Band { from, to, change: change.parse().unwrap() };
    let bands = Bands {
        signal: "signal_9".into(),
        bands: vec![band(None, Some(0.7), "0"), band(Some(0.7), None, "+10%")],
        cooldown: None,
    };
    Policy {
        max: 100,
        targets: (0..4).map(|index| Target::utilisation(format!("signal_{index}"), 0.7)).collect(),
        rules: vec![
            Rule::scale_up("signal_4 > 80% and signal_5 > 50%").unwrap(),
            Rule::scale_up("signal_6 > 90% for 1m").unwrap(),
            Rule::scale_down("signal_7 < 10%").unwrap(),
        ],
        bands: vec![bands],
        queues: vec![Queue::new("signal_10", 0.1).arrivals("signal_11")],
        bursts: vec![Burst::new("signal_12", "signal_13", 0.1)],
        dependencies: vec![Dependency::new("postgres", 2000, 15)],
        ..Policy::default()
    }
}

pub(crate) const NAMES: [&str; 20] = [
    "signal_0",
    "signal_1",
    "signal_2",
    "signal_3",
    "signal_4",
    "signal_5",
    "signal_6",
    "signal_7",
    "signal_8",
    "signal_9",
    "signal_10",
    "signal_11",
    "signal_12",
    "signal_13",
    "signal_14",
    "signal_15",
    "signal_16",
    "signal_17",
    "signal_18",
    "signal_19",
];
