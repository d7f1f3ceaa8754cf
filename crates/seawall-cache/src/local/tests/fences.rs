//! The fences of a key.

use super::*;

#[tokio::test]
async fn a_removal_voids_the_fill_that_began_before() {
    let l1 = alone();
    let load = l1.lease(1);
    l1.lease(1).remove();
    assert!(!fill(&load, &l1, 10, 0));
    assert_eq!(value(&l1), None);
    assert!(fill(&l1.lease(1), &l1, 11, 0), "a later one is good");
    assert_eq!(value(&l1), Some(11));
}

#[tokio::test]
async fn a_removal_of_another_key_voids_nothing() {
    let l1 = alone();
    let load = l1.lease(1);
    for other in 2..1_000 {
        l1.lease(other).remove();
    }
    assert!(fill(&load, &l1, 10, 0));
}

#[tokio::test]
async fn a_fill_does_not_replace_what_was_set_meanwhile() {
    let l1 = alone();
    let (load, set) = (l1.lease(1), l1.lease(1));
    assert!(end_write(&set, &l1, 20, 5));
    assert!(!fill(&load, &l1, 10, 0));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn a_load_that_began_while_a_set_was_under_way_is_void() {
    let l1 = alone();
    let (set, load) = (l1.lease(1), l1.lease(1));
    assert!(end_write(&set, &l1, 20, 5));
    assert!(!fill(&load, &l1, 10, 0), "it may have read L2 before the set");
}

#[tokio::test]
async fn of_two_sets_the_newer_version_stays_whatever_order_they_end_in() {
    let l1 = alone();
    let (first, second) = (l1.lease(1), l1.lease(1));
    assert!(end_write(&second, &l1, 20, 6));
    assert!(!end_write(&first, &l1, 10, 5));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn a_set_that_ends_after_a_removal_is_void() {
    let l1 = alone();
    let set = l1.lease(1);
    l1.lease(1).remove();
    assert!(!end_write(&set, &l1, 10, 5));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_set_that_ends_after_a_removal_leaves_no_older_value_either() {
    let l1 = timed();
    let set = l1.lease(1);
    l1.lease(1).remove();
    assert!(fill(&l1.lease(1), &l1, 10, 4), "loaded before the set reached L2");
    assert!(!end_write(&set, &l1, 20, 5));
    assert_eq!(value(&l1), None, "L2 has the one that was set");
}

#[tokio::test]
async fn a_set_whose_answer_is_late_does_not_replace_what_another_node_wrote_after_it() {
    let l1 = timed();
    let set = l1.lease(1);
    assert!(fill(&l1.lease(1), &l1, 30, 7), "another node's, read from L2");
    assert!(!end_write(&set, &l1, 20, 6));
    assert_eq!(value(&l1), Some(30));
}

#[tokio::test]
async fn a_set_that_l2_did_not_acknowledge_replaces_what_was_there() {
    let l1 = timed();
    filled(&l1);
    let set = l1.lease(1);
    let kept = set.end_write(draft(&l1, 20, set.written()), false, l1.clock().now());
    assert_eq!(kept, Kept::Yes);
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn a_set_that_l2_did_not_acknowledge_does_not_replace_one_that_ended_meanwhile() {
    let l1 = timed();
    let lost = l1.lease(1);
    assert!(end_write(&l1.lease(1), &l1, 20, 6));
    let kept = lost.end_write(draft(&l1, 10, lost.written()), false, l1.clock().now());
    assert_eq!(kept, Kept::No, "L2 may have had it first");
    assert_eq!(value(&l1), None, "or last");
}

#[tokio::test]
async fn a_set_with_an_older_source_does_not_replace_a_newer_one() {
    let l1 = timed();
    let newer = Draft { source: 9, ..draft(&l1, 10, 5) };
    assert_eq!(l1.lease(1).fill(newer, l1.clock().now()).0, Kept::Yes);
    let older = Draft { source: 8, ..draft(&l1, 20, 6) };
    assert_eq!(l1.lease(1).end_write(older, true, l1.clock().now()), Kept::No);
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn a_slow_back_fill_does_not_replace_a_newer_one() {
    let l1 = timed();
    let (slow, quick) = (l1.lease(1), l1.lease(1));
    assert!(fill(&quick, &l1, 20, 6));
    assert!(!fill(&slow, &l1, 10, 5));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn a_fill_that_l2_had_no_word_on_does_not_replace_a_back_fill() {
    let l1 = timed();
    let (blind, sighted) = (l1.lease(1), l1.lease(1));
    assert!(fill(&sighted, &l1, 20, 6));
    assert!(!fill(&blind, &l1, 10, 0), "nobody knows which is older");
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_l2_had_no_word_on_replaces_what_was_stale_when_it_began() {
    let l1 = timed();
    let stale = Draft { fresh: TTL / 2, ..draft(&l1, 10, 6) };
    assert_eq!(l1.lease(1).fill(stale, l1.clock().now()).0, Kept::Yes);
    tokio::time::advance(TTL / 2).await;
    assert!(fill(&l1.lease(1), &l1, 20, 0));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn who_comes_after_a_removal_does_not_join_the_load_from_before() {
    let l1 = alone();
    let now = l1.clock().now();
    let Join::Lead(old, _sender) = l1.join(1, now, l1.arrival()) else { panic!("the first leads") };
    assert!(matches!(l1.join(1, now, l1.arrival()), Join::Wait(_)));
    l1.lease(1).remove();
    let Join::Lead(new, _sender) = l1.join(1, now, l1.arrival()) else { panic!("a new load") };
    drop(old);
    assert!(
        matches!(l1.join(1, now, l1.arrival()), Join::Wait(_)),
        "the old load took only itself away"
    );
    assert!(fill(&new, &l1, 11, 0));
    drop(new);
    assert!(matches!(l1.join(1, now, l1.arrival()), Join::Hit { .. }), "filled in the meantime");
}

#[tokio::test]
async fn a_miss_joins_the_refresh_and_a_second_refresh_does_too() {
    let l1 = timed();
    let entry = filled(&l1);
    let Join::Lead(refresh, _sender) = l1.refresh(1, &entry) else { panic!("leads") };
    assert!(matches!(l1.refresh(1, &entry), Join::Wait(_)));
    assert!(l1.discard(&1, &entry));
    assert!(matches!(l1.join(1, l1.clock().now(), l1.arrival()), Join::Wait(_)));
    assert!(fill(&refresh, &l1, 20, 6));
}

#[tokio::test]
async fn a_refresh_is_not_begun_for_an_entry_that_was_replaced() {
    let l1 = timed();
    let old = filled(&l1);
    assert!(fill(&l1.lease(1), &l1, 20, 6));
    let Join::Hit { entry, .. } = l1.refresh(1, &old) else { panic!("there is another") };
    assert_eq!(entry.version(), 6);
}

#[tokio::test]
async fn a_removal_voids_the_refresh_in_flight() {
    let l1 = timed();
    let entry = filled(&l1);
    let Join::Lead(refresh, _sender) = l1.refresh(1, &entry) else { panic!("leads") };
    l1.lease(1).remove();
    assert!(!fill(&refresh, &l1, 20, 6));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_entry_as_it_was() {
    let l1 = timed();
    let entry = filled(&l1);
    drop(l1.refresh(1, &entry));
    assert_eq!(value(&l1), Some(10));
    assert_eq!(l1.leased(), 0);
}

#[tokio::test]
async fn nothing_is_remembered_of_idle_keys() {
    let l1 = alone();
    for key in 0..100 {
        let lease = l1.lease(key);
        end_write(&lease, &l1, key, key);
        lease.remove();
    }
    let Join::Lead(lease, sender) = l1.join(7, l1.clock().now(), l1.arrival()) else {
        panic!("leads")
    };
    assert_eq!(l1.leased(), 1);
    drop((lease, sender));
    assert_eq!(l1.leased(), 0);
}

#[tokio::test]
async fn a_removal_or_change_of_an_idle_key_leaves_nothing_behind() {
    let l1 = watched();
    l1.lease(1).remove();
    l1.changed("numbers:1", None);
    l1.changed("numbers:1", Some(7));
    assert_eq!(l1.leased(), 0);
}
