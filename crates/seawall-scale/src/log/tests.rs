mod versions;

use std::time::Duration;

use proptest::prelude::*;
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

use super::{Entries, Entry, JsonLines, LogError, Replayed, read, replay, try_policy};
use crate::{
    Bands, Burst, Busy, Churn, Dependency, Engine, Freeze, Kind, Pin, Policy, Queue, Rate, Rates,
    Rule, Scalability, State, Target, Vertical,
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Some of everything that remembers.
fn policy() -> Policy {
    let up = Rule::scale_up("cpu > 80% clear < 60% for 20s").expect("parses");
    let down = Rule::scale_down("queue < 1").expect("parses").cooldown(seconds(45));
    Policy {
        group: "web".into(),
        min: 1,
        max: 60,
        targets: vec![Target::utilisation("cpu", 0.7), Target::per_instance("rate", 90.0)],
        rules: vec![up, down],
        bands: vec![Bands {
            signal: "queue".into(),
            bands: vec![crate::Band {
                from: Some(50.0),
                to: None,
                change: "+20%".parse().expect("parses"),
            }],
            cooldown: None,
        }],
        queues: vec![Queue::new("queue", 2.0)],
        bursts: vec![Burst::new("rate", "short", 100.0)],
        dependencies: vec![Dependency {
            busy: Some(Busy {
                above: 1.2,
                waiting: Some("queue".into()),
                rising: Some(seconds(30)),
                ..Busy::at("cpu")
            }),
            ..Dependency::new("postgres", 10_000, 10)
        }],
        scalability: Some(Scalability {
            settle: Duration::ZERO,
            ..Scalability::new("rate", "queue > 1".parse().expect("parses"))
        }),
        vertical: vec![Vertical::new("memory", "queue", 3.0)],
        kinds: vec![Kind::new("small", 1, 0.1), Kind::new("large", 7, 0.61)],
        cooldown_up: seconds(60),
        cooldown_down: seconds(90),
        window_up: seconds(15),
        window_down: seconds(120),
        rates_down: Rates { policies: vec![Rate::percent(30.0, seconds(60))], ..Rates::default() },
        churn: Some(Churn { changes: 6, within: seconds(300) }),
        ..Policy::default()
    }
}

#[cfg(feature = "schedules")]
fn scheduled() -> Policy {
    use crate::schedule::{Schedule, Time};
    let night = Schedule {
        zone: "Australia/Lord_Howe".parse().expect("a zone"),
        from: Time::constant(1, 45, 0, 0),
        lasts: Some(seconds(600)),
        min: Some(9),
        ..Schedule::new("night")
    };
    Policy { schedules: vec![night], ..policy() }
}

#[cfg(not(feature = "schedules"))]
fn scheduled() -> Policy {
    policy()
}

/// What happens to an engine at one step.
#[derive(Clone, Debug)]
struct Step {
    after: u64,
    values: Vec<Option<f64>>,
    event: u8,
    number: u32,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![
        8 => 0.0..1.5_f64,
        2 => 0.0..20_000.0_f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, 0.1 + 0.2, f64::MIN_POSITIVE]),
    ];
    let values = prop::collection::vec(prop::option::weighted(0.9, value), 4);
    let step = (1_u64..40_000_000_000, values, 0_u8..20, 0_u32..80);
    let step =
        step.prop_map(|(after, values, event, number)| Step { after, values, event, number });
    prop::collection::vec(step, 1..40)
}

/// Drives an engine and answers its log.
fn drive(policy: Policy, steps: &[Step], dry_run: bool) -> Vec<Entry> {
    let entries = Entries::default();
    let mut now = Instant::now() + seconds(1_000_000);
    let mut engine = Engine::new(policy, 5).expect("valid").dry_run(dry_run);
    engine.set_clock(now, seconds(1_790_000_000));
    engine.log_to(entries.clone(), now);
    let mut signals = Signals::new();
    for step in steps {
        now += Duration::from_nanos(step.after);
        for (name, value) in ["cpu", "rate", "short", "queue"].iter().zip(&step.values) {
            if let Some(value) = value {
                let unit = if *name == "cpu" { Unit::Ratio } else { Unit::Count };
                // Measured a moment ago, not now.
                signals.set(name, *value, unit, now - Duration::from_nanos(step.after / 3));
            }
        }
        let until = Some(now + seconds(30));
        match step.event {
            0 => engine.observe(step.number),
            1 => engine.freeze(Some(Freeze {
                until,
                only_down: step.number % 2 == 0,
                by: "x".into(),
            })),
            2 => engine.pin(Some(Pin { size: step.number, until, by: "y".into() })),
            3 => engine.started(Duration::from_nanos(step.after)),
            4 => engine.set_clock(now, seconds(1_790_000_000 + u64::from(step.number) * 3600)),
            5 => {
                engine.pin(None);
                engine.freeze(None);
            }
            7 => engine.unsampled([format!("web-{}", step.number)]),
            6 => {
                let other = Policy { max: 40 + step.number, ..engine.policy().clone() };
                engine.set_policy(other).expect("valid");
            }
            _ => {}
        }
        let _ = engine.tick(&signals, now);
    }
    entries.take()
}

