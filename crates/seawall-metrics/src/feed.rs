//! The recorder as a source of signals.

use std::time::Duration;

use seawall_signal::{Signals, Source, Unit};
use tokio::time::Instant;

use crate::handle::Handle;
use crate::registry::Kind;

/// Publishes every metric but the recorder's own, all series of a metric taken
/// together:
///
/// | kind | signals |
/// |---|---|
/// | histogram | `p50(m)` `p90(m)` `p95(m)` `p99(m)` `p99.9`-quantile as `p999(m)`, `avg(m)`, `max(m)`, `rate(m)` |
/// | counter | `rate(m)`, and `m`: the total |
/// | gauge | `m`: the sum of its series |
///
/// Windowed ones are over the last minute; with `, 10s`, `, 1m` or `, 5m`
/// behind the name (`p95(m, 10s)`) over that. What an empty window cannot say
/// (its quantiles, mean and maximum) is not published: the sample of before
/// grows old. A gauge does not know when it was set and is stamped `now`.
///
/// The unit follows the name: `_seconds`, `_bytes`, `_ratio`; rates are per
/// second. Costs three windows per histogram or counter and one short-lived
/// string per signal.
impl Source for Handle {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        for (name, kind) in self.metrics() {
            let name = &*name;
            match kind {
                Kind::Gauge => {
                    if let Some(value) = self.gauge_value(name, &[]) {
                        signals.set(name, value, unit_of(name), now);
                    }
                    continue;
                }
                Kind::Counter => {
                    if let Some(value) = self.counter_value(name, &[]) {
                        signals.set(name, value as f64, unit_of(name), now);
                    }
                }
                Kind::Histogram => {}
            }
            for (over, tails) in WINDOWS {
                let window = self.window_at(name, &[], over, now);
                for tail in tails {
                    let rate = format!("rate({name}{tail})");
                    signals.set(&rate, window.rate, Unit::PerSecond, now);
                    for (function, value) in [
                        ("p50", window.p50),
                        ("p90", window.p90),
                        ("p95", window.p95),
                        ("p99", window.p99),
                        ("p999", window.p999),
                        ("avg", window.mean),
                        ("max", window.max),
                    ] {
                        if !value.is_nan() {
                            let signal = format!("{function}({name}{tail})");
                            signals.set(&signal, value, unit_of(name), now);
                        }
                    }
                }
            }
        }
    }
}

/// Publishes `cpu_usage` and `memory_usage` of the host as ratios, each
/// stamped with the time it was sampled.
#[cfg(feature = "resources")]
impl Source for crate::Resources {
    fn feed(&self, signals: &mut Signals, _: Instant) {
        let latest = self.latest();
        if let Some((ratio, at)) = latest.cpu_ratio {
            signals.set("cpu_usage", ratio, Unit::Ratio, at);
        }
        if let Some((system, at)) = latest.system {
            signals.set("memory_usage", system.memory_ratio(), Unit::Ratio, at);
        }
    }
}

fn unit_of(metric: &str) -> Unit {
    let metric = metric.strip_suffix("_total").unwrap_or(metric);
    if metric.ends_with("_seconds") {
        Unit::Seconds
    } else if metric.ends_with("_bytes") {
        Unit::Bytes
    } else if metric.ends_with("_ratio") {
        Unit::Ratio
    } else {
        Unit::None
    }
}

/// Spans and how they are written after a metric's name.
const WINDOWS: [(Duration, &[&str]); 3] = [
    (Duration::from_secs(10), &[", 10s"]),
    (Duration::from_secs(60), &["", ", 1m"]),
    (Duration::from_secs(300), &[", 5m"]),
];

#[cfg(test)]
mod tests;
