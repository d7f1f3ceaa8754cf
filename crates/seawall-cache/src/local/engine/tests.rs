//! What every engine does, and what each does by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use tokio::time::Instant;

use super::{AnyEngine, Engine, EngineKind, MokaEngine};

type Entries = AnyEngine<u64, Arc<u64>>;

/// Each function below, with each engine.
macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod on_moka {
            $(#[test] fn $test() { super::$test(super::EngineKind::Moka); })*
        }
        #[cfg(feature = "quick")]
        mod on_quick {
            $(#[test] fn $test() { super::$test(super::EngineKind::Quick); })*
        }
    };
}

conformance![
    finds_what_was_inserted_replaced_and_removed,
    string_keys_are_found_by_str,
    holds_no_more_than_its_capacity_under_a_flood,
    holds_no_more_weight_than_its_capacity,
    an_entry_heavier_than_the_capacity_is_not_held_and_replaces_what_was,
    an_update_may_change_the_weight,
    weight_does_not_drift_when_updates_and_removals_alternate,
    shrinks_and_regrows_while_it_is_read,
    shrunk_to_nothing_it_comes_back,
    entries_in_use_outlive_a_shrink,
    frequent_entries_survive_a_scan,
    retain_and_sweep_drop_only_what_is_unwanted,
    remove_if_leaves_what_its_condition_refuses,
    what_is_changed_in_reach_stays_and_what_is_changed_in_a_clone_does_not,
    values_are_dropped,
    reads_alone_do_not_make_it_grow,
    inserts_alone_do_not_make_it_grow,
    same_keys_over_and_over_from_many_threads_stay_within_the_capacity,
    agrees_with_itself_after_a_storm,
];

fn entries(kind: EngineKind, capacity: u64) -> Entries {
    AnyEngine::new(kind, capacity, false)
}

fn weighted(kind: EngineKind, capacity: u64) -> Entries {
    AnyEngine::new(kind, capacity, true)
}

fn put(engine: &Entries, key: u64, value: u64) {
    assert!(engine.insert(key, Arc::new(value), 1));
}

fn value(engine: &Entries, key: u64) -> Option<u64> {
    engine.get(&key).map(|value| *value)
}

/// Lets the policy catch up, then checks that the engine agrees with itself.
fn settle(engine: &Entries) {
    let mut rounds = 0;
    while engine.upkeep() {
        rounds += 1;
        assert!(rounds < 1_000, "it never gets down to its capacity");
    }
    if let AnyEngine::Moka(engine) = engine {
        // moka drops nothing while any thread of the process may be looking at it, those of other
        // tests included.
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && !engine.disagreements().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(engine.disagreements(), Vec::<String>::new());
    }
    let (mut len, mut seen) = (0, HashMap::new());
    engine.for_each(|key, value| {
        len += 1;
        assert!(seen.insert(*key, **value).is_none(), "{key} is there twice");
    });
    assert_eq!(engine.len(), len);
    assert!(engine.weight() <= engine.capacity() + SLACK, "too heavy: {}", engine.weight());
    for (key, expected) in seen {
        assert_eq!(engine.peek(&key, |value| **value), Some(expected));
    }
}

fn finds_what_was_inserted_replaced_and_removed(kind: EngineKind) {
    let engine = entries(kind, 100);
    assert_eq!(value(&engine, 1), None);
    put(&engine, 1, 10);
    put(&engine, 2, 20);
    assert_eq!((value(&engine, 1), value(&engine, 2)), (Some(10), Some(20)));
    put(&engine, 1, 11);
    assert_eq!((value(&engine, 1), engine.len()), (Some(11), 2));
    assert!(engine.remove(&1));
    assert_eq!((engine.remove(&1), value(&engine, 1), engine.len()), (false, None, 1));
    put(&engine, 1, 12);
    assert_eq!((value(&engine, 1), engine.weight(), engine.evicted()), (Some(12), 2, 0));
    settle(&engine);
}

