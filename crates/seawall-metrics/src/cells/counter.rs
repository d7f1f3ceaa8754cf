//! A counter that is one word until two threads collide on it, and one padded
//! word per stripe from then on (the scheme of Java's `LongAdder`). A series
//! that is touched seldom stays small; a hot one does not bounce.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use metrics::CounterFn;
use parking_lot::Mutex;

use super::stripe::slot;
use crate::window::{History, Tick};

pub(crate) struct CounterCell {
    base: AtomicU64,
    stripes: OnceLock<Box<[CachePadded<AtomicU64>]>>,
    stripe_count: usize,
    past: Mutex<Past>,
}

/// What the window knows. Also serialises callers of `absolute`.
#[derive(Default)]
struct Past {
    at_last_tick: u64,
    slots: History<u64>,
}

impl CounterCell {
    /// `stripe_count` must be a power of two.
    pub(crate) fn new(stripe_count: usize) -> Self {
        Self {
            base: AtomicU64::new(0),
            stripes: OnceLock::new(),
            stripe_count,
            past: Mutex::default(),
        }
    }

    /// The exact total of every increment that happened before this call.
    pub(crate) fn value(&self) -> u64 {
        let striped = self.stripes.get().map_or(0, |stripes| {
            stripes.iter().fold(0_u64, |total, stripe| total.wrapping_add(stripe.load(Relaxed)))
        });
        self.base.load(Relaxed).wrapping_add(striped)
    }

    pub(crate) fn tick(&self, tick: &Tick) {
        let mut past = self.past.lock();
        let value = self.value();
        let delta = value.wrapping_sub(past.at_last_tick);
        past.at_last_tick = value;
        past.slots.push(tick, delta);
    }

    /// Increments since the start of the tick `from`.
    pub(crate) fn since(&self, from: u64) -> u64 {
        let past = self.past.lock();
        let live = self.value().wrapping_sub(past.at_last_tick);
        past.slots.since(from).fold(live, |total, slot| total.wrapping_add(*slot))
    }

    #[cold]
    fn stripe_up(&self) -> &[CachePadded<AtomicU64>] {
        self.stripes.get_or_init(|| {
            (0..self.stripe_count).map(|_| CachePadded::new(AtomicU64::new(0))).collect()
        })
    }
}

impl CounterFn for CounterCell {
    #[inline]
    fn increment(&self, value: u64) {
        let stripes = match self.stripes.get() {
            Some(stripes) => stripes,
            None => {
                let seen = self.base.load(Relaxed);
                let next = seen.wrapping_add(value);
                if self.base.compare_exchange(seen, next, Relaxed, Relaxed).is_ok() {
                    return;
                }
                self.stripe_up()
            }
        };
        if let Some(stripe) = stripes.get(slot() & (self.stripe_count - 1)) {
            stripe.fetch_add(value, Relaxed);
        }
    }

    /// Raises the counter to `value`, never lowers it. An increment that runs
    /// at the same time counts either before (and is part of `value`) or after
    /// it, as with a single word.
    fn absolute(&self, value: u64) {
        let _one_at_a_time = self.past.lock();
        let missing = value.saturating_sub(self.value());
        self.base.fetch_add(missing, Relaxed);
    }
}
