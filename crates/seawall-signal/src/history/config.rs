/// Bounds of a [`History`](super::History).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct HistoryConfig {
    /// Most samples of one signal, 2 to 100 000. At one every 10 s the default
    /// of 1 024 is 2.8 hours.
    pub max_samples: usize,
    /// Most signals remembered, 1 to 100 000. Default: 1 000.
    pub max_signals: usize,
    /// Share of a window that must have been seen before it is published, 0 to
    /// 1. Default: 0.5.
    pub min_coverage: f64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { max_samples: 1024, max_signals: 1000, min_coverage: 0.5 }
    }
}

impl HistoryConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), HistoryError> {
        let error = |field, value, bound| Err(HistoryError { field, value, bound });
        if !(2..=100_000).contains(&self.max_samples) {
            return error("max_samples", self.max_samples as f64, "2 to 100000");
        }
        if !(1..=100_000).contains(&self.max_signals) {
            return error("max_signals", self.max_signals as f64, "1 to 100000");
        }
        if !(0.0..=1.0).contains(&self.min_coverage) {
            return error("min_coverage", self.min_coverage, "0 to 1");
        }
        Ok(())
    }
}

/// A setting of a [`HistoryConfig`] is out of bounds. Nothing was changed;
/// trying again is pointless.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}: must be {bound}")]
#[non_exhaustive]
pub struct HistoryError {
    /// The setting.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must be.
    pub bound: &'static str,
}
