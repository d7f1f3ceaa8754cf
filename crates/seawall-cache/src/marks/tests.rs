//! What marks say of entries: never less than what was asked for.

use proptest::collection::vec;
use proptest::prelude::{
    Just, Strategy, any, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof, proptest,
};

use super::*;

fn clear(pattern: &str, hard: bool) -> MarkChange {
    MarkChange::Clear { pattern: pattern.into(), hard }
}

fn check(mark: &Mark, stamp: u64, key: &str) -> Verdict {
    mark.check(stamp, || key.into())
}

#[test]
fn an_entry_from_before_a_hard_change_is_gone_and_one_from_after_is_not() {
    let mut mark = Mark::new(100);
    assert_eq!(check(&mark, 100, "k"), Verdict::Fresh);
    assert_eq!(check(&mark, 99, "k"), Verdict::Gone);
    let version = mark.advance(MarkChange::Hard, 200);
    assert_eq!(check(&mark, 100, "k"), Verdict::Gone);
    assert_eq!(check(&mark, version, "k"), Verdict::Fresh);
}

#[test]
fn two_changes_in_the_same_microsecond_are_told_apart() {
    let mut mark = Mark::new(100);
    let first = mark.advance(MarkChange::Hard, 100);
    let second = mark.advance(MarkChange::Hard, 100);
    assert!(100 < first && first < second);
    assert_eq!(check(&mark, first, "k"), Verdict::Gone);
    let after_the_clock_stepped_back = mark.advance(MarkChange::Soft, 50);
    assert!(after_the_clock_stepped_back > second);
}

#[test]
fn a_stamp_from_the_future_is_gone() {
    assert_eq!(check(&Mark::new(100), 101, "k"), Verdict::Gone);
}

#[test]
fn a_soft_change_leaves_entries_stale_and_a_later_hard_one_does_not() {
    let mut mark = Mark::new(100);
    mark.advance(MarkChange::Soft, 200);
    assert_eq!(check(&mark, 100, "k"), Verdict::Stale);
    assert_eq!(check(&mark, 99, "k"), Verdict::Gone);
    mark.advance(MarkChange::Hard, 300);
    assert_eq!(check(&mark, 100, "k"), Verdict::Gone);
    assert_eq!(check(&mark, 200, "k"), Verdict::Gone);
}

#[test]
fn a_clear_concerns_the_keys_that_match_alone() {
    let mut mark = Mark::new(100);
    mark.advance(clear("auction:*:bids", true), 200);
    mark.advance(clear("auction:*", false), 300);
    assert_eq!(check(&mark, 100, "auction:7:bids"), Verdict::Gone);
    assert_eq!(check(&mark, 200, "auction:7:bids"), Verdict::Stale);
    assert_eq!(check(&mark, 100, "auction:7"), Verdict::Stale);
    assert_eq!(check(&mark, 100, "users:7"), Verdict::Fresh);
    assert_eq!(check(&mark, 300, "auction:7:bids"), Verdict::Fresh);
}

#[test]
fn the_key_is_not_asked_for_when_nothing_changed() {
    let mut mark = Mark::new(100);
    let stamp = mark.advance(clear("*", true), 200);
    assert_eq!(mark.check(stamp, || unreachable!("nothing to match")), Verdict::Fresh);
    mark.advance(MarkChange::Soft, 300);
    assert_eq!(mark.check(stamp, || unreachable!("nothing to match")), Verdict::Stale);
}

#[test]
fn a_soft_clear_of_the_same_pattern_keeps_the_hard_one() {
    let mut mark = Mark::new(100);
    mark.advance(clear("a*", true), 200);
    mark.advance(clear("a*", false), 300);
    mark.advance(clear("a*", false), 400);
    assert_eq!(mark.clears.len(), 2);
    assert_eq!(check(&mark, 100, "a"), Verdict::Gone);
    mark.advance(clear("a*", true), 500);
    assert_eq!(mark.clears.len(), 1);
    assert_eq!(check(&mark, 400, "a"), Verdict::Gone);
}

#[test]
fn more_clears_than_fit_invalidate_more_not_less() {
    let mut mark = Mark::new(100);
    for number in 0..=Mark::MAX_CLEARS as u64 {
        mark.advance(clear(&format!("p{number}"), number % 2 == 0), 200 + number);
    }
    assert_eq!(mark.clears.len(), Mark::MAX_CLEARS);
    assert_eq!(mark.hard, 200, "the oldest became one of all keys");
    assert_eq!(check(&mark, 100, "unrelated"), Verdict::Gone);
    assert_eq!(check(&mark, 200, "unrelated"), Verdict::Fresh);
    assert_eq!(check(&mark, 200, "p1"), Verdict::Stale);
}

