//! Ready-made policies, from five real scaling plans.
//!
//! All hold the CPU at 70 %, the memory at 80 % and each instance at 1 000
//! requests per second; added instances get 300 s to take effect, and 600 s
//! pass between two scale-downs.
//!
//! They read these signals; publish them in these units:
//!
//! | signal | unit |
//! |---|---|
//! | `cpu_usage` | [`Ratio`](seawall_signal::Unit::Ratio), mean over the instances |
//! | `memory_usage` | `Ratio`, mean over the instances |
//! | `response_time` | `None`: milliseconds, as the plans' rule files have it |
//! | `rate(http_server_request_duration_seconds)` | `PerSecond`, total over the instances; `seawall-metrics` publishes one process's share |
//! | `queue_depth`, `active_users`, `sessions` | `Count` |
//! | `pool_usage`, `error_rate` | `Ratio` |
//! | `rate(db_queries)` | `PerSecond` |
//!
//! A preset is a start: take it, change its fields, validate.

use std::time::Duration;

use crate::{Policy, Queue, Rule, RuleAction, Target};

/// The auction site's public launch: 3 to 20 instances, and the plan's four
/// rules. Shrinks after ten calm minutes.
#[must_use]
pub fn auction_launch() -> Policy {
    Policy { rules: rules(&LAUNCH_RULES), ..base("auction", 3, 20) }
}

/// The interview-practice site: 2 to 10 instances.
#[must_use]
pub fn interview_practice() -> Policy {
    base("practice", 2, 10)
}

/// The wedding-vendor platform: 3 to 50 instances.
#[must_use]
pub fn wedding_platform() -> Policy {
    base("wedding", 3, 50)
}

/// The ticket desk: 2 to 10 instances.
#[must_use]
pub fn ticket_desk() -> Policy {
    base("tickets", 2, 10)
}

/// The rows of the plans' trigger table whose advice is to scale out: CPU above
/// 80 %, more than 1 000 active users, more than 1 000 queued jobs.
#[must_use]
pub fn scale_out_triggers() -> Vec<Rule> {
    rules(&TRIGGERS)
}

/// The rows whose advice is something else than instances, as rules that say
/// so: slow answers, memory, the pool, errors, sessions, requests and queries a
/// minute.
#[must_use]
pub fn advice_triggers() -> Vec<Rule> {
    let parsed = ADVICE.iter().map(|&(condition, advice)| Rule::advise(condition, advice).ok());
    // The texts are constants, and a test parses every one of them.
    parsed.flatten().collect()
}

/// Workers of a queue: 1 to 20, each finishing `per_worker` jobs a second, so
/// many that what waits is gone within a minute.
#[must_use]
pub fn queue_workers(per_worker: f64) -> Policy {
    Policy {
        group: "workers".to_owned(),
        max: 20,
        queues: vec![Queue::new("queue_depth", per_worker)],
        cooldown_down: Duration::from_secs(600),
        ..Policy::default()
    }
}

/// The plans' common figures.
fn base(group: &str, min: u32, max: u32) -> Policy {
    Policy {
        group: group.to_owned(),
        min,
        max,
        targets: vec![
            Target::utilisation("cpu_usage", 0.7),
            Target::utilisation("memory_usage", 0.8),
            Target::per_instance("rate(http_server_request_duration_seconds)", 1000.0),
        ],
        cooldown_up: Duration::from_secs(300),
        cooldown_down: Duration::from_secs(600),
        window_down: Duration::from_secs(600),
        ..Policy::default()
    }
}

fn rules(data: &[RuleData]) -> Vec<Rule> {
    let parsed = data.iter().map(|&(condition, action, cooldown)| {
        let rule = Rule::new(condition.parse().ok()?, action);
        Some(rule.cooldown(Duration::from_secs(cooldown)))
    });
    // The texts are constants, and a test parses every one of them.
    parsed.flatten().collect()
}

/// Condition, action, cooldown in seconds: as the plans write them.
type RuleData = (&'static str, RuleAction, u64);

const LAUNCH_RULES: [RuleData; 4] = [
    ("cpu_usage > 80", RuleAction::ScaleUp, 300),
    ("memory_usage > 85", RuleAction::ScaleUp, 300),
    ("cpu_usage < 30", RuleAction::ScaleDown, 600),
    ("response_time > 500", RuleAction::ScaleUp, 300),
];

const TRIGGERS: [RuleData; 3] = [
    ("cpu_usage > 80", RuleAction::ScaleUp, 300),
    ("active_users > 1000", RuleAction::ScaleUp, 300),
    ("queue_depth > 1000", RuleAction::ScaleUp, 300),
];

const ADVICE: [(&str, &str); 7] = [
    ("response_time > 1000", "cache more, or optimise the slow requests"),
    ("memory_usage > 85", "give each instance more memory"),
    ("pool_usage > 80", "give the pool more connections"),
    ("error_rate > 5%", "find out what fails"),
    ("sessions > 500", "give each instance more of everything"),
    ("rate(http_server_request_duration_seconds) > 10000/min", "limit the rate of requests"),
    ("rate(db_queries) > 5000/min", "add read replicas"),
];

#[cfg(test)]
mod tests {
    use seawall_signal::{Signals, Unit, Units};

    use super::*;
    use crate::{State, decide};

    #[test]
    fn every_preset_validates_and_no_rule_was_lost() {
        for preset in [auction_launch(), interview_practice(), wedding_platform(), ticket_desk()] {
            preset.validate().expect("valid");
        }
        queue_workers(10.0).validate().expect("valid");
        let advised = Policy { rules: advice_triggers(), ..ticket_desk() };
        advised.validate().expect("valid");
        assert_eq!(advised.rules.len(), ADVICE.len());
        assert_eq!(auction_launch().rules.len(), LAUNCH_RULES.len());
        assert_eq!(scale_out_triggers().len(), TRIGGERS.len());
    }

    #[test]
    fn advice_is_given_and_changes_nothing() {
        let now = tokio::time::Instant::now();
        let mut signals = Signals::new();
        signals.set("pool_usage", 0.9, Unit::Ratio, now);
        let policy = Policy { rules: advice_triggers(), ..Policy::default() };
        let decision = decide(&policy, &State::new(3), &signals, now);
        assert_eq!(decision.target, 3);
        assert_eq!(decision.explain(), "`pool_usage > 80` holds: give the pool more connections");
    }

    #[test]
    fn the_documented_signals_are_all_that_is_read_and_their_units_fit() {
        let units: Units = [
            ("cpu_usage", Unit::Ratio),
            ("memory_usage", Unit::Ratio),
            ("response_time", Unit::None),
            ("rate(http_server_request_duration_seconds)", Unit::PerSecond),
            ("queue_depth", Unit::Count),
            ("active_users", Unit::Count),
            ("sessions", Unit::Count),
            ("pool_usage", Unit::Ratio),
            ("error_rate", Unit::Ratio),
            ("rate(db_queries)", Unit::PerSecond),
        ]
        .map(|(name, unit)| (name.to_owned(), unit))
        .into();
        let mut all = wedding_platform();
        all.rules = auction_launch().rules;
        all.rules.extend(scale_out_triggers());
        all.rules.extend(advice_triggers());
        // The rule files' bare per cents are all there is to say.
        for lint in all.lint(&units) {
            let per_cent = matches!(lint, seawall_signal::Lint::ReadAsPercent { .. });
            assert!(per_cent, "{lint}");
        }
        assert_eq!(all.signals().len(), units.len());
    }
}
