//! What a look at L1 says as time passes and links come and go.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_entry_is_gone_at_its_expiry() {
    let l1 = alone();
    fill(&l1.lease(1), &l1, 10, 0);
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(value(&l1), Some(10));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(look(&l1), Look::Miss));
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_stale_between_its_soft_and_its_hard_ttl() {
    let l1 = timed();
    let entry = Draft { fresh: TTL / 4, hard: TTL / 2, ..draft(&l1, 10, 5) };
    assert_eq!(l1.lease(1).fill(entry, l1.clock().now()).0, Kept::Yes);
    tokio::time::advance(TTL / 4).await;
    assert!(matches!(look(&l1), Look::Stale { marked: false, degraded: false, .. }));
    tokio::time::advance(TTL / 4).await;
    assert!(matches!(look(&l1), Look::Miss));
}

#[tokio::test(start_paused = true)]
async fn l1_asks_again_when_its_time_is_over_be_the_entry_fresh_or_stale() {
    let l1 = timed();
    let entry = Draft { fresh: TTL / 2, l1: TTL / 4, ..draft(&l1, 10, 5) };
    assert_eq!(l1.lease(1).fill(entry, l1.clock().now()).0, Kept::Yes);
    for _ in 0..3 {
        tokio::time::advance(TTL / 4).await;
        assert!(matches!(look(&l1), Look::Recheck(_)));
    }
    tokio::time::advance(TTL / 4).await;
    assert!(matches!(look(&l1), Look::Miss));
}

#[tokio::test(start_paused = true)]
async fn sixteen_load_times_before_its_end_an_entry_may_be_refreshed() {
    let l1 = timed();
    let entry = Draft { delta: Duration::from_millis(500), ..draft(&l1, 10, 5) };
    assert_eq!(l1.lease(1).fill(entry, l1.clock().now()).0, Kept::Yes);
    tokio::time::advance(TTL - Duration::from_millis(8_001)).await;
    assert!(matches!(look(&l1), Look::Hit(_)));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(look(&l1), Look::Early(_)));
}

#[tokio::test]
async fn an_age_counts_from_the_load() {
    let l1 = timed();
    let entry = Draft { age: Duration::from_secs(9), ..draft(&l1, 10, 5) };
    let (_, entry) = l1.lease(1).fill(entry, l1.clock().now());
    let later = l1.clock().now().plus(Duration::from_secs(1));
    let age = entry.age(later);
    assert!((9_990..15_000).contains(&age.as_millis()), "{age:?}");
}

