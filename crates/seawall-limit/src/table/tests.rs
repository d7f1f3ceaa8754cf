use super::*;

/// Spreads consecutive numbers over both halves (splitmix64).
fn key(number: u64) -> KeyHash {
    let mix = |mut z: u64| {
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    KeyHash { place: mix(2 * number + 1), tag: mix(2 * number + 2).max(1) }
}

/// Sets the key's only TAT; tells what it was and whether it is in a shared cell.
fn put(table: &Table, number: u64, now: u64, tat: u64) -> (u64, bool) {
    table.update(key(number), now, |tats, _| std::mem::replace(&mut tats[0], tat))
}

fn get(table: &Table, number: u64, now: u64) -> u64 {
    table.peek(key(number), now, |tats, _| tats[0])
}

#[test]
fn as_many_keys_as_asked_for_fit_almost_without_sharing() {
    for max_keys in [1_000, 65_536, 100_000] {
        let table = Table::new(max_keys, 1);
        let shared =
            (0..max_keys as u64).filter(|number| put(&table, *number, 1, 100 + number).1).count();
        assert!(shared * 1_000 <= max_keys, "{shared} of {max_keys} keys share");
        assert_eq!(table.live(1), max_keys - shared);
    }
}

#[test]
fn spraying_keys_evicts_no_live_key_and_takes_no_memory() {
    let table = Table::new(10_000, 1);
    let slots = table.slots();
    put(&table, 0, 1, 1_000);
    for number in 1..200_000 {
        put(&table, number, 2, 1_000);
    }
    assert_eq!(table.slots(), slots);
    assert_eq!(get(&table, 0, 3), 1_000);
    assert!(!put(&table, 0, 3, 1_000).1);
}

#[test]
fn keys_that_have_refilled_make_room() {
    let table = Table::new(1_000, 1);
    for number in 0..20_000 {
        put(&table, number, 1, 50);
    }
    let shared = (30_000..31_000).filter(|number| put(&table, *number, 100, 200).1).count();
    assert!(shared < 5, "{shared} of 1000 share though all others have refilled");
}

#[test]
fn spending_in_a_shared_cell_is_not_forgiven_when_a_slot_comes_free() {
    let table = Table::new(1, 1);
    let number = (0..1_000).find(|number| put(&table, *number, 1, 50).1).unwrap();
    // The slots free up at 50; the key's cell was charged until 90.
    assert_eq!(put(&table, number, 2, 90), (50, true));
    assert_eq!(put(&table, number, 60, 95), (90, false));
    assert_eq!(get(&table, number, 60), 95);
}

#[test]
fn a_key_that_spends_nothing_takes_no_slot() {
    let table = Table::new(100, 2);
    table.update(key(1), 10, |tats, _| tats.fill(10));
    table.peek(key(2), 10, |tats, _| tats.fill(99));
    table.amend(key(3), |tats| tats.fill(99));
    assert_eq!(table.live(0), 0);
}

#[test]
fn a_clock_read_just_before_the_lock_does_not_take_time_back() {
    let table = Table::new(1, 1);
    let seen = |now| table.update(key(1), now, |_, now| now).0;
    assert_eq!(seen(5_000_000_000), 5_000_000_000);
    assert_eq!(seen(4_999_999_000), 5_000_000_000);
    assert_eq!(seen(1_000_000_000), 1_000_000_000);
    assert_eq!(seen(2_000_000_000), 2_000_000_000);
}

#[test]
fn policies_of_neighbouring_slots_do_not_touch() {
    let table = Table::new(50, 3);
    for number in 0..50 {
        table.update(key(number), 1, |tats, _| {
            tats.copy_from_slice(&[100 + number, 200 + number, 300 + number]);
        });
    }
    for number in 0..50 {
        let tats = table.peek(key(number), 1, |tats, _| [tats[0], tats[1], tats[2]]);
        assert_eq!(tats, [100 + number, 200 + number, 300 + number]);
    }
}
