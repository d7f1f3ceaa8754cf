use std::collections::VecDeque;

/// The largest (or smallest) of the last seconds: a monotonic queue, so amortised constant time.
#[derive(Clone, Debug, Default)]
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

    fn push(&mut self, now: f64, value: f64, over: f64) -> f64 {
        self.queue.push_back((now, value));
        while self.queue.len() > 1 && self.queue.front().is_some_and(|(at, _)| *at <= now - over) {
            self.queue.pop_front();
        }
        self.queue.front().map_or(value, |(_, value)| *value)
    }
}