fn string_keys_are_found_by_str(kind: EngineKind) {
    let engine: AnyEngine<String, u64> = AnyEngine::new(kind, 10, false);
    engine.insert("a lamp".to_owned(), 7, 1);
    assert_eq!((engine.get("a lamp"), engine.get("a chair")), (Some(7), None));
    assert_eq!((engine.peek("a lamp", |value| *value), engine.remove("a lamp")), (Some(7), true));
}

fn holds_no_more_than_its_capacity_under_a_flood(kind: EngineKind) {
    let engine = entries(kind, 1_000);
    for key in 0..50_000 {
        put(&engine, key, key);
        assert!(engine.weight() <= 1_000 + SLACK, "{} after {key}", engine.weight());
    }
    settle(&engine);
    // moka's books are behind its writers when the machine is busy: it then drops some too many.
    assert!(engine.len() > 700, "{} of 1 000", engine.len());
    assert_eq!(engine.evicted() + engine.len(), 50_000);
}

fn holds_no_more_weight_than_its_capacity(kind: EngineKind) {
    const CAPACITY: u64 = 32 << 20;
    let engine = weighted(kind, CAPACITY);
    let mut random = StdRng::seed_from_u64(5);
    for key in 0..20_000 {
        // From 100 bytes to 1 MiB, mostly small.
        let weight = 100_u32 << random.random_range(0..14_u32).min(random.random_range(0..14));
        engine.insert(key, Arc::new(key), weight);
        let bound = CAPACITY + CAPACITY / 8 + (1 << 20);
        assert!(engine.weight() <= bound, "{} after {key}", engine.weight());
    }
    while engine.upkeep() {}
    assert!(engine.weight() <= CAPACITY, "{}", engine.weight());
    assert!(engine.weight() > CAPACITY / 2, "{}", engine.weight());
}

fn an_entry_heavier_than_the_capacity_is_not_held_and_replaces_what_was(kind: EngineKind) {
    let engine = weighted(kind, 1_000);
    assert!(engine.insert(1, Arc::new(1), 900));
    assert!(!engine.insert(1, Arc::new(2), 1_001));
    assert_eq!((value(&engine, 1), engine.weight()), (None, 0));
    assert!(!engine.insert(2, Arc::new(2), u32::MAX));
    engine.set_capacity(500);
    assert!(!engine.insert(3, Arc::new(3), 600));
    assert!(engine.insert(3, Arc::new(3), 400));
    settle(&engine);
    assert_eq!(engine.len(), 1);
}

fn an_update_may_change_the_weight(kind: EngineKind) {
    let engine = weighted(kind, 10_000);
    for weight in [100, 5_000, 100, 100, 2_000, 0] {
        assert!(engine.insert(1, Arc::new(u64::from(weight)), weight));
        assert_eq!(value(&engine, 1), Some(weight.into()));
        assert_eq!(engine.weight(), u64::from(weight.max(1)));
    }
    settle(&engine);
}

fn weight_does_not_drift_when_updates_and_removals_alternate(kind: EngineKind) {
    // moka by itself loses the difference of an update that is removed before it took note.
    let engine = weighted(kind, 100_000);
    for round in 0..2_000 {
        let key = round % 7;
        engine.insert(key, Arc::new(round), 10);
        engine.upkeep();
        engine.insert(key, Arc::new(round), 3_000);
        engine.remove(&key);
    }
    settle(&engine);
    assert_eq!((engine.len(), engine.weight()), (0, 0));
    for key in 0..10_000 {
        engine.insert(key, Arc::new(key), 100);
    }
    settle(&engine);
    assert!(engine.weight() <= 100_000 + SLACK);
}

