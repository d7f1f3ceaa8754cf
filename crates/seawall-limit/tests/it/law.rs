//! The quota's law against two oracles: governor, and exact counting.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, FakeRelativeClock};
use governor::{Quota as GovernorQuota, RateLimiter};
use proptest::prelude::*;
use seawall_limit::{Limiter, Policy, PolicySet, Quota};
use tokio::time::Instant;

fn limiter(quota: Quota) -> (Limiter, PolicySet) {
    let limiter = Limiter::builder().policy(Policy::new("p", quota)).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    (limiter, set)
}

/// Gaps that hit bursts, the exact interval, its neighbours and idling.
fn gaps(interval: u64) -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap = prop_oneof![
        4 => Just(0),
        2 => Just(interval),
        1 => Just(interval - 1),
        1 => Just(interval + 1),
        3 => 0..interval * 2,
        1 => 0..interval * 50,
    ];
    let cost = prop_oneof![6 => Just(1_u32), 2 => 1..5_u32, 1 => 1..40_u32];
    prop::collection::vec((gap, cost), 1..200)
}

fn quota_and_gaps() -> impl Strategy<Value = (u32, u64, u32, Vec<(u64, u32)>)> {
    (1..200_u32, 1_000..100_000_000_000_u64, 1..30_u32).prop_flat_map(|(limit, period, burst)| {
        let interval = period.div_ceil(u64::from(limit));
        (Just(limit), Just(period), Just(burst), gaps(interval))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn governor_decides_the_same_on_the_same_arrivals((limit, period, burst, arrivals) in quota_and_gaps()) {
        let quota = Quota::per(limit, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap();
        let (ours, set) = limiter(quota);
        let clock = FakeRelativeClock::default();
        let theirs = RateLimiter::direct_with_clock(
            GovernorQuota::with_period(quota.interval()).unwrap().allow_burst(NonZeroU32::new(burst).unwrap()),
            clock.clone(),
        );
        let mut now = Instant::now();
        for (gap, cost) in arrivals {
            now += Duration::from_nanos(gap);
            clock.advance(Duration::from_nanos(gap));
            let decision = ours.check_n("k", &set, cost, now);
            match theirs.check_n(NonZeroU32::new(cost).unwrap()) {
                Ok(Ok(())) => prop_assert!(decision.is_allowed()),
                Ok(Err(until)) => {
                    prop_assert_eq!(decision.retry_after(), Some(until.wait_time_from(clock.now())));
                }
                Err(_) => prop_assert!(decision.is_too_large()),
            }
        }
    }

    #[test]
    fn no_window_admits_more_than_the_law((limit, period, burst, arrivals) in quota_and_gaps()) {
        let quota = Quota::per(limit, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap();
        let (limiter, set) = limiter(quota);
        let start = Instant::now();
        let mut at = 0;
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (gap, cost) in arrivals {
            at += gap;
            if limiter.check_n("k", &set, cost, start + Duration::from_nanos(at)).is_allowed() {
                admitted.push((at, cost.into()));
            }
        }
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut units = 0;
            for (to, cost) in &admitted[first..] {
                units += cost;
                let window = to - from;
                // As written, in exact arithmetic; not as rounded to nanoseconds.
                let exact = u128::from(burst) + u128::from(window) * u128::from(limit) / u128::from(period);
                prop_assert!(u128::from(units) <= exact, "{units} units in {window} ns");
                prop_assert!(units <= quota.max_admitted(Duration::from_nanos(window)));
            }
        }
    }

    #[test]
    fn a_bucket_that_counts_credit_agrees((limit, period, burst, arrivals) in quota_and_gaps()) {
        let quota = Quota::per(limit, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap();
        let (limiter, set) = limiter(quota);
        let interval = quota.interval().as_nanos();
        let full = interval * u128::from(burst);
        let mut credit = full;
        let mut now = Instant::now();
        for (gap, cost) in arrivals {
            now += Duration::from_nanos(gap);
            credit = full.min(credit + u128::from(gap));
            let price = interval * u128::from(cost);
            let decision = limiter.check_n("k", &set, cost, now);
            prop_assert_eq!(decision.is_allowed(), price <= credit);
            if price <= credit {
                credit -= price;
            }
            prop_assert_eq!(u128::from(decision.remaining()), credit / interval);
            prop_assert_eq!(decision.reset().as_nanos(), full - credit);
        }
    }

    #[test]
    fn several_policies_charge_all_or_none(
        arrivals in prop::collection::vec((0..2_000_000_000_u64, 1..4_u32), 1..200),
    ) {
        let quotas = [(5, 1_000), (12, 10_000), (40, 60_000)]
            .map(|(limit, millis)| Quota::per(limit, Duration::from_millis(millis)).unwrap());
        let names = ["a", "b", "c"];
        let together = Limiter::builder()
            .policies(names.iter().zip(quotas).map(|(name, quota)| Policy::new(*name, quota)))
            .build()
            .unwrap();
        let all = together.set(&names).unwrap();
        let singles = quotas.map(limiter);
        let mut now = Instant::now();
        for (gap, cost) in arrivals {
            now += Duration::from_nanos(gap);
            // Asked one by one without charging; charged by hand if all agree.
            let waits = singles.iter().map(|(single, set)| {
                let decision = single.check_n("k", set, cost, now);
                if decision.is_allowed() {
                    single.refund("k", set, cost);
                }
                decision.retry_after().unwrap_or_default()
            });
            let wait = waits.max().unwrap();
            let decision = together.check_n("k", &all, cost, now);
            prop_assert_eq!(decision.is_allowed(), wait.is_zero());
            prop_assert_eq!(decision.retry_after().unwrap_or_default(), wait);
            if wait.is_zero() {
                for (single, set) in &singles {
                    prop_assert!(single.check_n("k", set, cost, now).is_allowed());
                }
            }
        }
    }
}
