//! One pick, as a policy sees it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::cost::Cost;
use super::kind::Policy;
use crate::config::{BalanceConfig, SlowStart};
use crate::hash::{mix, random};
use crate::node::Node;
use crate::ramp;
use crate::view::View;

/// What of the configuration picks need, ready to compute with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// One over the decay, in seconds.
    pub(crate) per_decay: f32,
    pub(crate) max_outstanding: u32,
    pub(crate) slow_start: SlowStart,
    pub(crate) load_bound: f64,
    pub(crate) replicas: usize,
    /// Requests outstanding at all nodes, where the policy bounds the load.
    pub(crate) total: Option<AtomicI64>,
}

impl Settings {
    pub(crate) fn new(config: &BalanceConfig) -> Self {
        Self {
            per_decay: 1.0 / config.decay.as_secs_f32(),
            max_outstanding: config.max_outstanding,
            slow_start: config.slow_start.clone(),
            load_bound: config.ring.load_bound,
            replicas: config.replicas as usize,
            total: (config.policy == Policy::Ring).then(AtomicI64::default),
        }
    }
}

/// SplitMix64 by a counter that all threads share: one atomic addition a pick,
/// and the same sequence for the same seed where one thread picks.
#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
    index: AtomicU64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, index: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn next(&self) -> u64 {
        random(self.seed, self.index.fetch_add(1, Ordering::Relaxed))
    }
}

pub(crate) struct Ask<'a, N> {
    pub(crate) view: &'a View<N>,
    pub(crate) settings: &'a Settings,
    pub(crate) random: &'a Random,
    pub(crate) key: Option<u64>,
    pub(crate) filter: Option<&'a dyn Fn(&N) -> bool>,
    pub(crate) now: u64,
}

impl<N> Ask<'_, N> {
    #[inline]
    pub(crate) fn node(&self, index: usize) -> &Node<N> {
        &self.view.members.nodes[index]
    }

    /// The key's hash, well mixed; without a key any.
    #[inline]
    pub(crate) fn key(&self) -> u64 {
        self.key.map_or_else(|| self.random.next(), mix)
    }

    #[inline]
    pub(crate) fn is_open(&self, index: usize) -> bool {
        self.view.is_open[index]
    }

    /// Whether the caller wants the node and it has room.
    #[inline]
    pub(crate) fn fits(&self, index: usize) -> bool {
        let node = self.node(index);
        node.outstanding.count() < self.settings.max_outstanding
            && self.filter.is_none_or(|filter| filter(&node.id))
    }

    /// Whether the node, if it is starting, takes the request of this hash.
    #[inline]
    pub(crate) fn takes(&self, index: usize, hash: u64) -> bool {
        if !self.view.ramping {
            return true;
        }
        let share = self.ramp(index);
        share >= 1.0 || ramp::takes(hash, self.node(index).hash, share)
    }

    /// The share of its weight that a starting node has; the one furthest on has
    /// all, since somebody must take the work.
    #[inline]
    pub(crate) fn ramp(&self, index: usize) -> f64 {
        if !self.view.ramping {
            return 1.0;
        }
        let share = |began| ramp::share(began, self.now, &self.settings.slow_start);
        share(self.node(index).ramp.load(Ordering::Relaxed)) / share(self.view.ramp_first)
    }

    #[inline]
    pub(crate) fn cost(&self, index: usize) -> Cost {
        let node = self.node(index);
        let (count, age) = node.outstanding.read(self.now);
        let reading = node.meter.read(self.now, count > 0, self.settings.per_decay);
        let share = self.view.shares[index] * self.ramp(index) as f32;
        Cost::new(reading, count, age, share)
    }
}