fn shrinks_and_regrows_while_it_is_read(kind: EngineKind) {
    let engine = entries(kind, 20_000);
    for key in 0..20_000 {
        put(&engine, key, key);
    }
    engine.set_capacity(5_000);
    assert_eq!(engine.capacity(), 5_000);
    settle(&engine);
    let left = engine.len();
    assert!((4_000..=5_000).contains(&left), "{left} of 5 000");
    for key in 20_000..40_000 {
        put(&engine, key, key);
        assert!(engine.weight() <= 5_000 + SLACK);
    }
    engine.set_capacity(u64::MAX);
    assert_eq!(engine.capacity(), 20_000, "not more than it was made with");
    for key in 0..20_000 {
        put(&engine, key, key);
    }
    settle(&engine);
    assert!(engine.len() > 18_000, "{} of 20 000", engine.len());
}

fn shrunk_to_nothing_it_comes_back(kind: EngineKind) {
    let engine = entries(kind, 1_000);
    for key in 0..1_000 {
        put(&engine, key, key);
    }
    engine.set_capacity(0);
    while engine.upkeep() {}
    assert!(engine.len() <= SLACK, "{} are left", engine.len());
    assert!(!engine.insert(1, Arc::new(1), 1));
    assert_eq!(value(&engine, 1), None);
    engine.set_capacity(1_000);
    for key in 0..1_000 {
        put(&engine, key, key);
    }
    settle(&engine);
    assert!(engine.len() > 850, "{} of 1 000", engine.len());
}

fn entries_in_use_outlive_a_shrink(kind: EngineKind) {
    let engine = entries(kind, 10_000);
    for key in 0..10_000 {
        put(&engine, key, key);
    }
    for _ in 0..20 {
        for key in 0..1_000 {
            value(&engine, key);
        }
    }
    engine.set_capacity(2_000);
    settle(&engine);
    let kept = (0..1_000).filter(|key| engine.peek(key, |_| ()).is_some()).count();
    assert!(kept > 900, "{kept} of 1 000 that were in use");
}

fn frequent_entries_survive_a_scan(kind: EngineKind) {
    let engine = entries(kind, 1_000);
    let mut random = StdRng::seed_from_u64(3);
    let zipf = Zipf::new(2_000.0, 0.99).expect("valid");
    let hits = |engine: &Entries, random: &mut StdRng| {
        let draws = (0..20_000).map(|_| zipf.sample(random) as u64);
        let hit = |key: &u64| {
            let hit = value(engine, *key).is_some();
            if !hit {
                put(engine, *key, *key);
            }
            hit
        };
        draws.filter(hit).count()
    };
    hits(&engine, &mut random);
    let before = hits(&engine, &mut random);
    for key in 1_000_000..1_005_000 {
        value(&engine, key);
        put(&engine, key, key);
    }
    let after = hits(&engine, &mut random);
    assert!(after * 100 > before * 92, "{before} hits before the scan, {after} after");
    settle(&engine);
}

fn retain_and_sweep_drop_only_what_is_unwanted(kind: EngineKind) {
    let engine = entries(kind, 50_000);
    for key in 0..40_000 {
        put(&engine, key, key);
    }
    assert_eq!(engine.sweep(usize::MAX, |key, value| key % 4 != 0 && **value == *key), 10_000);
    assert_eq!((engine.len(), engine.weight()), (30_000, 30_000));
    let (mut swept, mut calls) = (0, 0);
    while swept < 10_000 {
        let removed = engine.sweep(1_000, |key, _| key % 4 != 1);
        assert!(removed < 10_000, "all in one call");
        (swept, calls) = (swept + removed, calls + 1);
        assert!(calls < 200, "the sweep does not come round");
    }
    assert_eq!((engine.len(), engine.sweep(1_000_000, |_, _| true)), (20_000, 0));
    assert!((0..40_000).all(|key| engine.peek(&key, |_| ()).is_some() == (key % 4 > 1)));
    settle(&engine);
}

