use seawall_signal::{Hold, Signals, Truth};
use tokio::time::Instant;

use super::{Proposal, Proposals, cool};
use crate::{Measured, Policy, Reason, Rule, RuleAction, State, Trigger};

/// What the rules that hold ask for, and what they keep in mind.
pub(super) fn all(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    proposals: &mut Proposals,
) {
    let mut first: [Option<i32>; 2] = [None; 2];
    let mut holding: Vec<&Rule> = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let truth = look(policy, rule, state.hold(index), signals, now, proposals);
        if !truth.is_true() {
            continue;
        }
        if let Some(advice) = rule.advice.as_ref().filter(|_| rule.action == RuleAction::Advise) {
            let (condition, advice) = (rule.condition.to_string(), advice.clone());
            proposals.notes.push(Reason::Advice { condition, advice });
            continue;
        }
        let first = &mut first[usize::from(rule.action == RuleAction::ScaleUp)];
        *first = (*first).max(Some(rule.priority));
        holding.push(rule);
    }
    for action in [RuleAction::ScaleUp, RuleAction::ScaleDown] {
        let first = first[usize::from(action == RuleAction::ScaleUp)];
        let mine = holding.iter().filter(|rule| rule.action == action);
        for rule in mine.filter(|rule| Some(rule.priority) == first) {
            let proposal = of_rule(policy, state, rule, signals, now);
            proposals.made.push(proposal);
        }
    }
}

fn look(
    policy: &Policy,
    rule: &Rule,
    hold: Hold,
    signals: &Signals,
    now: Instant,
    proposals: &mut Proposals,
) -> Truth {
    let max_age = policy.max_signal_age;
    let (hold, truth) = hold.next(&rule.condition, signals, now, max_age);
    proposals.holds.push(hold);
    // Advice is no opinion on the size: what it lacks holds nothing.
    if rule.action == RuleAction::Advise {
        return truth;
    }
    match truth {
        Truth::True => {}
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
    truth
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
        floor: false,
    }
}
