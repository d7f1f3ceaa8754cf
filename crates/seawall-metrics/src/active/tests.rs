use std::collections::HashSet;

use metrics::with_local_recorder;
use proptest::prelude::*;

use super::*;
use crate::Recorder;

fn active(precision: u8) -> Active {
    Active::new("active_users", ActiveConfig { precision, ..ActiveConfig::default() }).unwrap()
}

fn seconds(start: Instant, seconds: f64) -> Instant {
    start + Duration::from_secs_f64(seconds)
}

/// Relative errors of many estimates: the stated one is the standard error.
#[test]
fn the_error_is_the_stated_one_from_one_to_tens_of_thousands() {
    for precision in [6, 8, 12] {
        let stated = active(precision).relative_error();
        for (count, trials) in
            [(1_u32, 30_u32), (10, 30), (100, 30), (1_000, 30), (5_000, 12), (20_000, 6)]
        {
            let mut squares = 0.0;
            for trial in 0..trials {
                let mut sketch = Sketch::empty(precision);
                for id in 0..count {
                    // As like each other as identities can be.
                    let hash = sketch::hash(&[trial.to_le_bytes(), id.to_le_bytes()].concat());
                    let (register, rank) = sketch::place(hash, precision);
                    sketch.put(register, rank);
                }
                let error = sketch.estimate() / f64::from(count) - 1.0;
                assert!(error.abs() < 5.0 * stated, "{precision} {count}: {error}");
                squares += error * error;
            }
            let standard = (squares / f64::from(trials)).sqrt();
            // A sample of so few is within twice the truth; the hash is fixed.
            assert!(standard < 2.0 * stated, "{precision} {count}: {standard} of {stated}");
        }
    }
}

#[test]
fn who_was_not_seen_within_the_window_no_longer_counts_and_nobody_goes_early() {
    let users = active(12);
    let start = Instant::now();
    for id in 0..1_000 {
        users.seen_at(format!("early-{id}"), start);
    }
    for id in 0..500 {
        users.seen_at(format!("late-{id}"), seconds(start, 200.0));
    }
    let near = |now: f64, expected: f64| {
        let estimate = users.estimate_at(seconds(start, now));
        assert!((estimate - expected).abs() <= expected * 0.06, "{now}: {estimate} of {expected}");
    };
    near(0.0, 1_500.0 - 500.0);
    near(299.0, 1_500.0);
    // At most one step of 50 s more.
    near(351.0, 500.0);
    near(499.0, 500.0);
    near(551.0, 0.0);
    near(100_000.0, 0.0);
}

#[test]
fn a_ring_that_is_used_again_holds_nothing_of_the_round_before() {
    let users = active(10);
    let start = Instant::now();
    for round in 0..50_u32 {
        // Longer than the ring each time, and another slot each time.
        let now = seconds(start, f64::from(round) * 450.0);
        for id in 0..100 {
            users.seen_at(format!("{round}-{id}"), now);
        }
        let estimate = users.estimate_at(now);
        assert!((estimate - 100.0).abs() < 20.0, "{round}: {estimate}");
    }
}

#[test]
fn a_straggler_from_before_the_window_is_not_counted_as_active_now() {
    let users = active(12);
    let start = Instant::now();
    users.seen_at("now", seconds(start, 10_000.0));
    // The same slot, a round earlier.
    users.seen_at("then", seconds(start, 10_000.0 - 400.0));
    let estimate = users.estimate_at(seconds(start, 10_000.0));
    assert!((estimate - 1.0).abs() < 0.1, "{estimate}");
}

#[test]
fn threads_that_see_the_same_users_count_them_once() {
    let users = active(12);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let users = users.clone();
            scope.spawn(move || (0..2_000).for_each(|id| users.seen(format!("user-{id}"))));
        }
    });
    let estimate = users.estimate();
    assert!((estimate - 2_000.0).abs() < 2_000.0 * 0.07, "{estimate}");
}

