use std::fmt;
use std::time::Duration;

use seawall_signal::Unit;

use super::{Outcome, Report, Saturation, Verdict, WhatIf};

/// Aligned lines for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |value| Unit::PerSecond.show(value);
        let needed = Needed(self.needed);
        let busy = Unit::Ratio.show(self.busy);
        writeln!(
            f,
            "load         {}: {needed} needed, {} there, {busy} busy",
            rate(self.load),
            self.current
        )?;
        for (name, count, carried, headroom) in [
            ("headroom now", self.current, self.carried_now, self.headroom_now),
            ("at the most ", self.max, self.carried_max, self.headroom_max),
        ] {
            let more = Unit::Ratio.show(headroom);
            writeln!(f, "{name} {count} instances carry {}, {more} more than now", rate(carried))?;
        }
        write!(f, "saturation   {}", self.saturation)?;
        for outcome in &self.what_ifs {
            write!(f, "\nwhat if      {outcome}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Saturation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not known: too little history"),
            Self::Reached => f.write_str("reached: the peaks are beyond the maximum"),
            Self::NotGrowing => f.write_str("not in sight: the peaks do not grow"),
            Self::In { earliest, likely, latest } => {
                match likely {
                    Some(likely) => write!(f, "in about {}", Span(*likely))?,
                    None => f.write_str("likely not")?,
                }
                write!(f, ", not before {}", Span(*earliest))?;
                match latest {
                    Some(latest) => write!(f, " and not after {}", Span(*latest)),
                    None => f.write_str(", perhaps never"),
                }
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (needed, left) = (Needed(self.needed), self.left);
        let busy = Unit::Ratio.show(self.busy);
        write!(f, "{}: {needed} needed, {left} there, {busy} busy: ", self.what_if)?;
        f.write_str(match self.verdict {
            Verdict::Carried => "carried",
            Verdict::GrowFirst => "too slow until the group has grown",
            Verdict::BeyondMax => "not even the maximum carries it",
        })
    }
}

impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(factor) => write!(f, "{} times the load", Unit::None.show(*factor)),
            Self::LoseZone => f.write_str("a zone is lost"),
            Self::LoseInstances(count) => write!(f, "{count} instances are lost"),
            Self::Slower(factor) => {
                write!(f, "requests take {} times as long", Unit::None.show(*factor))
            }
        }
    }
}

struct Needed(Option<u32>);

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_str("more than can be"),
        }
    }
}

/// `45 min`, `7 h`, `12 days`.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 2.0 * 3600.0 {
            write!(f, "{:.0} min", seconds / 60.0)
        } else if seconds < 2.0 * 86_400.0 {
            write!(f, "{:.0} h", seconds / 3600.0)
        } else if seconds < 3650.0 * 86_400.0 {
            write!(f, "{:.0} days", seconds / 86_400.0)
        } else {
            f.write_str("ten years")
        }
    }
}
