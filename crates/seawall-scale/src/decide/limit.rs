use std::time::Duration;

use tokio::time::Instant;

use crate::state::Wish;
use crate::{Policy, Reason, Select, State, mix};

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

/// No further than the rates of the direction allow.
pub(super) fn rates(
    policy: &Policy,
    state: &State,
    wish: u32,
    now: Instant,
) -> (u32, Option<Reason>) {
    let current = state.current;
    let up = wish > current;
    let rates = if up { &policy.rates_up } else { &policy.rates_down };
    if rates.select == Select::Disabled {
        return (current, Some(Reason::RateLimited { wish, allowed: current, period: None }));
    }
    let most = rates.select == Select::Max;
    let mut bound: Option<(u32, Duration)> = None;
    for rate in &rates.policies {
        let start = state.changes().start(current, now, rate.period);
        let limit = if up { rate.highest(start) } else { rate.lowest(start) };
        // Up the larger size is the larger change, down the smaller one is.
        let binds =
            |(other, _): (u32, Duration)| if up == most { limit > other } else { limit < other };
        if bound.is_none_or(binds) {
            bound = Some((limit, rate.period));
        }
    }
    let Some((limit, period)) = bound else { return (wish, None) };
    let allowed = if up { wish.min(limit.max(current)) } else { wish.max(limit.min(current)) };
    let reason = Reason::RateLimited { wish, allowed, period: Some(period) };
    (allowed, (allowed != wish).then_some(reason))
}

/// No shrinking once the group has changed too often.
pub(super) fn churn(
    policy: &Policy,
    state: &State,
    wish: u32,
    now: Instant,
) -> (u32, Option<Reason>) {
    let current = state.current;
    let Some(churn) = policy.churn.filter(|_| wish < current) else { return (wish, None) };
    let (count, remaining) = state.changes().within(now, churn.within, churn.changes as usize);
    let changes = u32::try_from(count).unwrap_or(u32::MAX);
    if changes < churn.changes {
        return (wish, None);
    }
    (current, Some(Reason::ChurnBudget { changes, within: churn.within, remaining }))
}

/// No growing beyond what the budget pays for, of the kinds there are: the
/// largest size whose cheapest mix it pays.
pub(super) fn budget(policy: &Policy, current: u32, wish: u32) -> (u32, Option<Reason>) {
    let Some(budget) = policy.budget.filter(|_| wish > current && !policy.kinds.is_empty()) else {
        return (wish, None);
    };
    let money = budget.per_hour * (1.0 + 1e-9);
    let (kinds, within) = (&policy.kinds, policy.ready_within);
    let most =
        mix::largest_paid(kinds, current, wish, within, (policy.max_spot, policy.spread), money);
    if most == wish {
        return (wish, None);
    }
    (most, Some(Reason::OverBudget { most, per_hour: budget.per_hour }))
}
