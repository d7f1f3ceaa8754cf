//! The condition language, from text to a three-valued answer.

mod ast;
mod display;
mod error;
mod evaluate;
mod hold;
mod lexer;
mod lint;
mod literal;
mod missing;
mod parser;
mod term;
#[cfg(feature = "serde")]
mod text;

use std::str::FromStr;
use std::time::Duration;

pub use ast::{Comparison, Op};
pub use error::{ParseError, ParseErrorKind};
pub use evaluate::Reading;
pub use hold::{Evaluator, Hold};
pub use lint::Lint;
pub use literal::Literal;
pub(crate) use literal::seconds;
pub use missing::MissingData;
pub use term::Arith;

use crate::Units;

/// A parsed condition: `p95(http_request_duration) > 500ms for 2m`.
///
/// # The language
/// | form | meaning |
/// |---|---|
/// | `cpu_usage > 80%` | a signal, an operator (`>` `>=` `<` `<=` `==` `!=`), a number |
/// | `80%` `500ms` `2s` `1.5k` `100MB` `10000/min` | numbers with units; see below |
/// | `a > 1 and not (b > 2 or c > 3)` | `not` binds tighter than `and`, `and` tighter than `or` |
/// | `absent(x)` | true if `x` is missing, stale or not finite; never unknown |
/// | `.. for 2m` | must hold that long without a break (last, over the whole condition) |
/// | `x > 80% clear < 70%` | once raised it stays so until `x < 70%` |
/// | `rate(errors) / rate(requests) > 5%` | `+ - * /` between signals and numbers, on both sides |
/// | `.. missing false` | what an unknown answer counts as: `unknown` (default), `true`, `false`, `keep` |
/// | `p95(x)`, `avg(x, 5m)`, `rate(x)` | signals that are named so |
///
/// Keywords are lower case. Names are ASCII letters, digits, `_`, `.` and `:`,
/// starting with a letter or `_`.
///
/// # Windowed values
/// A function form is a *name*, not a computation: `avg(cpu_usage,300s)` reads
/// the signal called exactly `avg(cpu_usage, 5m)`. The canonical name has one
/// space after each comma and none elsewhere, and writes a span in the largest
/// unit that makes it a whole number. A [`Source`](crate::Source) publishes its
/// windows under these names, or a [`History`](crate::History) computes them from
/// plain samples; [`signals`](Self::signals) tells which are asked for.
///
/// # Units
/// `%`; `ns us ms s m h d`; `B kB MB GB TB` (powers of 1000), `KiB MiB GiB TiB`;
/// `/s /min /h rps krps k/s k/min M/s M/h`; and `k M G`, which only multiply.
/// `B/s kB/s MB/s GB/s`. What cannot be compared is refused while parsing if the
/// name promises a unit ([`Unit::of_name`](crate::Unit::of_name)) or a table
/// gives it ([`parse_with`](Self::parse_with)), and unknown otherwise. A bare number is read
/// in the signal's base unit; but **against a ratio a bare number above 1 is
/// read as per cent**, so that rule files saying `cpu_usage > 80` mean 80 %.
/// (`error_rate > 1` means 100 %, not 1 %: write `1%`.) [`lint`](Self::lint)
/// points at each such reading. In sums and products a bare number is in base
/// units, always.
///
/// # Missing data
/// A signal without a sample, or with one that is stale, dated in the future, or
/// not finite, makes its comparison [`Unknown`](crate::Truth::Unknown), which
/// spreads by Kleene's logic; so does a division by zero. What is unknown in the
/// end is what [`MissingData`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    expr: ast::Expr,
    hold: Option<HoldFor>,
    missing: MissingData,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct HoldFor {
    literal: Literal,
    duration: Duration,
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// Says the column, what was found and what was expected. Never panics;
    /// linear in the length of the text.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text, None)
    }

    /// Like [`parse`](Self::parse), with the units of the signals it may read:
    /// what cannot be compared is refused also where the name promises nothing.
    /// A signal that is not in `units` counts for what its name promises;
    /// [`lint`](Self::lint) reports it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, units: &Units) -> Result<Self, ParseError> {
        parser::parse(text, Some(units))
    }

    /// How long it must hold before it counts as true. Zero without `for`.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold.map_or(Duration::ZERO, |hold| hold.duration)
    }

    /// What it makes of missing data.
    #[must_use]
    pub fn missing(&self) -> MissingData {
        self.missing
    }

    /// Its comparisons, left to right.
    #[must_use]
    pub fn comparisons(&self) -> Vec<&Comparison> {
        let mut all = Vec::new();
        self.expr.each(&mut |comparison| all.push(comparison));
        all
    }

    /// The canonical names of the signals it reads, each once, sorted.
    #[must_use]
    pub fn signals(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.expr.names(&mut names);
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl FromStr for Condition {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

/// Levels of parentheses, `not` and functions.
pub(crate) const MAX_DEPTH: usize = 32;

/// Operands of one sum or product.
const MAX_OPERANDS: usize = 32;

/// The longest `for`.
const MAX_HOLD: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests;
