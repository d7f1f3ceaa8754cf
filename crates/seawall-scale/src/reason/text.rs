use std::fmt;
use std::time::Duration;

use seawall_signal::Unit;

use super::{Foreseen, Measured, Reason};

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
            Self::Band { measured, wish, current } => {
                measured.beside(f, "")?;
                wants(f, *wish, *current)
            }
            Self::Backlog { signal, backlog, arrivals, per_worker, drain, wish, current } => {
                let (backlog, arrivals) = (Unit::Count.show(*backlog), Unit::None.show(*arrivals));
                let (each, drain) = (Unit::None.show(*per_worker), seconds(*drain));
                write!(
                    f,
                    "{signal}: {backlog} waiting and {arrivals}/s arriving, to be done within \
                     {drain} at {each}/s per instance"
                )?;
                wants(f, *wish, *current)
            }
            Self::Panic { measured, wish, current, remaining } => {
                measured.beside(f, "its target ")?;
                let left = seconds(*remaining);
                write!(f, ", a burst for another {left} at least")?;
                wants(f, *wish, *current)
            }
            Self::Forecast { signal, value, unit, skill, foreseen, wish, current } => {
                write!(f, "{signal} foresees {}", unit.show(*value))?;
                foreseen.tell(f, *unit, *skill)?;
                wants(f, *wish, *current)
            }
            Self::ForecastOff { signal, skill, at_least } => {
                let (skill, least) = (Unit::Ratio.show(*skill), Unit::Ratio.show(*at_least));
                write!(f, "{signal} is left out: its skill is {skill}, and must be {least}")
            }
            Self::FilledIn { signal, reported, starting, missing, failing, assumed, names } => {
                let reported = Unit::Ratio.show(*reported);
                write!(f, "{signal} is {reported} where it is known")?;
                if *starting > 0 {
                    write!(f, ", {} starting", Instances(*starting))?;
                }
                if *missing > 0 {
                    let assumed = Unit::Ratio.show(*assumed);
                    write!(f, ", {}", Instances(*missing))?;
                    list(f, names, *missing)?;
                    write!(f, " without a sample taken as {assumed}")?;
                }
                if *failing > 0 {
                    write!(f, ", {} failing and taken as saturated", Instances(*failing))?;
                }
                Ok(())
            }
            Self::Scheduled { name, min, early } => {
                let when = if *early { "soon opens and asks" } else { "asks" };
                write!(f, "schedule {name} {when} for at least {}", Instances(*min))
            }
            Self::ScheduledMax { name, max } => {
                write!(f, "schedule {name} allows at most {}", Instances(*max))
            }
            Self::ClockUnknown => {
                f.write_str("the time of day is not known, so schedules are not: not scaling down")
            }
            Self::DependencyLimit { name, most } => {
                write!(f, "{name} carries at most {}", Instances(*most))
            }
            Self::DownstreamLimited { name, measured, wish } => {
                measured.beside(f, "")?;
                write!(f, ": {name} is too busy for {}", Instances(*wish))
            }
            Self::PastPeak { wish, peak, sizes } => {
                let size = Instances(*peak);
                write!(f, "{size} get the most done, by what was measured at {sizes} sizes: ")?;
                write!(f, "{wish} would get less done")
            }
            Self::OverBudget { most, per_hour } => {
                let money = Unit::None.show(*per_hour);
                write!(f, "the budget of {money} an hour pays for {}", Instances(*most))
            }
            Self::Active { signal, value, above } => {
                let (value, above) = (Unit::None.show(*value), Unit::None.show(*above));
                write!(f, "{signal} is {value}, above {above}: the group is needed")
            }
            Self::Awake { remaining } => {
                write!(f, "active lately: stays awake for another {}", seconds(*remaining))
            }
            Self::Idle => f.write_str("nothing to do for long enough: the group sleeps"),
            Self::RateLimited { wish, allowed, period } => match period {
                Some(period) => {
                    let period = seconds(*period);
                    write!(f, "within {period} the size may become {allowed}, and not {wish}")
                }
                None => write!(f, "this direction is closed, though {wish} are wanted"),
            },
            Self::ChurnBudget { changes, within, remaining } => {
                let (within, left) = (seconds(*within), seconds(*remaining));
                write!(f, "{changes} changes in {within}: not scaling down for another {left}")
            }
            Self::Frozen { by, wish, remaining } => {
                write!(f, "frozen ({by}){}: would be {wish}", Left(*remaining))
            }
            Self::Pinned { by, size, wish, remaining } => {
                let left = Left(*remaining);
                write!(f, "set to {size} by hand ({by}){left}: would be {wish}")
            }
            Self::Advice { condition, advice } => write!(f, "`{condition}` holds: {advice}"),
            Self::Vertical { resource, used, unit, given, advised } => {
                let [used, given, advised] = [used, given, advised].map(|value| unit.show(*value));
                write!(f, "{resource}: an instance uses {used} of {given}; give it {advised}")
            }
        }
    }
}

impl Foreseen {
    /// ` in 105 s (700 /s to 1100 /s, off by 4 % so far, skill 20 %)`, of that what is known.
    fn tell(&self, f: &mut fmt::Formatter<'_>, unit: Unit, skill: Option<f64>) -> fmt::Result {
        if let Some(horizon) = self.horizon {
            write!(f, " in {}", Unit::Seconds.show(horizon))?;
        }
        let interval = match (self.low, self.high) {
            (Some(low), Some(high)) => Some(format!("{} to {}", unit.show(low), unit.show(high))),
            (Some(low), None) => Some(format!("at least {}", unit.show(low))),
            (None, Some(high)) => Some(format!("at most {}", unit.show(high))),
            (None, None) => None,
        };
        let off = self.error.map(|error| format!("off by {} so far", Unit::Ratio.show(error)));
        let missed = self.missed.map(|share| format!("missed {} so far", Unit::Ratio.show(share)));
        let skill = skill.map(|skill| format!("skill {}", Unit::Ratio.show(skill)));
        let mut before = " (";
        for each in [interval, off, missed, skill].into_iter().flatten() {
            write!(f, "{before}{each}")?;
            before = ", ";
        }
        f.write_str(if before == ", " { ")" } else { "" })
    }
}

/// ` (web-1, web-2 and 3 more)`, if any is named.
fn list(f: &mut fmt::Formatter<'_>, names: &[String], all: u32) -> fmt::Result {
    let shown = names.get(..names.len().min(SHOWN)).unwrap_or_default();
    let Some((first, rest)) = shown.split_first() else { return Ok(()) };
    write!(f, " ({first}")?;
    rest.iter().try_for_each(|name| write!(f, ", {name}"))?;
    match (all as usize).saturating_sub(shown.len()) {
        0 => f.write_str(")"),
        more => write!(f, " and {more} more)"),
    }
}

/// Names in a sentence; the reason has more.
const SHOWN: usize = 5;

impl Measured {
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

/// ` for another 90 s`, if there is an end.
struct Left(Option<Duration>);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(left) => write!(f, " for another {}", seconds(left)),
            None => Ok(()),
        }
    }
}
