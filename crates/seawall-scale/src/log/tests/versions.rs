//! What older versions wrote down, and how large it may become.

use seawall_signal::{Signals, Unit};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::{Entry, LogError, read, replay};
use super::{policy, rising, seconds, through_a_file};
use crate::{Policy, SavedState, State, decide};

/// What a state has had since the first version.
const FIRST: [&str; 13] = [
    "current",
    "last_up",
    "last_down",
    "added",
    "wishes",
    "holds",
    "freeze",
    "pin",
    "changes",
    "panics",
    "active",
    "starts",
    "wall",
];

#[test]
fn a_state_of_the_first_version_loads_and_decides_the_same() {
    let now = Instant::now() + seconds(1_000);
    let mut state = State::new(7);
    let mut signals = Signals::new();
    signals.set("cpu", 0.9, Unit::Ratio, now);
    let decision = decide(&policy(), &state, &signals, now);
    state.apply(&decision, now);
    let mut saved = serde_json::to_value(state.save(now)).expect("writes");
    saved.as_object_mut().expect("a table").retain(|field, _| FIRST.contains(&field.as_str()));
    let old: SavedState = serde_json::from_value(saved).expect("an older one loads");
    let later = now + seconds(15);
    signals.set("cpu", 0.95, Unit::Ratio, later);
    let of = |state: &State| decide(&Policy::default(), state, &signals, later);
    assert_eq!(of(&old.restore(now)), of(&state));
}

#[test]
fn a_state_must_have_a_size_and_nothing_that_is_not_known() {
    let of = |value: Value| serde_json::from_value::<SavedState>(value);
    assert_eq!(
        of(json!({ "current": 3 })).expect("the least").restore(Instant::now()),
        State::new(3)
    );
    assert!(of(json!({})).is_err(), "a group of none would be started anew");
    assert!(of(json!({ "current": 3, "moods": [] })).is_err(), "of a newer version");
}

#[test]
fn a_state_is_bounded_whatever_was_read_and_seen() {
    let now = Instant::now() + seconds(1_000_000);
    let many: Vec<i64> = (0..100_000).collect();
    let saved = json!({
        "current": 3,
        "added": many.iter().map(|at| json!([at, 1])).collect::<Vec<_>>(),
        "wishes": many.iter().map(|at| json!([at, 1, 1])).collect::<Vec<_>>(),
        "changes": many.iter().map(|at| json!([at, 1, 0])).collect::<Vec<_>>(),
        "starts": many,
        "unsampled": vec!["x".repeat(1_000); 1_000],
        "throughputs": (0..1_000).map(|size| json!([size, vec![json!([0, 1.5]); 100]])).collect::<Vec<_>>(),
    });
    let saved: SavedState = serde_json::from_value(saved).expect("reads");
    let mut state = saved.restore(now);
    let size = |state: &State| serde_json::to_vec(&state.save(now)).expect("writes").len();
    assert!(size(&state) < 100_000, "{}", size(&state));
    // And it does not grow by being used.
    let policy = policy();
    let mut largest = 0;
    for tick in 0..1_500_u32 {
        let at = now + seconds(u64::from(tick) * 15);
        let mut signals = Signals::new();
        let wave = f64::from(tick % 37) / 37.0;
        for (name, value) in [("cpu", wave), ("rate", 1e3 * wave), ("short", 1.0), ("queue", 9.0)] {
            signals.set(name, value, if name == "cpu" { Unit::Ratio } else { Unit::Count }, at);
        }
        let decision = decide(&policy, &state, &signals, at);
        state.apply(&decision, at);
        if tick % 100 == 0 {
            largest = largest.max(size(&state));
        }
    }
    assert!(largest < 100_000, "{largest}");
}

#[test]
fn a_log_of_the_first_version_is_replayed_and_one_of_a_later_is_refused() {
    // The first version knew neither of these.
    let old = |entries: &[Entry], version: u32| -> Vec<Entry> {
        let mut lines = serde_json::to_value(entries).expect("writes");
        let start = &mut lines[0];
        start["version"] = json!(version);
        let fields = |value: &mut Value, keep: &dyn Fn(&str) -> bool| {
            value.as_object_mut().expect("a table").retain(|field, _| keep(field));
        };
        fields(&mut start["state"], &|field| FIRST.contains(&field));
        fields(&mut start["policy"], &|field| !["scalability", "spread"].contains(&field));
        let text: Vec<String> =
            lines.as_array().expect("a list").iter().map(ToString::to_string).collect();
        read(text.join("\n").as_bytes()).collect::<Result<_, _>>().expect("reads")
    };
    let entries = through_a_file(&rising());
    let replayed = replay(&old(&entries, 1)).expect("the first version");
    assert_eq!(replayed.len(), 40);
    assert!(replayed.iter().all(super::Replayed::same));
    for version in [0, 3] {
        let refused = replay(&old(&entries, version));
        assert!(matches!(refused, Err(LogError::Version { entry: 0, .. })), "{version}");
    }
}
