use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{CAPACITY, LagRing};
use crate::Lsn;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn nothing_is_known_before_the_first_sample_of_the_primary() {
    assert_eq!(LagRing::default().lag(Lsn(5), Instant::now()), None);
}

#[test]
fn an_idle_primary_means_no_lag_however_long_it_idles() {
    let start = Instant::now();
    let mut ring = LagRing::default();
    for tick in 0..14_400 {
        ring.primary_at(Lsn(100), start + ms(250 * tick));
    }
    let lag = ring.lag(Lsn(100), start + ms(3_600_000)).unwrap();
    assert_eq!((lag.bytes, lag.time), (0, Duration::ZERO));
}

#[test]
fn the_first_write_after_a_quiet_hour_is_not_an_hour_of_lag() {
    let start = Instant::now();
    let mut ring = LagRing::default();
    for tick in 0..=14_400 {
        ring.primary_at(Lsn(100), start + ms(250 * tick));
    }
    let write = start + ms(3_600_250);
    ring.primary_at(Lsn(180), write);
    let lag = ring.lag(Lsn(100), write).unwrap();
    assert_eq!((lag.bytes, lag.time), (80, ms(250)));
}

#[test]
fn a_paused_replica_ages_with_the_clock() {
    let start = Instant::now();
    let mut ring = LagRing::default();
    for tick in 0..40 {
        ring.primary_at(Lsn(100 + tick), start + ms(250 * tick));
    }
    // Stopped at what the primary had at tick 20.
    let lag = ring.lag(Lsn(120), start + ms(250 * 39)).unwrap();
    assert_eq!((lag.bytes, lag.time), (19, ms(250 * 19)));
}

#[test]
fn a_replica_older_than_the_history_is_at_least_that_old() {
    let start = Instant::now();
    let mut ring = LagRing::default();
    ring.primary_at(Lsn(100), start);
    let lag = ring.lag(Lsn(10), start + ms(500)).unwrap();
    assert_eq!((lag.bytes, lag.time), (90, ms(500)));
}

#[test]
fn a_primary_that_went_back_starts_a_new_history() {
    let start = Instant::now();
    let mut ring = LagRing::default();
    ring.primary_at(Lsn(1_000), start);
    ring.primary_at(Lsn(500), start + ms(250));
    let lag = ring.lag(Lsn(500), start + ms(300)).unwrap();
    assert_eq!(lag.bytes, 0);
}

proptest! {
    /// The lag lies between the truth and the truth plus the gap between the
    /// two samples around it, as long as the history was not thinned.
    #[test]
    fn lag_is_never_less_than_the_truth(
        steps in prop::collection::vec((1u64..1000, 1u64..500), 2..400),
        at in 0usize..400,
    ) {
        let start = Instant::now();
        let mut ring = LagRing::default();
        let (mut lsn, mut now) = (0, start);
        let mut history = Vec::new();
        for (bytes, millis) in steps {
            lsn += bytes;
            now += ms(millis);
            ring.primary_at(Lsn(lsn), now);
            history.push((lsn, now));
        }
        let (replayed, seen) = history[at % history.len()];
        let lag = ring.lag(Lsn(replayed), now).unwrap();
        prop_assert_eq!(lag.bytes, lsn - replayed);
        // A replica that is level has no lag; any other was passed just after
        // the primary was last seen at its position.
        let expected = if replayed == lsn { Duration::ZERO } else { now - seen };
        prop_assert_eq!(lag.time, expected);
    }

    #[test]
    fn memory_is_bounded_and_thinning_only_overestimates(count in 1u64..5_000) {
        let start = Instant::now();
        let mut ring = LagRing::default();
        for tick in 0..count {
            ring.primary_at(Lsn(tick), start + ms(tick));
        }
        prop_assert!(ring.samples.len() <= CAPACITY);
        let now = start + ms(count - 1);
        let replayed = count / 2;
        let lag = ring.lag(Lsn(replayed), now).unwrap();
        prop_assert!(lag.time >= ms(count - 1 - replayed));
    }
}
