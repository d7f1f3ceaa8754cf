use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, Shadow, warn_of};
use crate::telemetry::Telemetry;
use crate::{Freeze, Pin, Policy, PolicyError};

/// What is told to an engine besides signals. All of it goes to the log, so that
/// a replay hears it too.
impl Engine {
    /// Corrects the size to what the world says. Call it before a tick when
    /// instances can come and go on their own, or starting them can fail.
    pub fn observe(&mut self, current: u32) {
        self.state.observe(current);
        #[cfg(feature = "log")]
        self.log(|log| log.observe(current));
    }

    /// Says that at `at` it is `unix` after 1970: schedules need it, and the
    /// history. Call it now and then, for clocks are set.
    pub fn set_clock(&mut self, at: Instant, unix: Duration) {
        self.state.set_clock(at, unix);
        #[cfg(feature = "log")]
        self.log(|log| log.clock(at, unix));
    }

    /// Says how long an instance took from the decision to being ready.
    pub fn started(&mut self, took: Duration) {
        self.state.started(took);
        #[cfg(feature = "log")]
        self.log(|log| log.started(took));
    }

    /// Says which instances gave no sample, for reasons; see
    /// [`State::unsampled`](crate::State::unsampled). Call it before a tick, whenever they change.
    pub fn unsampled<T: AsRef<str>>(&mut self, names: impl IntoIterator<Item = T>) {
        self.state.unsampled(names);
        #[cfg(feature = "log")]
        if let Some(log) = &mut self.log {
            log.unsampled(&self.state);
        }
    }

    /// Leaves the size alone, or with `None` no longer.
    pub fn freeze(&mut self, freeze: Option<Freeze>) {
        #[cfg(feature = "log")]
        self.log(|log| log.freeze(freeze.as_ref()));
        self.state.freeze = freeze;
    }

    /// Sets the size by hand, or with `None` no longer.
    pub fn pin(&mut self, pin: Option<Pin>) {
        #[cfg(feature = "log")]
        self.log(|log| log.pin(pin.as_ref()));
        self.state.pin = pin;
    }

    /// Replaces the policy. Cooldowns and windows go on; pending and raised
    /// conditions and bursts start anew.
    ///
    /// # Errors
    /// The policy does not validate; then the old one stays.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        policy.validate()?;
        warn_of(&policy);
        if policy.group != self.policy.group {
            self.telemetry = Telemetry::new(&policy.group, self.state.current);
        }
        #[cfg(feature = "log")]
        self.log(|log| log.policy(&policy));
        self.state.adopt(&self.policy, &policy);
        self.policy = policy;
        Ok(())
    }

    /// Tries a candidate beside the live policy, or with `None` no longer. Its
    /// decisions are compared and never obeyed.
    ///
    /// # Errors
    /// The candidate does not validate; then nothing changes.
    pub fn set_shadow(&mut self, candidate: Option<Policy>) -> Result<(), PolicyError> {
        if let Some(candidate) = &candidate {
            candidate.validate()?;
        }
        self.shadow = candidate.map(|policy| Shadow::new(policy, &self.policy, &self.state));
        Ok(())
    }

    /// Writes all that is decided and told from now on to `sink`, beginning
    /// with the policy and the state as they are.
    #[cfg(feature = "log")]
    pub fn log_to(&mut self, sink: impl crate::log::LogSink + 'static, now: Instant) {
        self.log = Some(crate::log::Writer::start(sink, &self.policy, &self.state, now));
    }

    #[cfg(feature = "log")]
    fn log(&mut self, write: impl FnOnce(&mut crate::log::Writer)) {
        if let Some(log) = &mut self.log {
            write(log);
        }
    }
}
