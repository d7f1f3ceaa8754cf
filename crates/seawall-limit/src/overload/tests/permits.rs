use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::super::{Criticality, Outcome, Overload, OverloadConfig, Permit, Pressure, Reason};

fn small(limit: usize, queue: usize) -> Overload {
    let config = OverloadConfig {
        min_limit: limit,
        max_limit: limit,
        max_queue: queue,
        ..OverloadConfig::default()
    };
    Overload::new(&config).unwrap()
}

fn take(overload: &Overload) -> Permit {
    overload.try_acquire(Criticality::default()).unwrap()
}

#[test]
fn a_field_out_of_bounds_is_named() {
    let with = |change: fn(&mut OverloadConfig)| {
        let mut config = OverloadConfig::default();
        change(&mut config);
        Overload::new(&config).unwrap_err().to_string()
    };
    assert!(with(|it| it.min_limit = 0).starts_with("min_limit is 0"));
    assert!(with(|it| it.max_limit = 3).starts_with("max_limit is 3"));
    assert!(with(|it| it.max_queue = 2_000_000).starts_with("max_queue is 2000000"));
    assert!(with(|it| it.max_wait = Duration::ZERO).starts_with("max_wait (in ms) is 0"));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_finished_or_lost_in_a_panic_is_given_back_once() {
    let overload = small(1, 4);
    drop(take(&overload));
    take(&overload).finish(Outcome::Success);
    let mut permit = take(&overload);
    permit.record(Outcome::Success);
    permit.record(Outcome::Overloaded);
    assert_eq!(overload.status().inflight, 1, "it is held until it is dropped");
    drop(permit);
    let held = overload.clone();
    let panicked = tokio::spawn(async move {
        let _permit = take(&held);
        panic!("on purpose");
    });
    assert!(panicked.await.is_err());
    assert_eq!(overload.status().inflight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_polled_late_has_its_slot_from_when_it_was_given() {
    let overload = small(1, 4);
    // Enough for the guard to tell a latency, and each waits for the one before.
    let mut running = take(&overload);
    for _ in 0..40 {
        let mut next = overload.acquire(Criticality::Critical);
        assert!((&mut next).now_or_never().is_none());
        running.finish(Outcome::Success);
        // The slot is taken, and its task does not get round to it.
        tokio::time::advance(Duration::from_millis(30)).await;
        running = (&mut next).now_or_never().unwrap().unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let latency = overload.status().latency.unwrap();
    assert!(latency > Duration::from_millis(25), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_leaves_no_place_and_no_slot_behind() {
    let overload = small(1, 4);
    let first = take(&overload);
    // Dropped before it was polled, after it was polled, and after the slot was its own.
    drop(overload.acquire(Criticality::Critical));
    let mut polled = overload.acquire(Criticality::Critical);
    assert!((&mut polled).now_or_never().is_none());
    drop(polled);
    let mut given = overload.acquire(Criticality::Critical);
    assert!((&mut given).now_or_never().is_none());
    let mut next = overload.acquire(Criticality::Critical);
    assert_eq!(overload.status().queued, 2);
    drop(first);
    assert_eq!(overload.status().inflight, 1, "the slot went to the one who waits");
    drop(given);
    assert!((&mut next).now_or_never().is_some_and(|result| result.is_ok()));
    let status = overload.status();
    assert_eq!((status.inflight, status.queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_told_even_if_nothing_happens() {
    let overload = small(1, 4);
    let _held = take(&overload);
    let start = Instant::now();
    let rejected = overload.acquire(Criticality::Critical).await.unwrap_err();
    assert_eq!(rejected.reason, Reason::QueueDelay);
    assert_eq!(start.elapsed().as_secs(), 1);
    let deadline = Instant::now() + Duration::from_millis(300);
    let rejected = overload.acquire_by(Criticality::Critical, deadline).await.unwrap_err();
    assert_eq!(rejected.reason, Reason::Deadline);
    assert_eq!(Instant::now().duration_since(deadline), Duration::from_millis(0));
    assert_eq!(overload.status().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_those_who_find_no_slot_are_told_at_once() {
    let overload = small(1, 0);
    let _held = take(&overload);
    let rejected = overload.acquire(Criticality::CriticalPlus).now_or_never().unwrap();
    assert_eq!(rejected.unwrap_err().reason, Reason::QueueFull);
    let rejected = overload.try_acquire(Criticality::CriticalPlus).unwrap_err();
    assert_eq!(rejected.reason, Reason::NoSlot);
    assert_eq!(rejected.to_string(), "turned away for load: no_slot");
}

#[tokio::test(start_paused = true)]
async fn a_full_processor_sheds_by_priority_until_the_feeder_falls_silent() {
    let overload = small(100, 4);
    overload.set_pressure(Pressure { cpu: Some(1.0), ..Pressure::default() });
    tokio::time::advance(Duration::from_millis(200)).await;
    let _ = overload.status();
    let rejected = overload.try_acquire(Criticality::SheddablePlus).unwrap_err();
    assert_eq!(rejected.reason, Reason::Priority);
    assert!(overload.try_acquire(Criticality::Critical).is_ok());
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(overload.try_acquire(Criticality::Sheddable).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_no_more_run_than_there_are_slots_and_all_end() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let overload = small(3, 10_000);
    let running = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for task in 0..64 {
        let (overload, running) = (overload.clone(), Arc::clone(&running));
        tasks.push(tokio::spawn(async move {
            for turn in 0..200 {
                let acquire = overload.acquire(Criticality::ALL[(task + turn) % 4]);
                if turn % 7 == 0 {
                    drop(acquire);
                    continue;
                }
                let Ok(permit) = acquire.await else { continue };
                assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                permit.finish(Outcome::Success);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let status = overload.status();
    assert_eq!((status.inflight, status.queued), (0, 0));
}
