use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::Sample;

/// The newest samples of one signal, oldest first, times strictly rising.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    samples: VecDeque<(Instant, f64)>,
}

impl Ring {
    /// Takes `sample` if it is newer than the last; the oldest makes room.
    pub(super) fn push(&mut self, sample: &Sample, most: usize) {
        if self.samples.back().is_some_and(|(at, _)| sample.at <= *at) {
            return;
        }
        if self.samples.len() >= most {
            self.samples.pop_front();
        }
        self.samples.push_back((sample.at, sample.value));
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Values younger than the newest by less than `window`, oldest first.
    pub(super) fn values(&self, window: Duration) -> impl Iterator<Item = f64> {
        self.samples.range(self.start(window)..).map(|(_, value)| *value)
    }

    /// The values of a window with their times, and the sample before it if
    /// that is no older than two windows.
    pub(super) fn with_base(&self, window: Duration) -> impl Iterator<Item = (Instant, f64)> {
        let start = self.start(window);
        let base = start.checked_sub(1).filter(|base| self.age(*base) <= window * 2);
        self.samples.range(base.unwrap_or(start)..).copied()
    }

    /// For how much of `window` the signal has been seen.
    pub(super) fn covered(&self, window: Duration) -> Duration {
        let Some((last, _)) = self.samples.back() else {
            return Duration::ZERO;
        };
        let first = self.with_base(window).next();
        first.map_or(Duration::ZERO, |(at, _)| (*last - at).min(window))
    }

    fn start(&self, window: Duration) -> usize {
        let Some((last, _)) = self.samples.back() else {
            return 0;
        };
        self.samples.partition_point(|(at, _)| *last - *at >= window)
    }

    fn age(&self, index: usize) -> Duration {
        match (self.samples.get(index), self.samples.back()) {
            (Some((at, _)), Some((last, _))) => *last - *at,
            _ => Duration::MAX,
        }
    }
}
