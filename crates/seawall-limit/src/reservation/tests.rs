use std::time::Duration;

use super::*;
use crate::policy::Policy;
use crate::quota::Quota;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn limiter(quota: Quota) -> (Limiter, PolicySet, Instant) {
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).max_keys(10).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    let now = Instant::now();
    (limiter, set, now)
}

fn quotas() -> [Quota; 4] {
    [
        Quota::per(60, MINUTE).unwrap(),
        Quota::strict(60, MINUTE).unwrap().with_burst(60).unwrap(),
        Quota::window(60, MINUTE).unwrap(),
        Quota::fixed(60, MINUTE).unwrap(),
    ]
}

#[test]
fn a_thousand_good_answers_in_flight_leave_room_for_all() {
    let (limiter, set, now) = limiter(Quota::per(5, MINUTE).unwrap());
    let flying: Vec<_> = (0..1_000).map(|_| limiter.admit("a", &set, now).unwrap()).collect();
    for reservation in flying {
        reservation.settle(0, now);
    }
    assert_eq!(limiter.peek("a", &set, now).remaining(), 5);
    assert_eq!(limiter.live_keys(now), 0);
    for _ in 0..5 {
        limiter.admit("a", &set, now).unwrap().settle(1, now);
    }
    let refused = limiter.admit("a", &set, now).unwrap_err();
    assert_eq!(refused.retry_after(), Some(12 * SECOND));
}

#[test]
fn bad_answers_that_overran_the_quota_together_are_made_up_for() {
    let quota = Quota::per(5, MINUTE).unwrap().with_debt(10).unwrap();
    let (limiter, set, now) = limiter(quota);
    let flying: Vec<_> = (0..40).map(|_| limiter.admit("a", &set, now).unwrap()).collect();
    for reservation in flying {
        reservation.settle(1, now);
    }
    // 5 were there, 10 are debt, 25 are above what may be owed.
    let refused = limiter.admit("a", &set, now).unwrap_err();
    assert_eq!(refused.retry_after(), Some(11 * 12 * SECOND));
    assert_eq!((refused.remaining(), refused.reset()), (0, 15 * 12 * SECOND));
    assert!(limiter.check("a", &set, now + 11 * 12 * SECOND).is_allowed());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reservation_is_settled_as_it_was_told_once() {
    let quota = Quota::per(60, MINUTE).unwrap();
    let (limiter, set, now) = limiter(quota);
    let left = || limiter.peek("a", &set, Instant::now()).remaining();
    drop(limiter.reserve("a", &set, 10, now).unwrap());
    assert_eq!(left(), 50, "kept by default");
    drop(limiter.reserve("a", &set, 10, now).unwrap().dropped_as(0));
    assert_eq!(left(), 50, "given back");
    drop(limiter.reserve("a", &set, 10, now).unwrap().dropped_as(12));
    assert_eq!(left(), 38, "and more");
    drop(limiter.admit("a", &set, now).unwrap());
    assert_eq!(left(), 37, "hanging up does not hide an attempt");
    drop(limiter.admit("a", &set, now).unwrap().dropped_as(0));
    assert_eq!(left(), 37);
    limiter.reserve("a", &set, 10, now).unwrap().dropped_as(30).settle(3, now);
    assert_eq!(left(), 34, "settled, then dropped: once");
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_cancelled_leaves_what_its_reservation_says() {
    let (limiter, set, now) = limiter(Quota::fixed(10, MINUTE).unwrap());
    let call = async {
        let reservation = limiter.reserve("a", &set, 4, now).unwrap().dropped_as(1);
        tokio::time::sleep(MINUTE).await;
        reservation.settle(4, Instant::now());
    };
    assert!(tokio::time::timeout(SECOND, call).await.is_err());
    assert_eq!(limiter.peek("a", &set, Instant::now()).remaining(), 9);
}

#[test]
fn settling_at_once_gives_back_exactly_in_every_mode() {
    for quota in quotas() {
        let (limiter, set, now) = limiter(quota);
        assert!(limiter.check_n("a", &set, 7, now).is_allowed());
        let reservation = limiter.reserve("a", &set, 20, now).unwrap();
        assert_eq!((reservation.charged(), limiter.peek("a", &set, now).remaining()), (20, 33));
        reservation.settle(5, now);
        assert_eq!(limiter.peek("a", &set, now).remaining(), 48, "{quota:?}");
    }
}

#[test]
fn what_came_back_by_itself_is_not_given_back_again() {
    for quota in quotas() {
        let (limiter, set, now) = limiter(quota);
        let reservation = limiter.reserve("a", &set, 30, now).unwrap();
        let later = now + 60 * MINUTE;
        assert!(limiter.check_n("a", &set, 60, later).is_allowed(), "{quota:?}");
        reservation.settle(0, later);
        assert_eq!(limiter.peek("a", &set, later).remaining(), 0, "{quota:?}");
    }
}

#[test]
fn a_reservation_that_must_not_be_is_the_decision() {
    let (limiter, set, now) = limiter(Quota::per(5, MINUTE).unwrap());
    assert!(limiter.reserve("a", &set, 6, now).unwrap_err().is_too_large());
    let held = limiter.reserve("a", &set, 5, now).unwrap();
    assert_eq!(limiter.reserve("a", &set, 1, now).unwrap_err().retry_after(), Some(12 * SECOND));
    held.settle(9, now);
    assert_eq!(limiter.peek("a", &set, now).reset(), MINUTE, "no debt was allowed");
}
