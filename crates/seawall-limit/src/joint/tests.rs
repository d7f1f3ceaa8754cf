use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::time::Instant;

use super::*;
use crate::policy::Policy;
use crate::quota::Quota;

const HOUR: Duration = Duration::from_secs(3_600);

/// `share`: 5, `total`: 8, each an hour.
fn limiter() -> (Limiter, PolicySet, PolicySet, Instant) {
    let quota = |limit| Quota::fixed(limit, HOUR).unwrap();
    let limiter = Limiter::builder()
        .policy(Policy::new("share", quota(5)))
        .policy(Policy::new("total", quota(8)))
        .build()
        .unwrap();
    let sets = ["share", "total"].map(|name| limiter.set(&[name]).unwrap());
    let [share, total] = sets;
    (limiter, share, total, Instant::now())
}

#[test]
fn one_that_floods_takes_no_more_of_the_total_than_its_share() {
    let (limiter, share, total, now) = limiter();
    let all = Key::Text("all");
    let ask = |user| limiter.check_joint([(Key::Number(user), &share), (all, &total)], 1, now);
    let flood = (0..500).filter(|_| ask(1).is_allowed()).count();
    assert_eq!(flood, 5);
    assert_eq!(limiter.peek(all, &total, now).remaining(), 3, "refused, but charged to all");
    let other = (0..500).filter(|_| ask(2).is_allowed()).count();
    assert_eq!(other, 3);
    let refused = ask(2);
    assert_eq!(refused.named().unwrap().policy(), "total");
    assert_eq!(limiter.peek(2, &share, now).remaining(), 2, "refused, but charged to its share");
    assert_eq!(ask(1).named().unwrap().policy(), "share", "the most specific is named");
    assert_eq!(refused.retry_after(), Some(HOUR));
}

#[test]
fn a_subject_named_twice_is_charged_twice_or_not_at_all() {
    let (limiter, share, _, now) = limiter();
    let twice = |cost| {
        let key = Key::Number(7);
        limiter.check_joint([(key, &share), (key, &share)], cost, now).is_allowed()
    };
    assert!(twice(2));
    assert!(!twice(1));
    assert_eq!(limiter.peek(7, &share, now).remaining(), 1);
}

#[test]
fn subjects_of_two_limiters_are_decided_together() {
    let (one, share, _, now) = limiter();
    let (other, _, total, _) = limiter();
    let key = Key::Number(1);
    assert!(one.check_joint([(key, &share), (key, &total)], 5, now).is_allowed());
    assert!(!one.check_joint([(key, &share), (key, &total)], 3, now).is_allowed());
    assert_eq!(other.peek(1, &total, now).remaining(), 3);
    assert_eq!(one.peek(1, &share, now).remaining(), 0);
}

#[test]
fn a_cost_that_one_subject_never_has_is_told_apart_and_charges_nobody() {
    let (limiter, share, total, now) = limiter();
    let joint = limiter.check_joint([(Key::Number(1), &share), (Key::Unknown, &total)], 6, now);
    assert!(!joint.is_allowed() && joint.retry_after().is_none());
    assert!(joint.decisions()[0].is_too_large() && joint.decisions()[1].is_allowed());
    assert_eq!(limiter.live_keys(now), 0);
    assert!(limiter.check_joint([(Key::Number(1), &share)], 0, now).is_allowed());
    assert_eq!(limiter.live_keys(now), 0);
}

#[test]
fn joint_decisions_in_every_order_do_not_lock_each_other_up_and_add_up() {
    let quota = |limit| Quota::per(limit, HOUR).unwrap();
    let limiter = Limiter::builder()
        .policy(Policy::new("share", quota(2_000)))
        .policy(Policy::new("total", quota(9_000)))
        .max_keys(100_000)
        .build()
        .unwrap();
    let (share, total) = (limiter.set(&["share"]).unwrap(), limiter.set(&["total"]).unwrap());
    let now = Instant::now();
    let admitted: [AtomicU64; 8] = Default::default();
    thread::scope(|scope| {
        for number in 0..8_u64 {
            let (limiter, share, total, admitted) = (&limiter, &share, &total, &admitted);
            scope.spawn(move || {
                for turn in 0..4_000_u64 {
                    let user = (turn + number) % 8;
                    let mut subjects = [
                        (Key::Number(user), share),
                        (Key::Unknown, total),
                        (Key::Text("x"), total),
                    ];
                    subjects.rotate_left(number as usize % 3);
                    if limiter.check_joint(subjects, 1, now).is_allowed() {
                        admitted[user as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let admitted = admitted.map(AtomicU64::into_inner);
    assert_eq!(admitted.iter().sum::<u64>(), 9_000);
    for (user, admitted) in (0..).zip(admitted) {
        let left = limiter.peek(Key::Number(user), &share, now).remaining();
        assert_eq!(admitted, 2_000 - u64::from(left), "user {user}");
    }
}
