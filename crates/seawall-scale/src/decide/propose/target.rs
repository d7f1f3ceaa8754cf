use std::time::Duration;

use seawall_signal::{Missing, Op, Sample, Signals, Unit};
use tokio::time::Instant;

use super::fleet::Absent;
use super::{Proposal, Proposals, cool};
use crate::policy::NOISE;
use crate::{Goal, Measured, Policy, Reason, State, Target, Trigger};

/// What the targets ask for.
pub(super) fn all(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    proposals: &mut Proposals,
) {
    let absent = Absent::of(policy, signals, now, proposals);
    for target in &policy.targets {
        match sample(target, signals, now, policy.max_signal_age) {
            Ok(sample) => {
                let proposal = match (target.goal, &absent) {
                    (Goal::Utilisation(level), Some(absent)) => {
                        absent.fill(policy, state, target, sample.value, level, now, proposals)
                    }
                    _ => of_target(policy, state, target, sample, now),
                };
                proposals.made.push(proposal);
            }
            Err(why) => proposals.miss(&target.signal, why),
        }
    }
}

/// The sample of a target. Sizes, uses and rates cannot be negative.
pub(crate) fn sample<'a>(
    target: &Target,
    signals: &'a Signals,
    now: Instant,
    max_age: Duration,
) -> Result<&'a Sample, Missing> {
    let sample = signals.fresh(&target.signal, now, max_age)?;
    let ratio = matches!(sample.unit, Unit::Ratio | Unit::None);
    match target.goal {
        Goal::Utilisation(_) if !ratio => Err(Missing::OtherUnit),
        _ if sample.value < 0.0 => Err(Missing::Negative),
        _ => Ok(sample),
    }
}

/// Whether `measured` lies outside the band around `level`, and on which side.
/// Both ends belong to the band, and float noise does not push a value out.
pub(crate) fn off(measured: f64, level: f64, policy: &Policy) -> Option<Op> {
    let ratio = measured / level;
    let below = policy.tolerance_down.unwrap_or(policy.tolerance);
    if ratio > 1.0 + policy.tolerance + NOISE {
        Some(Op::Above)
    } else if ratio < 1.0 - below - NOISE {
        Some(Op::Below)
    } else {
        None
    }
}

fn of_target(
    policy: &Policy,
    state: &State,
    target: &Target,
    sample: &Sample,
    now: Instant,
) -> Proposal {
    let current = state.current;
    let level = target.goal.level();
    let value = target.goal.measured(sample.value, current, current);
    let side = off(value, level, policy);
    let measured = Measured {
        signal: target.signal.clone(),
        value,
        unit: match target.goal {
            Goal::Utilisation(_) => Unit::Ratio,
            Goal::PerInstance(_) | Goal::Total(_) => sample.unit,
        },
        relation: side.unwrap_or(Op::Equal),
        threshold: level,
        per_instance: matches!(target.goal, Goal::PerInstance(_)) && current > 0,
    };
    // From zero there is no ratio to be near: any load asks for an instance.
    let from_zero = current == 0 && matches!(target.goal, Goal::PerInstance(_));
    let wish_from = |instances| {
        if side.is_some() || from_zero {
            target.goal.wish(sample.value, instances)
        } else {
            current
        }
    };
    let size = cool(policy, None, state, now, wish_from);
    Proposal {
        trigger: Some(Trigger { metric: target.signal.clone(), value, threshold: level }),
        reason: if size.asks == current && side.is_none() {
            Reason::WithinTolerance { measured, tolerance: policy.tolerance }
        } else {
            Reason::Target { measured, wish: size.asks, current }
        },
        size,
        floor: false,
    }
}
