use proptest::prelude::*;

use super::*;

fn agrees<K: Number + std::fmt::Debug>(mut numbers: Vec<K>, least: K, wanted: &[K]) {
    numbers.push(least);
    numbers.sort_unstable();
    numbers.dedup();
    let entries: Vec<_> = numbers.iter().copied().zip(0_usize..).collect();
    let radix = Radix::<K, usize, 3, 4>::new(&entries);
    for wanted in wanted.iter().chain(&numbers).copied() {
        let place = numbers.partition_point(|number| *number <= wanted) - 1;
        assert_eq!(radix.get(wanted), place, "{wanted:?} of {}", numbers.len());
    }
}

#[test]
fn the_edges_of_leaves_and_tables_are_found() {
    for count in [0, 1, 2, 3, 4, 5, 11, 12, 13, 47, 48, 49, 257] {
        agrees((0..count).map(|number| number * 3).collect(), 0, &[0, 1, u32::MAX]);
        agrees((0..count).map(|number| u32::MAX - number).collect(), 0, &[0, 1, u32::MAX]);
    }
}

#[test]
fn numbers_that_differ_only_in_the_lower_half_are_told_apart() {
    for upper in [0, 5, u64::MAX] {
        let number = |lower: u64| u128::from(upper) << 64 | u128::from(lower);
        let wanted: Vec<_> = (0..500).map(number).collect();
        agrees((1..200).map(|it| number(it * 2)).collect(), 0, &wanted);
        agrees((0..200).map(|it| number(u64::MAX - it * 2)).collect(), 0, &[number(0), u128::MAX]);
    }
}

#[test]
fn numbers_that_crowd_nest_tables_and_take_no_room_for_what_is_between() {
    // Each half of the rest, so that every table parts few from many.
    let halves: Vec<_> = (0..127).map(|bit| 1_u128 << bit).collect();
    agrees(halves.clone(), 0, &[0, 3, u128::MAX]);
    let crowd = |at: u128| (0..1_000).map(move |number| at | number);
    let crowds: Vec<_> =
        crowd(1 << 60).chain(crowd(1 << 126)).chain(crowd(u128::MAX << 20)).collect();
    let entries: Vec<_> = [0].into_iter().chain(crowds.clone()).collect();
    agrees(crowds, 0, &[(1 << 60) - 1, 1 << 125, u128::MAX]);
    let entries: Vec<_> = entries.into_iter().map(|number| (number, number as u8)).collect();
    let bytes = Radix::<u128, u8, 3, 4>::new(&entries).bytes();
    assert!(bytes < entries.len() * 150, "{bytes}");
}

/// Networks as they come: each begins, and ends where nothing is said.
fn networks() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let wide = any::<u64>();
    let near = any::<u64>().prop_map(|it| it & 0x3_ffff | 0x2001 << 48);
    prop::collection::vec((prop_oneof![wide, near], 0..64_u32), 0..200)
}

#[test]
fn few_numbers_far_apart_take_little_room() {
    for count in [1, 2, 10, 100] {
        let step = u32::MAX / count;
        let entries: Vec<_> = (0..count).map(|place| (place * step, place)).collect();
        let bytes = Radix::<u32, u32, 20, 21>::new(&entries).bytes();
        assert!(bytes < 1_000 + count as usize * 1_000, "{count}: {bytes}");
    }
}

#[test]
fn empty_slots_of_as_many_values_as_numbers_share_leaves() {
    let count = 8_192;
    let step = (1_u64 << 32) / u64::from(count);
    let entries: Vec<_> =
        (0..count).map(|place| ((u64::from(place) * step) as u32, Some(place))).collect();
    let radix = Radix::<u32, Option<u32>, 20, 21>::new(&entries);
    for wanted in (0..=u32::MAX).step_by(65_521) {
        assert_eq!(radix.get(wanted), Some((u64::from(wanted) / step) as u32));
    }
    assert!(radix.bytes() < entries.len() * 600, "{}", radix.bytes());
}

