mod text;

use std::time::Duration;

use seawall_signal::{Missing, Op, Reading, Unit};

/// One step of the way to a decision. `Display` is a sentence for people,
/// [`code`](Self::code) a word for machines.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case", tag = "code"))]
#[non_exhaustive]
pub enum Reason {
    /// A target is off its level.
    Target {
        /// The signal against its level.
        measured: Measured,
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
    },
    /// A target is near enough to its level to ask for nothing.
    WithinTolerance {
        /// The signal against its level.
        measured: Measured,
        /// The share by which it may differ.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        tolerance: f64,
    },
    /// A rule holds.
    Rule {
        /// The rule's condition.
        condition: String,
        /// Its comparisons that hold.
        measured: Vec<Measured>,
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
    },
    /// A rule's condition holds, but not yet for as long as it must.
    Pending {
        /// The rule's condition.
        condition: String,
        /// How much longer it must hold.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        remaining: Duration,
    },
    /// No rule holds and there is no target.
    Quiet,
    /// A signal gives no answer.
    Missing {
        /// Its canonical name.
        signal: String,
        /// Why.
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::text::missing"))]
        why: Missing,
        /// Whether this alone kept the group from shrinking.
        held: bool,
    },
    /// Too soon after the last change in the same direction.
    Cooldown {
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
        /// On the way up: instances added lately, that do not count yet.
        settling: u32,
        /// Until it may be asked for again.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        remaining: Duration,
    },
    /// The wishes of the stabilisation window do not agree yet.
    Stabilising {
        /// The size asked for.
        wish: u32,
        /// The size the window allows.
        allowed: u32,
        /// Until the wish that binds leaves the window.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        remaining: Duration,
    },
    /// One decision may not go that far.
    StepLimited {
        /// The size asked for.
        wish: u32,
        /// The size allowed.
        allowed: u32,
    },
    /// The wish lies above the policy's `max`.
    AtMaximum {
        /// The size asked for.
        wish: u32,
        /// The bound.
        max: u32,
    },
    /// The wish lies below the policy's `min`.
    AtMinimum {
        /// The size asked for.
        wish: u32,
        /// The bound.
        min: u32,
    },
    /// The group is larger than `max`: corrected without asking any signal.
    AboveMaximum {
        /// The size now.
        current: u32,
        /// The bound.
        max: u32,
    },
    /// The group is smaller than `min`: corrected without asking any signal.
    BelowMinimum {
        /// The size now.
        current: u32,
        /// The bound.
        min: u32,
    },
    /// At the smaller size the same load would scale up again.
    WouldFlap {
        /// The smaller size.
        instances: u32,
        /// The signal as projected to that size; `None` if the rule that would
        /// hold compares nothing.
        measured: Option<Measured>,
    },
    /// A signal lies in a band that asks for something.
    Band {
        /// The signal beside the end of its band.
        measured: Measured,
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
    },
    /// What a queue needs.
    Backlog {
        /// Canonical name of the signal.
        signal: String,
        /// Jobs that wait.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        backlog: f64,
        /// Jobs that arrive each second.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        arrivals: f64,
        /// Jobs that one worker finishes each second.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        per_worker: f64,
        /// How soon the backlog shall be gone.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        drain: Duration,
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
    },
    /// A burst is going on: the group does not shrink.
    Panic {
        /// The short window's load of one instance against its level.
        measured: Measured,
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
        /// Until it is over if nothing more happens.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        remaining: Duration,
    },
    /// What is foreseen needs so many.
    Forecast {
        /// Canonical name of the signal.
        signal: String,
        /// What is foreseen.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        value: f64,
        /// The signal's unit.
        unit: Unit,
        /// How good the forecast is, if it is known.
        skill: Option<f64>,
        /// What else the forecaster says of it.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Foreseen::is_empty"))]
        foreseen: Foreseen,
        /// The size asked for.
        wish: u32,
        /// The size now.
        current: u32,
    },
    /// A forecast is left out: it is no better than a naive one.
    ForecastOff {
        /// Canonical name of the forecast's signal.
        signal: String,
        /// How good it is.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        skill: f64,
        /// How good it must be.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        at_least: f64,
    },
    /// Instances that the mean does not speak for were filled in.
    FilledIn {
        /// Canonical name of the signal.
        signal: String,
        /// What the others reported.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        reported: f64,
        /// Instances that start.
        starting: u32,
        /// Instances without a sample.
        missing: u32,
        /// Instances that were ready, and are not now: counted as saturated.
        failing: u32,
        /// What each missing one was taken to use.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        assumed: f64,
        /// Which those without a sample are, as far as it was
        /// [told](crate::State::unsampled).
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        names: Vec<String>,
    },
    /// A schedule asks for at least so many.
    Scheduled {
        /// Its name.
        name: String,
        /// Fewest instances.
        min: u32,
        /// Whether its window is not open yet, and instances are started ahead.
        early: bool,
    },
    /// A schedule allows at most so many.
    ScheduledMax {
        /// Its name.
        name: String,
        /// Most instances.
        max: u32,
    },
    /// Nobody said what time of day it is: schedules may want more.
    ClockUnknown,
    /// Something that all instances share carries only so many.
    DependencyLimit {
        /// Its name.
        name: String,
        /// Instances it carries.
        most: u32,
    },
    /// Something that all instances share is too busy for more.
    DownstreamLimited {
        /// Its name.
        name: String,
        /// Its use against its limit.
        measured: Measured,
        /// The size asked for.
        wish: u32,
    },
    /// More instances would get less done.
    PastPeak {
        /// The size asked for.
        wish: u32,
        /// The size that gets the most done, as far as is known.
        peak: u32,
        /// At how many sizes that was measured.
        sizes: u32,
    },
    /// The money is enough for only so many.
    OverBudget {
        /// Instances (units) it pays for.
        most: u32,
        /// What may be spent an hour.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        per_hour: f64,
    },
    /// Something to do woke the group.
    Active {
        /// Canonical name of the signal.
        signal: String,
        /// What it is.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        value: f64,
        /// What it must be above.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        above: f64,
    },
    /// The group stays awake: it was active lately.
    Awake {
        /// Until it may sleep.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        remaining: Duration,
    },
    /// Nothing to do for long enough: the group sleeps.
    Idle,
    /// One period may not add or remove more.
    RateLimited {
        /// The size asked for.
        wish: u32,
        /// The size allowed.
        allowed: u32,
        /// The period that binds; `None` if the direction is closed.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::optional_duration"))]
        period: Option<Duration>,
    },
    /// The group changed too often to shrink again.
    ChurnBudget {
        /// Changes so far.
        changes: u32,
        /// Within this time.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        within: Duration,
        /// Until there are few enough.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
        remaining: Duration,
    },
    /// An operator froze the group.
    Frozen {
        /// Who, or why.
        by: String,
        /// The size that would be.
        wish: u32,
        /// Until it ends by itself.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::optional_duration"))]
        remaining: Option<Duration>,
    },
    /// An operator asked for a size.
    Pinned {
        /// Who, or why.
        by: String,
        /// The size asked for.
        size: u32,
        /// The size that would be.
        wish: u32,
        /// Until it ends by itself.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::optional_duration"))]
        remaining: Option<Duration>,
    },
    /// Something else than the number of instances would help.
    Advice {
        /// The rule's condition.
        condition: String,
        /// What would help.
        advice: String,
    },
    /// One instance is given too much or too little of something.
    Vertical {
        /// Of what.
        resource: String,
        /// What one uses.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        used: f64,
        /// The unit.
        unit: Unit,
        /// What one is given.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        given: f64,
        /// What it should be given.
        #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
        advised: f64,
    },
}

