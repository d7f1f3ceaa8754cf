use tokio::time::Instant;

use crate::state::Wish;
use crate::{Policy, Reason, State};

/// Up to the lowest wish of the up window, down to the highest of the down
/// window; the Kubernetes HPA's stabilisation. A wish counts while it is
/// strictly younger than the window.
pub(super) fn window(
    policy: &Policy,
    state: &State,
    wish: u32,
    now: Instant,
) -> (u32, Option<Reason>) {
    let current = state.current;
    let up = wish > current;
    let window = if up { policy.window_up } else { policy.window_down };
    if window.is_zero() {
        return (wish, None);
    }
    let age = |past: &Wish| now.saturating_duration_since(past.at);
    let inside = || state.wishes().filter(|past| age(past) < window);

    // No history: as if the present size had been wished for just now.
    let fresh = !up && state.wishes().next().is_none();
    let allowed = if fresh {
        current
    } else if up {
        let lowest = inside().map(|past| past.low).min();
        lowest.map_or(wish, |low| wish.min(low)).max(current)
    } else {
        let highest = inside().map(|past| past.high).max();
        highest.map_or(wish, |high| wish.max(high)).min(current)
    };
    if allowed == wish {
        return (wish, None);
    }
    let binds = |past: &&Wish| {
        if up { past.low <= allowed } else { past.high >= allowed }
    };
    // The youngest that binds leaves the window last.
    let youngest = inside().filter(binds).map(age).min().unwrap_or_default();
    let reason = Reason::Stabilising { wish, allowed, remaining: window.saturating_sub(youngest) };
    (allowed, Some(reason))
}

/// No further than one step.
pub(super) fn step(
    policy: &Policy,
    state: &State,
    wish: u32,
    _now: Instant,
) -> (u32, Option<Reason>) {
    let current = state.current;
    let allowed = if wish > current {
        policy.limit_up.map_or(wish, |limit| wish.min(limit.highest(current)))
    } else {
        policy.limit_down.map_or(wish, |limit| wish.max(limit.lowest(current)))
    };
    let reason = Reason::StepLimited { wish, allowed };
    (allowed, (allowed != wish).then_some(reason))
}

/// Within `min` and `max`.
pub(super) fn bounds(
    policy: &Policy,
    _state: &State,
    wish: u32,
    _now: Instant,
) -> (u32, Option<Reason>) {
    let allowed = policy.within_bounds(wish);
    let reason = if allowed < wish {
        let max = policy.max;
        Reason::AtMaximum { wish, max }
    } else {
        let min = policy.min;
        Reason::AtMinimum { wish, min }
    };
    (allowed, (allowed != wish).then_some(reason))
}
