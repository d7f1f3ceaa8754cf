use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::Unit;

/// One reading of a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The reading, in the unit's base unit.
    pub value: f64,
    /// What the number counts.
    pub unit: Unit,
    /// When the world was like this, not when it was written down.
    pub at: Instant,
}

impl Sample {
    /// How old the sample is. `None` if it is dated after `now`: such a sample
    /// says nothing about the present and counts as missing.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(self.at)
    }

    /// The value, if it may be decided on: finite, not from the future, and at
    /// most `max_age` old (inclusive).
    ///
    /// # Errors
    /// Says why the sample counts as missing.
    pub fn usable(&self, now: Instant, max_age: Duration) -> Result<f64, Missing> {
        if !self.value.is_finite() {
            return Err(Missing::NotFinite);
        }
        match self.age(now) {
            None => Err(Missing::FromTheFuture),
            Some(age) if age > max_age => Err(Missing::Stale { age }),
            Some(_) => Ok(self.value),
        }
    }
}

/// Why a signal gives no answer. Missing never means zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Missing {
    /// No sample was ever set.
    #[error("has no sample")]
    Absent,
    /// The newest sample is too old.
    #[error("is stale for {} s", .age.as_secs())]
    Stale {
        /// Age of the newest sample.
        age: Duration,
    },
    /// The sample is dated after the time of the question.
    #[error("is dated in the future")]
    FromTheFuture,
    /// The value is NaN or infinite.
    #[error("is not a finite number")]
    NotFinite,
    /// The value is below zero, where it cannot be: a size, a use, a rate.
    #[error("is negative")]
    Negative,
    /// The sample's unit cannot be compared with the literal's.
    #[error("is in another unit than it is compared with")]
    OtherUnit,
}

/// The newest sample of each signal, by name.
///
/// Iteration is in name order, so that whatever is computed from it is the
/// same each time. Look-ups allocate nothing; `set` allocates only for a name
/// it has not seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    by_name: BTreeMap<Box<str>, Sample>,
}

impl Signals {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_name: BTreeMap::new() }
    }

    /// Replaces the sample of `name`. `value` is in the base unit; NaN and
    /// infinities are kept but count as missing.
    pub fn set(&mut self, name: &str, value: f64, unit: Unit, at: Instant) {
        let sample = Sample { value, unit, at };
        match self.by_name.get_mut(name) {
            Some(slot) => *slot = sample,
            None => {
                self.by_name.insert(name.into(), sample);
            }
        }
    }

    /// The newest sample of `name`, whatever its age.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Sample> {
        self.by_name.get(name)
    }

    /// Age of the newest sample; `None` if there is none or it is dated after
    /// `now`.
    #[must_use]
    pub fn age(&self, name: &str, now: Instant) -> Option<Duration> {
        self.get(name)?.age(now)
    }

    /// The sample of `name`, if it may be decided on (see [`Sample::usable`]).
    ///
    /// # Errors
    /// Says why the signal counts as missing.
    pub fn fresh(&self, name: &str, now: Instant, max_age: Duration) -> Result<&Sample, Missing> {
        let sample = self.get(name).ok_or(Missing::Absent)?;
        sample.usable(now, max_age).map(|_| sample)
    }

    /// Forgets `name`; from now on it is missing.
    pub fn remove(&mut self, name: &str) -> Option<Sample> {
        self.by_name.remove(name)
    }

    /// All samples in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sample)> {
        self.by_name.iter().map(|(name, sample)| (&**name, sample))
    }

    /// The unit of each signal, for [`Condition::lint`](crate::Condition::lint).
    #[must_use]
    pub fn units(&self) -> Units {
        self.iter().map(|(name, sample)| (name.to_owned(), sample.unit)).collect()
    }

    /// How many signals have a sample.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no signal has a sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Signal names and the units they are published in.
pub type Units = BTreeMap<String, Unit>;

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(60);

    #[test]
    fn unusable_samples_are_missing_and_never_zero() {
        let now = Instant::now() + Duration::from_secs(3600);
        let old = now - Duration::from_secs(61);
        let mut signals = Signals::new();
        signals.set("nan", f64::NAN, Unit::Ratio, now);
        signals.set("inf", f64::NEG_INFINITY, Unit::Ratio, now);
        signals.set("old", 0.5, Unit::Ratio, old);
        signals.set("early", 0.5, Unit::Ratio, now + Duration::from_nanos(1));
        signals.set("ok", 0.5, Unit::Ratio, now - MAX_AGE);

        let why = |name| signals.fresh(name, now, MAX_AGE).map(|s| s.value);
        assert_eq!(why("never"), Err(Missing::Absent));
        assert_eq!(why("nan"), Err(Missing::NotFinite));
        assert_eq!(why("inf"), Err(Missing::NotFinite));
        let age = Duration::from_secs(61);
        assert_eq!(why("old"), Err(Missing::Stale { age }));
        assert_eq!(why("early"), Err(Missing::FromTheFuture));
        assert_eq!(why("ok"), Ok(0.5));
        assert_eq!(signals.age("early", now), None);
        assert_eq!(signals.age("old", now), Some(age));
    }

    #[test]
    fn set_replaces_and_remove_forgets() {
        let now = Instant::now();
        let mut signals = Signals::new();
        signals.set("b", 1.0, Unit::Count, now);
        signals.set("a", 1.0, Unit::Count, now);
        signals.set("b", 2.0, Unit::Bytes, now);
        let names: Vec<_> = signals.iter().map(|(n, s)| (n, s.value)).collect();
        assert_eq!(names, [("a", 1.0), ("b", 2.0)]);
        assert_eq!(signals.units().get("b"), Some(&Unit::Bytes));
        assert!(signals.remove("b").is_some());
        assert_eq!(signals.get("b"), None);
        assert_eq!(signals.len(), 1);
    }
}