/// What a forecaster says of a forecast beside its value; each if it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Foreseen {
    /// How far ahead, in seconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub horizon: Option<f64>,
    /// The lower end of the interval, in the signal's unit.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub low: Option<f64>,
    /// The upper end.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub high: Option<f64>,
    /// How far off it has been so far, as a share.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub error: Option<f64>,
    /// How often so far more came than `high`, as a share.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub missed: Option<f64>,
}

impl Foreseen {
    /// Whether nothing of it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A signal beside what it was compared with.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Measured {
    /// Canonical name of the signal.
    pub signal: String,
    /// What was compared, in base units.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub value: f64,
    /// The signal's unit.
    pub unit: Unit,
    /// How it relates to the threshold.
    pub relation: Op,
    /// What it was compared with, in base units.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub threshold: f64,
    /// Whether `value` is one instance's share of the signal.
    pub per_instance: bool,
}

impl Reason {
    /// Whether it says what stood in the way of a wish.
    #[must_use]
    pub fn limits(&self) -> bool {
        match self {
            Self::Cooldown { .. }
            | Self::Stabilising { .. }
            | Self::StepLimited { .. }
            | Self::RateLimited { .. }
            | Self::ChurnBudget { .. }
            | Self::AtMaximum { .. }
            | Self::AtMinimum { .. }
            | Self::WouldFlap { .. }
            | Self::DownstreamLimited { .. }
            | Self::PastPeak { .. }
            | Self::Frozen { .. } => true,
            Self::Missing { held, .. } => *held,
            _ => false,
        }
    }

    /// A stable word for this kind of reason, as the field `code` when
    /// serialised.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Target { .. } => "target",
            Self::WithinTolerance { .. } => "within_tolerance",
            Self::Rule { .. } => "rule",
            Self::Pending { .. } => "pending",
            Self::Quiet => "quiet",
            Self::Missing { .. } => "missing",
            Self::Cooldown { .. } => "cooldown",
            Self::Stabilising { .. } => "stabilising",
            Self::StepLimited { .. } => "step_limited",
            Self::AtMaximum { .. } => "at_maximum",
            Self::AtMinimum { .. } => "at_minimum",
            Self::AboveMaximum { .. } => "above_maximum",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::WouldFlap { .. } => "would_flap",
            Self::Band { .. } => "band",
            Self::Backlog { .. } => "backlog",
            Self::Panic { .. } => "panic",
            Self::Forecast { .. } => "forecast",
            Self::ForecastOff { .. } => "forecast_off",
            Self::FilledIn { .. } => "filled_in",
            Self::Scheduled { .. } => "scheduled",
            Self::ScheduledMax { .. } => "scheduled_max",
            Self::ClockUnknown => "clock_unknown",
            Self::DependencyLimit { .. } => "dependency_limit",
            Self::DownstreamLimited { .. } => "downstream_limited",
            Self::PastPeak { .. } => "past_scalability_peak",
            Self::OverBudget { .. } => "over_budget",
            Self::Active { .. } => "active",
            Self::Awake { .. } => "awake",
            Self::Idle => "idle",
            Self::RateLimited { .. } => "rate_limited",
            Self::ChurnBudget { .. } => "churn_budget",
            Self::Frozen { .. } => "frozen",
            Self::Pinned { .. } => "pinned",
            Self::Advice { .. } => "advice",
            Self::Vertical { .. } => "vertical",
        }
    }
}

impl Measured {
    pub(crate) fn reading(reading: &Reading<'_>) -> Option<Self> {
        Some(Self {
            signal: reading.signal.to_owned(),
            value: reading.value.ok()?,
            unit: reading.unit,
            relation: reading.op,
            threshold: reading.threshold,
            per_instance: false,
        })
    }
}
