use std::time::Duration;

use tokio::time::Instant;

use super::Condition;
use super::ast::{Comparison, Expr, Op};
use super::term::{Quantity, Term};
use crate::{Missing, Sample, Signals, Truth, Unit};

/// What one comparison saw, for reasons and dashboards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// Canonical name of the signal, or text of the left side.
    pub signal: &'a str,
    /// The operator.
    pub op: Op,
    /// The right-hand side in base units, read against the left side's unit; NaN
    /// if it is missing.
    pub threshold: f64,
    /// The left side's unit; the right side's if the left one is missing.
    pub unit: Unit,
    /// The left side's value in base units, or why one side has none.
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
    /// per signal read.
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
        self.missing.settle(self.expr.evaluate(&View { sample, now, max_age, raised: false }))
    }

    /// Whether a raised condition stays raised: a comparison with `clear` holds
    /// until that is met.
    pub(super) fn stays(&self, signals: &Signals, now: Instant, max_age: Duration) -> Truth {
        let sample = &|name: &str| signals.get(name).copied();
        self.missing.settle(self.expr.evaluate(&View { sample, now, max_age, raised: true }))
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
        self.expr.each(&mut |c| all.push(view.read(c, c.op, &c.right)));
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
    fn read<'c>(&self, comparison: &'c Comparison, op: Op, right: &Term) -> Reading<'c> {
        let read = |name: &str| self.quantity(name);
        let left = comparison.left.value(&read);
        let right_value = right.value(&read);
        let unit = match (&left, &right_value) {
            (Ok(left), _) => left.unit,
            (Err(_), Ok(right)) => self.unit_of(&comparison.left).or(right.unit),
            (Err(_), Err(_)) => self.unit_of(&comparison.left),
        };
        let unit = unit.unwrap_or_default();
        let (threshold, value) = match (left, right_value, right) {
            (Ok(left), Ok(right_value), Term::Number(literal)) => match literal.against(unit) {
                Some(threshold) => (threshold, Ok(left.value)),
                None => (right_value.value, Err(Missing::OtherUnit)),
            },
            (Ok(left), Ok(right), _) => {
                let fits = match right.unit {
                    Some(right) => right == unit || [unit, right].contains(&Unit::None),
                    None => true,
                };
                (right.value, if fits { Ok(left.value) } else { Err(Missing::OtherUnit) })
            }
            (Err(why), right_value, Term::Number(literal)) => {
                let plain = right_value.map_or(f64::NAN, |right| right.value);
                match (why, literal.against(unit)) {
                    (_, Some(threshold)) => (threshold, Err(why)),
                    // A sample that is there, in a unit that never fits.
                    (Missing::Absent, None) => (plain, Err(why)),
                    (_, None) => (plain, Err(Missing::OtherUnit)),
                }
            }
            (Err(why), right, _) => (right.map_or(f64::NAN, |right| right.value), Err(why)),
            (Ok(_), Err(why), _) => (f64::NAN, Err(why)),
        };
        Reading { signal: &comparison.text, op, threshold, unit, value }
    }

    /// The value of a signal, if it may be decided on.
    fn quantity(&self, name: &str) -> Result<Quantity, Missing> {
        let sample = (self.sample)(name).ok_or(Missing::Absent)?;
        let value = sample.usable(self.now, self.max_age)?;
        Ok(Quantity { value, unit: Some(sample.unit) })
    }

    /// The unit of a lone signal, also if its sample is of no use.
    fn unit_of(&self, term: &Term) -> Option<Unit> {
        match term {
            Term::Signal(name) => (self.sample)(name).map(|sample| sample.unit),
            _ => None,
        }
    }

    fn compare(&self, comparison: &Comparison) -> Truth {
        match comparison.clear {
            Some((op, literal)) if self.raised => {
                let mut reading = self.read(comparison, op, &Term::Number(literal));
                if let Some(threshold) = comparison.clear_against(reading.unit) {
                    reading.threshold = threshold;
                }
                !reading.truth()
            }
            _ => self.read(comparison, comparison.op, &comparison.right).truth(),
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
