//! What everything in a policy asks for, before windows and limits.

mod fleet;
mod others;
mod rule;
mod target;

use std::cmp::Ordering;
use std::time::Duration;

use seawall_signal::{Hold, Missing, Signals};
use tokio::time::Instant;

use crate::state::Panic;
use crate::{Policy, Reason, State, Trigger};
use others::World;
pub(super) use target::{off, sample};

/// What a policy asks for.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    pub(super) made: Vec<Proposal>,
    /// Signals that gave no answer where one was needed, each once.
    pub(super) missing: Vec<(String, Missing)>,
    /// Conditions that hold, and how much longer they must.
    pub(super) pending: Vec<(String, Duration)>,
    /// What is worth a word and asks for nothing.
    pub(super) notes: Vec<Reason>,
    /// The rules' memory after this evaluation.
    pub(super) holds: Vec<Hold>,
    /// The bursts' memory after this evaluation.
    pub(super) panics: Vec<Option<Panic>>,
}

#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) size: Size,
    pub(super) reason: Reason,
    pub(super) trigger: Option<Trigger>,
    /// Whether it speaks only for growth: alone it never shrinks the group.
    pub(super) floor: bool,
}

/// What a proposal asks for, and what its cooldown leaves of it.
#[derive(Debug)]
pub(super) struct Size {
    /// The size asked for if there were no cooldown.
    pub(super) asks: u32,
    /// What the stabilisation windows remember.
    pub(super) wish: u32,
    /// The size after the cooldown.
    pub(super) counts: u32,
    /// The cooldown that made `counts` differ.
    pub(super) cooling: Option<Reason>,
}

impl Proposals {
    /// The largest of what `size` says; with only floors not below `current`.
    pub(super) fn largest(&self, current: u32, size: fn(&Size) -> u32) -> Option<u32> {
        let largest = self.made.iter().map(|proposal| size(&proposal.size)).max()?;
        let floors = self.made.iter().all(|proposal| proposal.floor);
        Some(if floors { largest.max(current) } else { largest })
    }

    fn miss(&mut self, signal: &str, why: Missing) {
        if self.missing.iter().all(|(known, _)| known != signal) {
            self.missing.push((signal.to_owned(), why));
        }
    }
}

pub(super) fn all(policy: &Policy, state: &State, signals: &Signals, now: Instant) -> Proposals {
    let mut proposals = Proposals::default();
    let world = World { policy, state, signals, now };
    target::all(policy, state, signals, now, &mut proposals);
    for bands in &policy.bands {
        world.bands(bands, &mut proposals);
    }
    for queue in &policy.queues {
        world.queue(queue, &mut proposals);
    }
    for (index, burst) in policy.bursts.iter().enumerate() {
        world.burst(burst, state.panic(index), &mut proposals);
    }
    for forecast in &policy.forecasts {
        world.forecast(forecast, &mut proposals);
    }
    rule::all(policy, state, signals, now, &mut proposals);
    world.vertical(&mut proposals);
    for each in policy.zero.iter().flat_map(|zero| &zero.activate) {
        if let Err(why) = signals.fresh(&each.signal, now, policy.max_signal_age) {
            proposals.miss(&each.signal, why);
        }
    }
    proposals
}

/// Growth is reckoned from the size before the instances that are still in
/// their cooldown; a shrinkage waits until its cooldown is over.
fn cool(
    policy: &Policy,
    own: Option<Duration>,
    state: &State,
    now: Instant,
    wish_from: impl Fn(u32) -> u32,
) -> Size {
    let current = state.current;
    let asks = wish_from(current);
    let cooling = |remaining: Duration, settling| Reason::Cooldown {
        wish: asks,
        current,
        settling,
        remaining,
    };
    match asks.cmp(&current) {
        Ordering::Greater => {
            let cooldown = own.unwrap_or(policy.cooldown_up);
            let (settling, remaining) = state.settling(now, cooldown);
            let settled = wish_from(current.saturating_sub(settling)).max(current);
            let held = settled == current;
            Size {
                asks: if held { asks } else { settled },
                wish: settled,
                counts: settled,
                cooling: held.then(|| cooling(remaining, settling)),
            }
        }
        Ordering::Less => {
            let cooldown = own.unwrap_or(policy.cooldown_down);
            let remaining = state.last_down.map_or(Duration::ZERO, |last| {
                cooldown.saturating_sub(now.saturating_duration_since(last))
            });
            let held = !remaining.is_zero();
            Size {
                asks,
                wish: asks,
                counts: if held { current } else { asks },
                cooling: held.then(|| cooling(remaining, 0)),
            }
        }
        Ordering::Equal => Size { asks, wish: asks, counts: asks, cooling: None },
    }
}
