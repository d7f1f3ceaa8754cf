use std::time::Duration;

use super::*;
use crate::penalty::PenaltyConfig;

const SECOND: u64 = 1_000_000_000;
const T: u64 = 1_000 * SECOND;

fn law() -> Law {
    Law::new(&PenaltyConfig {
        challenge_after: 2,
        challenge_window: Duration::from_secs(10),
        block_after: 2,
        block_for: Duration::from_secs(30),
        calm: Duration::from_secs(60),
        ..PenaltyConfig::default()
    })
}

fn key(number: u64) -> KeyHash {
    KeyHash::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn violate(table: &Table, number: u64, times: usize, now: u64) -> Noted {
    let law = law();
    let mut noted = Noted::Full;
    for _ in 0..times {
        noted = table.note(key(number), Event::Violation, &law, now);
    }
    noted
}

#[test]
fn a_flood_of_violators_frees_nobody_who_is_challenged_or_blocked() {
    let (table, law) = (Table::new(64), law());
    for number in 0..8 {
        violate(&table, number, 4, T);
        violate(&table, 100 + number, 2, T);
    }
    let held = |now| {
        let standing = |number| table.get(key(number), &law, now).standing;
        let blocked = (0..8).filter(|number| standing(*number) == Standing::Blocked).count();
        let challenged = (100..108).filter(|it| standing(*it) == Standing::Challenge).count();
        (blocked, challenged)
    };
    assert_eq!(held(T), (8, 8));
    for number in 1_000..20_000 {
        violate(&table, number, 1, T + 1);
    }
    assert_eq!(held(T + 2), (8, 8));
    assert!(table.count(Standing::Ok, &law, T + 2) <= 64 - 16);
}

#[test]
fn a_table_full_of_blocked_clients_says_so_and_makes_room_when_they_end() {
    let (table, law) = (Table::new(16), law());
    let mut full = 0;
    for number in 0..40 {
        full += usize::from(violate(&table, number, 4, T) == Noted::Full);
    }
    assert_eq!(full, 40 - 16);
    assert_eq!(table.count(Standing::Blocked, &law, T), 16);
    assert_eq!(violate(&table, 99, 1, T), Noted::Full);
    // They are remembered as challenged until they have been calm.
    let end = T + 90 * SECOND;
    assert_eq!(violate(&table, 99, 1, end - 1), Noted::Full);
    assert!(matches!(violate(&table, 99, 1, end), Noted::Changed(..)));
    assert_eq!(table.count(Standing::Challenge, &law, end), 0);
}

#[test]
fn who_is_forgotten_leaves_no_trace() {
    let (table, law) = (Table::new(16), law());
    violate(&table, 1, 4, T);
    let Noted::Changed(before, after) = table.note(key(1), Event::Forget, &law, T) else {
        panic!("there was room");
    };
    assert_eq!((before.standing, after), (Standing::Blocked, State::default()));
    assert!(table.sets.iter().all(|set| set.lock().iter().all(|slot| slot.tag == 0)));
}
