//! The decision: pure, total, deterministic.
//!
//! 1. A size outside the bounds is corrected at once, without asking signals.
//! 2. Every target and every rule that holds makes a proposal (`propose`).
//! 3. A proposal in its cooldown counts as less: a growth starts from the size
//!    before the instances added lately, a shrinkage waits.
//! 4. The largest proposal wins. If that shrinks the group while anything is
//!    unknown, nothing changes.
//! 5. The stabilisation windows, the step limits and the bounds cut the winner
//!    (`limit`); none of them turns a growth into a shrinkage or back.
//! 6. A smaller size from which the same load would scale up is refused
//!    (`ahead`).

mod ahead;
mod limit;
mod propose;

use std::time::Duration;

use seawall_signal::Signals;
use tokio::time::Instant;

use crate::state::Memory;
use crate::{Action, Decision, Policy, Reason, State, Trigger};
use propose::{Proposal, Proposals};

/// Decides how many instances `policy` wants now. Reads no clock, does no IO,
/// changes nothing: hand the answer to [`State::apply`].
///
/// Total: it answers for any policy, even one that does not validate, any
/// state, and any numbers in the signals. The same inputs give the same answer.
///
/// **A missing signal never shrinks the group, and never keeps it from growing.**
///
/// Cost: a look-up per signal read, and an allocation per reason.
pub fn decide(policy: &Policy, state: &State, signals: &Signals, now: Instant) -> Decision {
    if let Some(decision) = correct(policy, state) {
        return decision;
    }
    let mut proposals = propose::all(policy, state, signals, now);
    let memory = remember(policy, state, &mut proposals);
    let mut course = Course {
        current: state.current,
        reasons: Vec::new(),
        trigger: None,
        soonest: policy.evaluate_every,
    };
    let target = course.run(policy, state, signals, now, &proposals);

    let action = Action::between(state.current, target);
    let mut reasons = course.reasons;
    if reasons.is_empty() {
        reasons.push(Reason::Quiet);
    }
    Decision {
        target,
        action,
        reasons,
        trigger: course.trigger.filter(|_| action != Action::Hold),
        next_evaluation: course.soonest.max(Duration::from_millis(1)),
        memory,
    }
}

/// The way from proposals to a size, collecting reasons.
struct Course {
    current: u32,
    reasons: Vec<Reason>,
    trigger: Option<Trigger>,
    soonest: Duration,
}

impl Course {
    fn run(
        &mut self,
        policy: &Policy,
        state: &State,
        signals: &Signals,
        now: Instant,
        proposals: &Proposals,
    ) -> u32 {
        let wish = self.win(proposals);
        for (_, remaining) in &proposals.pending {
            self.soonest = self.soonest.min(*remaining);
        }
        self.reasons.extend(proposals.notes());
        let held = wish < self.current && !proposals.missing.is_empty();
        for (signal, why) in &proposals.missing {
            self.reasons.push(Reason::Missing { signal: signal.clone(), why: *why, held });
        }
        if held || wish == self.current {
            return self.current;
        }
        let cut = [limit::window, limit::step, limit::bounds].iter().fold(wish, |wish, cut| {
            if wish == self.current {
                return wish;
            }
            let (wish, reason) = cut(policy, state, wish, now);
            self.note(reason);
            wish
        });
        if cut >= self.current {
            return cut;
        }
        let (target, reason) = ahead::smallest_safe(policy, state, signals, now, cut);
        self.note(reason);
        target
    }

    /// The largest proposal, after cooldowns. Its reason comes first, then the
    /// others' by what they ask for.
    fn win(&mut self, proposals: &Proposals) -> u32 {
        let mut sorted: Vec<&Proposal> = proposals.made.iter().collect();
        // Stable: a tie keeps the first.
        sorted.sort_by_key(|proposal| std::cmp::Reverse(proposal.size.asks));
        let most = sorted.first().map(|proposal| proposal.size.asks);
        let cooling = sorted.iter().find_map(|p| p.size.cooling.clone());

        let Some(largest) = sorted.iter().map(|p| p.size.counts).max() else {
            return self.current;
        };
        sorted.sort_by_key(|proposal| proposal.size.counts != largest);
        let reasons = sorted.iter().map(|proposal| proposal.reason.clone());
        self.reasons.extend(reasons);
        self.trigger = sorted.first().and_then(|winner| winner.trigger.clone());

        // A cooldown is worth a word if without it the size would be another.
        if most != Some(largest) {
            self.note(cooling);
        }
        largest
    }

    fn note(&mut self, reason: Option<Reason>) {
        if let Some(Reason::Stabilising { remaining, .. } | Reason::Cooldown { remaining, .. }) =
            &reason
        {
            self.soonest = self.soonest.min(*remaining);
        }
        self.reasons.extend(reason);
    }
}

/// A size outside the bounds. Holds and wishes stay as they are.
fn correct(policy: &Policy, state: &State) -> Option<Decision> {
    let current = state.current;
    let target = policy.within_bounds(current);
    let (metric, bound, reason) = match Action::between(current, target) {
        Action::Hold => return None,
        Action::Up => {
            let min = policy.min;
            ("min", min, Reason::BelowMinimum { current, min })
        }
        Action::Down => {
            let max = policy.max;
            ("max", max, Reason::AboveMaximum { current, max })
        }
    };
    let holds = (0..policy.rules.len()).map(|rule| state.hold(rule));
    Some(Decision {
        target,
        action: Action::between(current, target),
        reasons: vec![reason],
        trigger: Some(Trigger {
            metric: metric.to_owned(),
            value: f64::from(current),
            threshold: f64::from(bound),
        }),
        next_evaluation: policy.evaluate_every.max(Duration::from_millis(1)),
        memory: Memory {
            high: target,
            low: u32::MAX,
            keep: policy.window_up.max(policy.window_down),
            holds: holds.collect(),
            corrects: true,
        },
    })
}

/// What the windows shall know of this evaluation: an unknown counts as a wish
/// to stay for the way down, and as no wish for the way up.
fn remember(policy: &Policy, state: &State, proposals: &mut Proposals) -> Memory {
    let wish = proposals.made.iter().map(|p| p.size.wish).max();
    let unknown = !proposals.missing.is_empty();
    let stay = state.current;
    Memory {
        high: match wish {
            Some(wish) if unknown => wish.max(stay),
            Some(wish) => wish,
            None => stay,
        },
        low: match wish {
            Some(wish) => wish,
            None if unknown => u32::MAX,
            None => stay,
        },
        keep: policy.window_up.max(policy.window_down),
        holds: std::mem::take(&mut proposals.holds),
        corrects: false,
    }
}

#[cfg(test)]
mod tests;
