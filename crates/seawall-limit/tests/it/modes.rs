//! Every mode against its bound, counted out; and `Fixed` against what Node does.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use seawall_limit::{Decision, Limiter, Mode, Policy, PolicySet, Quota};
use tokio::time::Instant;

const MODES: [Mode; 4] = [Mode::Smooth, Mode::Strict, Mode::Window, Mode::Fixed];

fn limiter(quota: Quota, max_keys: usize) -> (Limiter, PolicySet) {
    let limiter =
        Limiter::builder().policy(Policy::new("p", quota)).max_keys(max_keys).build().unwrap();
    let set = limiter.set(&["p"]).unwrap();
    (limiter, set)
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let period = prop_oneof![1_000..10_000_u64, Just(1_000_000_007), Just(60_000_000_000)];
    (0..4_usize, 1..30_u32, period, 1..40_u32, any::<bool>()).prop_map(
        |(mode, limit, period, burst, with_burst)| {
            let mode = MODES[mode];
            let period = Duration::from_nanos(period);
            let quota = Quota::per(limit, period).unwrap().in_mode(mode).unwrap();
            match mode {
                Mode::Smooth if with_burst => quota.with_burst(burst).unwrap(),
                Mode::Strict if with_burst => quota.with_burst(burst.min(limit)).unwrap(),
                _ => quota,
            }
        },
    )
}

/// Gaps in thousandths of the period: bursts, the turn of a period and its neighbours, idling.
/// The number is added in nanoseconds.
fn arrivals() -> impl Strategy<Value = Vec<(u64, i64, u32)>> {
    let gap = prop_oneof![
        6 => Just(0_u64),
        4 => 0..100_u64,
        2 => 0..1_000_u64,
        2 => Just(1_000),
        1 => Just(2_000),
        1 => 0..4_000_u64,
    ];
    let cost = prop_oneof![6 => Just(1_u32), 2 => 1..6_u32, 1 => 1..40_u32];
    prop::collection::vec((gap, -1..2_i64, cost), 1..150)
}

fn moments(quota: Quota, arrivals: &[(u64, i64, u32)]) -> Vec<(u64, u32)> {
    let mut at = 0_u64;
    let period = quota.period().as_nanos() as u64;
    let step = |(gap, off, cost): &(u64, i64, u32)| {
        at += (gap * period / 1_000).saturating_add_signed(*off);
        (at, *cost)
    };
    arrivals.iter().map(step).collect()
}

