//! What the load will be.

mod simple;

pub use simple::{Last, Mean, Slope};

/// Tells the values of the next steps from those before. Steps are evenly spaced; how long one is
/// is its user's affair.
pub trait Forecaster: std::fmt::Debug + Send {
    /// As it is called in tables and reasons.
    fn name(&self) -> &'static str;

    /// The value of the next step; `None` where nothing was measured.
    fn observe(&mut self, value: Option<f64>);

    /// The value `steps` after the last one. `None` while it knows too little.
    fn forecast(&self, steps: u32) -> Option<f64>;
}
