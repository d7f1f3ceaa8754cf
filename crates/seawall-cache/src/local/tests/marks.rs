//! Marks: what an advance does to entries and to loads in flight.

use super::*;
use crate::marks::Verdict;

fn tag(l1: &L1) -> Arc<Cell> {
    l1.tag("numbers#t:red", 0)
}

/// Fills key 1 with an entry that has the tag red, stamped with `stamp`.
fn fill_tagged(l1: &L1, cell: &Arc<Cell>, stamp: u64) -> Entry<u64> {
    let tagged = Draft { tags: vec![(Arc::clone(cell), stamp)], ..draft(l1, 10, 5) };
    let (kept, entry) = l1.lease(1).fill(tagged, l1.clock().now());
    assert_eq!(kept, Kept::Yes);
    entry
}

fn clear(pattern: &str, hard: bool) -> MarkChange {
    MarkChange::Clear { pattern: pattern.into(), hard }
}

#[tokio::test]
async fn what_has_a_mark_that_is_not_known_is_not_served() {
    let l1 = watched();
    let cell = tag(&l1);
    fill_tagged(&l1, &cell, 50);
    assert!(matches!(look(&l1), Look::Unknown(_)));
    assert!(learn(&l1, &cell, Mark::new(50)));
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn an_advance_elsewhere_makes_the_mark_unknown_and_asks_for_it() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    fill_tagged(&l1, &cell, 50);
    assert_eq!(value(&l1), Some(10));
    l1.changed("numbers#t:red", None);
    assert!(matches!(look(&l1), Look::Unknown(_)));
    assert!(matches!(l1.take_checks(9).as_slice(), [Check::Mark(_)]));
    assert!(learn(&l1, &cell, Mark { soft: 60, ..Mark::new(50) }));
    assert!(matches!(look(&l1), Look::Stale { marked: true, .. }));
    l1.changed("numbers#t:red", None);
    assert!(learn(&l1, &cell, Mark::new(70)));
    assert!(matches!(look(&l1), Look::Miss));
}

#[tokio::test]
async fn an_advance_of_another_tag_costs_one_closer_look() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    fill_tagged(&l1, &cell, 50);
    let other = l1.tag("numbers#t:blue", 0);
    l1.changed(other.text(), None);
    assert_ne!(held(&l1).validated(), l1.coherence().epoch());
    assert_eq!(value(&l1), Some(10));
    assert_eq!(held(&l1).validated(), l1.coherence().epoch(), "the next hit is plain");
}

#[tokio::test]
async fn a_mark_that_is_read_while_it_changes_is_not_believed() {
    let l1 = watched();
    let now = l1.clock().now();
    let cell = tag(&l1);
    let ask = l1.ask(now);
    l1.changed("numbers#t:red", None);
    assert!(!l1.learn(&cell, ask, Mark::new(50), now), "it may be the one from before");
    fill_tagged(&l1, &cell, 50);
    assert!(matches!(look(&l1), Look::Unknown(_)));
    assert!(learn(&l1, &cell, Mark::new(60)));
    assert!(matches!(look(&l1), Look::Miss));
}

#[tokio::test]
async fn a_mark_that_is_read_older_than_told_is_not_believed() {
    let l1 = watched();
    let cell = tag(&l1);
    l1.changed("numbers#t:red", Some(60));
    assert!(!learn(&l1, &cell, Mark::new(50)));
    assert!(learn(&l1, &cell, Mark::new(60)));
}

