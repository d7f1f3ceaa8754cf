use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::PolicyError;

/// A time zone by its IANA name, such as `Europe/Berlin`; known when it is read, not when it is
/// needed.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub struct Zone(TimeZone);

impl Zone {
    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub(super) fn date(&self, at: Timestamp) -> Date {
        self.0.to_datetime(at).date()
    }

    /// The first moment at which its clock shows `time`, or has jumped over it: nanoseconds after
    /// 1970.
    pub(super) fn first(&self, time: DateTime) -> Option<i128> {
        self.moment(time, false)
    }

    /// The last moment at which its clock shows `time`, or at which it jumps over it.
    pub(super) fn last(&self, time: DateTime) -> Option<i128> {
        self.moment(time, true)
    }

    fn moment(&self, time: DateTime, last: bool) -> Option<i128> {
        let ambiguous = self.0.to_ambiguous_timestamp(time);
        let gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let at = if last && !gap { ambiguous.later() } else { ambiguous.earlier() }.ok()?;
        if gap {
            // The hour that does not exist, read by the clock after the jump, lies before it.
            let jump = self.0.following(at).next()?;
            return Some(jump.timestamp().as_nanosecond());
        }
        Some(at.as_nanosecond())
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = PolicyError;

    fn from_str(name: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Schedule {
            field: "zone",
            bound: "must be a name of the IANA database, such as Europe/Berlin",
        };
        let zone = TimeZone::get(name).map_err(|_| wrong())?;
        // Without a name it could not be written to a log and read again.
        if zone.iana_name().is_none() { Err(wrong()) } else { Ok(Self(zone)) }
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

impl TryFrom<String> for Zone {
    type Error = PolicyError;

    fn try_from(name: String) -> Result<Self, PolicyError> {
        name.parse()
    }
}
