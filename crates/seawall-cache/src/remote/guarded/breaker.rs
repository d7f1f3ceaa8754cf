//! When to stop asking a store that does not answer. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Opens after a run of failures, then lets one probe through at a time until one succeeds.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures: u32,
    open_for: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failed: u32 },
    Open { until: Instant },
    Probing,
}

/// Whether a call may go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Call,
    /// A single trial call; its end must be told.
    Probe,
    Refused,
}

/// A change worth an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    pub(crate) fn new(failures: u32, open_for: Duration) -> Self {
        Self { failures, open_for, state: State::Closed { failed: 0 } }
    }

    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Call,
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                Admission::Probe
            }
            State::Open { .. } | State::Probing => Admission::Refused,
        }
    }

    pub(crate) fn succeeded(&mut self, admission: Admission) -> Option<Change> {
        match (self.state, admission) {
            (State::Closed { .. }, _) => {
                self.state = State::Closed { failed: 0 };
                None
            }
            (State::Probing, Admission::Probe) => {
                self.state = State::Closed { failed: 0 };
                Some(Change::Closed)
            }
            // A call from before it opened: the probe decides, not a straggler.
            _ => None,
        }
    }

    pub(crate) fn failed(&mut self, admission: Admission, now: Instant) -> Option<Change> {
        match (self.state, admission) {
            (State::Closed { failed }, _) if failed + 1 >= self.failures => {
                self.state = State::Open { until: now + self.open_for };
                Some(Change::Opened)
            }
            (State::Closed { failed }, _) => {
                self.state = State::Closed { failed: failed + 1 };
                None
            }
            (State::Probing, Admission::Probe) => {
                self.state = State::Open { until: now + self.open_for };
                None
            }
            _ => None,
        }
    }

    /// The call was given up before it told anything. A probe makes way for the next one.
    pub(crate) fn abandoned(&mut self, admission: Admission, now: Instant) {
        if matches!((self.state, admission), (State::Probing, Admission::Probe)) {
            self.state = State::Open { until: now };
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(1);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, OPEN_FOR);
        for _ in 0..3 {
            assert_eq!(breaker.admit(now), Admission::Call);
            breaker.failed(Admission::Call, now);
        }
        assert!(breaker.is_open());
        breaker
    }

    #[tokio::test]
    async fn a_success_between_failures_keeps_it_closed() {
        let now = Instant::now();
        let mut breaker = Breaker::new(3, OPEN_FOR);
        for _ in 0..10 {
            breaker.failed(Admission::Call, now);
            breaker.failed(Admission::Call, now);
            breaker.succeeded(Admission::Call);
        }
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn half_open_lets_one_probe_through() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + OPEN_FOR / 2), Admission::Refused);
        assert_eq!(breaker.admit(now + OPEN_FOR), Admission::Probe);
        assert_eq!(breaker.admit(now + OPEN_FOR), Admission::Refused);
        assert_eq!(breaker.succeeded(Admission::Probe), Some(Change::Closed));
        assert_eq!(breaker.admit(now + OPEN_FOR), Admission::Call);
    }

    #[tokio::test]
    async fn a_failed_probe_opens_it_again_for_the_whole_time() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let probed = now + OPEN_FOR;
        assert_eq!(breaker.admit(probed), Admission::Probe);
        breaker.failed(Admission::Probe, probed);
        assert_eq!(breaker.admit(probed + OPEN_FOR / 2), Admission::Refused);
        assert_eq!(breaker.admit(probed + OPEN_FOR), Admission::Probe);
    }

    #[tokio::test]
    async fn an_abandoned_probe_makes_way_for_the_next() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let probed = now + OPEN_FOR;
        assert_eq!(breaker.admit(probed), Admission::Probe);
        breaker.abandoned(Admission::Probe, probed);
        assert_eq!(breaker.admit(probed), Admission::Probe);
    }

    #[tokio::test]
    async fn a_straggler_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.succeeded(Admission::Call), None);
        assert!(breaker.is_open());
    }
}
