//! The decision: pure, total, deterministic.
//!
//! 1. A size outside the bounds is corrected at once, without asking signals.
//! 2. Every target and every rule that holds makes a proposal (`propose`).
//! 3. A proposal in its cooldown asks for the present size instead.
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
        let wish = self.win(state, now, proposals);
        for (_, remaining) in &proposals.pending {
            self.soonest = self.soonest.min(*remaining);
        }
        self.reasons.extend(proposals.notes());
        let held = wish < self.current && !proposals.missing.is_empty();
        for (signal, why) in &proposals.missing {
            self.reasons.push(Reason::Missing {
                signal: signal.clone(),
                why: *why,
                held,
            });
        }
        if held || wish == self.current {
            return self.current;
        }
        let cut = [limit::window, limit::step, limit::bounds]
            .iter()
            .fold(wish, |wish, cut| {
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

    /// The largest proposal, those in their cooldown counting as none. Its
    /// reason comes first.
    fn win(&mut self, state: &State, now: Instant, proposals: &Proposals) -> u32 {
        let current = self.current;
        let mut sorted: Vec<_> = proposals
            .made
            .iter()
            .map(|proposal| (proposal, cooling(state, now, proposal)))
            .collect();
        // Stable: a tie keeps the first.
        sorted.sort_by_key(|(proposal, _)| std::cmp::Reverse(proposal.wish));
        let reasons = sorted.iter().map(|(proposal, _)| proposal.reason.clone());
        self.reasons.extend(reasons);

        let (mut wish, mut trigger) = (None, None);
        for (proposal, left) in &sorted {
            let counts = if left.is_some() {
                current
            } else {
                proposal.wish
            };
            if wish.is_none_or(|wish| counts > wish) {
                wish = Some(counts);
                trigger = Some(proposal.trigger.clone());
            }
        }
        self.trigger = trigger;
        let wish = wish.unwrap_or(current);

        // A cooldown is worth a word if without it the size would be another.
        if sorted.first().is_some_and(|(first, _)| first.wish != wish)
            && let Some((held, remaining)) = sorted.iter().find_map(|(p, left)| Some((p, (*left)?)))
        {
            self.soonest = self.soonest.min(remaining);
            self.reasons.push(Reason::Cooldown {
                wish: held.wish,
                current,
                remaining,
            });
        }
        wish
    }

    fn note(&mut self, reason: Option<Reason>) {
        if let Some(Reason::Stabilising { remaining, .. }) = &reason {
            self.soonest = self.soonest.min(*remaining);
        }
        self.reasons.extend(reason);
    }
}

/// How much longer a proposal must wait for the last change in its direction.
fn cooling(state: &State, now: Instant, proposal: &Proposal) -> Option<Duration> {
    let last = match Action::between(state.current, proposal.wish) {
        Action::Up => state.last_up,
        Action::Down => state.last_down,
        Action::Hold => None,
    };
    let since = now.saturating_duration_since(last?);
    let left = proposal.cooldown.saturating_sub(since);
    (!left.is_zero()).then_some(left)
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
        },
    })
}

/// What the windows shall know of this evaluation: an unknown counts as a wish
/// to stay for the way down, and as no wish for the way up.
fn remember(policy: &Policy, state: &State, proposals: &mut Proposals) -> Memory {
    let wish = proposals.made.iter().map(|p| p.wish).max();
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
    }
}

#[cfg(test)]
mod tests;
