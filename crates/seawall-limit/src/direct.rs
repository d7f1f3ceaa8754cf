//! A quota without keys: one for all, as one atomic integer.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::gcra::{Gcra, Verdict};
use crate::law::Law;
use crate::moment::Moment;
use crate::quota::Quota;

/// One quota for everybody: for calls to a paid service, lines in a log, and the
/// like. Share it by reference or in an `Arc`.
///
/// Exact under any number of threads, without a lock: a check is a
/// compare-and-swap. A decision that lost against another is made again.
///
/// ```
/// use std::time::Duration;
/// use seawall_limit::{Direct, Quota};
/// use tokio::time::Instant;
///
/// let mails = Direct::new(Quota::per(60, Duration::from_secs(60))?.with_burst(2)?)?;
/// let now = Instant::now();
/// assert!(mails.check(now).is_ok() && mails.check(now).is_ok());
/// let refusal = mails.check(now).unwrap_err();
/// assert_eq!(refusal.retry_after(), Some(Duration::from_secs(1)));
/// # Ok::<(), seawall_limit::Error>(())
/// ```
pub struct Direct {
    tat: AtomicU64,
    gcra: Gcra,
    quota: Quota,
}

/// Why a [`Direct`] did not admit, and nothing was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too soon; after this time it is admitted, if nobody else spends
    /// meanwhile. Exact to the nanosecond, never zero.
    #[error("the quota is spent; the next is due in {0:?}")]
    Wait(Duration),
    /// The cost is above the burst: no waiting helps.
    #[error("the cost is above the burst of the quota")]
    TooLarge,
}

impl Refusal {
    /// The time after which it is admitted; `None` if no waiting helps.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(*wait),
            Self::TooLarge => None,
        }
    }
}

impl Direct {
    /// A full quota.
    ///
    /// # Errors
    /// If the quota's mode is `Window` or `Fixed`, which take more than one
    /// integer: give such a policy to a [`Limiter`](crate::Limiter), with one key.
    pub fn new(quota: Quota) -> Result<Self, Error> {
        match quota.law() {
            Law::Bucket(gcra) => Ok(Self { tat: AtomicU64::new(0), gcra, quota }),
            Law::Window(_) | Law::Fixed(_) => Err(Error::Mode { mode: quota.mode() }),
        }
    }

    /// Charges one unit.
    ///
    /// # Errors
    /// If there is none.
    #[inline]
    pub fn check(&self, now: impl Into<Moment>) -> Result<(), Refusal> {
        self.check_n(1, now)
    }

    /// Charges `cost` units, or none.
    ///
    /// # Errors
    /// If there are not so many.
    #[inline]
    pub fn check_n(&self, cost: u32, now: impl Into<Moment>) -> Result<(), Refusal> {
        let now = now.into().nanos();
        // Nothing but this word is read on the strength of it: no ordering needed.
        let mut tat = self.tat.load(Ordering::Relaxed);
        loop {
            let next = match self.gcra.check(tat, now, cost) {
                Verdict::Admit(next) if cost > 0 => next,
                Verdict::Admit(_) => return Ok(()),
                Verdict::Wait { nanos } => return self.wait(tat, now, nanos),
                Verdict::Never => return Err(Refusal::TooLarge),
            };
            match self.tat.compare_exchange_weak(tat, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => tat = seen,
            }
        }
    }

    /// Units that may be spent at once. Charges nothing.
    #[must_use]
    pub fn remaining(&self, now: impl Into<Moment>) -> u32 {
        self.gcra.remaining(self.tat.load(Ordering::Relaxed), now.into().nanos())
    }

    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// After a clock was set back, brings the state near, so that it drains.
    #[cold]
    fn wait(&self, tat: u64, now: u64, nanos: u64) -> Result<(), Refusal> {
        let healed = self.gcra.heal(tat, now);
        if healed != tat {
            // If another was here first, it healed or charged: either is right.
            let _ = self.tat.compare_exchange(tat, healed, Ordering::Relaxed, Ordering::Relaxed);
        }
        Err(Refusal::Wait(Duration::from_nanos(nanos)))
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("quota", &self.quota).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
