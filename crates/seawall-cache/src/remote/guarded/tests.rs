//! A remote that is slow, silent or gone.

use bytes::Bytes;

use super::*;
use crate::record::{self, tests::plain};
use crate::remote::fake::{FakeRemote, Op};
use crate::remote::{Fetched, Put};

const DEADLINE: Duration = Duration::from_millis(100);
const KEEP: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(300);

fn guarded(config: &OutageConfig) -> (FakeRemote, Guarded) {
    let fake = FakeRemote::default();
    (fake.clone(), Guarded::new(fake, "fake", DEADLINE, config))
}

fn entry(key: &str) -> Bytes {
    plain(key, 0, &7_u64)
}

async fn open(guarded: &Guarded) {
    while !guarded.status().breaker_open {
        guarded.read("k").await.expect_err("out of reach");
    }
}

async fn settled(guarded: &Guarded) {
    while guarded.status().pending > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_tombstone(fetched: &Fetched) -> bool {
    fetched.bytes.as_deref().is_some_and(|bytes| record::peek(bytes).tombstone)
}

#[tokio::test(start_paused = true)]
async fn a_frozen_remote_costs_its_deadline_then_nothing() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.freeze();
    for _ in 0..3 {
        let asked = Instant::now();
        assert!(matches!(guarded.read("k").await, Err(RemoteError::TimedOut { .. })));
        assert_eq!(asked.elapsed(), DEADLINE);
    }
    let asked = Instant::now();
    assert!(matches!(guarded.read("k").await, Err(RemoteError::BreakerOpen)));
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(fake.calls.all()[0], 3, "it was left alone");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_closes_again_with_nobody_calling() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.disconnect();
    open(&guarded).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(guarded.status().breaker_open, "it is still gone");
    let probes = fake.calls.of(Op::Versions);
    assert!((3..=5).contains(&probes), "about one a second: {probes}");
    fake.heal();
    let healed = Instant::now();
    while guarded.status().breaker_open {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(healed.elapsed() <= Duration::from_millis(1_200), "{:?}", healed.elapsed());
    guarded.read("k").await.expect("closed");
    let probes = fake.calls.of(Op::Versions);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fake.calls.of(Op::Versions), probes, "left alone from then on");
}

#[tokio::test(start_paused = true)]
async fn no_callers_call_is_spent_on_a_node_that_does_not_answer() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.freeze();
    open(&guarded).await;
    let reads = fake.calls.of(Op::Read);
    for _ in 0..1_000 {
        let asked = Instant::now();
        assert!(matches!(guarded.read("k").await, Err(RemoteError::BreakerOpen)));
        assert_eq!(asked.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fake.calls.of(Op::Read), reads);
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_keeps_callers_out_until_it_is_answered() {
    let config = OutageConfig { probes: 2, ..OutageConfig::default() };
    let (fake, guarded) = guarded(&config);
    fake.disconnect();
    open(&guarded).await;
    fake.slow_answer(Duration::from_millis(40));
    while fake.calls.of(Op::Versions) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(matches!(guarded.read("k").await, Err(RemoteError::BreakerOpen)));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    guarded.read("k").await.expect("closed");
}

#[tokio::test(start_paused = true)]
async fn errors_from_a_remote_in_reach_do_not_open_the_breaker() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.refuse();
    for _ in 0..10 {
        assert!(matches!(guarded.read("k").await, Err(RemoteError::Refused(_))));
    }
    assert!(!guarded.status().breaker_open);
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_an_outage_wins_when_it_ends() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    guarded.put("k", entry("k"), TTL, KEEP).await.expect("stored");
    fake.freeze();
    guarded.remove("k", 9, KEEP).await.expect_err("frozen");
    assert_eq!(guarded.status().pending, 1);
    fake.heal();
    assert!(matches!(guarded.read("k").await, Err(RemoteError::RemovalPending)));
    settled(&guarded).await;
    let fetched = guarded.read("k").await.expect("in reach");
    assert!(is_tombstone(&fetched));
    assert_eq!(record::peek(&fetched.bytes.expect("a tombstone")).source, 9);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_was_not_acknowledged_becomes_a_removal() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.slow_answer(DEADLINE * 2);
    guarded.put("k", entry("k"), TTL, KEEP).await.expect_err("no answer in time");
    fake.heal();
    let stored = fake.read("k").await.expect("in reach");
    assert!(!is_tombstone(&stored), "it had taken effect");
    assert!(matches!(guarded.read("k").await, Err(RemoteError::RemovalPending)));
    settled(&guarded).await;
    assert!(is_tombstone(&fake.read("k").await.expect("in reach")));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_put_settles_the_removal_before_it() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.disconnect();
    guarded.remove("k", 0, KEEP).await.expect_err("gone");
    fake.heal();
    guarded.put("k", entry("k"), TTL, KEEP).await.expect("stored");
    assert_eq!(guarded.status().pending, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!is_tombstone(&guarded.read("k").await.expect("in reach")), "the put stays");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_stored_nothing_settles_nothing() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    guarded.put("k", plain("k", 40, &7_u64), TTL, KEEP).await.expect("stored");
    fake.disconnect();
    guarded.remove("k", 0, KEEP).await.expect_err("gone");
    fake.heal();
    let put = guarded.put("k", plain("k", 30, &6_u64), TTL, KEEP).await;
    assert_eq!(put.expect("in reach"), Put::Superseded);
    assert_eq!(guarded.status().pending, 1);
}

