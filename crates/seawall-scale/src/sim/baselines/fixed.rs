use crate::sim::{Bound, Scaler, View};

/// As many instances as the peak needs, always.
#[derive(Clone, Copy, Debug)]
pub struct Static(u32);

impl Static {
    /// So many.
    #[must_use]
    pub fn new(instances: u32) -> Self {
        Self(instances)
    }
}

impl Scaler for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn period(&self) -> f64 {
        3600.0
    }

    fn decide(&mut self, _: &View<'_>) -> u32 {
        self.0
    }
}

/// One who knows the load beforehand and starts each instance just in time: for each moment the
/// most that is needed from then until one started then is ready.
#[derive(Clone, Debug)]
pub struct Oracle {
    bound: Bound,
    tick: f64,
}

impl Oracle {
    /// For the load of `bound`, in ticks of so many seconds.
    #[must_use]
    pub fn new(bound: Bound, tick: f64) -> Self {
        Self { bound, tick }
    }
}

impl Scaler for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn period(&self) -> f64 {
        self.tick
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        // A start takes up to a tenth more.
        let ahead = view.now + view.start_delay * 1.15 + self.tick;
        let index = |seconds: f64| (seconds / self.tick) as usize;
        let last = self.bound.sizes.len();
        let from = index(view.now).min(last);
        let to = (index(ahead) + 1).min(last);
        self.bound.sizes[from..to].iter().copied().max().unwrap_or(view.total)
    }
}
