//! The recorder as a source of signals.

use std::time::Duration;

use seawall_signal::{Signals, Source, Unit};
use tokio::time::Instant;

use crate::handle::Handle;
use crate::registry::{Kind, Labels};
use crate::window::Window;

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
/// Conditions have no labels, so what they ask about requests has names of its own,
/// fed by the request layer's durations as long as no metric is called so:
///
/// | signal | |
/// |---|---|
/// | `p95(http_request_duration)` and the others of a histogram | of all requests |
/// | `rate(requests)` | all requests |
/// | `rate(errors)` | those with an `error_type` that is not the client's doing (`cancelled`, `aborted`) |
///
/// The unit follows the name ([`Unit::of_name`]): `_seconds`, `_bytes`, `_ratio`;
/// rates are events per second, or bytes per second for a counter of bytes. Costs
/// three windows per histogram or counter and one short-lived string per signal.
impl Source for Handle {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        for (name, kind) in self.metrics() {
            let name = &*name;
            let unit = Unit::of_name(name);
            let rate_unit = match (kind, unit) {
                (Kind::Counter, Unit::Bytes) => Unit::BytesPerSecond,
                (Kind::Counter, Unit::Seconds) => Unit::Ratio,
                _ => Unit::PerSecond,
            };
            match kind {
                Kind::Gauge => {
                    if let Some(value) = self.gauge_value(name, &[]) {
                        signals.set(name, value, unit, now);
                    }
                    continue;
                }
                Kind::Counter => {
                    if let Some(value) = self.counter_value(name, &[]) {
                        signals.set(name, value as f64, unit, now);
                    }
                }
                Kind::Histogram => {}
            }
            for (over, tails) in WINDOWS {
                let window = self.window_at(name, &[], over, now);
                for tail in tails {
                    put_rate(signals, name, tail, &window, rate_unit, now);
                    put_values(signals, name, tail, &window, unit, now);
                }
            }
        }
        self.feed_requests(signals, now);
    }
}

impl Handle {
    fn feed_requests(&self, signals: &mut Signals, now: Instant) {
        let registry = self.registry();
        if registry.find(REQUESTS).is_none() {
            return;
        }
        let free = |name: &str| registry.find(name).is_none();
        let failed = |labels: &Labels| {
            let mut types = labels.iter().filter(|(name, _)| *name == "error_type");
            types.any(|(_, kind)| !["", "cancelled", "aborted"].contains(&kind))
        };
        let per_second = Unit::PerSecond;
        for (over, tails) in WINDOWS {
            let all = self.window_at(REQUESTS, &[], over, now);
            let errors = self.window_where(REQUESTS, failed, over, now);
            for tail in tails {
                if free("http_request_duration") {
                    put_rate(signals, "http_request_duration", tail, &all, per_second, now);
                    put_values(signals, "http_request_duration", tail, &all, Unit::Seconds, now);
                }
                if free("requests") {
                    put_rate(signals, "requests", tail, &all, per_second, now);
                }
                if free("errors") {
                    put_rate(signals, "errors", tail, &errors, per_second, now);
                }
            }
        }
    }
}

fn put_rate(
    signals: &mut Signals,
    name: &str,
    tail: &str,
    window: &Window,
    unit: Unit,
    now: Instant,
) {
    signals.set(&format!("rate({name}{tail})"), window.rate, unit, now);
}

fn put_values(
    signals: &mut Signals,
    name: &str,
    tail: &str,
    window: &Window,
    unit: Unit,
    now: Instant,
) {
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
            signals.set(&format!("{function}({name}{tail})"), value, unit, now);
        }
    }
}

/// Publishes what is known of the resources, each with the time it was sampled:
///
/// | signal | unit | |
/// |---|---|---|
/// | `cpu_usage`, `memory_usage` | ratio | of the host |
/// | `disk_usage` | ratio | of the fullest file system |
/// | `load_1m` `load_5m` `load_15m` | count | load averages |
/// | `cpu_pressure` `memory_pressure` `io_pressure` | ratio | of the last 10 s, in which some task waited (Linux) |
/// | `container_cpu_usage`, `container_memory_usage` | ratio | of the control group's limits; memory only if there is one (Linux) |
/// | `open_fds_usage` | ratio | of the file descriptors allowed |
/// | `runtime_usage` | ratio | of the tokio workers' time |
#[cfg(feature = "resources")]
impl Source for crate::Resources {
    fn feed(&self, signals: &mut Signals, _: Instant) {
        let latest = self.latest();
        let mut ratio = |name: &str, value: Option<f64>, at: Instant| {
            if let Some(value) = value {
                signals.set(name, value, Unit::Ratio, at);
            }
        };
        if let Some((value, at)) = latest.cpu_ratio {
            ratio("cpu_usage", Some(value), at);
        }
        if let Some((value, at)) = latest.cgroup_cpu_ratio {
            ratio("container_cpu_usage", Some(value), at);
        }
        if let Some((cgroup, at)) = &latest.cgroup {
            ratio("container_memory_usage", cgroup.memory_ratio(), *at);
        }
        if let Some((process, at)) = &latest.process {
            let share = process.open_fds.zip(process.max_fds).filter(|(_, most)| *most > 0);
            ratio("open_fds_usage", share.map(|(open, most)| open as f64 / most as f64), *at);
        }
        if let Some((runtime, at)) = &latest.runtime {
            ratio("runtime_usage", runtime.busy_ratio, *at);
        }
        if let Some((system, at)) = &latest.system {
            ratio("memory_usage", Some(system.memory_ratio()), *at);
            let full = system
                .disks
                .iter()
                .filter(|disk| disk.total > 0)
                .map(|disk| 1.0 - disk.free as f64 / disk.total as f64)
                .max_by(f64::total_cmp);
            ratio("disk_usage", full, *at);
            if let Some(pressure) = &system.pressure {
                ratio("cpu_pressure", pressure.cpu.map(|it| it.waiting_ratio), *at);
                ratio("memory_pressure", pressure.memory.map(|it| it.waiting_ratio), *at);
                ratio("io_pressure", pressure.io.map(|it| it.waiting_ratio), *at);
            }
            for (name, load) in ["load_1m", "load_5m", "load_15m"].into_iter().zip(system.load) {
                signals.set(name, load, Unit::Count, *at);
            }
        }
    }
}

/// What the request layer records.
const REQUESTS: &str = "http_server_request_duration_seconds";

/// Spans and how they are written after a metric's name.
const WINDOWS: [(Duration, &[&str]); 3] = [
    (Duration::from_secs(10), &[", 10s"]),
    (Duration::from_secs(60), &["", ", 1m"]),
    (Duration::from_secs(300), &[", 5m"]),
];

#[cfg(test)]
mod tests;
