/// What was measured, tick by tick, as sums, so that the mean of any window costs two look-ups.
#[derive(Clone, Debug)]
pub struct History {
    tick: f64,
    sums: Vec<Sums>,
}

/// Everything up to the end of a tick.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    arrived: f64,
    served: f64,
    capacity: f64,
    inside: f64,
}

/// What one tick brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) arrived: f64,
    pub(super) served: f64,
    pub(super) capacity: f64,
    /// Requests being served or waiting, on average.
    pub(super) inside: f64,
}

impl History {
    pub(super) fn new(tick: f64, ticks: usize) -> Self {
        let mut sums = Vec::with_capacity(ticks + 1);
        sums.push(Sums::default());
        Self { tick, sums }
    }

    pub(super) fn push(&mut self, measured: Measured) {
        let last = self.sums.last().copied().unwrap_or_default();
        self.sums.push(Sums {
            arrived: last.arrived + measured.arrived,
            served: last.served + measured.served,
            capacity: last.capacity + measured.capacity,
            inside: last.inside + measured.inside,
        });
    }

    /// Requests a second that arrived in a window of so many seconds which ended `lag` seconds
    /// ago, in whole ticks. `None` before there is one.
    #[must_use]
    pub fn rate(&self, lag: f64, window: f64) -> Option<f64> {
        let (from, to) = self.window(lag, window)?;
        Some((self.sums[to].arrived - self.sums[from].arrived) / (self.tick * (to - from) as f64))
    }

    /// The share of its capacity that the group used, waiting excluded: 0 to 1.
    #[must_use]
    pub fn utilisation(&self, lag: f64, window: f64) -> Option<f64> {
        let (from, to) = self.window(lag, window)?;
        let capacity = self.sums[to].capacity - self.sums[from].capacity;
        (capacity > 0.0).then(|| (self.sums[to].served - self.sums[from].served) / capacity)
    }

    /// Requests being served or waiting, on average.
    #[must_use]
    pub fn concurrency(&self, lag: f64, window: f64) -> Option<f64> {
        let (from, to) = self.window(lag, window)?;
        Some((self.sums[to].inside - self.sums[from].inside) / (to - from) as f64)
    }

    fn window(&self, lag: f64, window: f64) -> Option<(usize, usize)> {
        let ticks = |seconds: f64| (seconds / self.tick).round() as usize;
        let to = (self.sums.len() - 1).checked_sub(ticks(lag))?;
        let from = to.saturating_sub(ticks(window).max(1));
        (to > from).then_some((from, to))
    }
}
