use seawall_signal::{Op, Sample, Signals, Truth, Unit};
use tokio::time::Instant;

use super::propose;
use crate::{Band, Change, Measured, Policy, Reason, RuleAction, State};

/// The smallest size from `wish` up to which the group can shrink without the
/// same load scaling it up again; the present size if there is none. The reason
/// says what would have happened at `wish`.
///
/// The load is projected: use per instance and other ratios grow by
/// `current / size`; totals, durations and counts are taken as they are.
/// Searches by halves, since less capacity means more load on each; a condition
/// for which that is untrue is caught by the check of the found size.
pub(super) fn smallest_safe(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    wish: u32,
) -> (u32, Option<Reason>) {
    let rises = |size| rises_at(policy, state, signals, now, size);
    let Some(reason) = rises(wish) else {
        return (wish, None);
    };
    let (mut unsafe_size, mut safe_size) = (wish, state.current);
    while safe_size - unsafe_size > 1 {
        let middle = unsafe_size + (safe_size - unsafe_size) / 2;
        if rises(middle).is_some() {
            unsafe_size = middle;
        } else {
            safe_size = middle;
        }
    }
    (safe_size, Some(reason))
}

/// What would scale up from `size` instances, as projected.
fn rises_at(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    size: u32,
) -> Option<Reason> {
    let flap = |measured| Some(Reason::WouldFlap { instances: size, measured });
    let max_age = policy.max_signal_age;
    for target in &policy.targets {
        let Ok(sample) = propose::sample(target, signals, now, max_age) else {
            continue;
        };
        let value = target.goal.measured(sample.value, state.current, size);
        let level = target.goal.level();
        if propose::off(value, level, policy) == Some(Op::Above) {
            return flap(Some(Measured {
                signal: target.signal.clone(),
                value,
                unit: sample.unit,
                relation: Op::Above,
                threshold: level,
                per_instance: matches!(target.goal, crate::Goal::PerInstance(_)),
            }));
        }
    }
    let factor = match size {
        // Nobody measures the use of no instances.
        0 => 1.0,
        size => f64::from(state.current) / f64::from(size),
    };
    let measured = |name: &str| signals.get(name).copied();
    let projected = |name: &str| {
        let sample = measured(name)?;
        let grows = sample.unit == Unit::Ratio;
        let value = if grows { sample.value * factor } else { sample.value };
        Some(Sample { value, ..sample })
    };
    let worlds: [World<'_>; 2] = [&projected, &measured];
    for bands in &policy.bands {
        let Some(sample) = projected(&bands.signal) else { continue };
        let Ok(value) = sample.usable(now, max_age) else { continue };
        let rises = |band: &&Band| match band.change {
            Change::Add(_) => true,
            Change::Exactly(wish) => wish > size,
            Change::Remove(_) | Change::Stay => false,
        };
        if let Some(band) = bands.find(value).filter(rises) {
            return flap(Some(Measured {
                signal: bands.signal.clone(),
                value,
                unit: sample.unit,
                relation: Op::AtLeast,
                threshold: band.from.unwrap_or(f64::NEG_INFINITY),
                per_instance: false,
            }));
        }
    }
    let ups = policy.rules.iter().filter(|rule| rule.action == RuleAction::ScaleUp);
    for rule in ups {
        for world in worlds {
            // A pending `for` counts: it would only delay the flap.
            if rule.condition.evaluate_as(world, now, max_age) == Truth::True {
                let readings = rule.condition.readings_as(world, now, max_age);
                let seen = readings.iter().find(|r| r.truth().is_true());
                return flap(seen.and_then(Measured::reading));
            }
        }
    }
    None
}

/// Where a condition reads its samples from.
type World<'a> = &'a dyn Fn(&str) -> Option<Sample>;
