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
    /// An entry of another list is wrong.
    #[error("{list}[{index}]: {error}")]
    Entry {
        /// The list.
        list: &'static str,
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
    /// A change is written wrongly.
    #[error("change: must be such as \"+2\", \"+50%\", \"-1\", \"=10\" or \"0\"")]
    ChangeText,
    /// Something has no name.
    #[error("name: empty, must say what it is")]
    EmptyName,
    /// Step scaling without a step.
    #[error("bands: none, must be at least one")]
    NoBands,
    /// No value lies in the band.
    #[error("bands[{index}]: from must be less than to")]
    EmptyBand {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// Two bands overlap, or leave a gap.
    #[error("bands[{index}]: to must be where the next band is from")]
    BandsDoNotMeet {
        /// Place of the first of the two, from 0.
        index: usize,
    },
    /// A group with a minimum cannot sleep.
    #[error("zero: min is {min}, must be 0")]
    ZeroNeedsMinZero {
        /// Fewest instances.
        min: u32,
    },
    /// A dependency does not carry the fewest instances.
    #[error("capacity: enough for {most} instances, must be at least min, which is {min}")]
    DependencyBelowMin {
        /// What it carries.
        most: u32,
        /// Fewest instances.
        min: u32,
    },
    /// Nothing is named that could rise.
    #[error("busy.rising: set, needs busy.waiting too")]
    RisingWithoutWaiting,
    /// A rule that only advises says nothing, or one that scales has advice.
    #[error("advice: must be set with action \"advise\", and only there")]
    Advice,
    /// A schedule's text or its combination of fields is wrong.
    #[error("{field}: {bound}")]
    Schedule {
        /// The field.
        field: &'static str,
        /// What it must be.
        bound: &'static str,
    },
    /// Two schedules ask for sizes that exclude each other at the same time.
    #[error("schedules: {low} asks for at least {min} while {high} allows at most {max}")]
    SchedulesConflict {
        /// The one with the minimum.
        low: String,
        /// The one with the maximum.
        high: String,
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
}