#[tokio::test(start_paused = true)]
async fn of_two_answers_the_one_that_was_asked_for_later_counts() {
    let l1 = timed();
    let cell = tag(&l1);
    let early = l1.ask(l1.clock().now());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(learn(&l1, &cell, Mark::new(60)));
    assert!(!l1.learn(&cell, early, Mark::new(50), l1.clock().now()));
    fill_tagged(&l1, &cell, 60);
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn a_mark_of_a_node_that_lost_messages_is_unknown() {
    let l1 = watched();
    let cell = l1.tag("numbers#t:red", 1);
    learn(&l1, &cell, Mark::new(50));
    fill_tagged(&l1, &cell, 50);
    l1.lost(Some(1));
    assert!(matches!(look(&l1), Look::Unknown(_)), "the entry itself is on node 0");
    l1.link(1, false);
    assert!(learn(&l1, &cell, Mark::new(50)));
    assert!(matches!(look(&l1), Look::Degraded(_)), "its mark's link is down");
}

#[tokio::test]
async fn our_advance_holds_before_l2_knows_and_if_it_never_answers() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    let mut kept = Vec::new();
    for (change, gone) in [(MarkChange::Soft, false), (MarkChange::Hard, true)] {
        fill_tagged(&l1, &cell, 50);
        assert_eq!(value(&l1), Some(10));
        kept.push(l1.begin_advance(&cell, change, l1.clock().now()));
        match look(&l1) {
            Look::Miss => assert!(gone),
            Look::Stale { marked, .. } => assert!(marked && !gone),
            other => panic!("{other:?}"),
        }
    }
    let now = l1.clock().now();
    let stamps = [(Arc::clone(&cell), 50)];
    assert_eq!(l1.stamped(&1, NAMESPACE, &stamps, 0, now), Stamped::Gone, "L2 has not heard");
    assert_eq!(
        l1.stamped(&1, NAMESPACE, &stamps, l1.coherence().epoch(), now),
        Stamped::Fresh,
        "a load that begins now is from after it"
    );
}

#[tokio::test]
async fn our_advance_voids_the_load_that_began_before() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    let load = l1.lease(1);
    let advance = l1.begin_advance(&cell, MarkChange::Hard, l1.clock().now());
    let tagged = |stamp| Draft { tags: vec![(Arc::clone(&cell), stamp)], ..draft(&l1, 10, 5) };
    assert_eq!(load.fill(tagged(50), l1.clock().now()).0, Kept::No);
    l1.advanced(&cell, advance, Mark::new(60), l1.clock().now());
    assert_eq!(load.fill(tagged(50), l1.clock().now()).0, Kept::No);
    assert_eq!(l1.lease(1).fill(tagged(60), l1.clock().now()).0, Kept::Yes);
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn the_echo_of_our_advance_leaves_the_mark_known_and_asks_for_it() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    let now = l1.clock().now();
    let advance = l1.begin_advance(&cell, MarkChange::Hard, now);
    l1.advanced(&cell, advance, Mark::new(60), now);
    assert!(l1.take_checks(9).is_empty());
    fill_tagged(&l1, &cell, 60);
    l1.changed("numbers#t:red", None);
    assert_eq!(value(&l1), Some(10), "it may have been the echo");
    assert!(matches!(l1.take_checks(9).as_slice(), [Check::Mark(_)]));
    l1.changed("numbers#t:red", None);
    assert!(matches!(look(&l1), Look::Unknown(_)), "there is one echo");
}

#[tokio::test]
async fn an_echo_before_the_answer_to_our_advance_asks_for_the_mark() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    let now = l1.clock().now();
    let advance = l1.begin_advance(&cell, MarkChange::Hard, now);
    l1.changed("numbers#t:red", None);
    l1.take_checks(9);
    l1.advanced(&cell, advance, Mark::new(60), now);
    assert!(matches!(l1.take_checks(9).as_slice(), [Check::Mark(_)]));
}

#[tokio::test]
async fn our_advance_that_another_overtook_leaves_the_mark_to_be_read() {
    let l1 = watched();
    let cell = tag(&l1);
    learn(&l1, &cell, Mark::new(50));
    let now = l1.clock().now();
    let advance = l1.begin_advance(&cell, MarkChange::Soft, now);
    l1.changed("numbers#t:red", Some(60));
    l1.changed("numbers#t:red", Some(61));
    l1.take_checks(9);
    l1.advanced(&cell, advance, Mark { soft: 60, ..Mark::new(50) }, now);
    assert!(matches!(l1.take_checks(9).as_slice(), [Check::Mark(_)]));
    fill_tagged(&l1, &cell, 60);
    assert!(matches!(look(&l1), Look::Unknown(_)));
}

#[tokio::test]
async fn a_version_check_does_not_undo_an_advance_that_l2_has_not_heard_of() {
    let l1 = watched();
    let entry = filled(&l1);
    let cell = Arc::clone(l1.namespace());
    let _pending = l1.begin_advance(&cell, MarkChange::Hard, l1.clock().now());
    assert!(!l1.settle(&1, &entry, (0, 5), l1.coherence().epoch(), l1.clock().now()));
    assert!(matches!(look(&l1), Look::Miss));
    let soft = filled(&l1);
    let _pending = l1.begin_advance(&cell, MarkChange::Soft, l1.clock().now());
    assert!(l1.settle(&1, &soft, (0, 5), l1.coherence().epoch(), l1.clock().now()));
    assert!(matches!(look(&l1), Look::Stale { marked: true, .. }));
}

