//! When to shrink a budget and when to let it grow again. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::ConfigError;

/// How a [`Governor`](super::Governor) follows the memory of the machine.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct GovernorConfig {
    /// The part of the memory limit above which the budget shrinks. 0.1 to 1. Default: 0.8.
    pub threshold: f64,
    /// How far below the threshold use must be for the budget to grow. 0 to 0.5. Default: 0.05.
    pub margin: f64,
    /// The part of the last ten seconds in which some task waited for memory (PSI `some avg10`)
    /// above which the budget shrinks, in percent. 0.1 to 100. Default: 10.
    pub pressure: f64,
    /// The least part of the budget that is left. 0.01 to 1. Default: 0.25.
    pub least: f64,
    /// The part of the budget that is given back each second. 0.0001 to 1. Default: 0.01, so 75 s
    /// from the least to all.
    pub regrow: f64,
    /// How long after a shrink the budget shrinks again, if it must: it takes that long for memory
    /// that was given back to show. 1 s to 10 minutes. Default: 5 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub patience: Duration,
    /// For how long all must be well before the budget grows. At most 1 hour. Default: 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub calm: Duration,
    /// How often memory is looked at. 100 ms to 1 minute. Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub interval: Duration,
}

impl Default for GovernorConfig {
    fn default() -> Self {
        Self {
            threshold: 0.8,
            margin: 0.05,
            pressure: 10.0,
            least: 0.25,
            regrow: 0.01,
            patience: Duration::from_secs(5),
            calm: Duration::from_secs(30),
            interval: Duration::from_secs(1),
        }
    }
}

impl GovernorConfig {
    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let part = |field, value: f64, least: f64, most: f64, bound| {
            ConfigError::check((least..=most).contains(&value), field, &value, bound)
        };
        part("threshold", self.threshold, 0.1, 1.0, "0.1 to 1")?;
        part("margin", self.margin, 0.0, 0.5, "0 to 0.5")?;
        part("pressure", self.pressure, 0.1, 100.0, "0.1 to 100")?;
        part("least", self.least, 0.01, 1.0, "0.01 to 1")?;
        part("regrow", self.regrow, 0.0001, 1.0, "0.0001 to 1")?;
        let time = |field, value: Duration, least: Duration, most: u64, bound| {
            let most = Duration::from_secs(most);
            ConfigError::check((least..=most).contains(&value), field, &value, bound)
        };
        time("patience", self.patience, Duration::from_secs(1), 600, "1 s to 10 minutes")?;
        time("calm", self.calm, Duration::ZERO, 3_600, "at most 1 hour")?;
        time("interval", self.interval, Duration::from_millis(100), 60, "100 ms to 1 minute")
    }
}

/// What a look at the memory of the process found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MemorySample {
    /// Bytes in use, without what the kernel can drop at once.
    pub used: u64,
    /// Bytes that may be used; 0 if that is not known, and then use does not count.
    pub limit: u64,
    /// PSI `some avg10`, in percent, if the kernel has it.
    pub pressure: Option<f64>,
}

/// What the governor remembers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct State {
    /// The part of the budget that may be used.
    pub(super) share: f64,
    shrunk: Option<Instant>,
    /// Since when all has been well.
    calm_since: Option<Instant>,
    last: Option<Instant>,
}

impl State {
    pub(super) fn new() -> Self {
        Self { share: 1.0, shrunk: None, calm_since: None, last: None }
    }
}

