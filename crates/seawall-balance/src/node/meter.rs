//! What a node's finished requests say about it.
//!
//! - **Latency** as a peak-EWMA (Finagle, linkerd, tower): a slower answer takes
//!   its place at once, a faster one draws it down with weight `1 - e^(-t/decay)`
//!   for the time `t` since the last; left alone, it decays towards nothing, so
//!   that a node once slow is tried again: by one request, for while that one is
//!   outstanding the memory stands as it was, and a second does not follow it.
//! - **Success** as counts that decay at the same pace: with `s` successes and
//!   `f` failures remembered, the ratio is `(s + 1) / (s + f + 1)`. A node that
//!   fails fast does not look fast: failures never lower the latency, and the
//!   cost is divided by the square of this ratio. As it is relative, one error
//!   among many answers is nothing, whatever the latency; as it has a memory of
//!   its own, a node that only fails keeps its price until it is forgotten. At
//!   most the last fifty or so are remembered, so that a node which turns bad
//!   under full load cannot live on its good name.
//!
//! Writers take a short lock; readers read two words, which may be one answer
//! apart, never torn in themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Meter {
    inner: Mutex<Inner>,
    /// Latency in seconds as f32 bits, above the time in ticks; 0 is unmeasured.
    latency: AtomicU64,
    /// Successes as f32 bits, above failures; of the same time.
    counts: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    at: u64,
    latency: f32,
    successes: f32,
    failures: f32,
    consecutive: u32,
    window: Window,
}

/// Requests since the last sweep.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) successes: u32,
    pub(crate) failures: u32,
}

/// A node's standing as its requests tell it, at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// Seconds; none before the first answer.
    pub(crate) latency: Option<f32>,
    /// Above 0, up to 1.
    pub(crate) success: f32,
}

impl Meter {
    /// An answer after `seconds`.
    #[inline]
    pub(crate) fn success(&self, seconds: f32, now: u64, per_decay: f32) {
        let mut inner = self.inner.lock();
        let kept = inner.age(now, per_decay);
        let kept = kept.min(1.0 - 1.0 / REMEMBERED);
        let seconds = seconds.max(LEAST);
        inner.latency = if seconds >= inner.latency {
            seconds
        } else {
            seconds + (inner.latency - seconds) * kept
        };
        inner.count(1.0, 0.0);
        inner.consecutive = 0;
        inner.window.successes = inner.window.successes.saturating_add(1);
        self.publish(&inner);
    }

    /// A failure after `seconds`; gives the failures in a row.
    pub(crate) fn failure(&self, seconds: f32, now: u64, per_decay: f32) -> u32 {
        let mut inner = self.inner.lock();
        inner.at_least(seconds, now, per_decay);
        inner.count(0.0, 1.0);
        inner.consecutive = inner.consecutive.saturating_add(1);
        inner.window.failures = inner.window.failures.saturating_add(1);
        self.publish(&inner);
        inner.consecutive
    }

    /// Somebody stopped waiting after `seconds`: the node is no faster than that.
    pub(crate) fn waited(&self, seconds: f32, now: u64, per_decay: f32) {
        let mut inner = self.inner.lock();
        if inner.latency > 0.0 {
            inner.at_least(seconds, now, per_decay);
            self.publish(&inner);
        }
    }

    /// The memory as it is at `now`, faded by the time since the last answer;
    /// while somebody is waiting for the next one (`busy`), as it was.
    #[inline]
    pub(crate) fn read(&self, now: u64, busy: bool, per_decay: f32) -> Reading {
        let word = self.latency.load(Ordering::Relaxed);
        let counts = self.counts.load(Ordering::Relaxed);
        let latency = f32::from_bits((word >> 32) as u32);
        let (successes, failures) =
            (f32::from_bits((counts >> 32) as u32), f32::from_bits(counts as u32));
        if latency == 0.0 && failures == 0.0 {
            return Reading { latency: None, success: 1.0 };
        }
        if busy && failures == 0.0 {
            return Reading { latency: Some(latency), success: 1.0 };
        }
        // Half the range of the ticks is 39 hours; a node left alone for longer
        // looks as if touched just now, until its next answer.
        let idle = ((now >> TICK_BITS) as u32).wrapping_sub(word as u32) as i32;
        let kept = if busy { 1.0 } else { kept(idle.max(0) as f32 * TICK_SECONDS * per_decay) };
        let success = if failures == 0.0 {
            1.0
        } else {
            (successes * kept + 1.0) / ((successes + failures) * kept + 1.0)
        };
        Reading { latency: (latency > 0.0).then_some(latency * kept), success }
    }

    /// Gives the window and starts the next.
    pub(crate) fn take_window(&self) -> Window {
        std::mem::take(&mut self.inner.lock().window)
    }

    /// Starts a row of failures anew, as when the node was ejected for it.
    pub(crate) fn clear_row(&self) {
        self.inner.lock().consecutive = 0;
    }

    #[inline]
    fn publish(&self, inner: &Inner) {
        let pack = |high: f32, low: u32| (u64::from(high.to_bits()) << 32) | u64::from(low);
        self.latency.store(pack(inner.latency, (inner.at >> TICK_BITS) as u32), Ordering::Relaxed);
        self.counts.store(pack(inner.successes, inner.failures.to_bits()), Ordering::Relaxed);
    }
}

impl Inner {
    /// Lets time pass; gives what it left of the memory. Time never goes back: an
    /// answer from the past counts as of the latest one's time.
    #[inline]
    fn age(&mut self, now: u64, per_decay: f32) -> f32 {
        let idle = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let kept = kept(idle as f32 * 1e-9 * per_decay);
        self.successes *= kept;
        self.failures *= kept;
        kept
    }

    #[inline]
    fn count(&mut self, success: f32, failure: f32) {
        let total = self.successes + self.failures;
        let room = if total > REMEMBERED { REMEMBERED / total } else { 1.0 };
        self.successes = self.successes * room + success;
        self.failures = self.failures * room + failure;
    }

    fn at_least(&mut self, seconds: f32, now: u64, per_decay: f32) {
        let kept = self.age(now, per_decay);
        // Of a failure that came sooner nothing is learned but the time that passed.
        if self.latency > 0.0 {
            self.latency = (self.latency * kept).max(seconds).max(LEAST);
        }
    }
}

/// `e^-x`, and plainly 0 where f32 would leave numbers that are slow to compute with.
#[inline]
fn kept(x: f32) -> f32 {
    if x > 60.0 { 0.0 } else { (-x).exp() }
}

const TICK_BITS: u32 = 16;
const TICK_SECONDS: f32 = (1_u64 << TICK_BITS) as f32 * 1e-9;
/// Finished requests.
const REMEMBERED: f32 = 50.0;
/// Seconds; no answer is faster, so that 0 can mean none.
const LEAST: f32 = 1e-9;

#[cfg(test)]
mod tests;