/// Through a file of JSON lines and back.
fn through_a_file(entries: &[Entry]) -> Vec<Entry> {
    let mut file = JsonLines::new(Vec::new());
    for entry in entries {
        super::LogSink::entry(&mut file, entry.clone());
    }
    assert_eq!(file.lost(), 0);
    read(&*file.into_inner()).collect::<Result<_, _>>().expect("reads")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_decision_is_made_again_to_the_bit_from_a_file(
        steps in steps(),
        dry_run in any::<bool>(),
        by_clock in any::<bool>(),
    ) {
        let policy = if by_clock { scheduled() } else { policy() };
        let entries = drive(policy, &steps, dry_run);
        let read = through_a_file(&entries);
        let text = |entries: &[Entry]| serde_json::to_string(entries).expect("writes");
        prop_assert_eq!(text(&entries), text(&read));
        let replayed = replay(&read).expect("replays");
        prop_assert_eq!(replayed.len(), steps.len());
        for each in &replayed {
            prop_assert!(each.same(), "{}", each.tell());
        }
    }

    #[test]
    fn a_restart_in_the_middle_changes_nothing(steps in steps(), at in 0_usize..40) {
        // The state goes to a file and comes back as of another process's clock.
        let entries = drive(scheduled(), &steps, false);
        let replayed = replay(&entries).expect("replays");
        let base = Instant::now() + seconds(9_000_000);
        let Some(Entry::Start { policy, state, .. }) = entries.first() else { unreachable!() };
        let (mut policy, mut state) = ((**policy).clone(), state.restore(base));
        let mut expected = replayed.iter();
        for (index, entry) in entries.iter().enumerate().skip(1) {
            if index == at {
                let moved = Instant::now() + seconds(1_000_000);
                let text = serde_json::to_string(&state.save(moved)).expect("writes");
                let saved: crate::SavedState = serde_json::from_str(&text).expect("reads");
                let again = saved.restore(moved);
                prop_assert_eq!(&again, &state);
                state = again;
            }
            match entry {
                Entry::Decided { at, signals, .. } => {
                    let now = crate::offset::to(base, *at);
                    let signals = super::Logged::restore(signals, base);
                    let decision = crate::decide(&policy, &state, &signals, now);
                    prop_assert!(decision.same(&expected.next().expect("as many").recorded));
                    state.apply(&decision, now);
                }
                Entry::Policy { policy: new } => {
                    state.adopt(&policy, new);
                    policy = (**new).clone();
                }
                Entry::Observe { current } => state.observe(*current),
                Entry::Clock { at, unix } => {
                    state.set_clock(crate::offset::to(base, *at), Duration::from_nanos(*unix));
                }
                Entry::Unsampled { names } => state.unsampled(names),
                Entry::Started { took } => state.started(Duration::from_nanos(*took)),
                Entry::Freeze { freeze } => state.freeze = freeze.as_ref().map(|f| f.restore(base)),
                Entry::Pin { pin } => state.pin = pin.as_ref().map(|pin| pin.restore(base)),
                Entry::Start { .. } => {}
            }
        }
    }
}

/// Ten minutes of a rising load.
fn rising() -> Vec<Entry> {
    let steps: Vec<_> = (0..40)
        .map(|tick| Step {
            after: 15_000_000_000,
            values: vec![Some(0.5 + f64::from(tick) * 0.02), Some(100.0), Some(100.0), Some(0.0)],
            event: 19,
            number: 0,
        })
        .collect();
    drive(policy(), &steps, false)
}

