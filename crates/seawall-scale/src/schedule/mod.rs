//! When a group shall be larger whatever is measured: opening hours, sales, maintenance.
//!
//! A [`Schedule`] is a set of windows, each from a moment to another on a zone's clock. In it the
//! group has at least `min` and at most `max` instances. The largest `min` of the windows that are
//! open counts, and the smallest `max`; where they contradict after all, the larger size.
//!
//! # Clock changes
//! A window opens once on each of its days. If its hour does not exist on that day, it opens (or
//! ends) when the clock jumps over it. If its hour comes twice, it opens the first time and ends
//! the second time. A window given by `lasts` keeps its length, one given by `to` its hour.
//!
//! Zones come from the bundled IANA database, never from the machine: a decision is the same on
//! every node, and when it is replayed.

mod conflict;
mod zone;

use std::time::Duration;

pub use jiff::civil::{Date, Time, Weekday};
use jiff::{Timestamp, ToSpan};

use crate::PolicyError;
use crate::policy::{DAY, duration};
pub(crate) use conflict::check as conflicts;
pub use zone::Zone;

/// Windows in which the group has a size of its own.
///
/// ```toml
/// name = "office hours"
/// zone = "Europe/Berlin"
/// days = ["mon", "tue", "wed", "thu", "fri"]
/// from = "08:00"
/// to = "18:00"          # or: lasts = "10h"
/// min = 10
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Schedule {
    /// For reasons.
    pub name: String,
    /// The clock that `days`, `dates`, `from` and `to` are read on. Default: UTC.
    #[cfg_attr(feature = "serde", serde(default))]
    pub zone: Zone,
    /// Days of the week on which a window opens. Default: every day, or none if there are `dates`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub days: Vec<Day>,
    /// Event days: dates on which a window opens. At most 400. Default: none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub dates: Vec<Date>,
    /// When it opens. Default: midnight.
    #[cfg_attr(feature = "serde", serde(default))]
    pub from: Time,
    /// When it ends; on the next day if that is not after `from`. Default: midnight, if there is
    /// no `lasts`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub to: Option<Time>,
    /// How long it is open, in place of `to`. Up to 7 days.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::text::optional_duration"))]
    pub lasts: Option<Duration>,
    /// Fewest instances in the window; at most the policy's `max`. Default: the policy's.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub min: Option<u32>,
    /// Most instances in the window. Default: the policy's.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub max: Option<u32>,
    /// How long before it opens `min` holds, besides the time that instances need to be ready.
    /// Up to 1 day. Default: 0 s.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::text::duration"))]
    pub lead: Duration,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "a week has seven days")]
#[expect(missing_docs, reason = "days need no explanation")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What a schedule says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a yes, a no, and a when")]
pub struct Look {
    /// Whether a window is open.
    pub open: bool,
    /// Whether one opens soon enough for `min` to hold already.
    pub early: bool,
    /// How long until that may change, if within the next day or so.
    pub next: Option<Duration>,
}

impl Schedule {
    /// A window every day from midnight to midnight UTC, without bounds yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            zone: Zone::default(),
            days: Vec::new(),
            dates: Vec::new(),
            from: Time::midnight(),
            to: None,
            lasts: None,
            min: None,
            max: None,
            lead: Duration::ZERO,
        }
    }

    /// What it says `unix` nanoseconds after 1970, where instances need `start` to be ready.
    ///
    /// Cost: a look at the zone for each day that a window may reach from, two to four usually.
    #[must_use]
    pub fn look(&self, unix: i64, start: Duration) -> Look {
        let Ok(at) = Timestamp::from_nanosecond(i128::from(unix)) else {
            return Look::default();
        };
        let lead = self.lead.saturating_add(start);
        let (back, ahead) = (self.longest().saturating_add(DAY), lead.saturating_add(DAY));
        let today = self.zone.date(at);
        let mut look = Look::default();
        let mut next: Option<i128> = None;
        for offset in -days(back)..=days(ahead) {
            let Some((opens, ends)) = self.window(today, offset) else { continue };
            let now = i128::from(unix);
            let early = opens - lead.as_nanos().cast_signed();
            look.open |= (opens..ends).contains(&now);
            look.early |= (early..opens).contains(&now);
            for edge in [early, opens, ends] {
                if edge > now && next.is_none_or(|next| edge < next) {
                    next = Some(edge);
                }
            }
        }
        let left = next.and_then(|next| u64::try_from(next - i128::from(unix)).ok());
        Look { next: left.map(Duration::from_nanos), ..look }
    }

    /// The window that opens `offset` days after `today`, if one does: nanoseconds after 1970.
    fn window(&self, today: Date, offset: i64) -> Option<(i128, i128)> {
        let date = today.checked_add(offset.days()).ok()?;
        if !self.opens_on(date) {
            return None;
        }
        let opens = self.zone.first(date.to_datetime(self.from))?;
        let ends = if let Some(lasts) = self.lasts {
            opens + lasts.as_nanos().cast_signed()
        } else {
            let to = self.to.unwrap_or(Time::midnight());
            let last = if to > self.from { date } else { date.tomorrow().ok()? };
            self.zone.last(last.to_datetime(to))?
        };
        (opens < ends).then_some((opens, ends))
    }

    fn opens_on(&self, date: Date) -> bool {
        if self.days.is_empty() && self.dates.is_empty() {
            return true;
        }
        let day = Day::of(date.weekday());
        self.days.contains(&day) || self.dates.contains(&date)
    }

    fn longest(&self) -> Duration {
        self.lasts.unwrap_or(DAY)
    }

    /// `most`: the policy's `max`, which no window exceeds.
    pub(crate) fn validate(&self, most: u32) -> Result<(), PolicyError> {
        let wrong = |field, bound| Err(PolicyError::Schedule { field, bound });
        if self.name.is_empty() {
            return Err(PolicyError::EmptyName);
        }
        if self.to.is_some() && self.lasts.is_some() {
            return wrong("lasts", "must not be set together with to");
        }
        if self.min.is_none() && self.max.is_none() {
            return wrong("min", "must be set, or max");
        }
        let max = self.max.unwrap_or(most).min(most);
        if let Some(min) = self.min.filter(|min| *min > max) {
            return Err(PolicyError::MinAboveMax { min, max });
        }
        if self.dates.len() > 400 {
            return wrong("dates", "must be at most 400");
        }
        if let Some(lasts) = self.lasts {
            duration("lasts", lasts, Duration::from_secs(60), 7 * DAY)?;
        }
        duration("lead", self.lead, Duration::ZERO, DAY)
    }
}

impl Day {
    fn of(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

/// Whole days that `span` reaches over.
fn days(span: Duration) -> i64 {
    i64::try_from(span.as_secs().div_ceil(86_400)).unwrap_or(0).min(16)
}

#[cfg(test)]
mod tests;
