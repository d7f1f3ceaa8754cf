//! When an entry is fresh, when it may be served stale, and when it is time to refresh it. Pure:
//! times and random draws come in as arguments.

use std::time::Duration;

use crate::config::{CacheConfig, MAX_TTL};
use crate::local::Tick;

/// The part of the configuration that decides it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    ttl: Duration,
    negative_ttl: Duration,
    l1_ttl: Option<Duration>,
    jitter: f64,
    while_revalidate: Duration,
    if_error: Duration,
    throttle: Duration,
    beta: f64,
}

/// How long an entry lives from the moment it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// The soft TTL. Zero: it is not kept at all.
    pub(crate) fresh: Duration,
    /// The hard TTL: never less than `fresh`, never more than [`MAX_TTL`].
    pub(crate) hard: Duration,
}

/// What may be done with a value at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Past its hard TTL, or no window covers it.
    Dead,
    /// Served if the loader fails or is slow.
    OnError,
    /// Served at once, while it is refreshed.
    WhileRevalidating,
    /// Served.
    Fresh,
}

impl Policy {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        Self {
            ttl: config.ttl,
            negative_ttl: config.negative_ttl,
            l1_ttl: config.l1_ttl,
            jitter: config.ttl_jitter,
            while_revalidate: config.stale_while_revalidate,
            if_error: config.stale_if_error,
            throttle: config.error_throttle,
            beta: config.refresh_beta,
        }
    }

    /// How long an entry lives, given what its loader chose. `draw` from 0 to 1 sets its jitter,
    /// once: the TTL is cut by up to the jitter's fraction, and never lengthened.
    pub(crate) fn life(
        &self,
        chosen: Option<Duration>,
        stale_for: Option<Duration>,
        absent: bool,
        draw: f64,
    ) -> Life {
        let whole =
            chosen.unwrap_or(if absent { self.negative_ttl } else { self.ttl }).min(MAX_TTL);
        let fresh = if self.jitter > 0.0 {
            whole.mul_f64((1.0 - self.jitter * draw.clamp(0.0, 1.0)).clamp(0.0, 1.0)).min(whole)
        } else {
            whole
        };
        // A TTL that is not zero keeps an entry, be it for a moment.
        let fresh = if whole.is_zero() { whole } else { fresh.max(Duration::from_nanos(1)) };
        let windows =
            if absent { Duration::ZERO } else { self.while_revalidate.max(self.if_error) };
        let stale = stale_for.map_or(windows, |cut| cut.min(windows));
        Life { fresh, hard: fresh.saturating_add(stale).min(MAX_TTL) }
    }

    /// What may be done at `now` with a value that is fresh until `fresh_until` and dies at
    /// `expires`. `marked`: an `expire_..` call made it stale before its time.
    pub(crate) fn allows(&self, fresh_until: Tick, expires: Tick, marked: bool, now: Tick) -> Use {
        if now >= expires {
            return Use::Dead;
        }
        if now < fresh_until && !marked {
            return Use::Fresh;
        }
        let past = now.since(fresh_until);
        if past < self.while_revalidate {
            Use::WhileRevalidating
        } else if past < self.if_error {
            Use::OnError
        } else {
            Use::Dead
        }
    }

    /// How long after `now` a value that is not fresh may still be served: at once, or in place of
    /// an error.
    pub(crate) fn servable_for(
        &self,
        fresh_until: Tick,
        expires: Tick,
        on_error: bool,
        now: Tick,
    ) -> Duration {
        let window =
            if on_error { self.while_revalidate.max(self.if_error) } else { self.while_revalidate };
        fresh_until.plus(window).min(expires).since(now)
    }

    /// Whether a value that may not be fresh is served when its loader fails.
    pub(crate) fn outlives_errors(&self) -> bool {
        !self.if_error.is_zero()
    }

    /// XFetch (Vattani, Chierichetti, Lowenstein, VLDB 2015): whether a read refreshes an entry
    /// with `left` to the end of its TTL, which took `delta` to load. `draw` is uniform in 0 to 1.
    /// It does so with probability e^(-left / (beta delta)).
    pub(crate) fn refreshes(&self, left: Duration, delta: Duration, draw: f64) -> bool {
        if self.beta <= 0.0 || delta.is_zero() {
            return false;
        }
        let gap = -draw.clamp(f64::MIN_POSITIVE, 1.0).ln();
        left <= mul(delta, self.beta * gap)
    }

    /// For how long after a failure the loader is left alone.
    pub(crate) fn throttle(&self) -> Duration {
        self.throttle
    }

    /// How long L1 may answer with an entry before it asks L2 again.
    pub(crate) fn l1_share(&self) -> Duration {
        self.l1_ttl.unwrap_or(MAX_TTL).min(MAX_TTL)
    }

    /// The longest an entry that the loader does not choose a TTL for stays in L2.
    pub(crate) fn longest(&self) -> Duration {
        self.ttl.saturating_add(self.while_revalidate.max(self.if_error)).min(MAX_TTL)
    }
}

/// `duration * factor`, at most [`MAX_TTL`].
fn mul(duration: Duration, factor: f64) -> Duration {
    let seconds = duration.as_secs_f64() * factor;
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_TTL).min(MAX_TTL)
}

#[cfg(test)]
mod tests;