#[test]
fn a_log_that_was_tampered_with_is_noticed() {
    let mut entries = rising();
    let decided = entries.iter_mut().filter_map(|entry| match entry {
        Entry::Decided { signals, .. } => Some(signals),
        _ => None,
    });
    for signals in decided.skip(20).take(1) {
        let cpu = signals.iter_mut().find(|signal| signal.name == "cpu").expect("logged");
        cpu.value += 1e-12;
    }
    let replayed = replay(&entries).expect("replays");
    let differing: Vec<_> = replayed.iter().filter(|each| !each.same()).collect();
    assert_eq!(differing.len(), 1);
    assert!(differing[0].tell().contains(" This time: web "), "{}", differing[0].tell());
}

#[test]
fn each_decision_is_told_in_a_sentence() {
    let told: Vec<_> = replay(&rising()).expect("replays").iter().map(Replayed::tell).collect();
    assert!(told[0].starts_with("00:00:15 web stays at 5 instances: "), "{}", told[0]);
    let grown = told.iter().find(|line| line.contains("scaled up")).expect("it grew");
    assert!(
        grown.contains("web scaled up from 5 to 6 instances: cpu is ")
            && grown.contains("above its target 70 %: wants 6 instances, from 5"),
        "{grown}"
    );
    assert!(told.iter().all(|line| line.ends_with('.')));
}

#[test]
fn another_policy_prints_only_what_it_would_do_otherwise() {
    let entries = rising();
    assert!(try_policy(&entries, &policy()).expect("replays").is_empty());
    let eager = Policy { targets: vec![Target::utilisation("cpu", 0.6)], ..policy() };
    let differing = try_policy(&entries, &eager).expect("replays");
    assert!(!differing.is_empty() && differing.len() < 40);
    for each in differing {
        assert!(each.replayed.target > each.recorded.target, "{}", each.tell());
    }
}

#[test]
fn what_is_no_log_is_refused_by_line() {
    let mut file = JsonLines::new(Vec::new());
    for entry in rising().drain(..3) {
        super::LogSink::entry(&mut file, entry);
    }
    let mut bytes = file.into_inner();
    bytes.truncate(bytes.len() - 20);
    // The first line is empty.
    let entries: Vec<_> = read(&*bytes).collect();
    assert!(matches!(entries[..], [Ok(_), Ok(_), Err(LogError::Line { line: 4, .. })]));
    assert!(matches!(replay(&[Entry::Observe { current: 3 }]), Err(LogError::NoStart)));
    let old = Entry::Start {
        version: 3,
        policy: Box::new(policy()),
        state: Box::new(State::new(1).save(Instant::now())),
    };
    assert!(matches!(replay(&[old]), Err(LogError::Version { entry: 0, version: 3 })));
    assert!(replay(&[]).expect("nothing to replay").is_empty());
}

#[test]
fn a_line_that_is_cut_within_a_letter_is_no_entry_and_no_reason_to_try_again() {
    let by = "J\u{fc}rgen".to_owned();
    let pin = Pin { size: 3, until: None, by };
    let entries = Entries::default();
    let mut engine = Engine::new(policy(), 5).expect("valid");
    engine.log_to(entries.clone(), Instant::now());
    engine.pin(Some(pin));
    let mut file = JsonLines::new(Vec::new());
    for entry in entries.take() {
        super::LogSink::entry(&mut file, entry);
    }
    let mut bytes = file.into_inner();
    let letter = bytes.iter().rposition(|byte| *byte == 0xc3).expect("written as it is");
    bytes.truncate(letter + 1);
    let read: Vec<_> = read(&*bytes).collect();
    assert!(matches!(read[..], [Ok(_), Err(LogError::Line { .. })]), "{:?}", read.last());
}

