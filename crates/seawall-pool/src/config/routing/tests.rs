use std::time::Duration;

use proptest::prelude::*;

use super::{LagLimits, RoutingConfig};
use crate::{Error, Lag};

const LIMITS: fn() -> LagLimits = LagLimits::default;

fn lag(bytes: u64, time: Duration) -> Lag {
    Lag { bytes, time }
}

#[test]
fn bounds_are_checked_by_name() {
    RoutingConfig::default().validate().unwrap();
    let lag = LagLimits { hard: Duration::from_millis(1), ..LIMITS() };
    let error = RoutingConfig { lag, ..RoutingConfig::default() }.validate().unwrap_err();
    assert!(matches!(error, Error::Config { field: "lag.hard", .. }), "{error}");
    let error = RoutingConfig { fallback_share: -0.1, ..RoutingConfig::default() }.validate();
    assert!(matches!(error, Err(Error::Config { field: "fallback_share", .. })), "{error:?}");
    let error = RoutingConfig { spill_below: 1.5, ..RoutingConfig::default() }.validate();
    assert!(matches!(error, Err(Error::Config { field: "spill_below", .. })), "{error:?}");
    let decay = Duration::ZERO;
    let error = RoutingConfig { decay, ..RoutingConfig::default() }.validate().unwrap_err();
    assert!(matches!(error, Error::Routing { .. }), "{error}");
}

#[test]
fn bytes_alone_reach_both_limits() {
    let limits = LIMITS();
    let of = |bytes| limits.measure(lag(bytes, Duration::ZERO));
    assert_eq!(of(0), Duration::ZERO);
    assert_eq!(of(limits.soft_bytes), limits.soft);
    assert!(of(limits.soft_bytes + 1) > limits.soft);
    assert!(of(limits.hard_bytes) <= limits.hard);
    assert!(of(limits.hard_bytes + 1) > limits.hard);
    assert!(of(u64::MAX) > limits.hard);
}

proptest! {
    /// Never below the time, never falling as bytes grow, and on the same side of each
    /// limit as the worse of the two.
    #[test]
    fn the_worse_of_time_and_bytes_decides(
        (soft_bytes, more) in (1u64..1 << 40, 0u64..1 << 40),
        bytes: u64,
        fewer: u64,
        millis in 0u64..100_000,
    ) {
        let limits = LagLimits { soft_bytes, hard_bytes: soft_bytes + more, ..LIMITS() };
        let time = Duration::from_millis(millis);
        let measure = limits.measure(lag(bytes, time));
        prop_assert!(measure >= time);
        prop_assert!(limits.measure(lag(bytes.min(fewer), time)) <= measure);
        prop_assert_eq!(measure > limits.soft, time > limits.soft || bytes > soft_bytes);
        let hard = time > limits.hard || bytes > limits.hard_bytes;
        prop_assert_eq!(measure > limits.hard, hard);
    }
}