#[tokio::test(start_paused = true)]
async fn more_removals_than_can_be_remembered_hide_everything() {
    let config = OutageConfig { max_pending: 2, ..OutageConfig::default() };
    let (fake, guarded) = guarded(&config);
    for key in ["a", "b", "c"] {
        guarded.put(key, entry(key), TTL, KEEP).await.expect("stored");
    }
    fake.disconnect();
    for key in ["a", "b", "c"] {
        guarded.remove(key, 0, KEEP).await.expect_err("gone");
    }
    fake.heal();
    settled(&guarded).await;
    assert!(guarded.status().blind);
    assert!(matches!(guarded.read("c").await, Err(RemoteError::RemovalPending)));
    tokio::time::sleep(TTL).await;
    assert!(!guarded.status().blind);
    assert!(guarded.read("c").await.expect("in reach").bytes.is_none(), "it has expired");
}

#[tokio::test(start_paused = true)]
async fn one_removal_that_is_refused_does_not_hold_up_the_others() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.refuse();
    for key in 0..200 {
        guarded.remove(&format!("k{key}"), 0, KEEP).await.expect_err("refused");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(guarded.status().pending, 200);
    fake.heal();
    settled(&guarded).await;
}

#[tokio::test(start_paused = true)]
async fn the_background_task_ends_with_the_last_handle() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.disconnect();
    guarded.remove("k", 0, KEEP).await.expect_err("gone");
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(guarded);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = fake.calls.all();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fake.calls.all(), calls);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_says_how_many_removals_were_lost() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.disconnect();
    guarded.remove("a", 0, KEEP).await.expect_err("gone");
    assert_eq!(guarded.shutdown(Duration::from_secs(1)).await, 1);
    fake.heal();
    assert_eq!(guarded.shutdown(Duration::from_secs(5)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn absurd_durations_do_no_harm() {
    let config = OutageConfig {
        failures: 0,
        open_for: Duration::MAX,
        probes: 0,
        window: Duration::MAX,
        min_calls: 0,
        error_ratio: f64::NAN,
        slow_call: Some(Duration::MAX),
        slow_ratio: f64::INFINITY,
        max_pending: 0,
    };
    let fake = FakeRemote::default();
    let guarded = Guarded::new(fake.clone(), "fake", Duration::MAX, &config);
    guarded.put("k", entry("k"), Duration::MAX, Duration::MAX).await.expect("stored");
    guarded.read("k").await.expect("there");
    fake.disconnect();
    for key in ["k", "l"] {
        guarded.remove(key, 0, Duration::MAX).await.expect_err("gone");
    }
    assert!(guarded.status().breaker_open && guarded.status().blind);
    fake.heal();
    settled(&guarded).await;
}

#[test]
fn removals_are_repeated_after_the_runtime_they_failed_in_is_gone() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.disconnect();
    runtime().block_on(async { guarded.remove("a", 0, KEEP).await.expect_err("gone") });
    runtime().block_on(async {
        guarded.remove("b", 0, KEEP).await.expect_err("gone");
        fake.heal();
        settled(&guarded).await;
    });
}

#[tokio::test(start_paused = true)]
async fn callers_that_are_less_patient_than_the_deadline_open_the_breaker_too() {
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.freeze();
    for _ in 0..3 {
        let given_up = timeout(DEADLINE / 2, guarded.read("k")).await;
        given_up.expect_err("half of the deadline is slow");
    }
    assert!(matches!(guarded.read("k").await, Err(RemoteError::BreakerOpen)));
}

#[test]
fn nodes_are_tried_out_after_the_runtime_they_failed_in_is_gone() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let (fake, guarded) = guarded(&OutageConfig::default());
    fake.disconnect();
    runtime().block_on(open(&guarded));
    fake.heal();
    runtime().block_on(async {
        while guarded.read("k").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    // A call that is dropped outside of any runtime opens it without a panic.
    fake.freeze();
    let (second, third) = (guarded.clone(), guarded.clone());
    let mut reads: Vec<_> = [&guarded, &second, &third].map(|node| Box::pin(node.read("k"))).into();
    runtime().block_on(async {
        let _ = timeout(DEADLINE * 3 / 4, join_all(reads.iter_mut())).await;
    });
    drop(reads);
}