#[test]
fn an_entry_after_a_torn_one_is_read() {
    /// Takes so many bytes, is full once, and then has room again.
    #[derive(Default)]
    struct Tight(Vec<u8>, bool);
    impl std::io::Write for Tight {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1 || bytes == b"\n" {
                self.0.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            if !self.0.is_empty() {
                self.1 = true;
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(&bytes[..5]);
            Ok(5)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut file = JsonLines::new(Tight::default());
    super::LogSink::entry(&mut file, Entry::Observe { current: 3 });
    super::LogSink::entry(&mut file, Entry::Observe { current: 4 });
    assert_eq!(file.lost(), 1);
    let bytes = file.into_inner().0;
    let read: Vec<_> = read(&*bytes).filter_map(Result::ok).collect();
    assert_eq!(read, [Entry::Observe { current: 4 }]);
}

#[test]
fn a_log_that_goes_on_after_a_crash_begins_anew_on_a_line_of_its_own() {
    let mut bytes = br#"{"entry":"observe","cur"#.to_vec();
    let mut file = JsonLines::new(&mut bytes);
    for entry in rising().drain(..3) {
        super::LogSink::entry(&mut file, entry);
    }
    let entries: Vec<_> = read(&*bytes).filter_map(Result::ok).collect();
    assert_eq!(replay(&entries).expect("has its start").len(), 2);
}

#[test]
fn a_saved_state_with_too_many_starts_keeps_the_last_of_them() {
    let mut state = State::new(1);
    (0..20).for_each(|_| state.started(seconds(10)));
    let now = Instant::now();
    let mut saved = serde_json::to_value(state.save(now)).expect("writes");
    let starts = saved["starts"].as_array_mut().expect("a list");
    starts.extend(std::iter::repeat_n(serde_json::json!(7_000_000_000_u64), 20));
    let saved: crate::SavedState = serde_json::from_value(saved).expect("reads");
    assert_eq!(saved.restore(now).start_delay(&policy()), seconds(7));
}

#[test]
fn a_candidate_does_not_go_on_with_what_other_rules_saw() {
    let with = |rule: &str, target| Policy {
        rules: vec![Rule::scale_up(rule).expect("parses")],
        targets: vec![Target::utilisation("cpu", target)],
        max: 60,
        ..Policy::default()
    };
    let live = with("cpu > 80% clear < 20%", 0.9);
    let candidate = with("queue > 1000 clear < 10", 0.9);
    let now = Instant::now() + seconds(1_000);
    let mut engine = Engine::new(live, 5).expect("valid");
    let mut signals = Signals::new();
    signals.set("cpu", 0.9, Unit::Ratio, now);
    signals.set("queue", 100.0, Unit::Count, now);
    assert_eq!(engine.tick(&signals, now).target, 6);
    engine.freeze(Some(Freeze { until: None, only_down: false, by: "x".into() }));
    let later = now + seconds(400);
    let entries = Entries::default();
    engine.log_to(entries.clone(), later);
    engine.set_shadow(Some(candidate.clone())).expect("valid");
    engine.freeze(None);
    signals.set("cpu", 0.9, Unit::Ratio, later);
    signals.set("queue", 100.0, Unit::Count, later);
    assert_eq!(engine.tick(&signals, later).target, 7);
    let report = engine.shadow().expect("set").clone();
    assert_eq!(report.last.expect("differs").candidate.target, 6, "its rule never held");
    let tried = try_policy(&entries.take(), &candidate).expect("replays");
    assert_eq!(tried[0].replayed.target, 6, "{}", tried[0].tell());
}

#[test]
fn a_full_disk_is_counted_and_stops_nothing() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut file = JsonLines::new(Full);
    super::LogSink::entry(&mut file, Entry::Observe { current: 3 });
    super::LogSink::entry(&mut file, Entry::Observe { current: 4 });
    assert_eq!(file.lost(), 2);
}

#[test]
fn a_state_does_not_grow_with_the_number_of_decisions() {
    let start = Instant::now() + seconds(1_000_000);
    let (policy, mut state) = (scheduled(), State::new(5));
    let mut sizes = Vec::new();
    for tick in 0..12_000_u64 {
        let now = start + seconds(tick);
        let mut signals = Signals::new();
        // A load that never rests: changes, wishes and bursts to remember.
        let load = if tick % 97 < 40 { 4000.0 } else { 300.0 };
        for (name, value) in
            [("cpu", load / 4000.0), ("rate", load), ("short", load), ("queue", 0.0)]
        {
            signals.set(name, value, Unit::None, now);
        }
        state.apply(&crate::decide(&policy, &state, &signals, now), now);
        if tick % 4_000 == 3_999 {
            sizes.push(serde_json::to_string(&state.save(now)).expect("writes").len());
        }
    }
    assert!(sizes[2] < sizes[0] * 11 / 10, "{sizes:?}");
    assert!(sizes[2] < 20_000, "{sizes:?}");
}
