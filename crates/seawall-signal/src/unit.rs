use std::fmt;

/// What a signal's number counts. Values are always in the base unit: a
/// duration is stored in seconds, never in milliseconds; a ratio as 0.8, never
/// as 80.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Unit {
    /// A share of a whole, 0 to 1: CPU use, hit ratio, error ratio. May pass 1
    /// when the whole can be exceeded (a burst above a CPU request).
    Ratio,
    /// A duration in seconds.
    Seconds,
    /// An amount of data in bytes.
    Bytes,
    /// Events per second.
    PerSecond,
    /// Bytes per second.
    BytesPerSecond,
    /// A number of things: queue depth, connections, users.
    Count,
    /// The unit is not known. Any literal compares with it, in base units.
    #[default]
    None,
}

impl Unit {
    /// Writes `value` the way an operator reads it: `91 %`, `350 ms`,
    /// `1.2 MB`, `84 /s`, `2.5 MB/s`, `1200`. Three significant digits, and all before the
    /// point; for text, not for parsing.
    #[must_use]
    pub fn show(self, value: f64) -> Shown {
        Shown { unit: self, value }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ratio => "a ratio",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::PerSecond => "events per second",
            Self::BytesPerSecond => "bytes per second",
            Self::Count => "a count",
            Self::None => "no known unit",
        })
    }
}

/// A value with its unit, for people; made by [`Unit::show`].
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    unit: Unit,
    value: f64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, suffix) = match self.unit {
            Unit::Ratio => (self.value * 100.0, " %"),
            Unit::Seconds => scaled(self.value, &[(1.0, " s"), (1e-3, " ms"), (1e-6, " us")]),
            Unit::Bytes => {
                scaled(self.value, &[(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")])
            }
            Unit::PerSecond => (self.value, " /s"),
            Unit::BytesPerSecond => {
                scaled(self.value, &[(1e9, " GB/s"), (1e6, " MB/s"), (1e3, " kB/s"), (1.0, " B/s")])
            }
            Unit::Count | Unit::None => (self.value, ""),
        };
        // Three significant digits, but every digit before the point.
        let magnitude = value.abs().log10().floor();
        let decimals = (2.0 - magnitude).clamp(0.0, 9.0) as usize;
        let text = format!("{value:.decimals$}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        write!(f, "{text}{suffix}")
    }
}

/// Divides by the first step that leaves at least 1, else by the last.
fn scaled(value: f64, steps: &[(f64, &'static str)]) -> (f64, &'static str) {
    if value == 0.0 {
        return (0.0, steps.iter().find(|s| s.0 == 1.0).map_or("", |s| s.1));
    }
    steps
        .iter()
        .find(|(step, _)| value.abs() >= *step)
        .or(steps.last())
        .map_or((value, ""), |(step, name)| (value / step, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_without_noise() {
        for (unit, value, text) in [
            (Unit::Ratio, 0.91, "91 %"),
            (Unit::Ratio, 0.8255, "82.5 %"),
            (Unit::Ratio, 0.004, "0.4 %"),
            (Unit::None, -0.001_234, "-0.00123"),
            (Unit::Count, 123_456.7, "123457"),
            (Unit::Seconds, 0.35, "350 ms"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 0.000_002, "2 us"),
            (Unit::Bytes, 1_200_000.0, "1.2 MB"),
            (Unit::Bytes, 12.0, "12 B"),
            (Unit::PerSecond, 84.25, "84.2 /s"),
            (Unit::BytesPerSecond, 2_500_000.0, "2.5 MB/s"),
            (Unit::Count, 1200.0, "1200"),
            (Unit::None, f64::NAN, "NaN"),
            (Unit::None, f64::INFINITY, "inf"),
        ] {
            assert_eq!(unit.show(value).to_string(), text, "{unit:?} {value}");
        }
    }
}