/// Every window that begins and ends with an admission; others hold no more than these.
fn assert_bounded(quota: Quota, admitted: &[(u64, u64)]) -> Result<(), TestCaseError> {
    for (first, (from, _)) in admitted.iter().enumerate() {
        let mut units = 0;
        for (to, cost) in &admitted[first..] {
            units += cost;
            let window = Duration::from_nanos(to - from);
            let bound = quota.max_admitted(window);
            prop_assert!(units <= bound, "{units} > {bound} in {window:?} of {quota:?}");
            if quota.mode() == Mode::Strict && window <= quota.period() {
                prop_assert!(units <= quota.limit().into(), "{units} in {window:?} of {quota:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_window_of_any_mode_admits_more_than_its_bound(quota in any_quota(), arrivals in arrivals()) {
        let (limiter, set) = limiter(quota, 100);
        let start = Instant::now();
        let mut admitted = Vec::new();
        for (at, cost) in moments(quota, &arrivals) {
            let now = start + Duration::from_nanos(at);
            if limiter.check_n("k", &set, cost, now).is_allowed() {
                admitted.push((at, u64::from(cost)));
            }
        }
        assert_bounded(quota, &admitted)?;
    }

    #[test]
    fn a_full_table_does_not_loosen_the_bound(quota in any_quota(), arrivals in arrivals()) {
        // Some twenty slots for fifty keys: they go in and out of the overflow.
        let (limiter, set) = limiter(quota, 1);
        let start = Instant::now();
        let mut admitted: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        for (turn, (at, cost)) in moments(quota, &arrivals).into_iter().enumerate() {
            let now = start + Duration::from_nanos(at);
            for key in [turn as u64 % 3, 3 + turn as u64 * 7 % 47, 50 + turn as u64] {
                if limiter.check_n(key, &set, cost, now).is_allowed() {
                    admitted.entry(key).or_default().push((at, u64::from(cost)));
                }
            }
        }
        for admitted in admitted.values() {
            assert_bounded(quota, admitted)?;
        }
    }

    #[test]
    fn who_waits_as_told_is_admitted_and_one_nanosecond_less_is_not(quota in any_quota(), arrivals in arrivals()) {
        let (limiter, set) = limiter(quota, 100);
        let start = Instant::now();
        for (at, cost) in moments(quota, &arrivals) {
            let now = start + Duration::from_nanos(at);
            let decision = limiter.check_n("k", &set, cost, now);
            if let Some(wait) = decision.retry_after() {
                let early = now + wait - Duration::from_nanos(1);
                prop_assert!(limiter.peek_n("k", &set, cost, now + wait).is_allowed());
                prop_assert!(!limiter.peek_n("k", &set, cost, early).is_allowed());
            } else {
                prop_assert_eq!(decision.is_too_large(), cost > quota.burst());
            }
        }
    }

    #[test]
    fn settled_reservations_keep_the_bound_of_what_they_settled_at(
        quota in any_quota(), arrivals in arrivals(), settle in prop::collection::vec((0..6_usize, 0..6_u32), 150),
    ) {
        // Each is settled some arrivals later, below what was charged.
        let (limiter, set) = limiter(quota, 100);
        let start = Instant::now();
        let mut open = Vec::new();
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (turn, (at, cost)) in moments(quota, &arrivals).into_iter().enumerate() {
            let now = start + Duration::from_nanos(at);
            if let Ok(reservation) = limiter.reserve("k", &set, cost, now) {
                let (later, actual) = settle[turn];
                open.push((turn + later, actual.min(cost), admitted.len(), reservation));
                admitted.push((at, u64::from(cost)));
            }
            while let Some(due) = open.iter().position(|(due, ..)| *due <= turn) {
                let (_, actual, index, reservation) = open.swap_remove(due);
                reservation.settle(actual, now);
                admitted[index].1 = actual.into();
            }
        }
        for (_, _, _, reservation) in open {
            let charged = reservation.charged();
            reservation.settle(charged, start);
        }
        assert_bounded(quota, &admitted)?;
    }
}

#[test]
fn each_bound_is_reached_and_not_merely_kept() {
    let minute = Duration::from_secs(60);
    let nano = Duration::from_nanos(1);
    // One unit at a time, from `at` on, until one is rejected.
    let take = |limiter: &Limiter, set: &PolicySet, at: Instant| {
        std::iter::repeat_with(|| limiter.check("k", set, at))
            .take_while(Decision::is_allowed)
            .count() as u64
    };

    let quota = Quota::fixed(10, minute).unwrap();
    let (fixed, set) = limiter(quota, 10);
    let start = Instant::now();
    assert!(fixed.check("k", &set, start).is_allowed());
    let turn = take(&fixed, &set, start + minute - nano) + take(&fixed, &set, start + minute);
    assert_eq!(turn, quota.max_admitted(nano) - 1, "the first unit opened the window");

    let quota = Quota::strict(10, minute).unwrap().with_burst(4).unwrap();
    let (strict, set) = limiter(quota, 10);
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let taken: u64 = (0..=60).map(|seconds| take(&strict, &set, start + seconds * second)).sum();
    assert_eq!(taken, 10);

    let quota = Quota::window(10, minute).unwrap();
    let (window, set) = limiter(quota, 10);
    let start = Instant::now();
    assert!(window.check("k", &set, start).is_allowed());
    let mut taken = take(&window, &set, start + minute - nano);
    for seconds in 60..120 {
        taken += take(&window, &set, start + seconds * second);
    }
    assert_eq!(
        taken,
        9 + 9,
        "of {}: one opened the window, one fades after it",
        quota.max_admitted(minute)
    );
}

/// Requests per minute of an hour with a match: the file `invocation_count.csv` of
/// github.com/nimamahmoudi/worldcup98-dataset at 8246021 (MIT), from the access logs of the 1998
/// World Cup web site (Internet Traffic Archive; Arlitt and Jin, HP Labs). In hundreds.
const MATCH: &str = include_str!("../data/wc98_match.txt");

/// A straightforward MemoryStore of express-rate-limit, which decides as
/// rate-limiter-flexible's RateLimiterMemory does: milliseconds, the window from the first hit,
/// every hit counted.
struct Express {
    limit: u32,
    window_ms: u64,
    clients: HashMap<u64, (u64, u32)>,
}

impl Express {
    /// Whether it passes, what remains, and when the window ends.
    fn hit(&mut self, client: u64, now_ms: u64) -> (bool, u32, u64) {
        let (reset, hits) = self.clients.entry(client).or_default();
        if *reset <= now_ms {
            (*reset, *hits) = (now_ms + self.window_ms, 0);
        }
        *hits += 1;
        (*hits <= self.limit, self.limit.saturating_sub(*hits), *reset)
    }
}

#[test]
fn fixed_decides_as_express_rate_limit_does_on_a_match_day() {
    for (limit, window_ms) in [(5, 60_000), (50, 900_000), (1, 1_000)] {
        let quota = Quota::fixed(limit, Duration::from_millis(window_ms)).unwrap();
        let (limiter, set) = limiter(quota, 10_000);
        let mut express = Express { limit, window_ms, clients: HashMap::new() };
        let start = Instant::now();
        let (mut random, mut rejected, mut requests) = (1_u64, 0, 0);
        for (minute, count) in MATCH.lines().enumerate() {
            let count: u64 = count.parse().unwrap();
            for request in 0..count {
                // Knuth's generator; a few clients make most of the requests.
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let client = (random >> 33) % (1 + (random >> 50) % 200);
                let now_ms = 1 + minute as u64 * 60_000 + request * 60_000 / count;
                let now = start + Duration::from_millis(now_ms);
                let (passes, remaining, reset) = express.hit(client, now_ms);
                let decision = limiter.check(client, &set, now);
                assert_eq!(decision.is_allowed(), passes, "client {client} at {now_ms} ms");
                assert_eq!(decision.remaining(), remaining);
                assert_eq!(decision.reset(), Duration::from_millis(reset - now_ms));
                requests += 1;
                rejected += u32::from(!passes);
            }
        }
        assert!(rejected > 100 && rejected < requests, "{rejected} of {requests}: nothing shown");
    }
}
