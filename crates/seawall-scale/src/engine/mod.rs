//! A policy with its state, and what tells the world about it.

mod event;
mod orders;
mod shadow;

use std::collections::VecDeque;
use std::fmt;

use seawall_signal::{Signals, Units};
use tokio::time::Instant;

use crate::telemetry::Telemetry;
use crate::{Action, Decision, Policy, PolicyError, State, decide};
pub use event::{Event, EventRow, Sink};
use shadow::Shadow;
pub use shadow::{Difference, ShadowReport};

/// A policy with its state: decides, remembers, and tells the world through
/// metrics, `tracing`, a list of events, sinks and a log. It does not act: hand
/// [`Decision::target`] to whatever starts and stops instances, and tell what
/// came of it by [`observe`](Self::observe).
///
/// Metrics go to the recorder that is installed when the engine is made.
pub struct Engine {
    policy: Policy,
    state: State,
    dry_run: bool,
    shadow: Option<Shadow>,
    events: VecDeque<Event>,
    sinks: Vec<Box<dyn Sink>>,
    #[cfg(feature = "log")]
    log: Option<crate::log::Writer>,
    telemetry: Telemetry,
}

impl Engine {
    /// An engine for a group of `current` instances, with no history.
    ///
    /// # Errors
    /// The policy does not validate.
    pub fn new(policy: Policy, current: u32) -> Result<Self, PolicyError> {
        Self::resume(policy, State::new(current))
    }

    /// An engine that goes on from a state, such as a saved one. Rules and bursts
    /// are remembered by their place: resume with the policy it was saved under,
    /// and give it another one by [`set_policy`](Self::set_policy).
    ///
    /// # Errors
    /// The policy does not validate.
    pub fn resume(policy: Policy, state: State) -> Result<Self, PolicyError> {
        policy.validate()?;
        warn_of(&policy);
        Ok(Self {
            telemetry: Telemetry::new(&policy.group, state.current),
            policy,
            state,
            dry_run: false,
            shadow: None,
            events: VecDeque::new(),
            sinks: Vec::new(),
            #[cfg(feature = "log")]
            log: None,
        })
    }

    /// Whether decisions are only told and not recorded as carried out. The
    /// state then keeps what it saw and not what would have changed, so the
    /// same wish comes back until somebody else makes the change. Default: no.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Adds a sink for changes of size.
    pub fn add_sink(&mut self, sink: impl Sink + 'static) {
        self.sinks.push(Box::new(sink));
    }

    /// Decides and, unless in a dry run, records the decision as carried out.
    pub fn tick(&mut self, signals: &Signals, now: Instant) -> Decision {
        let decision = decide(&self.policy, &self.state, signals, now);
        let previous = self.state.current;
        if let Some(shadow) = &mut self.shadow
            && shadow.compare(&self.state, &decision, signals, now)
        {
            self.telemetry.differs();
        }
        #[cfg(feature = "log")]
        if let Some(log) = &mut self.log {
            log.decided(&self.policy, signals, &decision, !self.dry_run, now);
        }
        self.telemetry.record(&self.policy.group, previous, &decision, self.dry_run);
        if self.dry_run {
            self.state.remember(&decision, now);
            return decision;
        }
        if decision.action != Action::Hold {
            self.tell(previous, &decision, now);
        }
        self.state.apply(&decision, now);
        decision
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

    /// How the candidate compares so far, if there is one.
    #[must_use]
    pub fn shadow(&self) -> Option<&ShadowReport> {
        self.shadow.as_ref().map(|shadow| &shadow.report)
    }

    fn tell(&mut self, previous: u32, decision: &Decision, now: Instant) {
        let event = Event {
            at: now,
            unix: self.state.unix(now),
            group: self.policy.group.clone(),
            action: decision.action,
            previous,
            new: decision.target,
            trigger: decision.trigger.clone(),
            reasons: decision.reasons.clone(),
        };
        for sink in &mut self.sinks {
            sink.event(&event);
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("policy", &self.policy)
            .field("state", &self.state)
            .field("dry_run", &self.dry_run)
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}

/// Pairs that play ping-pong, once for each policy.
fn warn_of(policy: &Policy) {
    for pair in policy.ping_pongs(&Units::default()) {
        tracing::warn!(group = policy.group, "{pair}");
    }
}

/// Three weeks of a group that changes twelve times a day.
const MAX_EVENTS: usize = 256;

#[cfg(test)]
mod tests;
