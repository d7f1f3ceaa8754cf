use std::collections::VecDeque;

use super::{Forecaster, sound};

/// As it is now.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Last {
    value: Option<f64>,
}

#[cfg(feature = "serde")]
impl Last {
    /// As it came from outside.
    pub(crate) fn sound(&self) -> bool {
        self.value == sound(self.value)
    }
}

impl Forecaster for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn observe(&mut self, value: Option<f64>) {
        self.value = sound(value).or(self.value);
    }

    fn forecast(&self, _: u32) -> Option<f64> {
        self.value
    }
}

/// The mean of the last steps.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mean {
    steps: usize,
    values: VecDeque<f64>,
    sum: f64,
    /// Steps since the sum was exact.
    since: usize,
}

impl Mean {
    /// Of so many steps, at least one.
    #[must_use]
    pub fn new(steps: usize) -> Self {
        Self { steps: steps.max(1), values: VecDeque::new(), sum: 0.0, since: 0 }
    }

    /// As it came from outside: the same as `new`, but for what it saw.
    #[cfg(feature = "serde")]
    pub(crate) fn sound(&self, new: &Self) -> bool {
        let known = self.values.iter().all(|value| sound(Some(*value)).is_some());
        let kept = self.values.len() <= self.steps && self.since <= self.steps;
        known && kept && self.steps == new.steps && self.sum.is_finite()
    }

    /// Over all of them that are there.
    fn mean(&self) -> Option<f64> {
        (!self.values.is_empty()).then(|| (self.sum / self.values.len() as f64).max(0.0))
    }
}

impl Forecaster for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn observe(&mut self, value: Option<f64>) {
        let Some(value) = sound(value) else { return };
        self.values.push_back(value);
        self.sum += value;
        if self.values.len() > self.steps
            && let Some(old) = self.values.pop_front()
        {
            self.sum -= old;
        }
        // Sums of differences drift: an exact one after as many steps as there are costs a step.
        self.since += 1;
        if self.since >= self.steps {
            self.sum = self.values.iter().sum();
            self.since = 0;
        }
    }

    fn forecast(&self, _: u32) -> Option<f64> {
        self.mean()
    }
}

/// Carried on along the slope of the last steps, by a share of it: the mean of their later half
/// less that of their earlier half.
///
/// A line that is carried on wholly overshoots where load turns; seven tenths is the damping that
/// Gardner and McKenzie (1985) find near the middle of their range.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slope {
    half: usize,
    share: f64,
    values: VecDeque<f64>,
    sums: [f64; 2],
}

impl Slope {
    /// Of so many steps, at least two, carried on by `share` of it.
    #[must_use]
    pub fn new(steps: usize, share: f64) -> Self {
        Self { half: (steps / 2).max(1), share, values: VecDeque::new(), sums: [0.0; 2] }
    }

    /// As it came from outside: the same as `new`, but for what it saw.
    #[cfg(feature = "serde")]
    pub(crate) fn sound(&self, new: &Self) -> bool {
        let known = self.values.iter().all(|value| sound(Some(*value)).is_some());
        let same = self.half == new.half && self.share == new.share;
        known
            && same
            && self.values.len() <= 2 * self.half
            && self.sums.iter().all(|s| s.is_finite())
    }
}

impl Forecaster for Slope {
    fn name(&self) -> &'static str {
        "slope"
    }

    fn observe(&mut self, value: Option<f64>) {
        let Some(value) = sound(value).or_else(|| self.values.back().copied()) else { return };
        self.values.push_back(value);
        self.sums[1] += value;
        let later = self.values.len().saturating_sub(self.half + 1);
        if self.values.len() > self.half {
            let moved = self.values[later];
            self.sums[1] -= moved;
            self.sums[0] += moved;
        }
        if self.values.len() > 2 * self.half
            && let Some(old) = self.values.pop_front()
        {
            self.sums[0] -= old;
        }
    }

    fn forecast(&self, steps: u32) -> Option<f64> {
        let last = *self.values.back()?;
        if self.values.len() < 2 * self.half {
            return Some(last);
        }
        let half = self.half as f64;
        let slope = (self.sums[1] - self.sums[0]) / (half * half);
        Some((last + self.share * slope * f64::from(steps)).max(0.0))
    }
}
