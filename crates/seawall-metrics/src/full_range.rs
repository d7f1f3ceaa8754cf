//! Recording of a whole load test: every value, to three digits, and corrected
//! for coordinated omission.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies of a load test in an `hdrhistogram`: from 1 us to 1 h at three
/// significant digits, about 200 KiB. Unlike the recorder's histograms it
/// belongs to one thread; threads that each have one are merged at the end.
#[derive(Clone, Debug)]
pub struct FullRange {
    values: Histogram<u64>,
    above: u64,
}

impl FullRange {
    /// Nothing recorded yet.
    ///
    /// # Errors
    /// None in practice: the library would have to refuse constants that it
    /// documents to be good.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let values = Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, DIGITS)?;
        Ok(Self { values, above: 0 })
    }

    /// Records a duration. Below 1 us counts as 1 us; above 1 h as 1 h, and in
    /// [`above`](Self::above).
    pub fn record(&mut self, value: Duration) {
        let value = self.micros(value);
        self.values.saturating_record(value);
    }

    /// Records a duration that kept the tester from sending for as long: also
    /// the values that requests due every `interval` in the meantime would have
    /// had, `value - interval`, `value - 2 * interval` and so on (the method of
    /// `HdrHistogram`'s `recordValueWithExpectedInterval`). Only for a tester
    /// that waits for each answer; one that sends on time needs none, and what
    /// was corrected once must not be again. An interval of zero corrects nothing.
    pub fn record_corrected(&mut self, value: Duration, interval: Duration) {
        let micros = self.micros(value);
        let interval = interval.as_micros().min(u128::from(u64::MAX)) as u64;
        self.values.saturating_record(micros);
        if interval == 0 {
            return;
        }
        let mut missing = micros.saturating_sub(interval);
        while missing >= interval {
            self.values.saturating_record(missing);
            missing -= interval;
        }
    }

    /// Adds what another one recorded. Both have the same cells, so quantiles
    /// are those of all the values together.
    pub fn merge(&mut self, other: &Self) {
        // Equal bounds: nothing of `other` can lie outside.
        let _ = self.values.add(&other.values);
        self.above = self.above.saturating_add(other.above);
    }

    /// Values recorded, corrections included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.values.len()
    }

    /// Values that were longer than 1 h.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.above
    }

    /// The quantile `q` in 0 to 1, within 0.1 %; `None` without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let some = !self.values.is_empty();
        some.then(|| Duration::from_micros(self.values.value_at_quantile(q.clamp(0.0, 1.0))))
    }

    /// The share of the values that were at most so long; `None` without values.
    #[must_use]
    pub fn share_within(&self, value: Duration) -> Option<f64> {
        let micros = value.as_micros().min(LONGEST.as_micros()) as u64;
        let some = !self.values.is_empty();
        some.then(|| self.values.count_between(0, micros) as f64 / self.values.len() as f64)
    }

    /// The mean; `None` without values.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let some = !self.values.is_empty();
        some.then(|| Duration::from_secs_f64(self.values.mean() / 1e6))
    }

    /// The longest; `None` without values.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.values.is_empty()).then(|| Duration::from_micros(self.values.max()))
    }

    fn micros(&mut self, value: Duration) -> u64 {
        if value > LONGEST {
            self.above = self.above.saturating_add(1);
        }
        (value.min(LONGEST).as_micros() as u64).max(1)
    }
}

const LONGEST: Duration = Duration::from_secs(3600);
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The example of Gil Tene's talks and of the tests of `HdrHistogram`: 100 s
    /// at a request each 10 ms, then a stall of 100 s.
    fn stall(record: impl Fn(&mut FullRange, Duration)) -> FullRange {
        let mut all = FullRange::new().unwrap();
        (0..10_000).for_each(|_| record(&mut all, ms(1)));
        record(&mut all, Duration::from_secs(100));
        all
    }

    #[test]
    fn a_stall_hides_in_raw_values_and_shows_in_corrected_ones() {
        let raw = stall(FullRange::record);
        assert_eq!(raw.count(), 10_001);
        assert!(raw.share_within(ms(1)).unwrap() > 0.9998);
        let corrected = stall(|all, value| all.record_corrected(value, ms(10)));
        assert_eq!(corrected.count(), 20_000);
        assert!((corrected.share_within(ms(1)).unwrap() - 0.5).abs() < 0.001);
        // Half of the values lie evenly between 0 and 100 s.
        let p75 = corrected.quantile(0.75).unwrap().as_secs_f64();
        assert!((p75 - 50.0).abs() < 0.1, "{p75}");
        assert!((corrected.max().unwrap().as_secs_f64() - 100.0).abs() < 0.1);
    }

    #[test]
    fn merged_ones_have_the_quantiles_of_all_values_together() {
        let empty = FullRange::new().unwrap();
        let (mut odd, mut even, mut all) = (empty.clone(), empty.clone(), empty);
        for n in 1..=10_000 {
            if n % 2 == 0 { &mut even } else { &mut odd }.record(ms(n));
            all.record(ms(n));
        }
        odd.merge(&even);
        for q in [0.0, 0.5, 0.99, 0.999, 1.0] {
            assert_eq!(odd.quantile(q), all.quantile(q));
        }
        assert_eq!((odd.count(), odd.mean()), (all.count(), all.mean()));
    }

    #[test]
    fn nothing_recorded_has_no_quantile() {
        let empty = FullRange::new().unwrap();
        assert_eq!((empty.quantile(0.5), empty.mean(), empty.max()), (None, None, None));
        assert_eq!(empty.share_within(ms(1)), None);
    }

    #[test]
    fn values_out_of_range_are_kept_at_its_ends_and_told() {
        let mut all = FullRange::new().unwrap();
        all.record(Duration::ZERO);
        all.record_corrected(Duration::from_secs(7200), Duration::ZERO);
        assert_eq!((all.count(), all.above()), (2, 1));
        assert_eq!(all.quantile(0.0), Some(Duration::from_micros(1)));
        let longest = all.max().unwrap().as_secs_f64();
        assert!((longest / 3600.0 - 1.0).abs() < 0.001, "{longest}");
    }
}
