use std::collections::VecDeque;
use std::time::Duration;

/// How long the last instances took to be ready.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Starts(pub(super) VecDeque<Duration>);

impl Starts {
    pub(super) fn push(&mut self, took: Duration) {
        self.0.push_back(took);
        while self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// The 95th percentile, by rank; `None` while there are too few.
    pub(crate) fn p95(&self) -> Option<Duration> {
        let count = self.0.len();
        if count < LEAST {
            return None;
        }
        let mut sorted: [Duration; MOST] = [Duration::ZERO; MOST];
        for (slot, took) in sorted.iter_mut().zip(&self.0) {
            *slot = *took;
        }
        let sorted = sorted.get_mut(..count)?;
        sorted.sort_unstable();
        sorted.get((count * 95).div_ceil(100).saturating_sub(1)).copied()
    }
}

const MOST: usize = 20;

/// Fewer say little about the slow ones.
const LEAST: usize = 3;
