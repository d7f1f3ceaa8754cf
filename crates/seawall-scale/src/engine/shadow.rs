use seawall_signal::Signals;
use tokio::time::Instant;

use crate::{Decision, Policy, State, decide};

/// A policy that decides beside the live one, on the same signals and from the
/// size the live one made, and is not obeyed.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) policy: Policy,
    state: State,
    pub(super) report: ShadowReport,
}

/// How a candidate's decisions compare with the live ones.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ShadowReport {
    /// Decisions compared.
    pub decisions: u64,
    /// Of them, the candidate wanted more instances.
    pub larger: u64,
    /// Of them, the candidate wanted fewer instances.
    pub smaller: u64,
    /// What the candidate wanted more than the live policy, summed over all
    /// decisions; negative if fewer.
    pub instances: i64,
    /// The last decision that differed.
    pub last: Option<Difference>,
}

/// Two policies disagree.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two answers and when")]
pub struct Difference {
    /// When.
    pub at: Instant,
    /// The size both decided from.
    pub current: u32,
    /// What the live policy decided.
    pub live: Decision,
    /// What the candidate decided.
    pub candidate: Decision,
}

impl ShadowReport {
    /// The share of decisions that differed, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let differing = self.larger + self.smaller;
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
        let share = differing as f64 / self.decisions.max(1) as f64;
        share
    }
}

impl Difference {
    /// Both answers in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        format!(
            "live wants {} and the candidate {}, from {}. Live: {}. Candidate: {}.",
            self.live.target,
            self.candidate.target,
            self.current,
            self.live.explain(),
            self.candidate.explain()
        )
    }
}

impl Shadow {
    pub(super) fn new(policy: Policy, live: &Policy, state: &State) -> Self {
        Self { state: state.under(live, &policy), policy, report: ShadowReport::default() }
    }

    /// Decides from where `live` is, and compares; whether they differ.
    pub(super) fn compare(
        &mut self,
        live: &State,
        decision: &Decision,
        signals: &Signals,
        now: Instant,
    ) -> bool {
        self.state.follow(live);
        let candidate = decide(&self.policy, &self.state, signals, now);
        self.state.remember(&candidate, now);
        let more = i64::from(candidate.target) - i64::from(decision.target);
        let report = &mut self.report;
        report.decisions += 1;
        report.larger += u64::from(more > 0);
        report.smaller += u64::from(more < 0);
        report.instances = report.instances.saturating_add(more);
        if more == 0 {
            return false;
        }
        let (current, live) = (live.current, decision.clone());
        report.last = Some(Difference { at: now, current, live, candidate });
        true
    }
}