#[test]
fn two_nodes_merge_to_the_union() {
    let (a, b) = (active(12), active(12));
    for id in 0..3_000 {
        a.seen(format!("user-{id}"));
        b.seen(format!("user-{}", id + 1_500));
    }
    let now = Instant::now();
    let mut union = a.sketch_at(now);
    let sent = Sketch::from_bytes(b.sketch_at(now).as_bytes()).unwrap();
    union.merge(&sent).unwrap();
    let estimate = union.estimate();
    assert!((estimate - 4_500.0).abs() < 4_500.0 * 0.07, "{estimate}");
    assert!(union.merge(&active(11).sketch_at(now)).is_err());
}

#[test]
fn the_hash_is_the_same_on_every_node_and_in_every_version() {
    assert_eq!(sketch::hash(b""), 0xefd0_1f60_ba99_2926);
    let first = sketch::hash(b"user-1");
    assert_eq!((first, sketch::place(first, 12)), GOLDEN);
}

#[test]
fn a_gauge_that_nobody_published_is_not_zero() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let users = with_local_recorder(&recorder, || active(12));
    users.seen("user-17");
    let gauge = || handle.gauge_value("active_users", &[]).unwrap();
    assert!(gauge().is_nan());
    users.publish(Instant::now());
    assert_eq!(gauge(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_gauge_and_the_signal_tell_the_estimate() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let users = with_local_recorder(&recorder, || active(12));
    for id in 0..100 {
        users.seen(format!("user-{id}"));
    }
    let task = tokio::spawn(users.clone().run());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gauge = || handle.gauge_value("active_users", &[]).unwrap();
    assert!((gauge() - 100.0).abs() < 7.0, "{}", gauge());
    let mut signals = Signals::new();
    users.feed(&mut signals, Instant::now());
    assert_eq!(signals.get("active_users").unwrap().unit, Unit::Count);
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!(gauge(), 0.0);
    drop(users);
    task.await.unwrap();
}

#[test]
fn settings_out_of_bounds_are_named() {
    let config = ActiveConfig::default();
    for (config, says) in [
        (ActiveConfig { window: Duration::ZERO, ..config.clone() }, "window is 0"),
        (ActiveConfig { steps: 61, ..config.clone() }, "steps is 61: must be 1 to 60"),
        (ActiveConfig { precision: 17, ..config }, "precision is 17: must be 4 to 16"),
    ] {
        let error = Active::new("x", config).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn bytes_that_are_no_sketch_are_refused() {
    for bytes in [vec![], vec![0; 15], vec![0; 17], vec![0; 8], vec![0; 1 << 17], vec![62; 16]] {
        assert!(Sketch::from_bytes(&bytes).is_err(), "{}", bytes.len());
    }
    // 64 bits, 4 for the register, and one more.
    assert!(Sketch::from_bytes(&[61; 16]).unwrap().estimate() > 1e17);
    assert_eq!(Sketch::from_bytes(&[0; 16]).unwrap().estimate(), 0.0);
}

proptest! {
    #[test]
    fn merging_is_a_union(a in prop::collection::vec(any::<u16>(), 0..300), b in prop::collection::vec(any::<u16>(), 0..300)) {
        let of = |ids: &[u16]| {
            let mut sketch = Sketch::empty(9);
            for id in ids {
                let (register, rank) = sketch::place(sketch::hash(&id.to_le_bytes()), 9);
                sketch.put(register, rank);
            }
            sketch
        };
        let (one, other) = (of(&a), of(&b));
        let mut union = one.clone();
        union.merge(&other).unwrap();
        let mut turned = other.clone();
        turned.merge(&one).unwrap();
        prop_assert_eq!(&union, &turned);
        let both: Vec<u16> = a.iter().chain(&b).copied().collect();
        prop_assert_eq!(&union, &of(&both));
        let mut again = union.clone();
        again.merge(&one).unwrap();
        prop_assert_eq!(&again, &union);
        // Nothing shrinks, and the estimate is near.
        let distinct = both.iter().collect::<HashSet<_>>().len() as f64;
        prop_assert!(union.estimate() >= one.estimate());
        prop_assert!((union.estimate() - distinct).abs() <= 3.0 + distinct * 0.25);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        if let Ok(sketch) = Sketch::from_bytes(&bytes) {
            prop_assert!(sketch.estimate() >= 0.0);
        }
    }
}

/// Of `user-1`: hash, register and rank.
const GOLDEN: (u64, (usize, u8)) = (4_729_620_347_622_785_477, (1_050, 3));
