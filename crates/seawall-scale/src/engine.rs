use std::collections::VecDeque;

use seawall_signal::Signals;
use tokio::time::Instant;

use crate::telemetry::Telemetry;
use crate::{Action, Decision, Policy, PolicyError, Reason, State, Trigger, decide};

/// A policy with its state: decides, remembers, and tells the world through
/// metrics, `tracing` and a log of events. It does not act: hand
/// [`Decision::target`] to whatever starts and stops instances, and tell what
/// came of it by [`observe`](Self::observe).
///
/// Metrics go to the recorder that is installed when the engine is made.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    state: State,
    events: VecDeque<Event>,
    telemetry: Telemetry,
}

/// A change of size, as the history table `auto_scaling_events` keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was decided.
    pub at: Instant,
    /// The policy's group.
    pub group: String,
    /// Up or down.
    pub action: Action,
    /// Instances before.
    pub previous: u32,
    /// Instances after.
    pub new: u32,
    /// The measurement behind it: metric, value, threshold.
    pub trigger: Option<Trigger>,
    /// The whole explanation.
    pub reasons: Vec<Reason>,
}

impl Engine {
    /// An engine for a group of `current` instances, with no history.
    ///
    /// # Errors
    /// The policy does not validate.
    pub fn new(policy: Policy, current: u32) -> Result<Self, PolicyError> {
        policy.validate()?;
        Ok(Self {
            telemetry: Telemetry::new(&policy.group, current),
            policy,
            state: State::new(current),
            events: VecDeque::new(),
        })
    }

    /// Decides and records the decision as carried out.
    pub fn tick(&mut self, signals: &Signals, now: Instant) -> Decision {
        let decision = decide(&self.policy, &self.state, signals, now);
        let previous = self.state.current;
        self.telemetry.record(&self.policy.group, previous, &decision);
        if decision.action != Action::Hold {
            if self.events.len() == MAX_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(Event {
                at: now,
                group: self.policy.group.clone(),
                action: decision.action,
                previous,
                new: decision.target,
                trigger: decision.trigger.clone(),
                reasons: decision.reasons.clone(),
            });
        }
        self.state.apply(&decision, now);
        decision
    }

    /// Corrects the size to what the world says. Call it before a tick when
    /// instances can come and go on their own, or starting them can fail.
    pub fn observe(&mut self, current: u32) {
        self.state.observe(current);
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The state, for instance to try another policy on it with [`decide`].
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The changes of size, oldest first; the last 256.
    #[must_use]
    pub fn events(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.events.iter()
    }

    /// Replaces the policy. Cooldowns and windows go on; pending and raised
    /// conditions start anew.
    ///
    /// # Errors
    /// The policy does not validate; then the old one stays.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        policy.validate()?;
        if policy.group != self.policy.group {
            self.telemetry = Telemetry::new(&policy.group, self.state.current);
        }
        self.state.forget_rules();
        self.policy = policy;
        Ok(())
    }
}

/// Three weeks of a group that changes twelve times a day.
const MAX_EVENTS: usize = 256;

#[cfg(test)]
mod tests;