#[tokio::test]
async fn after_lost_messages_the_entries_of_that_node_are_suspect_and_no_others() {
    let l1 = watched();
    filled(&l1);
    let other = Draft { node: 1, ..draft(&l1, 20, 5) };
    assert_eq!(l1.lease(2).fill(other, l1.clock().now()).0, Kept::Yes);
    l1.lost(Some(1));
    assert_eq!(value(&l1), Some(10));
    assert!(matches!(l1.look(&2, l1.clock().now()), Look::Suspect(_)));
    l1.lost(None);
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test]
async fn an_entry_whose_version_is_unchanged_stays_after_lost_messages() {
    let l1 = watched();
    let entry = filled(&l1);
    l1.lost(Some(0));
    let epoch = l1.coherence().epoch();
    assert!(read_mark(&l1, NAMESPACE), "its node may have missed an advance too");
    assert!(l1.settle(&1, &entry, (0, 5), epoch, l1.clock().now()));
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn an_entry_whose_version_changed_goes_after_lost_messages() {
    for there in [0, 4, 6] {
        let l1 = watched();
        let entry = filled(&l1);
        l1.lost(Some(0));
        assert!(!l1.settle(&1, &entry, (0, there), l1.coherence().epoch(), l1.clock().now()));
        assert!(matches!(look(&l1), Look::Miss));
    }
}

#[tokio::test]
async fn a_check_from_before_lost_messages_does_not_count_after_them() {
    let l1 = watched();
    let entry = filled(&l1);
    l1.lost(Some(0));
    let asked = l1.coherence().epoch();
    l1.lost(Some(0));
    read_mark(&l1, NAMESPACE);
    assert!(l1.settle(&1, &entry, (0, 5), asked, l1.clock().now()));
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test]
async fn what_was_asked_before_messages_were_lost_is_suspect_when_it_comes_in() {
    let l1 = watched();
    let reading = l1.lease(1);
    l1.lost(Some(0));
    read_mark(&l1, NAMESPACE);
    assert!(fill(&reading, &l1, 10, 5));
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test]
async fn while_a_link_is_down_its_entries_are_degraded_and_then_suspect() {
    let l1 = watched();
    let filled_before = filled(&l1);
    l1.link(0, false);
    assert!(matches!(look(&l1), Look::Degraded(_)));
    assert!(matches!(look(&l1), Look::Degraded(_)), "nothing has proved it right");
    l1.link(0, true);
    assert!(matches!(look(&l1), Look::Suspect(_)), "also if nobody says that messages were lost");
    drop(filled_before);
}

#[tokio::test]
async fn what_comes_in_while_its_link_is_down_is_degraded() {
    let l1 = watched();
    l1.link(0, false);
    let entry = filled(&l1);
    assert!(matches!(look(&l1), Look::Degraded(_)));
    assert!(l1.settle(&1, &entry, (0, 5), l1.coherence().epoch(), l1.clock().now()));
    assert!(matches!(look(&l1), Look::Degraded(_)));
}

#[tokio::test]
async fn while_another_nodes_link_is_down_entries_are_hits() {
    let l1 = watched();
    filled(&l1);
    l1.link(1, false);
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn an_entry_of_a_node_nobody_heard_of_is_degraded() {
    let l1 = watched();
    let entry = Draft { node: 7, ..draft(&l1, 10, 5) };
    assert_eq!(l1.lease(1).fill(entry, l1.clock().now()).0, Kept::Yes);
    l1.lost(Some(9));
    assert!(matches!(look(&l1), Look::Degraded(_)));
}

#[tokio::test]
async fn what_came_in_before_l2_was_listened_to_is_suspect() {
    let l1 = timed();
    filled(&l1);
    l1.watched();
    l1.link(0, true);
    read_mark(&l1, NAMESPACE);
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test(start_paused = true)]
async fn past_the_bound_on_staleness_hits_are_checked_until_it_is_proved_again() {
    let bound = Duration::from_secs(5);
    let l1 = watched_with(Options { max_staleness: Some(bound), ..options() });
    filled(&l1);
    tokio::time::advance(bound - Duration::from_millis(1)).await;
    assert_eq!(value(&l1), Some(10));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(look(&l1), Look::Suspect(_)));
    l1.proved(Instant::now() - bound / 2);
    assert_eq!(value(&l1), Some(10));
    assert_eq!(l1.coherence().staleness(l1.clock().now()), Some(bound / 2));
}

#[tokio::test(start_paused = true)]
async fn what_was_just_read_from_l2_is_within_the_bound_on_staleness() {
    let bound = Duration::from_secs(5);
    let l1 = watched_with(Options { max_staleness: Some(bound), ..options() });
    tokio::time::advance(bound * 2).await;
    filled(&l1);
    assert_eq!(value(&l1), Some(10));
    tokio::time::advance(bound).await;
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test]
async fn a_text_whose_key_cannot_be_read_makes_all_suspect() {
    let l1 = watched();
    filled(&l1);
    l1.changed("numbers:not-a-number", None);
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test(start_paused = true)]
async fn expired_entries_are_swept_in_steps() {
    let l1 = timed();
    for key in 0..10 {
        let ttl = if key < 7 { TTL / 2 } else { TTL };
        let draft = Draft { fresh: ttl, hard: ttl, ..draft(&l1, key, 5) };
        assert_eq!(l1.lease(key).fill(draft, l1.clock().now()).0, Kept::Yes);
    }
    tokio::time::advance(TTL / 2).await;
    let mut sweep = l1.sweep(l1.clock().now());
    assert!(fill(&l1.lease(6), &l1, 66, 6), "came back meanwhile");
    let mut removed = 0;
    while let Some(some) = sweep.step(&l1, 3) {
        assert!(some <= 3);
        removed += some;
    }
    assert_eq!(removed, 6);
    for key in 0..10 {
        assert_eq!(matches!(l1.look(&key, l1.clock().now()), Look::Hit(_)), key >= 6, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn expired_entries_do_not_wait_for_their_eviction() {
    let l1 = timed();
    for key in 0..100 {
        assert!(fill(&l1.lease(key), &l1, key, 5));
    }
    let late = Draft { hard: TTL * 2, ..draft(&l1, 100, 5) };
    assert_eq!(l1.lease(100).fill(late, l1.clock().now()).0, Kept::Yes);
    tokio::time::advance(TTL).await;
    assert_eq!((l1.tidy(l1.clock().now()), l1.len()), (100, 1));
}

#[tokio::test]
async fn who_comes_after_messages_were_lost_or_a_mark_moved_joins_no_load_from_before() {
    let events: [fn(&L1); 5] = [
        |l1| l1.lost(Some(1)),
        |l1| {
            l1.link(0, false);
            l1.link(0, true);
        },
        |l1| l1.changed("numbers#ns", Some(NAMESPACE + 1)),
        |l1| {
            l1.changed("numbers#ns", None);
            assert_eq!(l1.take_checks(9).len(), 1);
            l1.settle_marks(1, false);
        },
        |l1| l1.changed("numbers:?", None),
    ];
    for happen in events {
        let l1 = watched();
        let now = l1.clock().now();
        let Join::Lead(old, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
        let landing = old.landing();
        let mut woken = std::pin::pin!(landing.notified());
        woken.as_mut().enable();
        happen(&l1);
        assert!(matches!(l1.join(1, now, l1.arrival()), Join::Lead(..)));
        woken.await;
    }
}

#[tokio::test]
async fn what_is_found_right_is_noted_in_the_engine_and_not_in_a_copy() {
    for l1 in watched_on_each() {
        let entry = filled(&l1);
        let other = l1.tag("numbers#t:blue", 0);
        l1.changed(other.text(), None);
        assert!(held(&l1).validated() < l1.coherence().epoch());
        // By a look that judges.
        assert_eq!(value(&l1), Some(10));
        assert_eq!(held(&l1).validated(), l1.coherence().epoch());
        // By L2's word.
        l1.lost(None);
        assert!(matches!(look(&l1), Look::Suspect(_)));
        read_mark(&l1, NAMESPACE);
        let epoch = l1.coherence().epoch();
        assert!(l1.settle(&1, &entry, (0, 5), epoch, l1.clock().now()));
        assert_eq!(held(&l1).validated(), epoch);
        assert!(entry.validated() < epoch, "a copy is a snapshot");
        assert_eq!(value(&l1), Some(10));
    }
}

#[tokio::test]
async fn an_echo_is_taken_once_whoever_has_a_copy() {
    for l1 in watched_on_each() {
        let mut set = l1.lease(1);
        set.send();
        assert!(end_write(&set, &l1, 10, 5));
        let _copy = held(&l1);
        l1.changed("numbers:1", None);
        assert_eq!((value(&l1), l1.take_checks(9).len()), (Some(10), 1), "it may be the echo");
        l1.changed("numbers:1", None);
        assert_eq!((value(&l1), l1.take_checks(9).len()), (None, 0), "this is another's");
    }
}

#[tokio::test]
async fn a_copy_of_what_was_there_before_removes_and_validates_nothing_newer() {
    for l1 in watched_on_each() {
        let old = filled(&l1);
        assert!(fill(&l1.lease(1), &l1, 20, 6));
        assert!(!l1.discard(&1, &old));
        assert_eq!(value(&l1), Some(20));
        l1.lost(None);
        read_mark(&l1, NAMESPACE);
        assert!(l1.settle(&1, &old, (0, 5), l1.coherence().epoch(), l1.clock().now()));
        assert!(matches!(look(&l1), Look::Suspect(_)), "L2 was asked for another");
        let new = held(&l1);
        assert!(l1.discard(&1, &new));
        assert!(!l1.discard(&1, &new), "once");
        assert!(matches!(look(&l1), Look::Miss));
    }
}

#[tokio::test]
async fn the_same_version_read_again_is_another_entry() {
    for l1 in watched_on_each() {
        let old = filled(&l1);
        assert_eq!(filled(&l1).version(), old.version());
        assert!(!l1.discard(&1, &old), "the one from before");
        assert_eq!(value(&l1), Some(10));
        assert!(l1.discard(&1, &held(&l1)));
    }
}

#[tokio::test]
async fn who_comes_after_a_mark_was_written_waits_until_it_is_known_whether_it_moved() {
    for unmoved in [true, false] {
        let l1 = watched();
        let now = l1.clock().now();
        let early = l1.arrival();
        let Join::Lead(_load, _sender) = l1.join(1, now, early) else { panic!("leads") };
        let began = l1.oldest_flight().expect("in flight");
        l1.changed("numbers#ns", None);
        let arrived = l1.arrival();
        assert!(matches!(l1.join(1, now, early), Join::Wait(_)), "he came before it was told");
        assert!(matches!(l1.join(1, now, arrived), Join::Doubt(1)));
        assert!(matches!(l1.join(2, now, arrived), Join::Lead(..)), "there is nothing to join");
        let mut certainty = std::pin::pin!(l1.certainty(arrived));
        assert!(futures_util::poll!(&mut certainty).is_pending());
        let checks = l1.take_checks(9);
        // Told after he came: he need not wait for that.
        l1.changed("numbers#ns", None);
        assert_eq!(l1.oldest_flight(), Some(began));
        l1.settle_marks(checks.len() as u64, unmoved);
        certainty.await;
        match l1.join(1, now, arrived) {
            Join::Wait(_) => assert!(unmoved, "it began before the invalidation"),
            Join::Lead(..) => assert!(!unmoved, "nothing was invalidated"),
            _ => panic!("certain by now"),
        }
    }
}
