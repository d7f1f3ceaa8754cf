use std::fmt;
use std::time::Duration;

use seawall_signal::{Missing, Op, Reading, Unit};

/// One step of the way to a decision. `Display` is a sentence for people,
/// [`code`](Self::code) a word for machines.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
        remaining: Duration,
    },
    /// No rule holds and there is no target.
    Quiet,
    /// A signal gives no answer.
    Missing {
        /// Its canonical name.
        signal: String,
        /// Why.
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
        remaining: Duration,
    },
    /// The wishes of the stabilisation window do not agree yet.
    Stabilising {
        /// The size asked for.
        wish: u32,
        /// The size the window allows.
        allowed: u32,
        /// Until the wish that binds leaves the window.
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
}

/// A signal beside what it was compared with.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Measured {
    /// Canonical name of the signal.
    pub signal: String,
    /// What was compared, in base units.
    pub value: f64,
    /// The signal's unit.
    pub unit: Unit,
    /// How it relates to the threshold.
    pub relation: Op,
    /// What it was compared with, in base units.
    pub threshold: f64,
    /// Whether `value` is one instance's share of the signal.
    pub per_instance: bool,
}

impl Reason {
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
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { measured, wish, current } => {
                measured.beside(f, "its target ")?;
                wants(f, *wish, *current)
            }
            Self::WithinTolerance { measured, tolerance } => {
                let (now, level) = measured.shown();
                let within = Unit::Ratio.show(*tolerance);
                write!(f, "{now}, within {within} of its target {level}")
            }
            Self::Rule { condition, measured, wish, current } => {
                if measured.is_empty() {
                    write!(f, "`{condition}` holds")?;
                }
                for (i, measured) in measured.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", and ")?;
                    }
                    measured.beside(f, "")?;
                }
                wants(f, *wish, *current)
            }
            Self::Pending { condition, remaining } => {
                write!(f, "`{condition}` has {} to go", seconds(*remaining))
            }
            Self::Quiet => f.write_str("no rule asks for a change"),
            Self::Missing { signal, why, held } => {
                write!(f, "{signal} {why}")?;
                f.write_str(if *held { ": not scaling down" } else { "" })
            }
            Self::Cooldown { wish, current, settling, remaining } => {
                let left = seconds(*remaining);
                if wish > current {
                    write!(f, "cooldown: {left} left for the last {settling} to take effect")
                } else {
                    write!(f, "cooldown: {left} left before scaling down again")
                }
            }
            Self::Stabilising { wish, allowed, remaining } => {
                let left = seconds(*remaining);
                write!(
                    f,
                    "stabilising: {allowed} was wanted lately, so not {wish} for another {left}"
                )
            }
            Self::StepLimited { wish, allowed } => {
                write!(f, "one step reaches {allowed}, not {wish}")
            }
            Self::AtMaximum { wish, max } => {
                write!(f, "at the maximum of {max}, though {wish} are wanted")
            }
            Self::AtMinimum { wish, min } => {
                write!(f, "at the minimum of {min}, though {wish} would do")
            }
            Self::AboveMaximum { current, max } => {
                write!(f, "{current} is above the maximum of {max}")
            }
            Self::BelowMinimum { current, min } => {
                write!(f, "{current} is below the minimum of {min}")
            }
            Self::WouldFlap { instances, measured } => {
                let size = Instances(*instances);
                write!(f, "with {size} the same load would scale up again")?;
                let Some(measured) = measured else {
                    return Ok(());
                };
                f.write_str(": ")?;
                measured.beside(f, "")
            }
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

    /// `cpu_usage is 91 %` and `80 %`.
    fn shown(&self) -> (String, impl fmt::Display) {
        let share = if self.per_instance { " per instance" } else { "" };
        let value = self.unit.show(self.value);
        let now = format!("{} is {value}{share}", self.signal);
        (now, self.unit.show(self.threshold))
    }

    /// `cpu_usage is 91 %, above 80 %`.
    fn beside(&self, f: &mut fmt::Formatter<'_>, whose: &str) -> fmt::Result {
        let (now, level) = self.shown();
        let word = self.relation.word();
        write!(f, "{now}, {word} {whose}{level}")
    }
}

fn wants(f: &mut fmt::Formatter<'_>, wish: u32, current: u32) -> fmt::Result {
    let wish_is = Instances(wish);
    if wish == current {
        write!(f, ": wants {wish_is}, as now")
    } else {
        write!(f, ": wants {wish_is}, from {current}")
    }
}

/// Whole seconds, rounded up: `0 s` would say that nothing is left.
fn seconds(duration: Duration) -> String {
    let up = u64::from(duration.subsec_nanos() > 0);
    format!("{} s", duration.as_secs().saturating_add(up))
}

struct Instances(u32);

impl fmt::Display for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} instance{s}", self.0)
    }
}
