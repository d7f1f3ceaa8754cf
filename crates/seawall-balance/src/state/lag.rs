//! How far a node is behind, with hysteresis at both limits.

use std::time::Duration;

use crate::config::LagConfig;

#[derive(Debug, Clone, Default)]
pub(crate) struct Lag {
    value: Duration,
    soft: bool,
    hard: bool,
}

impl Lag {
    pub(crate) const fn value(&self) -> Duration {
        self.value
    }

    /// Also past the hard limit.
    pub(crate) const fn is_soft(&self) -> bool {
        self.soft
    }

    pub(crate) const fn is_hard(&self) -> bool {
        self.hard
    }

    /// Whether it crossed a limit. Above a limit is over; to be back it takes
    /// less than the limit times `clear`, or at a limit of 0 no lag at all.
    pub(crate) fn set(&mut self, value: Duration, config: &LagConfig) -> bool {
        let before = (self.soft, self.hard);
        let over = |was: bool, limit: Duration| {
            if was { value > limit.mul_f64(config.clear) } else { value > limit }
        };
        (self.soft, self.hard) = (over(self.soft, config.soft), over(self.hard, config.hard));
        self.soft |= self.hard;
        self.value = value;
        before != (self.soft, self.hard)
    }
}
