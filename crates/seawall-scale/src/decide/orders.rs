use std::time::Duration;

use tokio::time::Instant;

use super::bounds::Bounds;
use crate::{Action, Decision, Freeze, Pin, Reason, State};

/// What operators ordered, over what was decided: a pin first, and a freeze over
/// that. Windows and holds remember what was seen, so that nothing jumps when
/// the order ends.
pub(super) fn obey(state: &State, bounds: &Bounds, now: Instant, mut free: Decision) -> Decision {
    let pin = state.pin.as_ref().and_then(|pin| Some((pin, pin.left(now)?)));
    if let Some((pin, left)) = pin {
        pinned(state, bounds, &mut free, pin, left);
    }
    let freeze = state.freeze.as_ref().and_then(|freeze| Some((freeze, freeze.left(now)?)));
    if let Some((freeze, left)) = freeze
        && (!freeze.only_down || free.target < state.current)
    {
        frozen(state, &mut free, freeze, left);
    }
    free
}

fn pinned(
    state: &State,
    bounds: &Bounds,
    free: &mut Decision,
    pin: &Pin,
    remaining: Option<Duration>,
) {
    let (by, size, wish) = (pin.by.clone(), pin.size, free.target);
    set(state, free, bounds.cut(size), Reason::Pinned { by, size, wish, remaining }, remaining);
    // It says nothing about the load: no cooldown.
    free.memory.corrects = true;
}

fn frozen(state: &State, free: &mut Decision, freeze: &Freeze, remaining: Option<Duration>) {
    let (by, wish) = (freeze.by.clone(), free.target);
    set(state, free, state.current, Reason::Frozen { by, wish, remaining }, remaining);
}

fn set(
    state: &State,
    decision: &mut Decision,
    target: u32,
    why: Reason,
    remaining: Option<Duration>,
) {
    decision.target = target;
    decision.action = Action::between(state.current, target);
    decision.reasons.insert(0, why);
    decision.trigger = None;
    if let Some(remaining) = remaining {
        let soonest = decision.next_evaluation.min(remaining);
        decision.next_evaluation = soonest.max(Duration::from_millis(1));
    }
}
