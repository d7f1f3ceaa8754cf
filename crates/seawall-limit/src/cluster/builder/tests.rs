use std::time::Duration;

use super::*;
use crate::cluster::state::KeyState;
use crate::cluster::subject::Subject;
use crate::key::Key;
use crate::quota::Quota;
use crate::share::Share;

/// Nothing listens there: none of this takes Redis.
fn away() -> ClusterConfig {
    ClusterConfig { url: "redis://127.0.0.1:1".into(), ..ClusterConfig::default() }
}

fn hourly(units: u32) -> Quota {
    Quota::per(units, Duration::from_secs(3_600)).expect("valid")
}

fn limiter(policy: Policy) -> ClusterLimiter {
    ClusterLimiter::builder(away()).policy(policy).connect_lazy().expect("valid")
}

/// What the node knows of a key, made if need be.
fn with<R>(shared: &Shared, key: Key<'_>, f: impl FnOnce(&mut KeyState) -> R) -> R {
    let make = || (Subject::of(key), 0);
    let place = shared.table.place(key);
    shared.table.with(place, (shared.now(), shared.terms), make, f).expect("there is room")
}

#[tokio::test(start_paused = true)]
async fn a_generation_of_two_successors_ends_when_nobody_uses_it() {
    let first = limiter(Policy::new("a", hourly(10)));
    let next = || first.successor().policy(Policy::new("a", hourly(20))).connect_lazy();
    // A reload that was refused, and the one after it.
    let (refused, second) = (next().expect("valid"), next().expect("valid"));
    let old = Arc::downgrade(first.parts().1);
    drop((refused, first));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(old.strong_count(), 0);
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_successor_knows_the_orders_that_were_obeyed_while_it_was_made() {
    let first = limiter(Policy::new("a", hourly(10)));
    let shared = first.parts().1;
    let (blocked, lifted) = (Key::Text("blocked"), Key::Text("lifted"));
    let later = shared.now() + 1_000_000_000;
    with(shared, blocked, |_| ());
    with(shared, lifted, |state| state.blocked = later);
    // As if the table were copied before these were obeyed in it.
    shared.blocks.write().insert(Subject::of(blocked), later);
    let second = first.successor().policy(Policy::new("a", hourly(10)));
    let second = second.connect_lazy().expect("valid");
    let known = |key| with(second.parts().1, key, |state| state.blocked);
    assert_eq!([known(blocked), known(lifted)], [later, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_key_spent_of_a_candidate_is_carried_as_well() {
    let candidate = Policy::new("a", hourly(10)).candidate(hourly(20), Share::ALL);
    let first = limiter(candidate);
    let key = Key::Text("k");
    let set = first.set(&["a"]).expect("known");
    let now = tokio::time::Instant::now();
    for _ in 0..20 {
        assert!(first.check(key, &set, now).await.is_allowed());
    }
    let second = first.successor().policy(Policy::new("a", hourly(20)));
    let second = second.connect_lazy().expect("valid");
    let set = second.set(&["a"]).expect("known");
    assert!(!second.check(key, &set, now).await.is_allowed());
}

#[tokio::test(start_paused = true)]
async fn what_has_refilled_by_a_shorter_period_is_not_given_back_by_the_longer_one() {
    let first = limiter(Policy::new("a", hourly(60)));
    let refilled = |since| first.parts().1.refilled(&[0], since).collect::<Vec<_>>();
    assert_eq!(refilled(1_000_000), [1_000_000]);
    let minutely = Quota::per(60, Duration::from_secs(60)).expect("valid");
    let second = first.successor().policy(Policy::new("a", minutely));
    let second = second.connect_lazy().expect("valid");
    // A unit of the later one; and a later one that is slower takes nothing back of that.
    assert_eq!(refilled(1_000_000), [60_000_000]);
    let third = second.successor().policy(Policy::new("a", hourly(60)));
    let _third = third.connect_lazy().expect("valid");
    assert_eq!(refilled(1_000_000), [60_000_000]);
}

#[tokio::test(start_paused = true)]
async fn what_a_key_without_a_place_came_to_counts_in_an_outage() {
    let config = ClusterConfig { max_keys: 1, nodes: Some(1), ..away() };
    let limiter = ClusterLimiter::builder(config).policy(Policy::new("a", hourly(3)));
    let limiter = limiter.connect_lazy().expect("valid");
    let shared = limiter.parts().1;
    let later = shared.now() + 1_000_000_000;
    for number in 0..1_000 {
        let key = Key::Number(number);
        let make = || (Subject::of(key), later);
        let place = shared.table.place(key);
        let _ = shared.table.with(place, (shared.now(), shared.terms), make, |_| ());
    }
    let (key, set) = (Key::Text("k"), limiter.set(&["a"]).expect("known"));
    let mut admitted = 0;
    for _ in 0..10 {
        if let Ok(one) = limiter.admit(key, &set, tokio::time::Instant::now()).await {
            one.settle(1);
            admitted += 1;
        }
        // The task that settles has its turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(admitted, 3);
}
