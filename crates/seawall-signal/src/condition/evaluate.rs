use std::time::Duration;

use tokio::time::Instant;

use super::Condition;
use super::ast::{Comparison, Expr, Op};
use super::literal::Literal;
use crate::{Missing, Sample, Signals, Truth, Unit};

/// What one comparison saw, for reasons and dashboards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// Canonical name of the signal.
    pub signal: &'a str,
    /// The operator.
    pub op: Op,
    /// The right-hand side in base units, read against the signal's unit.
    pub threshold: f64,
    /// The signal's unit; the literal's if the signal is missing.
    pub unit: Unit,
    /// The signal's value in base units, or why there is none.
    pub value: Result<f64, Missing>,
}

impl Reading<'_> {
    /// Whether the comparison holds.
    pub fn truth(&self) -> Truth {
        match self.value {
            Ok(value) => self.op.holds(value, self.threshold).into(),
            Err(_) => Truth::Unknown,
        }
    }
}

impl Condition {
    /// Whether the comparisons hold at this moment. Looks neither at `for` nor
    /// at `clear`, which need memory: see [`Evaluator`](super::Evaluator).
    ///
    /// Samples older than `max_age` are missing. Allocates nothing; one look-up
    /// per comparison.
    pub fn evaluate(&self, signals: &Signals, now: Instant, max_age: Duration) -> Truth {
        self.evaluate_as(&|name| signals.get(name).copied(), now, max_age)
    }

    /// Like [`evaluate`](Self::evaluate), but asks `sample` for the newest
    /// sample of each signal: to try a condition on a world that differs from
    /// the measured one, such as the same load on fewer instances.
    pub fn evaluate_as(
        &self,
        sample: &dyn Fn(&str) -> Option<Sample>,
        now: Instant,
        max_age: Duration,
    ) -> Truth {
        self.expr.evaluate(&View { sample, now, max_age, raised: false })
    }

    /// Whether a raised condition stays raised: a comparison with `clear` holds
    /// until that is met.
    pub(super) fn stays(&self, signals: &Signals, now: Instant, max_age: Duration) -> Truth {
        self.expr.evaluate(&View {
            sample: &|name| signals.get(name).copied(),
            now,
            max_age,
            raised: true,
        })
    }

    /// What each comparison sees, left to right.
    #[must_use]
    pub fn readings(&self, signals: &Signals, now: Instant, max_age: Duration) -> Vec<Reading<'_>> {
        self.readings_as(&|name| signals.get(name).copied(), now, max_age)
    }

    /// Like [`readings`](Self::readings), on a world as in
    /// [`evaluate_as`](Self::evaluate_as).
    #[must_use]
    pub fn readings_as(
        &self,
        sample: &dyn Fn(&str) -> Option<Sample>,
        now: Instant,
        max_age: Duration,
    ) -> Vec<Reading<'_>> {
        let view = View { sample, now, max_age, raised: false };
        let mut all = Vec::new();
        self.expr.each(&mut |c| all.push(view.read(&c.signal, c.op, &c.literal)));
        all
    }
}

/// The world at one moment.
struct View<'a> {
    sample: &'a dyn Fn(&str) -> Option<Sample>,
    now: Instant,
    max_age: Duration,
    raised: bool,
}

impl View<'_> {
    fn read<'c>(&self, signal: &'c str, op: Op, literal: &Literal) -> Reading<'c> {
        let sample = (self.sample)(signal);
        let unit = sample.map_or_else(|| literal.unit().unwrap_or_default(), |s| s.unit);
        let threshold = literal.against(unit);
        let value = match (sample, threshold) {
            (None, _) => Err(Missing::Absent),
            (Some(_), None) => Err(Missing::OtherUnit),
            (Some(sample), Some(_)) => sample.usable(self.now, self.max_age),
        };
        Reading { signal, op, threshold: threshold.unwrap_or(literal.value()), unit, value }
    }

    fn compare(&self, comparison: &Comparison) -> Truth {
        match comparison.clear {
            Some((op, literal)) if self.raised => {
                !self.read(&comparison.signal, op, &literal).truth()
            }
            _ => self.read(&comparison.signal, comparison.op, &comparison.literal).truth(),
        }
    }
}

impl Expr {
    fn evaluate(&self, view: &View<'_>) -> Truth {
        match self {
            Self::Compare(comparison) => view.compare(comparison),
            Self::Absent(signal) => (view.sample)(signal)
                .is_none_or(|s| s.usable(view.now, view.max_age).is_err())
                .into(),
            Self::Not(inner) => !inner.evaluate(view),
            Self::And(parts) => settle(parts, view, Truth::False, Truth::and),
            Self::Or(parts) => settle(parts, view, Truth::True, Truth::or),
        }
    }
}

/// Folds until an operand settles the answer.
fn settle(parts: &[Expr], view: &View<'_>, end: Truth, join: fn(Truth, Truth) -> Truth) -> Truth {
    let mut answer = !end;
    for part in parts {
        answer = join(answer, part.evaluate(view));
        if answer == end {
            break;
        }
    }
    answer
}
