//! Being out for a while, for longer each time (Envoy's outlier ejection).

use crate::config::OutlierConfig;

#[derive(Debug, Clone, Default)]
pub(crate) struct Ejection {
    /// 0 is not ejected.
    until: u64,
    /// How long the next one lasts, in times of the base.
    times: u32,
}

impl Ejection {
    pub(crate) const fn is_ejected(&self) -> bool {
        self.until > 0
    }

    pub(crate) const fn until(&self) -> Option<u64> {
        if self.until > 0 { Some(self.until) } else { None }
    }

    pub(crate) const fn times(&self) -> u32 {
        self.times
    }

    pub(crate) fn eject(&mut self, now: u64, config: &OutlierConfig) {
        self.times = self.times.saturating_add(1);
        let span = config.base_ejection.saturating_mul(self.times).min(config.max_ejection);
        // Further ejections at the longest time would only take longer to forgive.
        if span == config.max_ejection {
            let most = config.max_ejection.as_nanos().div_ceil(config.base_ejection.as_nanos());
            self.times = self.times.min(u32::try_from(most).unwrap_or(u32::MAX));
        }
        self.until = now.saturating_add(crate::clock::nanos(span)).max(1);
    }

    /// Ends it, whatever is left of its time.
    pub(crate) const fn lift(&mut self) {
        self.until = 0;
    }

    /// Whether it has just ended.
    pub(crate) const fn end(&mut self, now: u64) -> bool {
        let ends = self.until > 0 && now >= self.until;
        if ends {
            self.until = 0;
        }
        ends
    }

    /// An interval went by without a reason to eject.
    pub(crate) const fn forgive(&mut self) {
        if self.until == 0 {
            self.times = self.times.saturating_sub(1);
        }
    }
}
