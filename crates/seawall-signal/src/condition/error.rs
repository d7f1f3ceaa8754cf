use std::fmt;
use std::time::Duration;

use super::term::Arith;
use crate::Unit;

/// Why a text is not a condition, and where.
///
/// `Display` is one line with the column; [`render`](Self::render) adds the
/// text with a caret under the place. Trying again is pointless: the text must
/// change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub(super) input: Box<str>,
    /// Byte range of what was found; empty at the end of the text.
    pub(super) at: std::ops::Range<usize>,
    pub(super) kind: ParseErrorKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A condition must start here.
    #[error("expected a signal name, `not`, `absent(..)` or `(`")]
    ExpectedCondition,
    /// A signal name must stand here.
    #[error("expected a signal name such as `cpu_usage` or `p95(http_request_duration)`")]
    ExpectedSignal,
    /// An operator must follow the signal.
    #[error("expected one of > >= < <= == != after the signal")]
    ExpectedOperator,
    /// A number, or an expression, must follow the operator.
    #[error("expected a number such as `80%`, `500ms`, `1.5k` or `100MB`, or a signal")]
    ExpectedNumber,
    /// A duration must follow `for`.
    #[error("expected a duration such as `90s` or `2m`")]
    ExpectedDuration,
    /// A function's argument must stand here.
    #[error("expected a signal name or a number as argument")]
    ExpectedArgument,
    /// A parenthesis is open.
    #[error("expected `)`")]
    ExpectedClose,
    /// An argument list is open.
    #[error("expected `,` or `)`")]
    ExpectedCommaOrClose,
    /// The condition is complete, yet the text goes on.
    #[error("expected `and`, `or`, `for`, `clear`, `missing` or the end")]
    ExpectedEnd,
    /// `for`, `clear` or `missing` was read, of which each comes once and at the
    /// end, yet the text goes on.
    #[error("expected the end, or what has not come yet of `for`, `clear` and `missing`")]
    ExpectedTail,
    /// The letters after a number are no unit.
    #[error(
        "expected a unit: %, ns us ms s m h d, B kB MB GB TB KiB MiB GiB TiB, /s /min /h rps, MB/s, k M G"
    )]
    UnknownUnit,
    /// The number does not fit a double in base units.
    #[error("expected a number within the range of a double")]
    NumberOutOfRange,
    /// The hold is negative or too long.
    #[error("expected a hold between 0 s and {} d", .max.as_secs() / 86_400)]
    HoldOutOfRange {
        /// The longest hold.
        max: Duration,
    },
    /// The right side cannot be compared with the left one.
    #[error("expected {}, for the left side is {left}", example(*.left))]
    OtherUnit {
        /// Unit of the left side.
        left: Unit,
    },
    /// Two operands whose units do not go together.
    #[error("expected units that go together, not {left} {op} {right}")]
    UnitsDoNotMix {
        /// Unit of the left operand.
        left: Unit,
        /// What joins them.
        op: Arith,
        /// Unit of the right operand.
        right: Unit,
    },
    /// A sum or a product has too many operands.
    #[error("expected at most {max} operands in a row")]
    TooLong {
        /// The longest chain.
        max: usize,
    },
    /// A policy must follow `missing`.
    #[error("expected `unknown`, `true`, `false` or `keep`")]
    ExpectedMissing,
    /// Parentheses, `not` and functions are nested too deeply.
    #[error("expected at most {max} levels of `(`, `not` and functions")]
    TooDeep {
        /// The deepest nesting.
        max: usize,
    },
    /// `clear` follows several comparisons.
    #[error("expected `clear` beside the comparison it belongs to, for there are several")]
    ClearOfMany,
    /// `clear` stands below a `not`, where it would widen nothing.
    #[error("expected no `clear` below a `not`")]
    ClearBelowNot,
    /// `clear` does not lie on the other side of the threshold.
    #[error("expected `clear` on the other side: `x > 80% clear < 70%` or `x < 30% clear > 40%`")]
    ClearWrongSide,
    /// `clear` follows a comparison with something else than a number.
    #[error("expected `clear` only after a comparison with a number")]
    ClearOfExpression,
    /// `clear` is in another unit than the threshold.
    #[error("expected `clear` in the unit of the threshold")]
    ClearOtherUnit,
}

impl ParseError {
    /// Where it went wrong: 1 for the first character. One past the last at
    /// the end of the text.
    #[must_use]
    pub fn column(&self) -> usize {
        self.before().chars().count() + 1
    }

    /// What stands there; `None` at the end of the text.
    #[must_use]
    pub fn found(&self) -> Option<&str> {
        self.input.get(self.at.clone()).filter(|t| !t.is_empty())
    }

    /// What was expected instead.
    #[must_use]
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// The message, the text, and a caret line under the place:
    ///
    /// ```text
    /// column 11: expected one of > >= < <= == != after the signal, found `over`
    ///   cpu_usage over 80
    ///             ^^^^
    /// ```
    #[must_use]
    pub fn render(&self) -> String {
        let carets = self.found().map_or(1, |t| t.chars().count());
        format!(
            "{self}\n  {}\n  {}{}",
            on_one_line(&self.input),
            " ".repeat(self.column() - 1),
            "^".repeat(carets),
        )
    }

    fn before(&self) -> &str {
        self.input.get(..self.at.start).unwrap_or_default()
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}, found ", self.column(), self.kind)?;
        match self.found() {
            Some(text) => write!(f, "`{}`", on_one_line(text)),
            None => f.write_str("the end"),
        }
    }
}

impl std::error::Error for ParseError {}

/// What is pointed at may run over a line's end, and nothing in it should speak
/// to a terminal.
fn on_one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

/// What may stand beside a value in `unit`.
fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "a ratio such as `80%`",
        Unit::Seconds => "a duration such as `500ms`",
        Unit::Bytes => "a size such as `100MB`",
        Unit::PerSecond => "a rate such as `100/s`",
        Unit::BytesPerSecond => "a data rate such as `10MB/s`",
        Unit::Count | Unit::None => "a number without a unit",
    }
}
