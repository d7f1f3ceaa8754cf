//! How long the first attempt is waited for.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// A quantile of what reads took lately: a histogram with four buckets to each doubling, halved
/// whenever it has grown full, so that older reads fade.
pub(super) struct Delay {
    fixed: Option<Duration>,
    quantile: f64,
    least: Duration,
    buckets: [AtomicU32; BUCKETS],
    count: AtomicU32,
    /// In nanoseconds; zero before enough was measured.
    current: AtomicU64,
    /// Taken by whoever works it out anew; others go on with what there is.
    working: Mutex<()>,
}

impl Delay {
    pub(super) fn new(fixed: Option<Duration>, quantile: f64, least: Duration) -> Self {
        Self {
            fixed,
            quantile,
            least,
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
            count: AtomicU32::new(0),
            current: AtomicU64::new(0),
            working: Mutex::new(()),
        }
    }

    /// The time after which to try again; nothing before enough was measured.
    pub(super) fn get(&self) -> Option<Duration> {
        if self.fixed.is_some() {
            return self.fixed;
        }
        let nanos = self.current.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos).max(self.least))
    }

    /// A first attempt took so long, or was given up after it. True if the delay was worked
    /// out anew.
    pub(super) fn record(&self, took: Duration) -> bool {
        if self.fixed.is_some() {
            return false;
        }
        self.buckets[bucket(took)].fetch_add(1, Ordering::Relaxed);
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if !count.is_multiple_of(EVERY) {
            return false;
        }
        let Some(_working) = self.working.try_lock() else { return false };
        self.current.store(self.work_out(), Ordering::Relaxed);
        if count >= FULL {
            self.halve();
        }
        true
    }

    /// The upper end of the bucket in which the quantile lies.
    fn work_out(&self) -> u64 {
        let counts = self.buckets.each_ref().map(|count| count.load(Ordering::Relaxed));
        let total: f64 = counts.iter().copied().map(f64::from).sum();
        let mut below = 0.0;
        for (index, count) in counts.into_iter().enumerate() {
            below += f64::from(count);
            if below >= total * self.quantile {
                return upper_end(index);
            }
        }
        upper_end(BUCKETS - 1)
    }

    /// Reads that come meanwhile may be lost to the count, which does no harm.
    fn halve(&self) {
        let mut left = 0;
        for bucket in &self.buckets {
            let half = bucket.load(Ordering::Relaxed) / 2;
            bucket.store(half, Ordering::Relaxed);
            left += half;
        }
        // Kept in step, or no count would be a multiple.
        self.count.store(left / EVERY * EVERY, Ordering::Relaxed);
    }
}

/// Of a time: four to each doubling, from 16 us on.
fn bucket(took: Duration) -> usize {
    let sixteenths = u64::try_from(took.as_micros()).unwrap_or(u64::MAX) / 4;
    if sixteenths < 4 {
        return 0;
    }
    let doublings = sixteenths.ilog2() - 2;
    let quarter = (sixteenths >> doublings) & 3;
    let index =
        usize::try_from(doublings * 4).unwrap_or(BUCKETS) + usize::try_from(quarter).unwrap_or(0);
    (index + 1).min(BUCKETS - 1)
}

/// In nanoseconds.
fn upper_end(index: usize) -> u64 {
    let (doublings, quarter) = (index / 4, index % 4);
    let micros = (16 + 4 * quarter as u64) << doublings;
    micros * 1_000
}

/// Up to about 100 s.
const BUCKETS: usize = 92;
const EVERY: u32 = 100;
const FULL: u32 = 4_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{BUCKETS, Delay, bucket, upper_end};

    fn of(quantile: f64) -> Delay {
        Delay::new(None, quantile, Duration::from_micros(100))
    }

    fn fed(delay: &Delay, micros: impl IntoIterator<Item = u64>) -> Option<Duration> {
        for micros in micros {
            delay.record(Duration::from_micros(micros));
        }
        delay.get()
    }

    #[test]
    fn before_enough_was_measured_there_is_no_delay() {
        let delay = of(0.95);
        assert_eq!(fed(&delay, vec![1_000; 99]), None);
        assert!(fed(&delay, [1_000]).is_some());
    }

    #[test]
    fn it_is_the_quantile_to_within_a_quarter() {
        let delay = fed(&of(0.9), (0..1_000).map(|n| if n % 20 == 0 { 200_000 } else { 3_000 }));
        let micros = delay.unwrap().as_micros();
        assert!((3_000..=3_750).contains(&micros), "{micros}");
        let delay = fed(&of(0.99), (0..1_000).map(|n| if n % 20 == 0 { 200_000 } else { 3_000 }));
        let micros = delay.unwrap().as_micros();
        assert!((200_000..=250_000).contains(&micros), "{micros}");
    }

    #[test]
    fn what_was_slow_long_ago_is_forgotten() {
        let delay = of(0.95);
        assert!(fed(&delay, vec![100_000; 10_000]).unwrap() >= Duration::from_millis(100));
        assert!(fed(&delay, vec![1_000; 40_000]).unwrap() <= Duration::from_micros(1_250));
    }

    #[test]
    fn the_least_and_a_fixed_time_count() {
        let delay = Delay::new(None, 0.95, Duration::from_millis(5));
        assert_eq!(fed(&delay, vec![1_000; 100]), Some(Duration::from_millis(5)));
        let fixed = Delay::new(Some(Duration::from_millis(7)), 0.95, Duration::from_millis(50));
        assert_eq!(fed(&fixed, vec![1_000; 100]), Some(Duration::from_millis(7)));
    }

    proptest! {
        /// A time lies at or below the end of its bucket, and at most a quarter below it.
        #[test]
        fn a_bucket_holds_its_times(micros in 16u64..60_000_000) {
            let end = upper_end(bucket(Duration::from_micros(micros)));
            prop_assert!(micros * 1_000 < end);
            prop_assert!(end <= micros * 1_000 * 5 / 4 + 4_000);
        }

        #[test]
        fn no_time_is_too_long(nanos: u64) {
            prop_assert!(bucket(Duration::from_nanos(nanos)) < BUCKETS);
        }
    }
}