#[test]
fn networks_that_lie_alone_are_one_number_each() {
    let count = 100_000_u64;
    let first = |place: u64| (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20 << 16;
    let mut entries: Vec<_> = (0..count)
        .flat_map(|place| [(first(place), 1_u8), (first(place) + (1 << 16), 0)])
        .chain([(0, 0)])
        .collect();
    entries.sort_unstable();
    entries.dedup_by_key(|(_, value)| *value);
    let radix = Radix::<u64, u8, 7, 8>::new(&entries);
    for place in 0..count {
        let at = first(place);
        assert_eq!([radix.get(at), radix.get(at + 0xffff), radix.get(at + 0x10000)], [1, 1, 0]);
    }
    assert!(radix.bytes() < 20 * count as usize, "{}", radix.bytes());
}

/// The sizes that tables have, where numbers crowd at several widths at once.
fn crowded() -> impl Strategy<Value = Vec<u128>> {
    let crowd = (any::<u128>(), 0..128_u32, prop::collection::vec(any::<u128>(), 1..60));
    let crowds = prop::collection::vec(crowd, 0..6);
    crowds.prop_map(|crowds| {
        let all = crowds
            .into_iter()
            .flat_map(|(at, wide, numbers)| numbers.into_iter().map(move |it| at ^ (it >> wide)));
        all.collect()
    })
}

fn same<K: Number + std::fmt::Debug, const N: usize, const M: usize>(numbers: &[K], zero: K) {
    let mut sorted = numbers.to_vec();
    sorted.push(zero);
    sorted.sort_unstable();
    sorted.dedup();
    // Few values, so that slots which nothing parts share leaves.
    let entries: Vec<_> = sorted.iter().enumerate().map(|(at, it)| (*it, (at % 5) as u8)).collect();
    let radix = Radix::<K, u8, N, M>::new(&entries);
    for number in &sorted {
        let wide = number.wide();
        let most = u128::MAX >> (128 - K::BITS);
        for wanted in
            [wide, wide.saturating_sub(1), (wide + u128::from(wide < most)), wide ^ 1 << 7, most]
        {
            let wanted = K::narrow(wanted);
            let place = sorted.partition_point(|it| *it <= wanted) - 1;
            assert_eq!(radix.get(wanted), (place % 5) as u8, "{wanted:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_ends_by_its_span_says_nothing_past_it(networks in networks()) {
        // Apart, or the later begins with its first number.
        let mut starts = std::collections::BTreeMap::from([(0_u64, 0_u8)]);
        for (place, (at, bits)) in networks.into_iter().enumerate() {
            let first = at >> bits << bits;
            let end = first.checked_add(1 << bits);
            let after = end.map(|end| starts.range(..=end).next_back().map_or(0, |(_, value)| *value));
            starts.retain(|it, _| *it < first || end.is_some_and(|end| *it >= end));
            starts.insert(first, (place % 3) as u8);
            starts.extend(end.zip(after));
        }
        let mut sorted: Vec<_> = starts.into_iter().collect();
        sorted.dedup_by_key(|(_, value)| *value);
        let radix = Radix::<u64, u8, 7, 8>::new(&sorted);
        let around = |it: u64| [it.wrapping_sub(1), it, it.wrapping_add(1), it ^ 1 << 20, it ^ 1 << 50];
        for wanted in sorted.iter().flat_map(|(it, _)| around(*it)) {
            let place = sorted.partition_point(|(it, _)| *it <= wanted) - 1;
            prop_assert_eq!(radix.get(wanted), sorted[place].1, "{:#x}", wanted);
        }
    }

    #[test]
    fn tables_within_tables_find_it_at_every_width(numbers in crowded()) {
        same::<u128, 7, 8>(&numbers, 0);
        let uppers: Vec<_> = numbers.iter().map(|it| (it >> 64) as u64).collect();
        same::<u64, 7, 8>(&uppers, 0);
        let v4: Vec<_> = numbers.iter().map(|it| (it >> 96) as u32).collect();
        same::<u32, 20, 21>(&v4, 0);
    }

    #[test]
    fn it_finds_what_binary_search_finds(numbers in prop::collection::vec(any::<u32>(), 0..300), wanted in prop::collection::vec(any::<u32>(), 0..50)) {
        agrees(numbers, 0, &wanted);
    }

    #[test]
    fn dense_numbers_too(numbers in prop::collection::vec(0..500_u32, 0..300), wanted in prop::collection::vec(0..500_u32, 0..50)) {
        agrees(numbers, 0, &wanted);
    }

    #[test]
    fn few_upper_halves_too(numbers in prop::collection::vec((0..4_u128, 0..90_u128), 0..200), wanted in prop::collection::vec((0..5_u128, 0..91_u128), 0..50)) {
        let whole = |list: Vec<(u128, u128)>| list.into_iter().map(|(upper, lower)| upper << 64 | lower).collect::<Vec<_>>();
        agrees(whole(numbers), 0, &whole(wanted));
    }
}
