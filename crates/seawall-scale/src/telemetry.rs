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
        let target = gauge!(TARGET, "group" => group.to_owned());
        target.set(f64::from(current));
        let decisions = |action: Action| counter!(DECISIONS, "group" => group.to_owned(), "action" => action.name());
        Self {
            target,
            missing: gauge!(MISSING, "group" => group.to_owned()),
            up: decisions(Action::Up),
            down: decisions(Action::Down),
            hold: decisions(Action::Hold),
            degraded: false,
        }
    }

    pub(crate) fn record(&mut self, group: &str, previous: u32, decision: &Decision) {
        self.target.set(f64::from(decision.target));
        match decision.action {
            Action::Up => self.up.increment(1),
            Action::Down => self.down.increment(1),
            Action::Hold => self.hold.increment(1),
        }
        if decision.action != Action::Hold {
            tracing::info!(
                group,
                action = decision.action.name(),
                previous,
                new = decision.target,
                reason = decision.explain(),
                "scaling"
            );
        }
        self.signals(group, decision);
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
