//! When an entry is fresh, when it may be served stale, and when it is time to refresh it. Pure:
//! times and random draws come in as arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::{CacheConfig, MAX_TTL};

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
    pub(crate) fn allows(
        &self,
        fresh_until: Instant,
        expires: Instant,
        marked: bool,
        now: Instant,
    ) -> Use {
        if now >= expires {
            return Use::Dead;
        }
        if now < fresh_until && !marked {
            return Use::Fresh;
        }
        let past = now.saturating_duration_since(fresh_until);
        if past < self.while_revalidate {
            Use::WhileRevalidating
        } else if past < self.if_error {
            Use::OnError
        } else {
            Use::Dead
        }
    }

    /// When XFetch may begin to refresh an entry ahead of its time: before that a draw would have
    /// to be under e^-16 (one in nine million).
    pub(crate) fn refresh_from(&self, fresh_until: Instant, delta: Duration) -> Instant {
        if self.beta <= 0.0 {
            return far(fresh_until);
        }
        let ahead = MAX_TTL.min(mul(delta, self.beta * FARTHEST));
        fresh_until.checked_sub(ahead).unwrap_or(fresh_until)
    }

    /// XFetch (Vattani, Chierichetti, Lowenstein, VLDB 2015): whether a read at `now` refreshes an
    /// entry that took `delta` to load. `draw` is uniform in 0 to 1. With time t left a read does
    /// so with probability e^(-t / (beta delta)).
    pub(crate) fn refreshes(
        &self,
        fresh_until: Instant,
        delta: Duration,
        draw: f64,
        now: Instant,
    ) -> bool {
        if self.beta <= 0.0 || delta.is_zero() {
            return false;
        }
        let left = fresh_until.saturating_duration_since(now);
        let gap = -draw.clamp(f64::MIN_POSITIVE, 1.0).ln();
        left <= mul(delta, self.beta * gap)
    }

    /// When the next load may be tried after one that failed at `now`, if the value may be served
    /// until `limit`.
    pub(crate) fn retry_at(&self, limit: Instant, now: Instant) -> Instant {
        (now + self.throttle).min(limit.max(now))
    }

    /// The last moment a stale value may be served because its loader fails.
    pub(crate) fn error_limit(&self, fresh_until: Instant, expires: Instant) -> Instant {
        (fresh_until + self.while_revalidate.max(self.if_error)).min(expires)
    }

    /// How long L1 may answer with an entry before it asks L2 again, from `now` on.
    pub(crate) fn recheck(&self, fresh_until: Instant, now: Instant) -> Instant {
        self.l1_ttl.map_or(fresh_until, |cap| fresh_until.min(now + cap.min(MAX_TTL)))
    }

    /// Whether L1 may answer at `now` without asking L2, once the entry is stale.
    pub(crate) fn within_l1(&self, since: Instant, now: Instant) -> bool {
        self.l1_ttl.is_none_or(|cap| now.saturating_duration_since(since) < cap)
    }
}

/// A moment that is past every other one here.
pub(crate) fn far(from: Instant) -> Instant {
    from + MAX_TTL
}

/// `duration * factor`, at most [`MAX_TTL`].
fn mul(duration: Duration, factor: f64) -> Duration {
    let seconds = duration.as_secs_f64() * factor;
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_TTL).min(MAX_TTL)
}

/// The longest draw of XFetch's exponential gap that is looked at, in units of beta delta.
const FARTHEST: f64 = 16.0;

#[cfg(test)]
mod tests;
