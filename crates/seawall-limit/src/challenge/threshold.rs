//! When a client is challenged: ok, then challenged for a while, then looked at again.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::ChallengeConfig;
use crate::error::Error;
use crate::key::Key;
use crate::limiter::{Limiter, MAX_KEYS};
use crate::policy::Policy;
use crate::quota::Quota;
use crate::set::PolicySet;

/// The rates of the last while.
pub(crate) struct Threshold {
    client: Option<ClientRate>,
    overall: Option<OverallRate>,
}

/// One policy counts; the other is a single unit that takes `hold` to come
/// back, spent when the first is passed: while it is gone, the client is held.
struct ClientRate {
    limiter: Limiter,
    rate: PolicySet,
    held: PolicySet,
}

struct OverallRate {
    per_minute: u32,
    hold: Duration,
    start: Instant,
    /// Nanoseconds since `start`.
    until: AtomicU64,
    window: Mutex<Window>,
}

/// Requests since `began`, up to a second of them.
struct Window {
    began: Instant,
    count: u64,
    /// Requests a minute, of the second before.
    rate: u64,
}

impl Threshold {
    pub(crate) fn new(config: &ChallengeConfig) -> Result<Self, Error> {
        let client = config.per_client.map(|limit| ClientRate::new(limit, config.hold));
        let overall = config.overall.map(|per_minute| OverallRate::new(per_minute, config.hold));
        Ok(Self { client: client.transpose()?, overall })
    }

    /// Counts a request without a pass. `Some` if it is to be challenged, with
    /// how many times the rate is doubled above what all may do.
    pub(crate) fn passed(&self, client: Option<IpAddr>, now: Instant) -> Option<u8> {
        let overall = self.overall.as_ref().and_then(|overall| overall.passed(now));
        let alone = self.client.as_ref().is_some_and(|rate| rate.passed(client, now));
        overall.or(alone.then_some(0))
    }

    /// How many times the rate is doubled now, whoever asks.
    pub(crate) fn pressure(&self) -> u8 {
        self.overall.as_ref().map_or(0, |overall| overall.doublings(overall.window.lock().rate))
    }
}

impl ClientRate {
    fn new(limit: u32, hold: Duration) -> Result<Self, Error> {
        let limiter = Limiter::builder()
            .policy(Policy::new(RATE, Quota::per(limit, MINUTE)?))
            .policy(Policy::new(HELD, Quota::per(1, hold)?))
            .max_keys(MAX_KEYS)
            .build()?;
        Ok(Self { rate: limiter.set(&[RATE])?, held: limiter.set(&[HELD])?, limiter })
    }

    fn passed(&self, client: Option<IpAddr>, now: Instant) -> bool {
        let key = client.map_or(Key::Unknown, Key::Ip);
        let held = !self.limiter.peek(key, &self.held, now).is_allowed();
        let above = !self.limiter.check(key, &self.rate, now).is_allowed();
        if above && !held {
            let _ = self.limiter.check(key, &self.held, now);
        }
        above || held
    }
}

impl OverallRate {
    fn new(per_minute: u32, hold: Duration) -> Self {
        let start = Instant::now();
        let window = Mutex::new(Window { began: start, count: 0, rate: 0 });
        Self { per_minute, hold, start, until: AtomicU64::new(0), window }
    }

    fn passed(&self, now: Instant) -> Option<u8> {
        let since = |instant: Instant| instant.saturating_duration_since(self.start).as_nanos();
        let rate = self.count(now);
        // 584 years of nanoseconds.
        if rate > self.per_minute.into() {
            let until = since(now).saturating_add(self.hold.as_nanos()) as u64;
            self.until.fetch_max(until, Ordering::Relaxed);
        }
        let held = u128::from(self.until.load(Ordering::Relaxed)) > since(now);
        held.then(|| self.doublings(rate))
    }

    /// The rate of the last whole second, or of this one if that is higher already.
    fn count(&self, now: Instant) -> u64 {
        let mut window = self.window.lock();
        let passed = now.saturating_duration_since(window.began);
        if passed >= SECOND {
            // After a pause, the seconds in it count as well.
            let seconds = passed.as_secs().max(1);
            window.rate = window.count.saturating_mul(60) / seconds;
            window.count = 0;
            window.began = now;
        }
        window.count += 1;
        window.rate.max(window.count.saturating_mul(60))
    }

    fn doublings(&self, rate: u64) -> u8 {
        let times = rate / u64::from(self.per_minute).max(1);
        // At most 63.
        times.checked_ilog2().unwrap_or(0) as u8
    }
}

const RATE: &str = "rate";
const HELD: &str = "held";
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