#[tokio::test]
async fn a_clear_of_a_pattern_concerns_what_matches_and_was_there() {
    for hard in [true, false] {
        let l1 = watched();
        for key in [1, 10, 11, 20] {
            assert!(fill(&l1.lease(key), &l1, key, 5));
        }
        let cell = Arc::clone(l1.namespace());
        let now = l1.clock().now();
        let advance = l1.begin_advance(&cell, clear("1?", hard), now);
        let stands = |key| match l1.look(&key, now) {
            Look::Hit(_) => "hit",
            Look::Stale { marked: true, .. } => "stale",
            Look::Miss => "miss",
            _ => "other",
        };
        let expected = if hard { "miss" } else { "stale" };
        let all = [1, 10, 11, 20].map(stands);
        assert_eq!(all, ["hit", expected, expected, "hit"], "before L2 knows");
        let mut mark = Mark::new(NAMESPACE);
        mark.advance(clear("1?", hard), 110);
        l1.advanced(&cell, advance, mark, now);
        assert_eq!([1, 10, 11, 20].map(stands), all, "and after");
        assert!(fill(&l1.lease(10), &l1, 10, 6));
        assert_eq!(stands(10), "hit");
    }
}

#[tokio::test]
async fn a_look_across_a_clear_is_not_repeated_for_the_next() {
    let l1 = watched();
    filled(&l1);
    let cell = Arc::clone(l1.namespace());
    let mut mark = Mark::new(NAMESPACE);
    mark.advance(clear("2*", true), 110);
    learn(&l1, &cell, mark);
    assert_eq!(value(&l1), Some(10));
    assert_eq!(held(&l1).namespace(), 110, "its stamp is as good as new");
}

#[tokio::test]
async fn a_cleared_namespace_is_swept() {
    let l1 = alone();
    for key in 0..10 {
        assert!(fill(&l1.lease(key), &l1, key, 0));
    }
    let namespace = Arc::clone(l1.namespace());
    l1.advance_alone(&namespace, clear("[0-4]", true), l1.clock().now());
    let mut sweep = l1.sweep(l1.clock().now());
    let mut removed = 0;
    while let Some(some) = sweep.step(&l1, 4) {
        removed += some;
    }
    assert_eq!(removed, 5);
}

