use std::cmp::Ordering;
use std::time::Duration;

use seawall_signal::{Hold, Missing, Op, Sample, Signals, Truth, Unit};
use tokio::time::Instant;

use crate::policy::NOISE;
use crate::{Goal, Measured, Policy, Reason, Rule, RuleAction, State, Target, Trigger};

/// What targets and rules ask for.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    pub(super) made: Vec<Proposal>,
    /// Signals that gave no answer where one was needed, each once.
    pub(super) missing: Vec<(String, Missing)>,
    /// Conditions that hold, and how much longer they must.
    pub(super) pending: Vec<(String, Duration)>,
    /// The rules' memory after this evaluation.
    pub(super) holds: Vec<Hold>,
}

#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) size: Size,
    pub(super) reason: Reason,
    pub(super) trigger: Option<Trigger>,
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
    pub(super) fn notes(&self) -> impl Iterator<Item = Reason> {
        self.pending.iter().map(|(condition, remaining)| Reason::Pending {
            condition: condition.clone(),
            remaining: *remaining,
        })
    }

    fn miss(&mut self, signal: &str, why: Missing) {
        if self.missing.iter().all(|(known, _)| known != signal) {
            self.missing.push((signal.to_owned(), why));
        }
    }
}

pub(super) fn all(policy: &Policy, state: &State, signals: &Signals, now: Instant) -> Proposals {
    let mut proposals = Proposals::default();
    for target in &policy.targets {
        match sample(target, signals, now, policy.max_signal_age) {
            Ok(sample) => {
                let proposal = of_target(policy, state, target, sample, now);
                proposals.made.push(proposal);
            }
            Err(why) => proposals.miss(&target.signal, why),
        }
    }
    let mut holding = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let max_age = policy.max_signal_age;
        let (hold, truth) = state.hold(index).next(&rule.condition, signals, now, max_age);
        proposals.holds.push(hold);
        match truth {
            Truth::True => holding.push(rule),
            Truth::False => {
                if let Some(left) = hold.remaining(&rule.condition, now) {
                    proposals.pending.push((rule.condition.to_string(), left));
                }
            }
            Truth::Unknown => {
                for reading in rule.condition.readings(signals, now, max_age) {
                    if let Err(why) = reading.value {
                        proposals.miss(reading.signal, why);
                    }
                }
            }
        }
    }
    for action in [RuleAction::ScaleUp, RuleAction::ScaleDown] {
        let mine = || holding.iter().filter(|rule| rule.action == action);
        let first = mine().map(|rule| rule.priority).max();
        for rule in mine().filter(|rule| Some(rule.priority) == first) {
            let proposal = of_rule(policy, state, rule, signals, now);
            proposals.made.push(proposal);
        }
    }
    proposals
}

/// The sample of a target. Sizes, uses and rates cannot be negative.
pub(super) fn sample<'a>(
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
pub(super) fn off(measured: f64, level: f64, tolerance: f64) -> Option<Op> {
    let ratio = measured / level;
    if ratio > 1.0 + tolerance + NOISE {
        Some(Op::Above)
    } else if ratio < 1.0 - tolerance - NOISE {
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
    let side = off(value, level, policy.tolerance);
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
    }
}

fn of_rule(
    policy: &Policy,
    state: &State,
    rule: &Rule,
    signals: &Signals,
    now: Instant,
) -> Proposal {
    let size = cool(policy, rule.cooldown, state, now, |instances| {
        if rule.action == RuleAction::ScaleUp {
            rule.by.above(instances)
        } else {
            rule.by.below(instances)
        }
    });
    let readings = rule.condition.readings(signals, now, policy.max_signal_age);
    let measured: Vec<_> = readings
        .iter()
        .filter(|reading| reading.truth().is_true())
        .filter_map(Measured::reading)
        .collect();
    // The comparison that holds; else one with a value, so that a rule that
    // stays raised, or holds by `not`, has a number in the history too.
    let trigger = readings
        .iter()
        .find(|reading| reading.truth().is_true())
        .or_else(|| readings.iter().find(|reading| reading.value.is_ok()))
        .and_then(|reading| {
            Some(Trigger {
                metric: reading.signal.to_owned(),
                value: reading.value.ok()?,
                threshold: reading.threshold,
            })
        });
    Proposal {
        trigger,
        reason: Reason::Rule {
            condition: rule.condition.to_string(),
            measured,
            wish: size.asks,
            current: state.current,
        },
        size,
    }
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
