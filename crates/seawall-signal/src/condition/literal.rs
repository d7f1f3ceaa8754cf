use std::fmt;

use crate::Unit;

/// A number as written, with its suffix: `80%`, `500ms`, `1.5k`, `100MB`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Literal {
    number: f64,
    suffix: &'static Suffix,
}

/// A way to write a unit. The base value is `number * mul / div`: by division,
/// `70%` is exactly the double nearest to 0.7, which `* 0.01` would miss.
#[derive(Debug, PartialEq)]
struct Suffix {
    text: &'static str,
    unit: Option<Unit>,
    mul: f64,
    div: f64,
}

impl Literal {
    /// Refuses an unknown suffix and a value that is not finite in base units.
    pub(super) fn new(number: f64, suffix: &str) -> Result<Self, BadLiteral> {
        let suffix = SUFFIXES.iter().find(|s| s.text == suffix).ok_or(BadLiteral::UnknownUnit)?;
        let literal = Self { number, suffix };
        if literal.value().is_finite() { Ok(literal) } else { Err(BadLiteral::OutOfRange) }
    }

    /// The value in the base unit: `500ms` is 0.5, `80%` is 0.8.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.number * self.suffix.mul / self.suffix.div
    }

    /// The unit the suffix names; `None` for a bare number (`80`, `1.5k`).
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        self.suffix.unit
    }

    /// The value to compare with a sample in `unit`, in base units; `None` if
    /// the two units cannot be compared.
    ///
    /// A bare number is read in the signal's base unit, with one exception:
    /// against a ratio a bare number above 1 is read as per cent, so that
    /// `cpu_usage > 80` means 0.8. [`Condition::lint`](crate::Condition::lint)
    /// reports each such reading.
    #[must_use]
    pub fn against(&self, unit: Unit) -> Option<f64> {
        match (self.unit(), unit) {
            (None, Unit::Ratio) if self.value() > 1.0 => Some(self.value() / 100.0),
            (None, _) | (_, Unit::None) => Some(self.value()),
            (Some(own), other) if own == other => Some(self.value()),
            _ => None,
        }
    }

    /// The same span in the largest unit that writes it as a whole number, for
    /// canonical names: `avg(x, 300s)` and `avg(x, 5m)` are one signal.
    pub(super) fn canonical(&self) -> Self {
        if self.unit() != Some(Unit::Seconds) {
            return *self;
        }
        SUFFIXES
            .iter()
            .filter(|s| s.unit == Some(Unit::Seconds))
            .map(|suffix| Self { number: self.value() * suffix.div / suffix.mul, suffix })
            .find(|l| l.number.fract() == 0.0 && l.number != 0.0 && l.value() == self.value())
            .unwrap_or(*self)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.suffix.text;
        let size = self.number.abs();
        // Both forms print the shortest digits that parse back to the same
        // double; the exponent only spares hundreds of zeros.
        if size != 0.0 && !(1e-9..1e15).contains(&size) {
            write!(f, "{:e}{text}", self.number)
        } else {
            write!(f, "{}{text}", self.number)
        }
    }
}

/// A span as a canonical name has it: `5m`.
pub(crate) fn seconds(text: &str) -> Option<std::time::Duration> {
    match super::lexer::token(text, 0) {
        (super::lexer::Token::Number(literal), at)
            if literal.unit() == Some(Unit::Seconds) && at.end == text.len() =>
        {
            std::time::Duration::try_from_secs_f64(literal.value()).ok()
        }
        _ => None,
    }
}

/// What is wrong with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadLiteral {
    UnknownUnit,
    OutOfRange,
}

const fn suffix(text: &'static str, unit: Option<Unit>, mul: f64, div: f64) -> Suffix {
    Suffix { text, unit, mul, div }
}

/// Durations stand in falling order: `canonical` takes the first that fits.
static SUFFIXES: [Suffix; 37] = [
    suffix("", None, 1.0, 1.0),
    suffix("k", None, 1e3, 1.0),
    suffix("M", None, 1e6, 1.0),
    suffix("G", None, 1e9, 1.0),
    suffix("%", Some(Unit::Ratio), 1.0, 100.0),
    suffix("d", Some(Unit::Seconds), 86_400.0, 1.0),
    suffix("h", Some(Unit::Seconds), 3_600.0, 1.0),
    suffix("m", Some(Unit::Seconds), 60.0, 1.0),
    suffix("s", Some(Unit::Seconds), 1.0, 1.0),
    suffix("ms", Some(Unit::Seconds), 1.0, 1e3),
    suffix("us", Some(Unit::Seconds), 1.0, 1e6),
    suffix("ns", Some(Unit::Seconds), 1.0, 1e9),
    suffix("B", Some(Unit::Bytes), 1.0, 1.0),
    suffix("kB", Some(Unit::Bytes), 1e3, 1.0),
    suffix("MB", Some(Unit::Bytes), 1e6, 1.0),
    suffix("GB", Some(Unit::Bytes), 1e9, 1.0),
    suffix("TB", Some(Unit::Bytes), 1e12, 1.0),
    suffix("KiB", Some(Unit::Bytes), 1024.0, 1.0),
    suffix("MiB", Some(Unit::Bytes), 1_048_576.0, 1.0),
    suffix("GiB", Some(Unit::Bytes), 1_073_741_824.0, 1.0),
    suffix("TiB", Some(Unit::Bytes), 1_099_511_627_776.0, 1.0),
    suffix("rps", Some(Unit::PerSecond), 1.0, 1.0),
    suffix("krps", Some(Unit::PerSecond), 1e3, 1.0),
    suffix("/s", Some(Unit::PerSecond), 1.0, 1.0),
    suffix("/min", Some(Unit::PerSecond), 1.0, 60.0),
    suffix("/h", Some(Unit::PerSecond), 1.0, 3_600.0),
    suffix("k/s", Some(Unit::PerSecond), 1e3, 1.0),
    suffix("k/min", Some(Unit::PerSecond), 1e3, 60.0),
    suffix("M/s", Some(Unit::PerSecond), 1e6, 1.0),
    suffix("M/h", Some(Unit::PerSecond), 1e6, 3_600.0),
    suffix("B/s", Some(Unit::BytesPerSecond), 1.0, 1.0),
    suffix("kB/s", Some(Unit::BytesPerSecond), 1e3, 1.0),
    suffix("MB/s", Some(Unit::BytesPerSecond), 1e6, 1.0),
    suffix("GB/s", Some(Unit::BytesPerSecond), 1e9, 1.0),
    suffix("KiB/s", Some(Unit::BytesPerSecond), 1024.0, 1.0),
    suffix("MiB/s", Some(Unit::BytesPerSecond), 1_048_576.0, 1.0),
    suffix("GiB/s", Some(Unit::BytesPerSecond), 1_073_741_824.0, 1.0),
];
