//! The policies: one file each, one trait.
//!
//! A policy sees who is open and chooses; who is open was decided before, from
//! health, lag and saturation. Three things are left to the moment of the pick,
//! which each policy asks [`Ask`] about: whether the caller wants the node,
//! whether the node is at its limit, and whether a node in its slow start takes
//! this request.

mod alias;
mod ask;
mod cost;
mod kind;
mod least_outstanding;
mod maglev;
mod peak_ewma;
mod rendezvous;
mod ring;
mod round_robin;
mod smooth_weighted;
mod sticky;

pub(crate) use alias::Alias;
pub(crate) use ask::{Ask, Random, Settings};
pub use kind::Policy;

use crate::config::BalanceConfig;

/// One way to choose.
pub(crate) trait Choose {
    /// The index of a node that is open, fits and, as far as others are left,
    /// takes the request in its slow start; none if no open node fits.
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize>;
}

/// What a policy with a table needs to know of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) hash: u64,
    pub(crate) weight: u32,
}

/// A policy and what it remembers.
#[derive(Debug)]
pub(crate) enum Picker {
    RoundRobin(round_robin::RoundRobin),
    SmoothWeighted(smooth_weighted::SmoothWeighted),
    LeastOutstanding(least_outstanding::LeastOutstanding),
    PeakEwma(peak_ewma::PeakEwma),
    Rendezvous(rendezvous::Rendezvous),
    Ring(ring::Ring),
    Maglev(maglev::Maglev),
    Sticky(sticky::Sticky),
}

impl Picker {
    /// For a set of nodes; `before` is the picker of the set before.
    pub(crate) fn new(config: &BalanceConfig, seats: &[Seat], before: Option<&Self>) -> Self {
        match config.policy {
            Policy::RoundRobin => Self::RoundRobin(match before {
                Some(Self::RoundRobin(before)) => before.carry_on(),
                _ => round_robin::RoundRobin::default(),
            }),
            Policy::SmoothWeighted => Self::SmoothWeighted(match before {
                Some(Self::SmoothWeighted(before)) => before.carry_on(),
                _ => smooth_weighted::SmoothWeighted::default(),
            }),
            Policy::LeastOutstanding => Self::LeastOutstanding(least_outstanding::LeastOutstanding),
            Policy::PeakEwma => Self::PeakEwma(peak_ewma::PeakEwma),
            Policy::Rendezvous => Self::Rendezvous(rendezvous::Rendezvous),
            Policy::Ring => Self::Ring(ring::Ring::new(seats, config.ring.points)),
            Policy::Maglev => Self::Maglev(maglev::Maglev::new(seats, config.maglev_slots)),
            Policy::Sticky => Self::Sticky(sticky::Sticky),
        }
    }

    /// The one `match` of a pick.
    #[inline]
    pub(crate) fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        match self {
            Self::RoundRobin(policy) => policy.choose(ask),
            Self::SmoothWeighted(policy) => policy.choose(ask),
            Self::LeastOutstanding(policy) => policy.choose(ask),
            Self::PeakEwma(policy) => policy.choose(ask),
            Self::Rendezvous(policy) => policy.choose(ask),
            Self::Ring(policy) => policy.choose(ask),
            Self::Maglev(policy) => policy.choose(ask),
            Self::Sticky(policy) => policy.choose(ask),
        }
    }
}
