//! What the load will be: forecasters behind one trait, each step at a constant cost.
//!
//! ```
//! use seawall_scale::forecast::{Calibrated, Ensemble, Forecaster};
//!
//! // Steps of a minute; what is asked for is 5, 15 and 60 minutes ahead.
//! let mut ensemble = Calibrated::new(Ensemble::new(60.0), &[5, 15, 60]);
//! for minute in 0..3 * 1440 {
//!     let load = 100.0 + 50.0 * (f64::from(minute) / 1440.0 * std::f64::consts::TAU).sin();
//!     ensemble.observe(Some(load));
//! }
//! // In an hour it is 113, at the start of a day; and with 95 % not much more.
//! let point = ensemble.forecast(60).unwrap();
//! let most = ensemble.quantile(60, 0.95).unwrap();
//! assert!((point - 113.0).abs() < 5.0 && most < 120.0, "{point} {most}");
//! ```
//!
//! - Simple ones: [`Last`], [`Mean`], [`Slope`]. The
//!   [`Planner`](crate::capacity::Planner) plays these along.
//! - [`SeasonalNaive`] and [`HoltWinters`]: what every other one has to beat.
//! - [`Autoregression`]: the next values from the last ones and their means.
//! - [`Seasonal`]: a profile of the period that [`Period`] finds, and an autoregression of what is
//!   left.
//! - [`Ensemble`]: all of them, weighted by recent loss.
//! - [`Calibrated`]: any of them with prediction intervals that have been as wide as they claim.
//!
//! Nothing is fitted anew over the history: an observation costs the same after a year. A missing
//! value is `None`, and is never a zero. Steps are evenly spaced; how long one is is the user's
//! affair, but for those that look for a period, which are told.

mod ar;
mod calibrated;
mod direct;
mod ensemble;
mod holt_winters;
mod naive;
mod period;
mod seasonal;
mod simple;

pub use ar::Autoregression;
pub use calibrated::Calibrated;
pub use ensemble::Ensemble;
pub use holt_winters::HoltWinters;
pub use naive::SeasonalNaive;
pub use period::Period;
pub use seasonal::Seasonal;
pub use simple::{Last, Mean, Slope};

#[cfg(test)]
mod tests;

/// Tells the values of the next steps from those before.
///
/// Implementations do not panic, whatever they are told: values that are not finite are taken for
/// missing.
pub trait Forecaster: std::fmt::Debug + Send {
    /// As it is called in tables and reasons.
    fn name(&self) -> &'static str;

    /// The value of the next step; `None` where nothing was measured.
    fn observe(&mut self, value: Option<f64>);

    /// The value expected `steps` after the last one, at least 0. `None` while it knows too
    /// little.
    fn forecast(&self, steps: u32) -> Option<f64>;
}

impl Forecaster for Box<dyn Forecaster> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn observe(&mut self, value: Option<f64>) {
        (**self).observe(value);
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        (**self).forecast(steps)
    }
}

/// A value that can be learned from.
fn sound(value: Option<f64>) -> Option<f64> {
    value.filter(|value| (0.0..1e15).contains(value))
}
