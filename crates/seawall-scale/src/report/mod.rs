//! Capacity planning: how much more a group can carry, until when, and what if.
//!
//! ```
//! use seawall_scale::capacity::Service;
//! use seawall_scale::report::{Group, WhatIf, report};
//!
//! let service = Service { rate: 100.0, slots: 8, wait: 1.0 / 3.0 };
//! let group = Group { service, current: 10, max: 20, zones: 3, load: 700.0 };
//! // Hourly peaks: seconds on any clock, requests a second.
//! let history: Vec<_> = (0..72).map(|h| (f64::from(h) * 3600.0, 600.0 + f64::from(h))).collect();
//!
//! let report = report(&group, &history, &[WhatIf::Load(2.0), WhatIf::LoseZone]);
//! println!("{report}");
//! ```

mod text;
mod trend;

use std::time::Duration;

use crate::capacity::Service;
pub use trend::Saturation;

/// A group as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Group {
    /// What one instance can do, and the objective.
    pub service: Service,
    /// Instances there are.
    pub current: u32,
    /// Most instances there may be.
    pub max: u32,
    /// Zones they are spread over evenly; 0 counts as 1.
    pub zones: u32,
    /// Requests a second now.
    pub load: f64,
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhatIf {
    /// The load were so many times what it is.
    Load(f64),
    /// The largest zone were lost.
    LoseZone,
    /// So many instances were lost.
    LoseInstances(u32),
    /// A request kept its slot so many times as long.
    Slower(f64),
}

/// What would be.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Outcome {
    /// The question.
    pub what_if: WhatIf,
    /// Instances that would be left.
    pub left: u32,
    /// Instances that would be needed; `None` if no number keeps the objective.
    pub needed: Option<u32>,
    /// How busy those left would be, as a ratio; above 1 they cannot keep up.
    pub busy: f64,
    /// What it comes to.
    pub verdict: Verdict,
}

/// What a question comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Verdict {
    /// Those left keep the objective.
    Carried,
    /// The objective is missed until the group has grown.
    GrowFirst,
    /// Not even the maximum would keep the objective.
    BeyondMax,
}

/// How much a group can carry.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// Requests a second now; as it was given, not a number if that is none.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub load: f64,
    /// Instances there are.
    pub current: u32,
    /// Most instances there may be.
    pub max: u32,
    /// Instances that the load needs now; `None` if no number keeps the
    /// objective.
    pub needed: Option<u32>,
    /// How busy the instances are, as a ratio.
    pub busy: f64,
    /// Requests a second at which those there are still keep the objective.
    pub carried_now: f64,
    /// The same for the maximum.
    pub carried_max: f64,
    /// How much more than now those there are carry, as a ratio of the load;
    /// negative if they do not carry it. Infinite without a load.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub headroom_now: f64,
    /// The same for the maximum.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::number"))]
    pub headroom_max: f64,
    /// When the load outgrows the maximum, if it goes on as it did.
    pub saturation: Saturation,
    /// The answers, in the order of the questions.
    pub what_ifs: Vec<Outcome>,
}

/// Reports on `group`. `history`: when, in seconds on any clock, and how many
/// requests a second; in any order. What is not a finite number in it is left
/// out. A load or a factor that is no number is carried by nobody.
///
/// Cost: a hundred evaluations of the queueing formula for each answer, and the
/// slopes between at most sixty peaks of the history.
#[must_use]
pub fn report(group: &Group, history: &[(f64, f64)], questions: &[WhatIf]) -> Report {
    // Keeps what is no number one: an unknown load is not none.
    let load = group.load.clamp(0.0, f64::INFINITY);
    let group = Group { load, ..*group };
    let carried_now = carried(group.service, group.current);
    let carried_max = carried(group.service, group.max);
    let headroom = |carried: f64| {
        if load == 0.0 { f64::INFINITY } else { carried / load - 1.0 }
    };
    Report {
        load,
        current: group.current,
        max: group.max,
        needed: needed(group.service, load),
        busy: busy(group.service, load, group.current),
        carried_now,
        carried_max,
        headroom_now: headroom(carried_now),
        headroom_max: headroom(carried_max),
        saturation: trend::saturation(history, carried_max),
        what_ifs: questions.iter().map(|question| answer(&group, *question)).collect(),
    }
}

fn answer(group: &Group, what_if: WhatIf) -> Outcome {
    let (mut service, mut load, mut left, mut most) =
        (group.service, group.load, group.current, group.max);
    match what_if {
        WhatIf::Load(factor) => load *= factor.clamp(0.0, f64::INFINITY),
        // Spread evenly, the largest zone has the rounded-up share.
        WhatIf::LoseZone => {
            left -= left.div_ceil(group.zones.max(1)).min(left);
            most -= most.div_ceil(group.zones.max(1)).min(most);
        }
        WhatIf::LoseInstances(count) => left = left.saturating_sub(count),
        WhatIf::Slower(factor) => {
            service.rate /= factor.clamp(f64::MIN_POSITIVE, f64::INFINITY);
        }
    }
    let needed = needed(service, load);
    let verdict = match needed {
        Some(needed) if needed <= left => Verdict::Carried,
        Some(needed) if needed <= most => Verdict::GrowFirst,
        _ => Verdict::BeyondMax,
    };
    Outcome { what_if, left, needed, busy: busy(service, load, left), verdict }
}

/// Guards the search of [`Service::least`], whose cost grows with its answer.
fn needed(service: Service, load: f64) -> Option<u32> {
    let sane = service.rate > 0.0 && service.wait > 0.0 && service.slots > 0;
    if load <= 0.0 {
        Some(0)
    } else if sane && load / service.rate < 1e6 {
        Some(service.least(load))
    } else {
        None
    }
}

fn busy(service: Service, load: f64, instances: u32) -> f64 {
    if load <= 0.0 {
        return 0.0;
    }
    (load / (f64::from(instances) * service.rate)).min(f64::MAX)
}

/// The largest load at which `instances` keep the objective, to a millionth.
fn carried(service: Service, instances: u32) -> f64 {
    let (mut keeps, mut fails) = (0.0, f64::from(instances) * service.rate);
    if !(fails.is_finite() && fails > 0.0) {
        return 0.0;
    }
    for _ in 0..40 {
        let middle = f64::midpoint(keeps, fails);
        if service.keeps(middle, instances) {
            keeps = middle;
        } else {
            fails = middle;
        }
    }
    keeps
}

/// A time in seconds as a duration, if it is one.
fn span(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests;