fn remove_if_leaves_what_its_condition_refuses(kind: EngineKind) {
    let engine = entries(kind, 10);
    put(&engine, 1, 10);
    assert!(!engine.remove_if(&1, |value| **value != 10));
    assert_eq!(value(&engine, 1), Some(10));
    assert!(engine.remove_if(&1, |value| **value == 10));
    assert!(!engine.remove_if(&1, |_| true));
    settle(&engine);
}

fn what_is_changed_in_reach_stays_and_what_is_changed_in_a_clone_does_not(kind: EngineKind) {
    for engine in [AnyEngine::new(kind, 10, false), AnyEngine::new(kind, 10, true)] {
        engine.insert(1, Counted::default(), 1);
        let clone = engine.get(&1).expect("in");
        clone.0.store(5, Ordering::Relaxed);
        let seen = || engine.peek(&1, |count| count.0.load(Ordering::Relaxed));
        assert_eq!(seen(), Some(0));
        let before = engine.reach(&1, |count| count.0.fetch_add(7, Ordering::Relaxed));
        assert_eq!((before, seen(), engine.len()), (Some(0), Some(7), 1));
        assert_eq!(engine.reach(&2, |_| ()), None);
    }
}

/// As an entry: a clone has an atomic of its own.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self(AtomicUsize::new(self.0.load(Ordering::Relaxed)))
    }
}

fn values_are_dropped(kind: EngineKind) {
    let value = Arc::new(0);
    let engine: AnyEngine<u64, Arc<u64>> = AnyEngine::new(kind, 100, false);
    for key in 0..10_000 {
        engine.insert(key % 300, Arc::clone(&value), 1);
        if key % 5 == 0 {
            engine.remove(&(key % 70));
        }
        let held = Arc::strong_count(&value);
        // Those in, those moka has not taken note of, and a batch of what readers might still see.
        assert!(held < 100 + 400 + 200, "{held} after {key}");
    }
    drop(engine);
    assert_eq!(Arc::strong_count(&value), 1);
}

fn reads_alone_do_not_make_it_grow(kind: EngineKind) {
    let engine = entries(kind, 100);
    for key in 0..100 {
        put(&engine, key, key);
    }
    settle(&engine);
    let before = engine.len();
    for turn in 0..200_000 {
        value(&engine, turn % 1_000);
    }
    assert_eq!(engine.len(), before);
    settle(&engine);
}

fn inserts_alone_do_not_make_it_grow(kind: EngineKind) {
    let engine = weighted(kind, 64_000);
    for turn in 0..200_000 {
        let weight = 1 + (turn as u32 * 7) % 300;
        engine.insert(turn % 1_000, Arc::new(turn), weight);
        assert!(engine.weight() <= 64_000 * 9 / 8 + 300, "{} after {turn}", engine.weight());
    }
    settle(&engine);
}

/// moka issue 590: with this load an older moka stopped to evict, for ever.
fn same_keys_over_and_over_from_many_threads_stay_within_the_capacity(kind: EngineKind) {
    let engine = weighted(kind, 100_000);
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (engine, most) = (&engine, &most);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(thread);
                for turn in 0..20_000_u64 {
                    let key = random.random_range(0..500);
                    engine.insert(key, Arc::new(turn), random.random_range(1..2_000));
                    if turn % 16 == 0 {
                        engine.remove(&random.random_range(0..500));
                    }
                    most.fetch_max(engine.weight() as usize, Ordering::Relaxed);
                }
            });
        }
    });
    let most = most.into_inner();
    // Each writer may be about to make room for the entry it put in.
    assert!(most <= 100_000 * 9 / 8 + 16 * 2_000, "{most} at most");
    settle(&engine);
}

/// Everything at once on few keys, in changing sizes; afterwards nothing may be left over.
fn agrees_with_itself_after_a_storm(kind: EngineKind) {
    for seed in 0..6 {
        let engine = weighted(kind, 3_000);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let engine = &engine;
                scope.spawn(move || storm(engine, seed * 100 + thread));
            }
        });
        settle(&engine);
        // The first may begin where one of the storm left off.
        assert!((0..2).map(|_| engine.sweep(usize::MAX, |_, _| false)).sum::<u64>() <= 400);
        assert_eq!((engine.len(), engine.weight()), (0, 0));
        settle(&engine);
    }
}

