//! What L2 tells of keys: the writes of others, and the echoes of our own.

use super::*;

#[tokio::test]
async fn a_change_elsewhere_removes_the_entry() {
    let l1 = watched();
    filled(&l1);
    l1.changed("numbers:1", None);
    assert!(matches!(look(&l1), Look::Miss));
    assert_eq!(l1.take_checks(9).len(), 0);
}

#[tokio::test]
async fn a_change_of_another_namespace_or_key_removes_nothing() {
    let l1 = watched();
    filled(&l1);
    for text in ["number:1", "numbersx:1", "numbers:2", "numbers#t:1", "numbers", ""] {
        l1.changed(text, None);
    }
    assert_eq!(value(&l1), Some(10));
}

#[tokio::test]
async fn a_change_voids_the_back_fill_that_asked_before() {
    let l1 = watched();
    let reading = l1.lease(1);
    l1.changed("numbers:1", None);
    assert!(!fill(&reading, &l1, 10, 5), "L2 may have been read before the change");
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_change_whose_version_is_told_voids_only_older_back_fills() {
    let l1 = watched();
    let (older, newer) = (l1.lease(1), l1.lease(1));
    l1.changed("numbers:1", Some(6));
    assert!(!fill(&older, &l1, 10, 5));
    assert!(fill(&newer, &l1, 20, 6));
}

#[tokio::test]
async fn a_change_whose_version_is_known_removes_nothing() {
    let l1 = watched();
    filled(&l1);
    l1.changed("numbers:1", Some(5));
    l1.changed("numbers:1", Some(4));
    assert_eq!(value(&l1), Some(10));
    l1.changed("numbers:1", Some(6));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_change_voids_what_was_loaded_without_l2s_word() {
    let l1 = watched();
    for version in [None, Some(6)] {
        let blind = l1.lease(1);
        l1.changed("numbers:1", version);
        assert!(!fill(&blind, &l1, 10, 0));
    }
}

#[tokio::test]
async fn who_comes_after_a_change_does_not_join_the_load_from_before() {
    for version in [None, Some(6)] {
        let l1 = watched();
        let now = l1.clock().now();
        let Join::Lead(_old, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
        l1.changed("numbers:1", version);
        assert!(matches!(l1.join(1, now, l1.arrival()), Join::Lead(..)));
    }
}

#[tokio::test]
async fn the_echo_of_our_write_leaves_it_and_asks_for_its_version() {
    let l1 = watched();
    let mut set = l1.lease(1);
    set.send();
    assert!(end_write(&set, &l1, 20, 5));
    drop(set);
    l1.changed("numbers:1", None);
    assert_eq!(value(&l1), Some(20), "it may have been the echo");
    let checks = l1.take_checks(9);
    let [Check::Entry(1, entry)] = checks.as_slice() else { panic!("one check: {checks:?}") };
    assert!(l1.settle(&1, entry, (0, 5), l1.coherence().epoch(), l1.clock().now()));
    assert_eq!(value(&l1), Some(20));
    l1.changed("numbers:1", None);
    assert_eq!(value(&l1), None, "there is one echo");
}

#[tokio::test]
async fn an_echo_that_hid_anothers_write_ends_with_the_check() {
    let l1 = watched();
    let mut set = l1.lease(1);
    set.send();
    assert!(end_write(&set, &l1, 20, 5));
    l1.changed("numbers:1", None);
    let checks = l1.take_checks(9);
    let [Check::Entry(1, entry)] = checks.as_slice() else { panic!("one check: {checks:?}") };
    assert!(!l1.settle(&1, entry, (0, 6), l1.coherence().epoch(), l1.clock().now()));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_check_that_comes_late_does_not_remove_a_newer_entry() {
    let l1 = watched();
    let old = filled(&l1);
    assert!(fill(&l1.lease(1), &l1, 20, 6));
    assert!(!l1.settle(&1, &old, (0, 6), l1.coherence().epoch(), l1.clock().now()));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn an_echo_before_the_answer_to_our_write_asks_for_its_version() {
    let l1 = watched();
    filled(&l1);
    let mut set = l1.lease(1);
    set.send();
    l1.changed("numbers:1", None);
    assert_eq!(value(&l1), None, "whoever wrote, the old value is old");
    assert!(end_write(&set, &l1, 20, 6));
    assert_eq!(value(&l1), Some(20));
    assert_eq!(l1.take_checks(9).len(), 1, "another's write may be in the same message");
    l1.changed("numbers:1", None);
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn an_echo_before_the_answer_to_our_fill_does_not_void_it() {
    let l1 = watched();
    let now = l1.clock().now();
    let Join::Lead(mut load, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
    load.send();
    l1.changed("numbers:1", None);
    assert!(fill(&load, &l1, 10, 5));
    assert_eq!(l1.take_checks(9).len(), 1);
}

#[tokio::test]
async fn who_comes_after_a_change_does_not_join_a_load_whose_fill_was_sent() {
    for version in [None, Some(6)] {
        let l1 = watched();
        let now = l1.clock().now();
        let Join::Lead(mut load, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
        load.send();
        l1.changed("numbers:1", version);
        assert!(
            matches!(l1.join(1, now, l1.arrival()), Join::Lead(..)),
            "L2 may have refused the fill"
        );
    }
}

#[tokio::test]
async fn a_change_before_a_fill_was_sent_does_not_void_what_l2_then_stored() {
    let l1 = watched();
    let mut load = l1.lease(1);
    l1.changed("numbers:1", None);
    load.send();
    assert!(fill(&load, &l1, 10, 5), "L2 would have refused it, had it been older");
    assert_eq!(l1.take_checks(9).len(), 0);
}

#[tokio::test]
async fn an_echo_voids_the_back_fill_that_asked_before_our_write() {
    let l1 = watched();
    let reading = l1.lease(1);
    let mut set = l1.lease(1);
    set.send();
    l1.changed("numbers:1", None);
    assert!(!fill(&reading, &l1, 10, 5), "it may be another's write that it did not see");
    drop(set);
}

#[tokio::test]
async fn an_unacknowledged_write_is_not_kept_if_anything_was_told_meanwhile() {
    for version in [None, Some(6)] {
        let l1 = watched();
        filled(&l1);
        let mut set = l1.lease(1);
        set.send();
        l1.changed("numbers:1", version);
        let kept = set.end_write(draft(&l1, 20, set.written()), false, l1.clock().now());
        assert_eq!(kept, Kept::No, "it may have been overwritten");
        assert_eq!(value(&l1), None);
    }
}

#[tokio::test]
async fn our_write_is_not_kept_if_a_newer_version_was_told_meanwhile() {
    let l1 = watched();
    let mut set = l1.lease(1);
    set.send();
    l1.changed("numbers:1", Some(5));
    l1.changed("numbers:1", Some(6));
    assert!(!end_write(&set, &l1, 20, 5));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_change_without_a_version_after_one_with_it_is_not_taken_for_known() {
    let l1 = watched();
    let mut set = l1.lease(1);
    set.send();
    l1.changed("numbers:1", Some(5));
    l1.changed("numbers:1", None);
    assert!(end_write(&set, &l1, 20, 5));
    assert_eq!(l1.take_checks(9).len(), 1);
}

#[tokio::test]
async fn a_store_that_tells_versions_needs_no_checks() {
    let l1 = watched();
    let mut set = l1.lease(1);
    set.send();
    l1.changed("numbers:1", Some(5));
    assert!(end_write(&set, &l1, 20, 5));
    assert_eq!(value(&l1), Some(20));
    assert_eq!(l1.take_checks(9).len(), 0);
    l1.changed("numbers:1", Some(6));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_load_that_waits_for_another_node_is_woken_and_keeps_what_it_then_reads() {
    let l1 = watched();
    let now = l1.clock().now();
    let Join::Lead(mut load, sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
    let landing = load.landing();
    let mut woken = std::pin::pin!(landing.notified());
    woken.as_mut().enable();
    l1.changed("numbers:1", None);
    woken.as_mut().await;
    assert!(matches!(l1.join(1, now, l1.arrival()), Join::Lead(..)), "what it began with is old");
    load.renew(&sender);
    assert!(matches!(l1.join(1, now, l1.arrival()), Join::Wait(_)), "it begins anew");
    assert!(fill(&load, &l1, 10, 5));
    drop(load);
    assert_eq!(value(&l1), Some(10));
    assert_eq!(l1.leased(), 0);
}

#[tokio::test]
async fn a_load_that_began_anew_does_not_take_a_younger_ones_place() {
    let l1 = watched();
    let now = l1.clock().now();
    let Join::Lead(mut old, sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
    l1.changed("numbers:1", None);
    let Join::Lead(young, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads too") };
    old.renew(&sender);
    drop(old);
    assert!(
        matches!(l1.join(1, now, l1.arrival()), Join::Wait(_)),
        "the younger one is still there"
    );
    drop(young);
    assert!(matches!(l1.join(1, now, l1.arrival()), Join::Lead(..)));
}

#[tokio::test]
async fn all_loads_of_a_key_are_woken_when_a_lease_lands() {
    let l1 = watched();
    let now = l1.clock().now();
    let Join::Lead(old, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads") };
    l1.lease(1).remove();
    let Join::Lead(young, _sender) = l1.join(1, now, l1.arrival()) else { panic!("leads too") };
    let (first, second) = (old.landing(), young.landing());
    let (mut first, mut second) =
        (std::pin::pin!(first.notified()), std::pin::pin!(second.notified()));
    first.as_mut().enable();
    second.as_mut().enable();
    l1.landed("numbers:1");
    first.await;
    second.await;
}

/// A key that cannot be read from its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mute(u64);

impl CacheKey for Mute {
    fn write_key(&self, out: &mut String) {
        self.0.write_key(out);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_read_make_all_suspect_and_wake_all() {
    let options = options();
    let l1: Arc<Local<Mute, u64, u64>> = Arc::new(Local::new(Options {
        namespace: options.namespace,
        engine: options.engine,
        capacity: options.capacity,
        weigher: None,
        remote: true,
        l1_ttl: TTL,
        max_staleness: None,
        refresh_beta: 1.0,
        load_timeout: options.load_timeout,
        node: 0,
        clock: Clock::exact(),
    }));
    l1.watched();
    let now = l1.clock().now();
    let Join::Lead(load, _sender) = l1.join(Mute(1), now, l1.arrival()) else { panic!("leads") };
    let landing = load.landing();
    let mut woken = std::pin::pin!(landing.notified());
    woken.as_mut().enable();
    l1.landed("numbers:2");
    woken.as_mut().await;
    let epoch = l1.coherence().epoch();
    l1.changed("numbers:2", None);
    assert!(l1.coherence().epoch() > epoch, "any may have changed");
    assert!(matches!(l1.join(Mute(1), now, l1.arrival()), Join::Lead(..)));
}
