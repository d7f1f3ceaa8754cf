//! What a fleet would do: the scaling engine on the live signals, as a dry run.
//!
//! One process serves all of the load here, so the fleet is imagined: each of its
//! instances is to carry an eighth of the peak. Cooldowns and windows are those of
//! the requirements, divided by the factor by which the trace is sped up. CPU is no
//! signal of it: the machine's CPU carries the load and the databases too.

use std::time::Duration;

use seawall::scale::{Action, Engine, Policy, Rule, Target};
use seawall::signal::{Signals, Unit};
use tokio::time::Instant;

use crate::error::Failure;
use crate::report::Decided;
use crate::service::App;

/// The imagined fleet.
#[derive(Debug)]
pub struct Fleet {
    engine: Engine,
    signals: Signals,
}

const MIN: u32 = 3;
const MAX: u32 = 20;
/// Instances at the peak, before any headroom.
const AT_PEAK: f64 = 8.0;
const DURATION: &str = "http_server_request_duration_seconds";
const WINDOW: Duration = Duration::from_secs(10);

impl Fleet {
    /// A fleet for `peak` requests a second, in a time that runs `speed` times faster.
    pub fn new(peak: f64, speed: f64) -> Result<Self, Failure> {
        let shortened = |seconds: f64| Duration::from_secs_f64(seconds / speed.max(1.0));
        let policy = Policy {
            group: "marketplace".to_owned(),
            min: MIN,
            max: MAX,
            targets: vec![Target::per_instance("requests", peak / AT_PEAK)],
            rules: ["response_time > 500ms", "error_rate > 5%", "pool_usage > 80%"]
                .into_iter()
                .map(Rule::scale_up)
                .collect::<Result<_, _>>()
                .map_err(Failure::Condition)?,
            cooldown_up: shortened(300.0),
            cooldown_down: shortened(600.0),
            window_down: shortened(300.0),
            evaluate_every: Duration::from_secs(1),
            max_signal_age: Duration::from_secs(5),
            ..Policy::default()
        };
        Ok(Self { engine: Engine::new(policy, MIN)?, signals: Signals::new() })
    }

    pub fn instances(&self) -> u32 {
        self.engine.state().current
    }

    /// Feeds the last second's signals and decides; a decision that changes nothing is no news.
    pub fn decide(&mut self, app: &App, requests: f64, now: Instant) -> Option<Decided> {
        let window = app.metrics.window(DURATION, &[], WINDOW);
        let signals = &mut self.signals;
        signals.set("requests", requests, Unit::PerSecond, now);
        signals.set("response_time", window.p95, Unit::Seconds, now);
        let errors = errors(app) as f64 / window.count as f64;
        signals.set("error_rate", errors, Unit::Ratio, now);
        signals.set("pool_usage", pool_usage(app), Unit::Ratio, now);
        let from = self.engine.state().current;
        let decision = self.engine.tick(signals, now);
        let reason = decision.explain();
        let to = decision.target;
        (decision.action != Action::Hold).then_some(Decided { second: 0, from, to, reason })
    }
}

/// Requests of the window that ended in a server's error.
fn errors(app: &App) -> u64 {
    let ended = |kind: &&str| app.metrics.window(DURATION, &[("error_type", kind)], WINDOW).count;
    ["500", "502", "503", "504", "service_error", "panic", "body_error"].iter().map(ended).sum()
}

/// The busiest node's share of connections in use.
fn pool_usage(app: &App) -> f64 {
    let nodes = app.pool.status().nodes;
    let used = nodes
        .iter()
        .map(|node| node.size.saturating_sub(node.available) as f64 / node.max_size.max(1) as f64);
    used.fold(0.0, f64::max)
}
