use std::time::Duration;

/// Why a policy cannot be used. Trying again is pointless: the policy must
/// change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The name does not fit the history's column.
    #[error("group: {length} bytes long, must be 1 to 100")]
    Group {
        /// Bytes.
        length: usize,
    },
    /// No size satisfies both bounds.
    #[error("min: {min}, must be at most max, which is {max}")]
    MinAboveMax {
        /// Fewest instances.
        min: u32,
        /// Most instances.
        max: u32,
    },
    /// The group could never run.
    #[error("max: 0, must be at least 1")]
    MaxIsZero,
    /// A number is out of range, or not a number.
    #[error("{field}: {value}, must be {bound}")]
    Number {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        bound: &'static str,
    },
    /// A duration is out of range.
    #[error("{field}: {value:?}, must be {min:?} to {max:?}")]
    Duration {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Duration,
        /// The least it may be.
        min: Duration,
        /// The most it may be.
        max: Duration,
    },
    /// A target is wrong.
    #[error("targets[{index}]: {error}")]
    Target {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        error: Box<PolicyError>,
    },
    /// A rule is wrong.
    #[error("rules[{index}]: {error}")]
    Rule {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        error: Box<PolicyError>,
    },
    /// A target names no signal.
    #[error("signal: empty, must be a signal's name")]
    EmptySignal,
    /// A step is written wrongly.
    #[error("by: must be a number of instances, such as 2, or a share, such as \"50%\"")]
    StepText,
}
