//! What grows past some size only make worse: the line before what instances share, and the peak
//! of what they get done.

use std::cmp::Ordering;

use seawall_signal::{Op, Signals};
use tokio::time::Instant;

use crate::state::{Line, Memory, Throughput};
use crate::{Busy, Measured, Policy, Reason, State};

/// What is remembered of both.
pub(super) fn remember(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    memory: &mut Memory,
) {
    let rising = |busy: &Busy| busy.rising.is_some();
    if policy.dependencies.iter().filter_map(|each| each.busy.as_ref()).any(rising) {
        let lines = policy.dependencies.iter().enumerate();
        memory.lines = lines
            .map(|(index, each)| {
                let line = state.line(index);
                each.busy.as_ref().map_or(line, |busy| next(policy, line, busy, signals, now))
            })
            .collect();
    }
    memory.throughput = policy.scalability.as_ref().map(|scalability| {
        let (size, max_age) = (state.current, policy.max_signal_age);
        let settled = state.throughputs().steady(size, now) >= scalability.settle;
        let all_it_can =
            || scalability.saturated.evaluate(signals, now, max_age).is_true() && size > 0;
        let measured = || signals.fresh(&scalability.throughput, now, max_age).ok();
        let rate = (settled && all_it_can()).then(measured).flatten();
        let rate = rate.map(|sample| sample.value).filter(|rate| *rate > 0.0);
        Throughput { at: now, size, rate, keep: scalability.keep }
    });
}

/// A line after a look at it; as it was, if it cannot be seen.
fn next(policy: &Policy, line: Line, busy: &Busy, signals: &Signals, now: Instant) -> Line {
    let (Some(window), Some(waiting)) = (busy.rising, &busy.waiting) else { return line };
    let fresh = |signal: &str| signals.fresh(signal, now, policy.max_signal_age);
    match (fresh(&busy.signal), fresh(waiting)) {
        (Ok(used), Ok(waiting)) => line.next(used.value >= busy.above, waiting.value, window, now),
        _ => line,
    }
}

/// No growing while something that all share is too busy for more. What is not
/// known of it does not keep the group from growing.
pub(super) fn downstream(
    policy: &Policy,
    state: &State,
    wish: u32,
    signals: &Signals,
    now: Instant,
) -> (u32, Option<Reason>) {
    if wish <= state.current {
        return (wish, None);
    }
    for (index, dependency) in policy.dependencies.iter().enumerate() {
        let Some(busy) = &dependency.busy else { continue };
        let fresh = |signal: &str| signals.fresh(signal, now, policy.max_signal_age);
        let Ok(sample) = fresh(&busy.signal) else { continue };
        let waits = match &busy.waiting {
            Some(signal) if fresh(signal).is_ok_and(|sample| sample.value > 0.0) => {
                let refused = || next(policy, state.line(index), busy, signals, now).refused;
                busy.rising.is_none() || refused().is_some()
            }
            Some(_) => false,
            None => true,
        };
        if sample.value >= busy.above && waits {
            let measured = Measured {
                signal: busy.signal.clone(),
                value: sample.value,
                unit: sample.unit,
                relation: Op::AtLeast,
                threshold: busy.above,
                per_instance: false,
            };
            let name = dependency.name.clone();
            return (state.current, Some(Reason::DownstreamLimited { name, measured, wish }));
        }
    }
    (wish, None)
}

/// No growing past the size that gets the most done. A minimum goes before it.
pub(super) fn peak(policy: &Policy, state: &State, wish: u32, min: u32) -> (u32, Option<Reason>) {
    let (Some(scalability), Ordering::Greater) = (&policy.scalability, wish.cmp(&state.current))
    else {
        return (wish, None);
    };
    let Some(peak) = state.throughputs().last_worth(scalability.sizes) else { return (wish, None) };
    let allowed = wish.min(peak.max(state.current).max(min));
    let sizes = state.throughputs().sizes();
    (allowed, (allowed != wish).then_some(Reason::PastPeak { wish, peak, sizes }))
}