#[tokio::test]
async fn a_load_is_stamped_only_with_what_the_mark_was_before_it_began() {
    let l1 = watched();
    let cell = tag(&l1);
    let began = l1.clock().now();
    assert_eq!(l1.stamp(&cell, began), None, "never read");
    let now = began.plus(Duration::from_nanos(1));
    let ask = l1.ask(began);
    assert!(l1.learn(&cell, ask, Mark::new(50), now));
    assert_eq!(l1.stamp(&cell, began), None, "it may have moved between the two");
    assert_eq!(l1.stamp(&cell, now), Some(50));
    assert!(l1.learn(&cell, l1.ask(now), Mark::new(50), began), "unmoved since then, L2 says");
    assert_eq!(l1.stamp(&cell, began), Some(50));
    l1.changed("numbers#t:red", None);
    assert_eq!(l1.stamp(&cell, now), None);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_tells_a_mark_is_good_for_as_long_as_l1_may_answer() {
    let l1 = Arc::new(Local::new(Options { l1_ttl: TTL / 2, ..options() }));
    read_mark(&l1, NAMESPACE);
    tokio::time::advance(TTL / 4).await;
    let entry = Draft { l1: TTL / 2, ..draft(&l1, 10, 5) };
    assert_eq!(l1.lease(1).fill(entry, l1.clock().now()).0, Kept::Yes);
    assert_eq!(value(&l1), Some(10));
    tokio::time::advance(TTL / 4).await;
    assert!(matches!(look(&l1), Look::Unknown(_)), "not for TTL / 2 on top of that");
    assert_eq!(l1.stamp(l1.namespace(), l1.clock().now()), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_without_l2_is_served_although_its_marks_cannot_be_read() {
    let l1 = timed();
    tokio::time::advance(TTL * 2).await;
    let entry = Draft { degraded: true, ..draft(&l1, 10, 0) };
    assert_eq!(l1.lease(1).fill(entry, l1.clock().now()).0, Kept::Yes);
    assert!(matches!(look(&l1), Look::Degraded(entry) if entry.degraded()));
    let _pending = l1.begin_advance(l1.namespace(), MarkChange::Hard, l1.clock().now());
    assert!(matches!(look(&l1), Look::Miss), "but not past an advance of ours");
}

#[tokio::test]
async fn a_mark_that_was_lost_makes_older_and_newer_stamps_gone() {
    let l1 = watched();
    let recreated = Mark::new(40);
    assert_eq!(l1.compare(&1, [(&recreated, 50)]), Verdict::Gone);
    assert_eq!(l1.compare(&1, [(&recreated, 30)]), Verdict::Gone);
    assert_eq!(l1.compare(&1, [(&recreated, 40), (&Mark::new(60), 60)]), Verdict::Fresh);
}

#[tokio::test]
async fn alone_a_load_that_names_a_tag_that_was_invalidated_meanwhile_has_no_stamp() {
    let l1 = alone();
    let began = l1.clock().now();
    assert!(l1.stamp(&tag(&l1), began).is_some());
    let later = began.plus(Duration::from_nanos(1));
    l1.advance_alone(&tag(&l1), MarkChange::Hard, later);
    assert_eq!(l1.stamp(&tag(&l1), began), None, "also if nobody held the tag");
    assert!(l1.stamp(&tag(&l1), later).is_some());
    let other = l1.tag("numbers#t:blue", 0);
    assert!(l1.stamp(&other, began).is_some());
}

#[tokio::test]
async fn alone_a_tag_that_had_to_be_forgotten_refuses_all_new_tags_from_before() {
    let l1 = alone();
    let began = l1.clock().now();
    let later = began.plus(Duration::from_nanos(1));
    l1.advance_alone(&tag(&l1), MarkChange::Hard, later);
    for other in 0..5_000 {
        let other = l1.tag(&format!("numbers#t:{other}"), 0);
        l1.advance_alone(&other, MarkChange::Hard, later);
    }
    assert_eq!(l1.stamp(&tag(&l1), began), None);
    let much_later = later.plus(Duration::from_secs(31));
    let last = l1.tag("numbers#t:last", 0);
    l1.advance_alone(&last, MarkChange::Hard, much_later);
    assert_eq!(l1.stamp(&l1.tag("numbers#t:blue", 0), began), None, "refused a load too many");
    assert!(l1.stamp(&l1.tag("numbers#t:blue", 0), later).is_some());
}

#[tokio::test]
async fn tags_that_nobody_reads_go_away() {
    let l1 = watched();
    let held = tag(&l1);
    for other in 0..10_000 {
        drop(l1.tag(&format!("numbers#t:{other}"), 0));
    }
    assert!(l1.cells.remembered() <= 1_025);
    assert!(Arc::ptr_eq(&held, &tag(&l1)));
}

#[tokio::test(start_paused = true)]
async fn an_advance_is_remembered_for_as_long_as_a_load_waits_and_runs() {
    let l1 = alone();
    let began = l1.clock().now();
    tokio::time::sleep(Duration::from_millis(1)).await;
    l1.advance_alone(&l1.tag("numbers#t:a", 0), MarkChange::Hard, l1.clock().now());
    // A load timeout of waiting, and most of another one of loading.
    tokio::time::sleep(options().load_timeout * 2 - Duration::from_millis(10)).await;
    l1.advance_alone(&l1.tag("numbers#t:b", 0), MarkChange::Hard, l1.clock().now());
    assert_eq!(l1.stamp(&l1.tag("numbers#t:a", 0), began), None, "it began before");
}

#[tokio::test]
async fn advances_that_were_collapsed_hold_until_the_last_is_acknowledged() {
    let l1 = watched();
    let cell = Arc::clone(l1.namespace());
    let begin = |n: usize| l1.begin_advance(&cell, clear(&format!("{n}*"), true), l1.clock().now());
    let mut advances: Vec<_> = (0..=Mark::MAX_CLEARS).map(begin).collect();
    let gone = || l1.stamped(&1, NAMESPACE, &[], 0, l1.clock().now()) == Stamped::Gone;
    let last = advances.pop().expect("many");
    let mark = |version| Mark::new(version);
    // L2 knows of the last one only, which does not concern the key.
    l1.advanced(&cell, last, mark(NAMESPACE), l1.clock().now());
    assert!(gone(), "`1*` is still to be acknowledged");
    for advance in advances {
        assert!(gone());
        l1.advanced(&cell, advance, mark(NAMESPACE), l1.clock().now());
    }
    assert!(!gone());
}
