//! The condition language, from text to a three-valued answer.

mod ast;
mod display;
mod error;
mod evaluate;
mod hold;
mod lexer;
mod lint;
mod literal;
mod parser;
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
/// windows under these names; [`signals`](Self::signals) tells which are asked
/// for.
///
/// # Units
/// `%`; `ns us ms s m h d`; `B kB MB GB TB` (powers of 1000), `KiB MiB GiB TiB`;
/// `/s /min /h rps krps k/s k/min M/s M/h`; and `k M G`, which only multiply.
/// A literal whose unit is not the signal's gives unknown. A bare number is read
/// in the signal's base unit; but **against a ratio a bare number above 1 is
/// read as per cent**, so that rule files saying `cpu_usage > 80` mean 80 %.
/// (`error_rate > 1` means 100 %, not 1 %: write `1%`.) [`lint`](Self::lint)
/// points at each such reading.
///
/// # Missing data
/// A signal without a sample, or with one that is stale, dated in the future, or
/// not finite, makes its comparison [`Unknown`](crate::Truth::Unknown), which
/// spreads by Kleene's logic.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    expr: ast::Expr,
    hold: Option<HoldFor>,
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
        parser::parse(text)
    }

    /// How long it must hold before it counts as true. Zero without `for`.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold.map_or(Duration::ZERO, |hold| hold.duration)
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
const MAX_DEPTH: usize = 32;

/// The longest `for`.
const MAX_HOLD: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests;
