use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Poisson};

use super::{Join, Trace};
use crate::capacity::Service;

/// How a trace becomes requests.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these")]
pub struct LoadConfig {
    /// What an instance can do. Default: 10 requests a second in 8 slots.
    pub service: Service,
    /// How many instances the trace's 99.9th percentile keeps busy to 70 %. Default: 40.
    pub peak_instances: f64,
    /// How the points are joined.
    pub join: Join,
    /// Of the arrivals.
    pub seed: u64,
    /// Points after this are left out. Default: none.
    pub most_ticks: usize,
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            service: Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 },
            peak_instances: 40.0,
            join: Join::Line,
            seed: 1,
            most_ticks: usize::MAX,
        }
    }
}

/// Requests by tick, the same for every policy.
#[derive(Clone, Debug)]
pub struct Load {
    pub(super) service: Service,
    /// Seconds.
    pub(super) tick: f64,
    /// The rate behind them, in requests a second.
    pub(super) rates: Vec<f64>,
    pub(super) arrivals: Vec<f64>,
}

impl Load {
    /// Requests of `trace`: ticks of a second where it is as fine, else of 15 seconds; their
    /// number is drawn from the Poisson distribution around the scaled trace.
    #[must_use]
    pub fn new(trace: &Trace, config: LoadConfig) -> Self {
        let tick = if trace.step() < 15.0 { trace.step().max(1.0) } else { 15.0 };
        // Where almost all is silence, that percentile is: then the largest value stands for it.
        let peak = [0.999, 1.0].map(|share| trace.quantile(share));
        let peak = peak.into_iter().find(|peak| *peak > 0.0).unwrap_or(f64::MIN_POSITIVE);
        let at_peak = config.peak_instances * config.service.rate * 0.7;
        let ticks = ((trace.duration() / tick) as usize).clamp(1, config.most_ticks.max(1));
        let mut random = StdRng::seed_from_u64(config.seed);
        let rates: Vec<f64> = (0..ticks)
            .map(|index| trace.at((index as f64 + 0.5) * tick, config.join) / peak * at_peak)
            .map(|rate| rate.min(MOST_RATE))
            .collect();
        let arrivals = rates
            .iter()
            .map(|rate| match Poisson::new(rate * tick) {
                Ok(poisson) => poisson.sample(&mut random),
                // Nothing comes, or so much that chance does not show.
                Err(_) => (rate * tick).max(0.0),
            })
            .collect();
        Self { service: config.service, tick, rates, arrivals }
    }

    /// How many ticks it has.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.arrivals.len()
    }

    /// Seconds of a tick.
    #[must_use]
    pub fn tick(&self) -> f64 {
        self.tick
    }

    /// Its length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.tick * self.ticks() as f64
    }
}

/// Requests a second, so that sums stay finite.
const MOST_RATE: f64 = 1e100;
