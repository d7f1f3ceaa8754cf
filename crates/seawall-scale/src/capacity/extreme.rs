use std::collections::VecDeque;

/// The largest (or smallest) of the last seconds: a monotonic queue, so amortised constant time.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Extreme {
    queue: VecDeque<(f64, f64)>,
}

impl Extreme {
    /// Adds `value`, and tells the largest later than `now - over`.
    pub(super) fn largest(&mut self, now: f64, value: f64, over: f64) -> f64 {
        while self.queue.back().is_some_and(|(_, smaller)| *smaller <= value) {
            self.queue.pop_back();
        }
        self.push(now, value, over)
    }

    /// Adds `value`, and tells the smallest later than `now - over`.
    pub(super) fn smallest(&mut self, now: f64, value: f64, over: f64) -> f64 {
        while self.queue.back().is_some_and(|(_, larger)| *larger >= value) {
            self.queue.pop_back();
        }
        self.push(now, value, over)
    }

    /// As it came from outside: in order, finite, and not without bound.
    #[cfg(feature = "serde")]
    pub(super) fn sound(&self) -> bool {
        let finite = self.queue.iter().all(|(at, value)| at.is_finite() && value.is_finite());
        finite && self.queue.len() <= MOST_KEPT && self.queue.iter().is_sorted_by_key(|(at, _)| *at)
    }

    fn push(&mut self, now: f64, value: f64, over: f64) -> f64 {
        self.queue.push_back((now, value));
        while self.queue.len() > 1 && self.queue.front().is_some_and(|(at, _)| *at <= now - over) {
            self.queue.pop_front();
        }
        self.queue.front().map_or(value, |(_, value)| *value)
    }
}

/// The longest hold in the shortest periods.
#[cfg(feature = "serde")]
const MOST_KEPT: usize = 1 << 20;
