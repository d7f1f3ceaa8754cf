use super::{Fleet, Load};

/// How a policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// Requests that came.
    pub requests: f64,
    /// Those that came while the objective was missed or requests waited.
    pub bad: f64,
    /// How long that was, in seconds.
    pub bad_seconds: f64,
    /// Requests that waited for too long and left.
    pub dropped: f64,
    /// Instances times seconds, from launch to removal.
    pub instance_seconds: f64,
    /// Decisions that changed the size.
    pub changes: u64,
    /// Changes back within ten minutes.
    pub reversals: u64,
    /// Instances launched.
    pub starts: u64,
    /// The length of the run.
    pub seconds: f64,
}

impl Score {
    /// The share of the requests that were bad, 0 to 1.
    #[must_use]
    pub fn bad_ratio(&self) -> f64 {
        if self.requests > 0.0 { self.bad / self.requests } else { 0.0 }
    }

    /// What was paid.
    #[must_use]
    pub fn instance_hours(&self) -> f64 {
        self.instance_seconds / 3600.0
    }

    /// Launches a day.
    #[must_use]
    pub fn starts_per_day(&self) -> f64 {
        if self.seconds > 0.0 { self.starts as f64 * 86_400.0 / self.seconds } else { 0.0 }
    }
}

/// What nobody can beat, knowing the load beforehand.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bound {
    /// The least size that keeps the objective at the rate of each tick, with no start delay.
    pub sizes: Vec<u32>,
    /// Those times the tick.
    pub instance_seconds: f64,
}

/// The lower bound for `load`.
#[must_use]
pub fn bound(load: &Load, fleet: Fleet) -> Bound {
    let least = |rate: &f64| load.service.least(*rate).clamp(fleet.min, fleet.max);
    let sizes: Vec<u32> = load.rates.iter().map(least).collect();
    let instance_seconds = sizes.iter().map(|size| f64::from(*size) * load.tick).sum();
    Bound { sizes, instance_seconds }
}
