use super::*;

/// Spreads consecutive numbers over both halves (splitmix64).
fn key(number: u64) -> KeyHash {
    let mix = |mut z: u64| {
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    KeyHash::new(mix(2 * number + 1))
}

/// Of policies that only have a time.
fn table(max_keys: usize, policies: usize) -> Table {
    let ceilings = vec![1 << 40; policies].into_boxed_slice();
    Table::new(max_keys, Layout { ceilings, counts: 0, inherit: Box::new(|_, _| {}) })
}

/// Sets the key's only TAT; tells what it was and whether it is in a shared cell.
fn put(table: &Table, number: u64, now: u64, tat: u64) -> (u64, bool) {
    table.update(key(number), now, |tats, place, _| {
        (std::mem::replace(&mut tats[0], tat), place == Place::Overflow)
    })
}

fn get(table: &Table, number: u64, now: u64) -> u64 {
    table.peek(key(number), now, |tats, _, _| tats[0])
}

#[test]
fn as_many_keys_as_asked_for_fit_almost_without_sharing() {
    for max_keys in [1_000, 65_536, 100_000] {
        let table = table(max_keys, 1);
        let shared =
            (0..max_keys as u64).filter(|number| put(&table, *number, 1, 100 + number).1).count();
        assert!(shared * 1_000 <= max_keys, "{shared} of {max_keys} keys share");
        assert_eq!(table.load(1).live, max_keys - shared);
    }
}

#[test]
fn spraying_keys_evicts_no_live_key_and_takes_no_memory() {
    let table = table(10_000, 1);
    let slots = table.load(0).slots;
    put(&table, 0, 1, 1_000);
    for number in 1..200_000 {
        put(&table, number, 2, 1_000);
    }
    assert_eq!(table.load(0).slots, slots);
    assert_eq!(get(&table, 0, 3), 1_000);
    assert!(!put(&table, 0, 3, 1_000).1);
}

#[test]
fn keys_that_have_refilled_make_room() {
    let table = table(1_000, 1);
    for number in 0..20_000 {
        put(&table, number, 1, 50);
    }
    let shared = (30_000..31_000).filter(|number| put(&table, *number, 100, 200).1).count();
    assert!(shared < 5, "{shared} of 1000 share though all others have refilled");
}

#[test]
fn spending_in_the_overflow_is_not_forgiven_when_a_slot_comes_free() {
    let table = table(1, 1);
    let number = (0..1_000).find(|number| put(&table, *number, 1, 50).1).unwrap();
    // The slots free up at 50; the overflow was charged until 90.
    assert_eq!(put(&table, number, 2, 90), (50, true));
    assert_eq!(put(&table, number, 60, 95), (90, false));
    assert_eq!(get(&table, number, 60), 95);
}

#[test]
fn the_overflow_counts_too_much_and_never_too_little() {
    let table = table(100, 1);
    let mut alone = std::collections::HashMap::new();
    let mut inflated = 0;
    for turn in 0..20_000_u64 {
        let (number, now) = (turn * 7_919 % 3_000, 1 + turn / 100);
        let (before, _) = table.update(key(number), now, |tats, place, now| {
            let before = tats[0];
            tats[0] = before.max(now) + 40;
            (before, place)
        });
        let own = alone.entry(number).or_insert(0_u64);
        assert!(before >= *own || *own <= now, "{number} at {now}: {before}, alone {own}");
        inflated += u32::from(before > *own);
        *own = (*own).max(now) + 40;
    }
    assert!(inflated > 0, "the table never was full: nothing was shown");
    assert!(table.load(200).collision > 0.0);
    assert!(table.load(1 << 41).collision == 0.0);
}

#[test]
fn a_clock_set_back_does_not_leave_the_overflow_charged_for_ever() {
    let table = table(1, 1);
    let shared = (0..200).rfind(|number| put(&table, *number, 1 << 50, (1 << 50) + 9).1);
    assert!(get(&table, shared.unwrap(), 5) <= 5 + (1 << 40));
}

#[test]
fn a_key_that_spends_nothing_takes_no_slot() {
    let table = table(100, 2);
    table.update(key(1), 10, |tats, _, _| tats.fill(10));
    table.peek(key(2), 10, |tats, _, _| tats.fill(99));
    table.amend(key(3), |tats| tats.fill(99));
    assert_eq!(table.load(0).live, 0);
}

#[test]
fn a_clock_read_just_before_the_lock_does_not_take_time_back() {
    let table = table(1, 1);
    let seen = |now| table.update(key(1), now, |_, _, now| now);
    assert_eq!(seen(5_000_000_000), 5_000_000_000);
    assert_eq!(seen(4_999_999_000), 5_000_000_000);
    assert_eq!(seen(1_000_000_000), 1_000_000_000);
    assert_eq!(seen(2_000_000_000), 2_000_000_000);
}

#[test]
fn policies_of_neighbouring_slots_do_not_touch() {
    let table = table(50, 3);
    for number in 0..50 {
        table.update(key(number), 1, |tats, _, _| {
            tats.copy_from_slice(&[100 + number, 200 + number, 300 + number]);
        });
    }
    for number in 0..50 {
        let tats = table.peek(key(number), 1, |tats, _, _| [tats[0], tats[1], tats[2]]);
        assert_eq!(tats, [100 + number, 200 + number, 300 + number]);
    }
}

#[test]
fn two_new_keys_of_one_decision_do_not_take_the_same_slot() {
    let table = table(1, 1);
    let keys: [u64; 8] = std::array::from_fn(|number| number as u64);
    update_all(keys.map(|number| (&table, key(number))), [1; 8], |copies, copy_of| {
        assert_eq!(*copy_of, std::array::from_fn(|index| index));
        for (copy, number) in copies.iter_mut().zip(keys) {
            copy.words_mut()[0] = 100 + number;
        }
    });
    for number in keys {
        assert_eq!(get(&table, number, 2), 100 + number);
    }
}

#[test]
fn a_key_named_twice_is_one_copy() {
    let table = table(10, 1);
    update_all(
        [(&table, key(1)), (&table, key(2)), (&table, key(1))],
        [5; 3],
        |copies, copy_of| {
            assert_eq!(*copy_of, [0, 1, 0]);
            copies[0].words_mut()[0] = 70;
            copies[2].words_mut()[0] = 99;
        },
    );
    assert_eq!((get(&table, 1, 6), get(&table, 2, 6)), (70, 0));
}

#[test]
fn slots_begin_on_a_cache_line_and_the_last_one_is_there() {
    for policies in [1, 2, 3, 16] {
        let table = table(3, policies);
        for number in 0..200 {
            table.update(key(number), 1, |tats, _, _| tats.fill(9));
        }
        assert_eq!(table.load(1).live, table.load(1).slots);
        assert_eq!(table.load(10).live, 0);
    }
}
