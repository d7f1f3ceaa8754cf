//! The decision: pure, total, deterministic.
//!
//! 1. Schedules, what instances share, the budget and sleep narrow the bounds
//!    (`bounds`). A size outside them is corrected at once, without asking
//!    what is measured.
//! 2. Everything in the policy makes a proposal (`propose`).
//! 3. A proposal in its cooldown counts as less: a growth starts from the size
//!    before the instances added lately, a shrinkage waits.
//! 4. The largest proposal wins. If that shrinks the group while anything is
//!    unknown, nothing changes.
//! 5. The stabilisation windows, rates, step limits, the churn budget, the
//!    bounds (`limit`), the peak of scalability and a busy dependency (`shared`)
//!    cut the winner; none of them turns a growth into a shrinkage or back.
//! 6. A smaller size from which the same load would scale up is refused
//!    (`ahead`).
//! 7. Operators' orders go over all of it (`orders`).

mod ahead;
mod bounds;
mod limit;
mod orders;
mod propose;
mod shared;

use std::time::Duration;

use seawall_signal::Signals;
use tokio::time::Instant;

use crate::state::Memory;
use crate::{Action, Decision, Mix, Policy, Reason, State, Trigger};
use bounds::Bounds;
use propose::{Proposal, Proposals};

/// Decides how many instances `policy` wants now. Reads no clock, does no IO,
/// changes nothing: hand the answer to [`State::apply`].
///
/// Total: it answers for any policy, even one that does not validate, any
/// state, and any numbers in the signals. The same inputs give the same answer.
///
/// **A missing signal never shrinks the group, and never keeps it from growing.**
///
/// Cost: a look-up per signal read, and an allocation per reason; with
/// [`Policy::kinds`], on a change of size, also [`Mix::cheapest`], and for growth
/// under a budget about as much again; beyond 1 024 units ten to thirty times.
pub fn decide(policy: &Policy, state: &State, signals: &Signals, now: Instant) -> Decision {
    let bounds = Bounds::of(policy, state, signals, now);
    let free = correct(policy, state, signals, now, &bounds)
        .unwrap_or_else(|| measured(policy, state, signals, now, &bounds));
    let mut decision = orders::obey(state, &bounds, now, free);
    if decision.action != Action::Hold && !policy.kinds.is_empty() {
        let (need, within) = (decision.target, policy.ready_within);
        let (spot, zones) = (policy.max_spot, policy.spread);
        decision.mix = Some(Mix::spread(&policy.kinds, need, within, spot, zones));
    }
    decision
}

/// The decision on what is measured, for a size within the bounds.
fn measured(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    bounds: &Bounds,
) -> Decision {
    let mut proposals = propose::all(policy, state, signals, now);
    let mut memory = remember(policy, state, bounds, &mut proposals);
    shared::remember(policy, state, signals, now, &mut memory);
    let mut course = Course {
        current: state.current,
        reasons: Vec::with_capacity(proposals.made.len() + 4),
        trigger: None,
        soonest: soonest(policy, bounds),
    };
    let target = course.run(policy, state, signals, now, bounds, &mut proposals);

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
        mix: None,
        memory,
    }
}

