use super::direct::Direct;
use super::{Forecaster, sound};

/// The next values from the last ones: offsets from a slow mean, carried on by what was learned of
/// how such offsets go on, for each distance by itself.
#[derive(Clone, Debug)]
pub struct Autoregression {
    mean: Option<f64>,
    count: f64,
    direct: Direct,
}

impl Default for Autoregression {
    fn default() -> Self {
        Self { mean: None, count: 0.0, direct: Direct::new() }
    }
}

impl Forecaster for Autoregression {
    fn name(&self) -> &'static str {
        "autoregression"
    }

    fn observe(&mut self, value: Option<f64>) {
        let value = sound(value);
        if let Some(value) = value {
            self.count += 1.0;
            let mean = self.mean.unwrap_or(value);
            self.mean = Some(mean + (value - mean) * (1.0 / self.count).max(SLOW));
        }
        let mean = self.mean.unwrap_or_default();
        self.direct.observe(value.map(|value| value - mean));
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        Some((self.mean? + self.direct.forecast(steps)).max(0.0))
    }
}

/// About two thousand steps.
const SLOW: f64 = 0.0005;
