//! What active probes say, and when the next one is due.

use crate::clock::nanos;
use crate::config::ProbeConfig;
use crate::hash::{mix, unit};

#[derive(Debug, Clone)]
pub(crate) struct Health {
    healthy: bool,
    /// Neither good nor bad yet: one good probe is enough.
    waiting: bool,
    /// Results in a row that speak against `healthy`.
    against: u32,
    due: u64,
    /// The number of the probe that is under way.
    in_flight: Option<u64>,
    /// Whether that one was begun before the node was removed and came back.
    foreign: bool,
    probes: u64,
}

impl Health {
    /// The first probes of nodes that need not wait for theirs are spread over an
    /// interval by `hash`, lest all nodes be probed at once for ever.
    pub(crate) fn new(now: u64, hash: u64, config: &ProbeConfig) -> Self {
        let due = if config.required {
            now
        } else {
            now.saturating_add((nanos(config.interval) as f64 * unit(mix(hash))) as u64)
        };
        let healthy = !config.required;
        Self {
            healthy,
            waiting: !healthy,
            against: 0,
            due,
            in_flight: None,
            foreign: false,
            probes: 0,
        }
    }

    pub(crate) const fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// When a probe may begin; none while one is under way.
    pub(crate) const fn due(&self) -> Option<u64> {
        if self.in_flight.is_some() { None } else { Some(self.due) }
    }

    pub(crate) const fn begin(&mut self, number: u64) {
        self.in_flight = Some(number);
    }

    /// The probe under way, as its number.
    pub(crate) const fn in_flight(&self) -> Option<u64> {
        self.in_flight
    }

    /// Waits for a probe that was begun before the node was removed and came back, and whose
    /// result says nothing about it now.
    pub(crate) const fn wait_for(&mut self, number: u64) {
        (self.in_flight, self.foreign) = (Some(number), true);
    }

    /// Whether the result of the probe under way counts.
    pub(crate) const fn counts(&self) -> bool {
        !self.foreign
    }

    /// Takes the word of a prober elsewhere; gives whether it is news.
    pub(crate) const fn set(&mut self, healthy: bool) -> bool {
        let news = self.healthy != healthy;
        self.healthy = healthy;
        self.waiting = false;
        self.against = 0;
        news
    }

    /// A probe ended without a result: the next one may begin as if it had not been.
    pub(crate) const fn abandon(&mut self) {
        (self.in_flight, self.foreign) = (None, false);
    }

    /// Takes a result; gives the new health if it changed.
    pub(crate) fn finish(
        &mut self,
        good: bool,
        now: u64,
        hash: u64,
        config: &ProbeConfig,
    ) -> Option<bool> {
        self.abandon();
        self.probes = self.probes.wrapping_add(1);
        self.against = if good == self.healthy { 0 } else { self.against + 1 };
        let enough = match (self.healthy, self.waiting) {
            (true, _) => config.unhealthy_after,
            (false, true) => 1,
            (false, false) => config.healthy_after,
        };
        let changed = self.against >= enough;
        if changed {
            self.healthy = good;
            self.against = 0;
        }
        self.waiting &= !good;
        let interval = if self.healthy { config.interval } else { config.unhealthy_interval };
        let jitter = 1.0 + config.jitter * (2.0 * unit(mix(hash ^ mix(self.probes))) - 1.0);
        self.due = now.saturating_add((nanos(interval) as f64 * jitter) as u64);
        changed.then_some(good)
    }
}

#[cfg(test)]
mod tests;
