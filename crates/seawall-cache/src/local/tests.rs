//! The fences of L1, one race at a time.

use std::time::Duration;

use super::*;

type L1 = Arc<Local<u64, u64, u64>>;

fn l1() -> L1 {
    Arc::new(Local::new(16))
}

fn entry(value: u64) -> Entry<u64> {
    let now = Instant::now();
    let expires = now + Duration::from_secs(60);
    Entry {
        value: Some(Arc::new(value)),
        loaded: now,
        expires,
        version: 0,
        source: 0,
        degraded: false,
    }
}

fn versioned(value: u64, version: u64) -> Entry<u64> {
    Entry { version, ..entry(value) }
}

fn value(l1: &L1) -> Option<u64> {
    l1.get(&1, Instant::now()).and_then(|entry| entry.value.as_deref().copied())
}

#[tokio::test]
async fn a_removal_voids_the_fill_that_began_before() {
    let l1 = l1();
    let load = l1.lease(1);
    l1.lease(1).remove();
    assert!(!load.fill(entry(10)));
    assert_eq!(value(&l1), None);
    assert!(l1.lease(1).fill(entry(11)), "a later one is good");
    assert_eq!(value(&l1), Some(11));
}

#[tokio::test]
async fn a_removal_of_another_key_voids_nothing() {
    let l1 = l1();
    let load = l1.lease(1);
    for other in 2..1_000 {
        l1.lease(other).remove();
    }
    assert!(load.fill(entry(10)));
}

#[tokio::test]
async fn a_fill_does_not_replace_what_was_set_meanwhile() {
    let l1 = l1();
    let load = l1.lease(1);
    let set = l1.lease(1);
    assert!(set.end_write(versioned(20, 5)));
    assert!(!load.fill(entry(10)));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn a_load_that_began_while_a_set_was_under_way_is_void() {
    let l1 = l1();
    let set = l1.lease(1);
    let load = l1.lease(1);
    assert!(set.end_write(versioned(20, 5)));
    assert!(!load.fill(entry(10)), "it may have read L2 before the set");
}

#[tokio::test]
async fn of_two_sets_the_newer_version_stays_whatever_order_they_end_in() {
    let l1 = l1();
    let (first, second) = (l1.lease(1), l1.lease(1));
    assert!(second.end_write(versioned(20, 6)));
    assert!(!first.end_write(versioned(10, 5)));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn a_set_that_ends_after_a_removal_is_void() {
    let l1 = l1();
    let set = l1.lease(1);
    l1.lease(1).remove();
    assert!(!set.end_write(versioned(10, 5)));
    assert_eq!(value(&l1), None);
}

#[tokio::test]
async fn a_set_that_ends_after_a_removal_leaves_no_older_value_either() {
    let l1 = l1();
    let set = l1.lease(1);
    l1.lease(1).remove();
    assert!(l1.lease(1).fill(versioned(10, 4)), "loaded before the set reached L2");
    assert!(!set.end_write(versioned(20, 5)));
    assert_eq!(value(&l1), None, "L2 has the one that was set");
}

#[tokio::test]
async fn a_slow_back_fill_does_not_replace_a_newer_one() {
    let l1 = l1();
    let (slow, quick) = (l1.lease(1), l1.lease(1));
    assert!(quick.fill(versioned(20, 6)));
    assert!(!slow.fill(versioned(10, 5)));
    assert_eq!(value(&l1), Some(20));
}

#[tokio::test]
async fn who_comes_after_a_removal_does_not_join_the_load_from_before() {
    let l1 = l1();
    let now = Instant::now();
    let Join::Lead(old, _sender) = l1.join(1, now) else { panic!("the first leads") };
    assert!(matches!(l1.join(1, now), Join::Wait(_)));
    l1.lease(1).remove();
    let Join::Lead(new, _sender) = l1.join(1, now) else { panic!("a new load") };
    drop(old);
    assert!(matches!(l1.join(1, now), Join::Wait(_)), "the old load took only itself away");
    assert!(new.fill(entry(11)));
    drop(new);
    assert!(matches!(l1.join(1, now), Join::Hit(_)), "filled in the meantime");
}

#[tokio::test]
async fn nothing_is_remembered_of_idle_keys() {
    let l1 = l1();
    for key in 0..100 {
        let lease = l1.lease(key);
        lease.end_write(versioned(key, key));
        lease.remove();
    }
    let Join::Lead(lease, sender) = l1.join(7, Instant::now()) else { panic!("leads") };
    assert_eq!(l1.leased(), 1);
    drop((lease, sender));
    assert_eq!(l1.leased(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_gone_at_its_expiry() {
    let l1 = l1();
    l1.lease(1).fill(entry(10));
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(value(&l1), Some(10));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(value(&l1), None);
}
