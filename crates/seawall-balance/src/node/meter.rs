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
//! Two words hold it, each changed by compare-and-exchange: nobody waits for a
//! thread that was put to sleep. They may be one answer apart, never torn in themselves.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Latency in seconds as f32 bits, above the time in ticks; 0 is unmeasured.
    latency: AtomicU64,
    /// Successes as f32 bits, above failures; as of the same time.
    counts: AtomicU64,
    /// Failures in a row.
    row: AtomicU32,
    /// Successes since the last sweep, above failures.
    window: AtomicU64,
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
        let seconds = seconds.max(LEAST);
        let kept = self.remember(now, per_decay, |latency, kept| {
            let kept = kept.min(1.0 - 1.0 / REMEMBERED);
            if seconds >= latency { seconds } else { seconds + (latency - seconds) * kept }
        });
        self.count(kept, 1.0, 0.0);
        if self.row.load(Ordering::Relaxed) > 0 {
            self.row.store(0, Ordering::Relaxed);
        }
        self.window.fetch_add(1 << 32, Ordering::Relaxed);
    }

    /// A failure after `seconds`; gives the failures in a row.
    pub(crate) fn failure(&self, seconds: f32, now: u64, per_decay: f32) -> u32 {
        let kept = self.remember(now, per_decay, at_least(seconds));
        self.count(kept, 0.0, 1.0);
        self.window.fetch_add(1, Ordering::Relaxed);
        self.row.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Somebody stopped waiting after `seconds`: the node is no faster than that.
    pub(crate) fn waited(&self, seconds: f32, now: u64, per_decay: f32) {
        let kept = self.remember(now, per_decay, at_least(seconds));
        self.count(kept, 0.0, 0.0);
    }

    /// The memory as it is at `now`, faded by the time since the last answer;
    /// while somebody is waiting for the next one (`busy`), as it was.
    #[inline]
    pub(crate) fn read(&self, now: u64, busy: bool, per_decay: f32) -> Reading {
        let (latency, then) = unpack(self.latency.load(Ordering::Relaxed));
        let (successes, failures) = unpack(self.counts.load(Ordering::Relaxed));
        let failures = f32::from_bits(failures);
        if latency == 0.0 && failures == 0.0 {
            return Reading { latency: None, success: 1.0 };
        }
        let kept = if busy { 1.0 } else { kept(passed(then, now), per_decay) };
        let success = if failures == 0.0 {
            1.0
        } else {
            (successes * kept + 1.0) / ((successes + failures) * kept + 1.0)
        };
        Reading { latency: (latency > 0.0).then_some(latency * kept), success }
    }

    /// Gives the window and starts the next.
    pub(crate) fn take_window(&self) -> Window {
        let window = self.window.swap(0, Ordering::Relaxed);
        Window { successes: (window >> 32) as u32, failures: window as u32 }
    }

    /// Starts a row of failures anew, as when the node was ejected for it.
    pub(crate) fn clear_row(&self) {
        self.row.store(0, Ordering::Relaxed);
    }

    /// Makes of the latency, and of what time has left of the memory, the new
    /// latency. Time never goes back: an answer from the past counts as of the
    /// latest one's time.
    #[inline]
    fn remember(&self, now: u64, per_decay: f32, change: impl Fn(f32, f32) -> f32) -> f32 {
        let mut old = self.latency.load(Ordering::Relaxed);
        loop {
            let (latency, then) = unpack(old);
            let ticks = passed(then, now);
            let kept = kept(ticks, per_decay);
            let new = pack(change(latency, kept), then.wrapping_add(ticks));
            match self.latency.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return kept,
                Err(other) => old = other,
            }
        }
    }

    #[inline]
    fn count(&self, kept: f32, success: f32, failure: f32) {
        let change = |word| {
            let (successes, failures) = unpack(word);
            let failures = f32::from_bits(failures);
            let total = (successes + failures) * kept;
            let kept = if total > REMEMBERED { kept * REMEMBERED / total } else { kept };
            Some(pack(successes * kept + success, (failures * kept + failure).to_bits()))
        };
        // It never declines, so it never fails.
        let _ = self.counts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

/// No latency below `seconds`; but of one that was never measured nothing is learned.
fn at_least(seconds: f32) -> impl Fn(f32, f32) -> f32 {
    move |latency, kept| if latency > 0.0 { (latency * kept).max(seconds).max(LEAST) } else { 0.0 }
}

#[inline]
fn pack(high: f32, low: u32) -> u64 {
    (u64::from(high.to_bits()) << 32) | u64::from(low)
}

#[inline]
fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

/// Ticks since `then`. They wrap after 78 hours, of which the last stands for
/// times before `then`: none has passed.
#[inline]
fn passed(then: u32, now: u64) -> u32 {
    let ticks = ((now >> TICK_BITS) as u32).wrapping_sub(then);
    if ticks > u32::MAX - HOUR { 0 } else { ticks }
}

/// `e^-x`, and plainly 0 where f32 would leave numbers that are slow to compute with.
#[inline]
fn kept(ticks: u32, per_decay: f32) -> f32 {
    let x = ticks as f32 * (TICK_SECONDS * per_decay);
    if x > 60.0 { 0.0 } else { (-x).exp() }
}

const TICK_BITS: u32 = 16;
const TICK_SECONDS: f32 = (1_u64 << TICK_BITS) as f32 * 1e-9;
/// In ticks.
const HOUR: u32 = (3_600_000_000_000_u64 >> TICK_BITS) as u32;
/// Seconds; no answer is faster, so that 0 can mean none.
const LEAST: f32 = 1e-9;
/// Finished requests.
const REMEMBERED: f32 = 50.0;

#[cfg(test)]
mod tests;
