//! What the hot path counts: plain atomics, emptied each tenth of a second.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::priority::LEVELS;

pub(crate) struct Meter {
    /// Arrivals per level.
    levels: Box<[AtomicU32]>,
    started: AtomicU64,
    /// Arrivals that found no slot.
    blocked: AtomicU64,
    completed: AtomicU64,
    /// Nanoseconds.
    latency: AtomicU64,
    inflight: AtomicU64,
    lost: AtomicU64,
}

/// What was counted since the last time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) started: u64,
    pub(crate) blocked: u64,
    pub(crate) completed: u64,
    pub(crate) latency: u64,
    pub(crate) inflight: u64,
    pub(crate) lost: u64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            levels: (0..LEVELS).map(|_| AtomicU32::new(0)).collect(),
            started: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            inflight: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    pub(crate) fn arrived(&self, level: usize) {
        self.levels[level].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn blocked(&self) {
        self.blocked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn completed(&self, latency: u64, inflight: usize) {
        self.completed.fetch_add(1, Ordering::Relaxed);
        self.latency.fetch_add(latency, Ordering::Relaxed);
        self.inflight.fetch_add(inflight as u64, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Empties all, telling the arrivals of each level.
    pub(crate) fn take(&self, mut each: impl FnMut(usize, u32)) -> Counts {
        for (level, count) in self.levels.iter().enumerate() {
            // Most are empty, and reading is cheaper than writing.
            let arrivals = match count.load(Ordering::Relaxed) {
                0 => 0,
                _ => count.swap(0, Ordering::Relaxed),
            };
            each(level, arrivals);
        }
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Counts {
            started: take(&self.started),
            blocked: take(&self.blocked),
            completed: take(&self.completed),
            latency: take(&self.latency),
            inflight: take(&self.inflight),
            lost: take(&self.lost),
        }
    }
}