/// The next state. `budget`: bytes of the whole budget, to tell how much of it the excess is.
///
/// It shrinks by the excess over the threshold, at least by a twentieth and at most by half, and
/// no further for the time of patience. It grows steadily when use is below the threshold less the
/// margin, and pressure below half its bound, for the time of calm.
pub(super) fn decide(
    config: &GovernorConfig,
    state: State,
    sample: MemorySample,
    budget: u64,
    now: Instant,
) -> State {
    let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    let mut next = State { last: Some(now), ..state };
    let limit = sample.limit as f64;
    let excess = sample.used as f64 - config.threshold * limit;
    let over = sample.limit > 0 && excess > 0.0;
    let pressure = sample.pressure.unwrap_or(0.0);
    if over || pressure > config.pressure {
        next.calm_since = None;
        if since(state.shrunk).is_none_or(|since| since >= config.patience) {
            let by = if over { excess / (budget as f64).max(1.0) } else { 0.0 };
            let by = by.max(0.05).min(0.5 * state.share);
            next.share = (state.share - by).max(config.least.min(state.share));
            next.shrunk = Some(now);
        }
        return next;
    }
    let well =
        (sample.limit == 0 || excess < -config.margin * limit) && pressure <= config.pressure / 2.0;
    if !well {
        next.calm_since = None;
        return next;
    }
    next.calm_since = state.calm_since.or(Some(now));
    if state.share < 1.0 && since(next.calm_since).is_some_and(|since| since >= config.calm) {
        // A late tick does not make up for the time it was late.
        let passed = since(state.last).unwrap_or_default().min(2 * config.interval);
        next.share = (state.share + config.regrow * passed.as_secs_f64()).min(1.0);
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: u64 = 1_000;

    fn sample(used: u64, pressure: f64) -> MemorySample {
        MemorySample { used, limit: 4_000, pressure: Some(pressure) }
    }

    /// Runs `samples`, a second apart, and returns the shares.
    fn run(samples: impl IntoIterator<Item = MemorySample>) -> Vec<f64> {
        run_with(&GovernorConfig::default(), samples)
    }

    fn run_with(
        config: &GovernorConfig,
        samples: impl IntoIterator<Item = MemorySample>,
    ) -> Vec<f64> {
        let (mut state, mut now) = (State::new(), Instant::now());
        let share = |sample| {
            state = decide(config, state, sample, BUDGET, now);
            now += Duration::from_secs(1);
            state.share
        };
        samples.into_iter().map(share).collect()
    }

    #[test]
    fn it_shrinks_by_the_excess_and_then_waits() {
        // 3 200 is the threshold, so 200 are too many: a fifth of the budget.
        let shares = run(vec![sample(3_400, 0.0); 7]);
        assert!((shares[0] - 0.8).abs() < 1e-9, "{shares:?}");
        assert_eq!(shares[4], shares[0], "within the time of patience");
        assert!((shares[5] - 0.6).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn it_shrinks_on_pressure_and_not_below_the_least() {
        let shares = run(vec![sample(1_000, 50.0); 200]);
        assert!((shares[0] - 0.95).abs() < 1e-9);
        assert_eq!(shares[199], 0.25);
    }

    #[test]
    fn it_grows_back_slowly_once_all_has_been_well_for_long_enough() {
        let shares = run([vec![sample(3_900, 0.0)], vec![sample(1_000, 0.0); 120]].concat());
        assert_eq!(shares[0], 0.5, "by half at most");
        assert_eq!(shares[30], 0.5, "not before it has been calm for 30 s");
        assert!(shares[32] > 0.5 && shares[32] < 0.53);
        assert_eq!(shares[120], 1.0);
    }

    #[test]
    fn near_the_threshold_it_neither_shrinks_nor_grows() {
        let shares = run([vec![sample(3_400, 0.0)], vec![sample(3_100, 0.0); 200]].concat());
        assert_eq!(shares[200], shares[0]);
        let shares = run([vec![sample(3_400, 0.0)], vec![sample(1_000, 7.0); 200]].concat());
        assert_eq!(shares[200], shares[0], "half the bound on pressure is not calm");
    }

    #[test]
    fn an_unknown_limit_leaves_it_to_pressure() {
        let unknown = MemorySample { used: u64::MAX, limit: 0, pressure: None };
        assert_eq!(run(vec![unknown; 50]), vec![1.0; 50]);
    }

    #[test]
    fn bounds_are_checked_by_name() {
        let check = |change: fn(&mut GovernorConfig)| {
            let mut config = GovernorConfig::default();
            change(&mut config);
            config.validate().err().map(|error| error.field)
        };
        assert_eq!(check(|_| {}), None);
        assert_eq!(check(|config| config.threshold = 0.0), Some("threshold"));
        assert_eq!(check(|config| config.margin = f64::NAN), Some("margin"));
        assert_eq!(check(|config| config.pressure = 0.0), Some("pressure"));
        assert_eq!(check(|config| config.least = 1.1), Some("least"));
        assert_eq!(check(|config| config.regrow = 0.0), Some("regrow"));
        assert_eq!(check(|config| config.patience = Duration::ZERO), Some("patience"));
        assert_eq!(check(|config| config.calm = Duration::MAX), Some("calm"));
        assert_eq!(check(|config| config.interval = Duration::ZERO), Some("interval"));
    }

    #[test]
    fn next_to_nothing_may_be_left_of_it() {
        let config = GovernorConfig { least: 0.01, ..GovernorConfig::default() };
        let shares = run_with(&config, vec![sample(4_000, 100.0); 100]);
        assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
        assert_eq!(shares[99], 0.01);
    }

    proptest! {
        #[test]
        fn the_share_stays_within_its_bounds(
            samples in proptest::collection::vec((any::<u64>(), any::<u64>(), 0.0..100.0), 0..300),
        ) {
            let samples = samples.into_iter().map(|(used, limit, pressure)| MemorySample {
                used,
                limit,
                pressure: Some(pressure),
            });
            for share in run(samples) {
                prop_assert!((0.25..=1.0).contains(&share), "{}", share);
            }
        }
    }
}
