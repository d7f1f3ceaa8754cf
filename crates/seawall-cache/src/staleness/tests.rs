//! The laws of lifetimes, for any configuration.

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

use super::*;

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::from_micros(999)),
        Just(MAX_TTL),
        Just(Duration::MAX),
        (0_u64..10_000_000).prop_map(Duration::from_micros),
        (0_u64..5_000_000).prop_map(Duration::from_secs),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let windows = (duration(), duration(), duration());
    (windows, duration(), 0.0..=1.0, 0.0..=10.0).prop_map(
        |((ttl, swr, sie), other, jitter, beta)| Policy {
            ttl: ttl.min(MAX_TTL),
            negative_ttl: other.min(MAX_TTL),
            l1_ttl: (other > Duration::ZERO).then_some(other),
            jitter,
            while_revalidate: swr.min(MAX_TTL),
            if_error: sie.min(MAX_TTL),
            throttle: other.min(MAX_TTL),
            beta,
        },
    )
}

fn plain() -> Policy {
    Policy::new(&CacheConfig {
        ttl: Duration::from_secs(100),
        stale_while_revalidate: Duration::from_secs(10),
        stale_if_error: Duration::from_secs(50),
        ..CacheConfig::default()
    })
}

proptest! {
    #[test]
    fn a_life_is_bounded_and_ordered(
        policy in policy(), ttl in proptest::option::of(duration()),
        cut in proptest::option::of(duration()), absent: bool, draw in -1.0..=2.0_f64,
    ) {
        let life = policy.life(ttl, cut, absent, draw);
        let own = if absent { policy.negative_ttl } else { policy.ttl };
        let whole = ttl.unwrap_or(own).min(MAX_TTL);
        assert!(life.fresh <= whole, "jitter never lengthens");
        assert_eq!(life.fresh.is_zero(), whole.is_zero(), "nor takes it all");
        assert!(life.fresh <= life.hard && life.hard <= MAX_TTL);
        if absent || cut == Some(Duration::ZERO) {
            assert_eq!(life.fresh, life.hard);
        }
    }

    #[test]
    fn uses_only_get_fewer_with_time_and_with_a_mark(
        policy in policy(), ttl in duration(), steps in proptest::collection::vec(0.0..1.2_f64, 2),
    ) {
        let loaded = Tick::FIRST.plus(Duration::from_secs(3600));
        let life = policy.life(Some(ttl), None, false, 0.5);
        let (fresh_until, expires) = (loaded.plus(life.fresh), loaded.plus(life.hard));
        let mut moments: Vec<_> =
            steps.iter().map(|step| loaded.plus(life.hard.mul_f64(*step))).collect();
        moments.sort();
        let [early, late] = moments.try_into().expect("two");
        let at = |now, marked| policy.allows(fresh_until, expires, marked, now);
        assert!(at(early, false) >= at(late, false));
        assert!(at(early, true) <= at(early, false));
        assert_ne!(at(early, true), Use::Fresh);
        assert_eq!(at(expires, false), Use::Dead, "the hard TTL is absolute");
        for on_error in [true, false] {
            let left = policy.servable_for(fresh_until, expires, on_error, late);
            assert!(late.plus(left) <= expires.max(late));
        }
    }

    #[test]
    fn the_nearer_the_end_the_more_reads_refresh(
        policy in policy(), delta in duration(), draw in 0.0..=1.0_f64, left in duration(), nearer in 0.0..1.0_f64,
    ) {
        let left = left.min(MAX_TTL);
        if policy.refreshes(left, delta, draw) {
            assert!(policy.refreshes(left.mul_f64(nearer).min(left), delta, draw));
            assert!(policy.refreshes(left, delta, draw / 2.0));
        }
    }
}

#[test]
fn each_window_ends_where_it_says() {
    let policy = plain();
    let loaded = Tick::FIRST;
    let life = policy.life(None, None, false, 0.0);
    assert_eq!(life.hard, Duration::from_secs(150));
    let (fresh_until, expires) = (loaded.plus(life.fresh), loaded.plus(life.hard));
    let at = |seconds: f64, marked| {
        let now = loaded.plus(Duration::from_secs_f64(seconds));
        policy.allows(fresh_until, expires, marked, now)
    };
    assert_eq!(at(99.999, false), Use::Fresh);
    assert_eq!(at(100.0, false), Use::WhileRevalidating);
    assert_eq!(at(50.0, true), Use::WhileRevalidating);
    assert_eq!(at(110.0, false), Use::OnError);
    assert_eq!(at(149.999, true), Use::OnError);
    assert_eq!(at(150.0, false), Use::Dead);
    let left = |on_error| policy.servable_for(fresh_until, expires, on_error, fresh_until);
    assert_eq!(left(false), Duration::from_secs(10));
    assert_eq!(left(true), Duration::from_secs(50));
}

#[test]
fn early_refreshes_follow_the_exponential_law() {
    let policy = plain();
    let delta = Duration::from_secs(2);
    for (left, expected) in [(2, 0.3679), (4, 0.1353), (0, 1.0)] {
        let draws = 10_000;
        let hits = (0..draws)
            .filter(|draw| {
                let draw = (f64::from(*draw) + 0.5) / f64::from(draws);
                policy.refreshes(Duration::from_secs(left), delta, draw)
            })
            .count();
        let share = hits as f64 / f64::from(draws);
        assert!((share - expected).abs() < 0.001, "{left} s left: {share}");
    }
}
