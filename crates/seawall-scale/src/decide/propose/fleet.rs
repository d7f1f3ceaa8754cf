use seawall_signal::{Missing, Op, Signals, Unit};
use tokio::time::Instant;

use super::target::off;
use super::{Proposal, Proposals, cool};
use crate::policy::ceil;
use crate::{Measured, Policy, Reason, State, Target, Trigger};

/// Instances that a mean does not speak for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absent {
    starting: u32,
    missing: u32,
    failing: u32,
}

impl Absent {
    /// `None` if the policy names no such signal. A count that is not known is
    /// taken as 0, and keeps the group from shrinking.
    pub(super) fn of(
        policy: &Policy,
        signals: &Signals,
        now: Instant,
        proposals: &mut Proposals,
    ) -> Option<Self> {
        let fleet = &policy.fleet;
        fleet.signals().next()?;
        let mut count = |signal: &Option<String>| match signal {
            Some(signal) => match signals.fresh(signal, now, policy.max_signal_age) {
                Ok(sample) if sample.value < 0.0 => {
                    proposals.miss(signal, Missing::Negative);
                    0
                }
                Ok(sample) => sample.value.round() as u32,
                Err(why) => {
                    proposals.miss(signal, why);
                    0
                }
            },
            None => 0,
        };
        Some(Self {
            starting: count(&fleet.starting),
            missing: count(&fleet.missing),
            failing: count(&fleet.failing),
        })
    }

    /// The proposal of a utilisation target whose signal, `reported`, is the mean of the others.
    ///
    /// Source: `GetResourceReplicas` of the Kubernetes HPA, on real numbers and with the failing
    /// ones counted as saturated.
    #[expect(clippy::too_many_arguments, reason = "the world of a proposal")]
    pub(super) fn fill(
        self,
        policy: &Policy,
        state: &State,
        target: &Target,
        reported: f64,
        level: f64,
        now: Instant,
        proposals: &mut Proposals,
    ) -> Proposal {
        let current = state.current;
        let starting = self.starting.min(current);
        let missing = self.missing.min(current - starting);
        let known = current - starting - missing;
        let failing = self.failing.min(known);
        let [known_f, failing_f, missing_f] = [known, failing, missing].map(f64::from);

        // The failing ones may report or not; what they do is all they can.
        let saturated = reported.max(1.0) * failing_f;
        let used = reported * (known_f - failing_f) + saturated;
        let mean = if known == 0 { reported } else { used / known_f };
        let raw = off(mean, level, policy);
        let up = mean > level;
        let assumed = if up { 0.0 } else { level.max(1.0) };
        let counted = if up { current } else { known + missing };
        let filled = if counted == 0 {
            mean
        } else {
            (mean * known_f + assumed * missing_f) / f64::from(counted)
        };
        let absent = missing > 0 || (starting > 0 && up);
        let side = off(filled, level, policy);
        let mut wish = match side {
            _ if raw.is_none() && !absent => current,
            None => current,
            Some(_) => ceil(f64::from(counted) * (filled / level)),
        };
        // Filled in, it must not turn round.
        let turned = (filled > level) != up;
        let against = if up { wish < current } else { wish > current };
        if turned || against {
            wish = current;
        }
        if starting + missing + failing > 0 {
            let signal = target.signal.clone();
            proposals.notes.push(Reason::FilledIn {
                signal,
                reported,
                starting,
                missing,
                failing,
                assumed,
                names: state.names_unsampled().of_these(missing).to_vec(),
            });
        }
        // Those that start are accounted for: no cooldown stands in for them.
        let size = cool(policy, None, state, now, |_| wish);
        let measured = Measured {
            signal: target.signal.clone(),
            value: filled,
            unit: Unit::Ratio,
            relation: side.unwrap_or(Op::Equal),
            threshold: level,
            per_instance: false,
        };
        Proposal {
            trigger: Some(Trigger {
                metric: target.signal.clone(),
                value: filled,
                threshold: level,
            }),
            reason: if wish == current && (side.is_none() || turned) {
                Reason::WithinTolerance { measured, tolerance: policy.tolerance }
            } else {
                Reason::Target { measured, wish, current }
            },
            size,
            floor: false,
        }
    }
}