#[test]
fn a_pattern_that_is_too_long_concerns_all_keys() {
    let long = "x".repeat(Mark::MAX_PATTERN + 1);
    assert_eq!(clear(&long, true).bounded(), MarkChange::Hard);
    assert_eq!(clear(&long, false).bounded(), MarkChange::Soft);
    let mark = Mark {
        clears: vec![Clear { version: 1, hard: true, pattern: long.into() }],
        ..Mark::new(9)
    };
    let read = Mark::from_bytes(&mark.to_bytes()).expect("a mark");
    assert_eq!(&*read.clears[0].pattern, "*");
}

#[test]
fn a_pattern_that_is_no_text_matches_everything() {
    let mark = Mark {
        clears: vec![Clear { version: 11, hard: true, pattern: "a".into() }],
        ..Mark::new(9)
    };
    let mut bytes = mark.to_bytes();
    *bytes.last_mut().expect("the pattern") = 0xff;
    let mark = Mark::from_bytes(&bytes).expect("a mark");
    assert_eq!(check(&mark, 9, "anything"), Verdict::Gone);
}

/// If this fails, running nodes of the last release would not read what this one writes.
#[test]
fn format_1_stays_as_it_is() {
    let clears = vec![Clear { version: 3, hard: true, pattern: "a*".into() }];
    let mark = Mark { hard: 1, soft: 2, clears };
    let bytes = b"SWM\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\
        \x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x01\x00\x02a*";
    assert_eq!(mark.to_bytes(), bytes);
    assert_eq!(Mark::from_bytes(bytes), Some(mark));
}

fn changes() -> impl Strategy<Value = Vec<MarkChange>> {
    let clear = ("[ab*?]{0,3}", any::<bool>())
        .prop_map(|(pattern, hard)| MarkChange::Clear { pattern, hard });
    vec(prop_oneof![1 => Just(MarkChange::Hard), 2 => Just(MarkChange::Soft), 12 => clear], 0..100)
}

/// What each change asks for, without any bound on what is remembered.
fn asked(log: &[(u64, MarkChange)], stamp: u64, key: &str) -> Verdict {
    let newer = log.iter().filter(|(version, _)| *version > stamp);
    let verdicts = newer.map(|(_, change)| match change {
        MarkChange::Hard => Verdict::Gone,
        MarkChange::Soft => Verdict::Stale,
        MarkChange::Clear { pattern, hard } => match (glob::matches(pattern, key), *hard) {
            (false, _) => Verdict::Fresh,
            (true, true) => Verdict::Gone,
            (true, false) => Verdict::Stale,
        },
    });
    verdicts.max().unwrap_or(Verdict::Fresh)
}

proptest! {
    /// Entries take their stamp after any of the changes.
    #[test]
    fn no_entry_survives_a_change_that_concerns_it(changes in changes(), key in "[ab]{0,3}") {
        let mut mark = Mark::new(1_000);
        let mut log = Vec::new();
        let mut stamps = vec![1_000];
        for change in changes {
            let version = mark.advance(change.clone(), 1_000);
            prop_assert_eq!(mark.version(), version);
            stamps.push(version);
            log.push((version, change));
        }
        for stamp in &stamps {
            let says = check(&mark, *stamp, &key);
            prop_assert!(says >= asked(&log, *stamp, &key), "{} {:?}", stamp, mark);
            if log.len() <= Mark::MAX_CLEARS {
                prop_assert_eq!(says, asked(&log, *stamp, &key), "no more than that");
            }
        }
    }

    #[test]
    fn what_is_written_is_read(changes in changes(), start in 1_u64..1 << 52) {
        let mut mark = Mark::new(start);
        for change in changes {
            mark.advance(change, start);
        }
        prop_assert_eq!(Mark::from_bytes(&mark.to_bytes()), Some(mark));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, changes in changes(), cut in any::<proptest::sample::Index>()) {
        let _ = Mark::from_bytes(&bytes);
        let mut mark = Mark::new(7);
        for change in changes {
            mark.advance(change, 7);
        }
        let mut written = mark.to_bytes();
        let cut = cut.index(written.len());
        prop_assert_eq!(Mark::from_bytes(&written[..cut]), None, "truncated");
        written.extend_from_slice(&bytes);
        prop_assert!(bytes.is_empty() || Mark::from_bytes(&written).is_none(), "too long");
        prop_assert_ne!(Mark::from_bytes(&mark.to_bytes()), None);
    }
}
