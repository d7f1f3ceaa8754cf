use proptest::prelude::*;

use super::*;

#[test]
fn a_full_table_refuses_the_new_and_never_forgets_the_used() {
    let replay = Replay::new(64);
    let entered: Vec<u64> = (0..64).collect();
    assert!(entered.iter().all(|id| replay.enter(*id, 100, 0) == Entry::New));
    for id in 64..10_000 {
        assert_eq!(replay.enter(id, 100, 50), Entry::Full);
    }
    assert!(entered.iter().all(|id| replay.enter(*id, 100, 99) == Entry::Seen));
    assert_eq!(replay.enter(64, 200, 100), Entry::New);
}

#[test]
fn two_threads_redeem_an_id_once() {
    let replay = Replay::new(1_024);
    let new: usize = std::thread::scope(|scope| {
        let run = || (0..1_000).filter(|id| replay.enter(*id, 9, 0) == Entry::New).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(new, 1_000);
}

proptest! {
    #[test]
    fn nothing_is_new_twice_within_its_time(entries in prop::collection::vec((0..40_u64, 1..20_u64, 0..4_u64), 1..300)) {
        let replay = Replay::new(16);
        let mut used = std::collections::HashMap::new();
        let mut now = 0;
        for (id, lasts, pause) in entries {
            now += pause;
            let seen = used.get(&id).is_some_and(|expires| *expires > now);
            let entry = replay.enter(id, now + lasts, now);
            prop_assert_eq!(entry == Entry::Seen, seen);
            if entry == Entry::New {
                used.insert(id, now + lasts);
            }
        }
    }
}

/// What `docs/challenge.md` says of a memory that fills up.
#[test]
fn hardly_a_good_solution_is_refused_while_half_of_the_memory_is_free() {
    let replay = Replay::new(65_536);
    let refused = |count: u64| {
        let entries = (0..count).map(|_| replay.enter(rand::random(), 100, 0));
        entries.filter(|entry| *entry == Entry::Full).count()
    };
    let half = refused(32_768);
    assert!(half < 100, "{half}");
    let whole = half + refused(32_768);
    assert!((3_000..10_000).contains(&whole), "{whole}");
}
