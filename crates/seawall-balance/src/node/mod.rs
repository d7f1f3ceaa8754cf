//! One node, as every thread sees it.

mod meter;
mod outstanding;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

pub(crate) use meter::{Meter, Reading, Window};
pub(crate) use outstanding::Outstanding;

use crate::clock::Clock;
use crate::policy::Settings;
use crate::shared::Shared;
use crate::stats::Stats;

/// Lives as long as the set has it or a pick holds it.
pub(crate) struct Node<N> {
    pub(crate) id: N,
    /// Of the id; where hash policies put it.
    pub(crate) hash: u64,
    pub(crate) outstanding: Outstanding,
    pub(crate) meter: Meter,
    /// When its slow start began, in nanoseconds of the balancer; 0 is none.
    pub(crate) ramp: AtomicU64,
    /// Where it stands in the smooth weighted round; touched under that policy's lock.
    pub(crate) current: AtomicI64,
    pub(crate) common: Arc<Common>,
    /// For what concerns other nodes, too.
    pub(crate) shared: Weak<Shared<N>>,
}

/// What picks of all nodes need when they end, balancer or none.
pub(crate) struct Common {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) stats: Stats,
    pub(crate) consecutive_failures: u32,
}

impl<N> Node<N> {
    pub(crate) fn new(id: N, hash: u64, common: &Arc<Common>, shared: Weak<Shared<N>>) -> Self {
        Self {
            id,
            hash,
            outstanding: Outstanding::default(),
            meter: Meter::default(),
            ramp: AtomicU64::new(0),
            current: AtomicI64::new(0),
            common: Arc::clone(common),
            shared,
        }
    }

    #[inline]
    pub(crate) fn begin(&self, now: u64) {
        self.outstanding.begin(now);
        if let Some(total) = &self.common.settings.total {
            total.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn end(&self, began: u64) {
        self.outstanding.end(began);
        if let Some(total) = &self.common.settings.total {
            total.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
