//! How many connections a node should have.
//!
//! Square-root staffing: a load of `R` busy connections on average needs `R + headroom * sqrt(R)` of them, for the
//! same share of callers that wait at any `R` (Halfin and Whitt, "Heavy-traffic limits for queues with many
//! exponential servers", 1981). `R` is arrivals times service time, by Little's law, and those that wait on
//! top. It grows at once and shrinks to the most that was wanted over a while, as the stabilisation window of
//! Kubernetes' horizontal autoscaler does, if that is a fifth less or more; after a change one window is let pass, which was measured half
//! before it. While service takes much longer than at best, it does not grow (the gradient of Netflix's
//! concurrency-limits): the server is short of something that more connections take away.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::config::SizingConfig;
use super::meter::Load;

/// What is remembered of one node from window to window.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// What was wanted lately, and when.
    wanted: VecDeque<(Instant, usize)>,
    /// Whether the last window ended in a change.
    settling: bool,
    /// Seconds that a connection was out at best lately.
    best: Option<f64>,
}

/// What to set a node's size to, if it is to be changed.
pub(crate) fn decide(
    config: &SizingConfig,
    state: &mut State,
    size: usize,
    load: &Load,
    now: Instant,
) -> Option<usize> {
    let slow = state.is_slow(config, load);
    let bounded = size.clamp(config.min, config.max);
    let wanted = wanted(config, load);
    state.wanted.push_back((now, wanted));
    while let Some((at, _)) = state.wanted.front()
        && now.saturating_duration_since(*at) > config.shrink_after
    {
        state.wanted.pop_front();
    }
    if std::mem::take(&mut state.settling) && bounded == size {
        return None;
    }
    let most = state.wanted.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
    let full = state.since().is_some_and(|since| {
        now.saturating_duration_since(since) + load.span >= config.shrink_after
    });
    // Less is not worth closing connections and opening them again, and may be noise.
    let little = size.div_ceil(5).max(2);
    let target = if wanted > size && !slow {
        wanted
    } else if full && most + little <= size {
        most
    } else {
        bounded
    };
    if target == size {
        return None;
    }
    state.settling = true;
    Some(target)
}

/// What the load asks for, within the bounds.
fn wanted(config: &SizingConfig, load: &Load) -> usize {
    let offered = load.offered();
    let needed = (offered + config.headroom * offered.sqrt()).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let needed = needed as usize;
    needed.clamp(config.min, config.max)
}

impl State {
    /// Since when wishes are remembered.
    fn since(&self) -> Option<Instant> {
        self.wanted.front().map(|(at, _)| *at)
    }

    /// Whether service takes much longer than at best. The best is forgotten slowly, so that
    /// statements which are slow by nature are the best there is after some minutes.
    fn is_slow(&mut self, config: &SizingConfig, load: &Load) -> bool {
        let Some(time) = load.service_time else { return false };
        if load.served * load.span.as_secs_f64() < FEW {
            return false;
        }
        let time = time.as_secs_f64();
        let best = self.best.map_or(time, |best| time.min(best * FORGETTING));
        self.best = Some(best);
        time > best * config.max_slowdown
    }
}

/// Connections lent in a window; of fewer nobody learns how long they are out.
const FEW: f64 = 20.0;
/// A window.
const FORGETTING: f64 = 1.02;

#[cfg(test)]
mod tests;
