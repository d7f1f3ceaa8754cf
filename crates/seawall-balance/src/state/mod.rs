//! Three reasons not to pick a node, kept apart: failure, lag and saturation.
//!
//! Each has its own way in and its own way out. A node that failed (by its
//! probes or by its requests) is left out unless too few are left; one that lags
//! is left out unless too few are fresh, and past the hard limit whatever
//! happens; one that is saturated rests for a moment and counts as sound. Beside
//! these stands what somebody decided: draining, and a weight of 0.
//!
//! Nothing here reads a clock or sends anything; times are nanoseconds of the balancer.

mod ejection;
mod health;
mod lag;

use std::cmp::Reverse;

pub(crate) use ejection::Ejection;
pub(crate) use health::Health;
pub(crate) use lag::Lag;

use crate::config::BalanceConfig;
use crate::status::Standing;

/// One node's conditions.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) weight: u32,
    pub(crate) draining: bool,
    pub(crate) health: Health,
    pub(crate) ejection: Ejection,
    /// 0 is not saturated.
    pub(crate) saturated_until: u64,
    pub(crate) lag: Lag,
}

impl State {
    pub(crate) const fn takes_work(&self) -> bool {
        self.weight > 0 && !self.draining
    }

    pub(crate) const fn failed(&self) -> bool {
        !self.health.is_healthy() || self.ejection.is_ejected()
    }

    /// The first reason against it, the most lasting one first.
    pub(crate) const fn standing(&self) -> Standing {
        if self.draining {
            Standing::Draining
        } else if self.weight == 0 {
            Standing::Weightless
        } else if self.ejection.is_ejected() {
            Standing::Ejected
        } else if !self.health.is_healthy() {
            Standing::Unhealthy
        } else if self.lag.is_soft() {
            Standing::Lagging
        } else if self.saturated_until > 0 {
            Standing::Saturated
        } else {
            Standing::Open
        }
    }
}

/// Why no node may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    NoNodes,
    Draining,
    Failed,
    Lagging,
    Saturated,
}

/// Who may be picked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Indices, ascending.
    pub(crate) open: Vec<u32>,
    /// Those that only rest, being saturated; ascending.
    pub(crate) resting: Vec<u32>,
    /// Failed nodes are used, too.
    pub(crate) panic: bool,
    /// Set if and only if `open` is empty.
    pub(crate) shut: Option<Shut>,
}

/// Decides who may be picked from what is known of all.
pub(crate) fn admit<'a>(
    states: impl ExactSizeIterator<Item = &'a State>,
    config: &BalanceConfig,
) -> Admission {
    if states.len() == 0 {
        let none = Vec::new;
        return Admission {
            open: none(),
            resting: none(),
            panic: false,
            shut: Some(Shut::NoNodes),
        };
    }
    let mut open: Vec<(u32, &State)> = (0..).zip(states).filter(|(_, s)| s.takes_work()).collect();
    let all = open.len();
    let mut shut = (all == 0).then_some(Shut::Draining);

    let sound = open.iter().filter(|(_, state)| !state.failed()).count();
    let panic = sound < all && (sound == 0 || (sound as f64) < config.panic_share * all as f64);
    if !panic {
        open.retain(|(_, state)| !state.failed());
    } else if config.fail_on_panic {
        open.clear();
        shut = shut.or(Some(Shut::Failed));
    }

    keep_fresh(&mut open, config.lag.keep as usize);
    shut = shut.or_else(|| open.is_empty().then_some(Shut::Lagging));
    let resting: Vec<_> = open.extract_if(.., |(_, state)| state.saturated_until > 0).collect();
    shut = shut.or_else(|| open.is_empty().then_some(Shut::Saturated));
    let indices = |nodes: Vec<(u32, &State)>| nodes.into_iter().map(|(index, _)| index).collect();
    Admission { open: indices(open), resting: indices(resting), panic, shut }
}

/// Leaves out who lags, but for the `keep` least lagged below the hard limit.
fn keep_fresh(open: &mut Vec<(u32, &State)>, keep: usize) {
    open.retain(|(_, state)| !state.lag.is_hard());
    let fresh = open.iter().filter(|(_, state)| !state.lag.is_soft()).count();
    if fresh == open.len() {
        return;
    }
    let mut lagging: Vec<_> = open.iter().filter(|(_, state)| state.lag.is_soft()).collect();
    lagging.sort_by_key(|(_, state)| Reverse(state.lag.value()));
    let dropped = lagging.len() - keep.saturating_sub(fresh).min(lagging.len());
    let dropped: Vec<u32> = lagging[..dropped].iter().map(|(index, _)| *index).collect();
    open.retain(|(index, _)| !dropped.contains(index));
}

#[cfg(test)]
mod tests;
