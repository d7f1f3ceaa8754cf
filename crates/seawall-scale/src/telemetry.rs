use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{Action, Decision, Reason};

/// Cached handles of one group, and what was last said about it.
#[derive(Debug)]
pub(crate) struct Telemetry {
    target: Gauge,
    missing: Gauge,
    up: Counter,
    down: Counter,
    hold: Counter,
    differs: Counter,
    /// By the code of the reason; each registered when it first happens.
    limits: Vec<(&'static str, Counter)>,
    group: String,
    /// What a dry run said last: it is told once, not each time.
    would: Option<u32>,
    /// Whether signals were missing at the last decision: one warning per
    /// change, not per decision.
    degraded: bool,
}

impl Telemetry {
    pub(crate) fn new(group: &str, current: u32) -> Self {
        describe_gauge!(
            TARGET,
            Unit::Count,
            "Instances the group should have, by the last decision."
        );
        describe_gauge!(
            MISSING,
            Unit::Count,
            "Signals that the last decision needed and that were missing or stale."
        );
        describe_counter!(DECISIONS, Unit::Count, "Decisions made, by outcome.");
        describe_counter!(
            DIFFERENCES,
            Unit::Count,
            "Decisions on which a shadow policy disagreed with the live one."
        );
        describe_counter!(
            LIMITS,
            Unit::Count,
            "Decisions in which something stood in the way of a wish, by what it was."
        );
        let target = gauge!(TARGET, "group" => group.to_owned());
        target.set(f64::from(current));
        let decisions = |action: Action| counter!(DECISIONS, "group" => group.to_owned(), "action" => action.name());
        Self {
            target,
            missing: gauge!(MISSING, "group" => group.to_owned()),
            up: decisions(Action::Up),
            down: decisions(Action::Down),
            hold: decisions(Action::Hold),
            differs: counter!(DIFFERENCES, "group" => group.to_owned()),
            limits: Vec::new(),
            group: group.to_owned(),
            would: None,
            degraded: false,
        }
    }

    /// A shadow disagrees.
    pub(crate) fn differs(&self) {
        self.differs.increment(1);
    }

    pub(crate) fn record(
        &mut self,
        group: &str,
        previous: u32,
        decision: &Decision,
        dry_run: bool,
    ) {
        self.target.set(f64::from(decision.target));
        match decision.action {
            Action::Up => self.up.increment(1),
            Action::Down => self.down.increment(1),
            Action::Hold => self.hold.increment(1),
        }
        for reason in decision.reasons.iter().filter(|reason| reason.limits()) {
            self.limit(reason.code());
        }
        let told = dry_run && self.would == Some(decision.target);
        self.would = dry_run.then_some(decision.target);
        if decision.action != Action::Hold && !told {
            tracing::info!(
                group,
                action = decision.action.name(),
                previous,
                new = decision.target,
                reason = decision.explain(),
                dry_run,
                "scaling"
            );
        }
        self.signals(group, decision);
    }

    fn limit(&mut self, code: &'static str) {
        let known = self.limits.iter().position(|(known, _)| *known == code);
        let index = known.unwrap_or_else(|| {
            let counter = counter!(LIMITS, "group" => self.group.clone(), "reason" => code);
            self.limits.push((code, counter));
            self.limits.len() - 1
        });
        if let Some((_, counter)) = self.limits.get(index) {
            counter.increment(1);
        }
    }

    fn signals(&mut self, group: &str, decision: &Decision) {
        let missing = decision
            .reasons
            .iter()
            .filter(|reason| matches!(reason, Reason::Missing { .. }))
            .count();
        self.missing.set(missing as f64);
        let degraded = missing > 0;
        if degraded && !self.degraded {
            let reason = decision.explain();
            tracing::warn!(group, missing, reason, "signals are missing: not scaling down");
        } else if !degraded && self.degraded {
            tracing::info!(group, "all signals are back");
        }
        self.degraded = degraded;
    }
}

const TARGET: &str = "seawall_scale_target";
const MISSING: &str = "seawall_scale_signals_missing";
const DECISIONS: &str = "seawall_scale_decisions_total";
const DIFFERENCES: &str = "seawall_scale_shadow_differences_total";
const LIMITS: &str = "seawall_scale_limits_total";