fn storm(engine: &Entries, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for turn in 0..6_000 {
        let key = random.random_range(0..400_u64);
        match random.random_range(0..100) {
            0..50 => {
                engine.insert(key, Arc::new(key), 10 * random.random_range(1..4));
            }
            50..60 => {
                engine.remove(&key);
            }
            60..64 => {
                engine.remove_if(&key, |value| **value % 2 == 0);
            }
            64 => engine.set_capacity(random.random_range(500..4_000)),
            65 => {
                engine.sweep(50, |key, _| !key.is_multiple_of(5));
            }
            66 => {
                engine.upkeep();
            }
            _ => {
                let found = engine.read(&key, |value| **value);
                assert!(found.is_none_or(|value| value == key), "{key} in turn {turn}");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64, u64, u32),
    Remove(u64),
    Read(u64),
    Upkeep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20_u64, any::<u64>(), 1..4_u32).prop_map(|(k, v, w)| Step::Insert(k, v, w)),
        2 => (0..20_u64).prop_map(Step::Remove),
        3 => (0..20_u64).prop_map(Step::Read),
        1 => Just(Step::Upkeep),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    /// With room for all, an engine is a map.
    #[test]
    fn with_room_for_all_it_is_a_map(steps in steps()) {
        for kind in kinds() {
            let engine = weighted(kind, 1_000);
            let mut model: HashMap<u64, (u64, u32)> = HashMap::new();
            for step in &steps {
                match *step {
                    Step::Insert(key, value, weight) => {
                        prop_assert!(engine.insert(key, Arc::new(value), weight));
                        model.insert(key, (value, weight));
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(engine.remove(&key), model.remove(&key).is_some());
                    }
                    Step::Read(key) => {
                        prop_assert_eq!(value(&engine, key), model.get(&key).map(|known| known.0));
                    }
                    Step::Upkeep => {
                        engine.upkeep();
                    }
                }
                let weight: u64 = model.values().map(|known| u64::from(known.1)).sum();
                prop_assert_eq!((engine.len(), engine.weight()), (model.len() as u64, weight));
            }
            settle(&engine);
        }
    }
}

#[test]
fn moka_learns_of_every_miss_and_of_the_first_hit_of_a_season() {
    // Zipf at a tenth of the keys, beside moka by itself, which learns of everything.
    let mut random = StdRng::seed_from_u64(9);
    let zipf = Zipf::new(20_000.0, 0.99).expect("valid");
    let keys: Vec<u64> = (0..200_000).map(|_| zipf.sample(&mut random) as u64).collect();
    let bare = moka::sync::Cache::<u64, ()>::new(2_000);
    let ours = MokaEngine::<u64, ()>::new(2_000, false);
    let (mut bare_hits, mut our_hits) = (0_i64, 0_i64);
    for key in &keys {
        if bare.get(key).is_some() {
            bare_hits += 1;
        } else {
            bare.insert(*key, ());
        }
        if ours.get(key).is_some() {
            our_hits += 1;
        } else {
            ours.insert(*key, (), 1);
        }
    }
    // 3.5 % would be lost if it learnt of no first hits; beside other threads, up to 1 % is: moka
    // drops nothing while one of them may be looking.
    let lost = bare_hits - our_hits;
    assert!(lost * 50 < keys.len() as i64, "{bare_hits} hits by moka, {our_hits} by ours");
}

fn kinds() -> Vec<EngineKind> {
    vec![
        EngineKind::Moka,
        #[cfg(feature = "quick")]
        EngineKind::Quick,
    ]
}

/// Entries that may be in above the capacity: quick_cache rounds up to whole shards, moka takes
/// note of inserts in batches.
const SLACK: u64 = 150;