fn soonest(policy: &Policy, bounds: &Bounds) -> Duration {
    let bursts = policy.bursts.iter().map(|burst| burst.every);
    bursts.chain(bounds.next).fold(policy.evaluate_every, Duration::min)
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
        bounds: &Bounds,
        proposals: &mut Proposals,
    ) -> u32 {
        let mut wish = self.win(proposals);
        if bounds.idle {
            // Whatever else is wished for, there is nothing to do.
            wish = 0;
            self.reasons.insert(0, Reason::Idle);
        }
        for (condition, remaining) in proposals.pending.drain(..) {
            self.soonest = self.soonest.min(remaining);
            self.reasons.push(Reason::Pending { condition, remaining });
        }
        self.reasons.append(&mut proposals.notes);
        let unknown = !proposals.missing.is_empty() || bounds.unknown.is_some();
        let held = wish < self.current && unknown;
        for (signal, why) in proposals.missing.drain(..) {
            self.reasons.push(Reason::Missing { signal, why, held });
        }
        self.reasons.extend(bounds.unknown.clone());
        if held || wish == self.current {
            return self.current;
        }
        let cuts = [limit::window, limit::rates, limit::step, limit::churn];
        let mut cut = cuts.iter().fold(wish, |wish, cut| {
            if wish == self.current {
                return wish;
            }
            let (wish, reason) = cut(policy, state, wish, now);
            self.note(reason);
            wish
        });
        cut = self.bound(bounds, cut);
        let (cut, reason) = limit::budget(policy, self.current, cut);
        self.note(reason);
        let (cut, reason) = shared::peak(policy, state, cut, bounds.min);
        self.note(reason);
        let (cut, reason) = shared::downstream(policy, state, cut, signals, now);
        self.note(reason);
        if cut >= self.current || bounds.idle {
            return cut;
        }
        let (target, reason) = ahead::smallest_safe(policy, state, signals, now, cut);
        self.note(reason);
        target
    }

    /// The largest proposal, after cooldowns. Its reason comes first, then the
    /// others' by what they ask for.
    fn win(&mut self, proposals: &mut Proposals) -> u32 {
        let most = proposals.largest(self.current, |size| size.asks);
        let Some(largest) = proposals.largest(self.current, |size| size.counts) else {
            return self.current;
        };
        let first = |p: &Proposal| (p.size.counts != largest, std::cmp::Reverse(p.size.asks));
        // Stable: a tie keeps the first.
        proposals.made.sort_by_key(first);
        // A cooldown is worth a word if without it the size would be another.
        let cooling = proposals
            .made
            .iter()
            .filter(|_| most != Some(largest))
            .filter(|proposal| proposal.size.cooling.is_some())
            .max_by_key(|proposal| proposal.size.asks)
            .and_then(|proposal| proposal.size.cooling.clone());
        self.trigger = proposals.made.first_mut().and_then(|winner| winner.trigger.take());
        self.reasons.extend(proposals.made.drain(..).map(|proposal| proposal.reason));
        self.note(cooling);
        largest
    }

    fn bound(&mut self, bounds: &Bounds, wish: u32) -> u32 {
        let allowed = bounds.cut(wish);
        if allowed < wish {
            let max = bounds.max;
            self.reasons.push(Reason::AtMaximum { wish, max });
            self.reasons.extend(bounds.high.clone());
        } else if allowed > wish {
            let min = bounds.min;
            self.reasons.push(Reason::AtMinimum { wish, min });
            self.reasons.extend(bounds.low.clone());
        }
        allowed
    }

    fn note(&mut self, reason: Option<Reason>) {
        if let Some(
            Reason::Stabilising { remaining, .. }
            | Reason::Cooldown { remaining, .. }
            | Reason::ChurnBudget { remaining, .. },
        ) = &reason
        {
            self.soonest = self.soonest.min(*remaining);
        }
        self.reasons.extend(reason);
    }
}

/// A size outside the bounds. What is measured does not count, but holds and
/// bursts see it: under a freeze or in a dry run this may go on for long.
fn correct(
    policy: &Policy,
    state: &State,
    signals: &Signals,
    now: Instant,
    bounds: &Bounds,
) -> Option<Decision> {
    let current = state.current;
    let target = bounds.cut(current);
    let (metric, bound, reason, why) = match Action::between(current, target) {
        Action::Hold => return None,
        Action::Up => {
            let min = bounds.min;
            ("min", min, Reason::BelowMinimum { current, min }, &bounds.low)
        }
        Action::Down => {
            let max = bounds.max;
            ("max", max, Reason::AboveMaximum { current, max }, &bounds.high)
        }
    };
    let trigger = match why {
        Some(Reason::Active { signal, value, above }) => {
            Trigger { metric: signal.clone(), value: *value, threshold: *above }
        }
        _ => Trigger {
            metric: metric.to_owned(),
            value: f64::from(current),
            threshold: f64::from(bound),
        },
    };
    let seen = propose::all(policy, state, signals, now);
    let mut memory = Memory {
        high: target,
        low: u32::MAX,
        keep: policy.window_up.max(policy.window_down),
        holds: seen.holds,
        panics: seen.panics,
        active: bounds.active,
        corrects: true,
        ..Memory::default()
    };
    shared::remember(policy, state, signals, now, &mut memory);
    Some(Decision {
        target,
        action: Action::between(current, target),
        reasons: std::iter::once(reason).chain(why.clone()).collect(),
        trigger: Some(trigger),
        next_evaluation: soonest(policy, bounds).max(Duration::from_millis(1)),
        mix: None,
        memory,
    })
}

/// What the windows shall know of this evaluation: an unknown counts as a wish
/// to stay for the way down, and as no wish for the way up.
fn remember(policy: &Policy, state: &State, bounds: &Bounds, proposals: &mut Proposals) -> Memory {
    let stay = state.current;
    let wish = if bounds.idle { Some(0) } else { proposals.largest(stay, |size| size.wish) };
    let unknown = !proposals.missing.is_empty() || bounds.unknown.is_some();
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
        panics: std::mem::take(&mut proposals.panics),
        active: bounds.active,
        ..Memory::default()
    }
}

#[cfg(test)]
mod tests;
