use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use tokio::time::Instant;

use super::cgroup::{Cgroup, CgroupSample};
use super::unknown;

/// Samples the control group of this process and publishes it.
pub(super) struct CgroupProbe {
    cgroup: Option<Cgroup>,
    cpus: f64,
    before: Option<(f64, Instant)>,
    meters: Option<Meters>,
}

/// None of what the control group does not tell: it would say 0 for ever.
struct Meters {
    cpu: Option<Gauge>,
    cpu_limit: Gauge,
    cpu_ratio: Option<Gauge>,
    periods: Option<Counter>,
    throttled: Option<Counter>,
    throttled_seconds: Option<Gauge>,
    memory: Option<Gauge>,
    memory_limit: Gauge,
    oom_kills: Option<Counter>,
}

impl CgroupProbe {
    pub(super) fn new() -> Self {
        let cgroup = Cgroup::own();
        let cpus = std::thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64);
        let meters = cgroup.as_ref().map(|cgroup| Meters::new(&cgroup.read()));
        Self { cgroup, cpus, before: None, meters }
    }

    /// `None` where there are no control groups.
    pub(super) fn sample(&mut self, now: Instant) -> Option<CgroupSample> {
        let mut sample = self.cgroup.as_ref()?.read();
        if let Some(used) = sample.cpu_seconds
            && let Some((before, at)) = self.before.replace((used, now))
        {
            let passed = now.saturating_duration_since(at).as_secs_f64();
            let may = passed * sample.cpu_limit.unwrap_or(self.cpus);
            sample.cpu_ratio = (may > 0.0).then(|| (used - before).max(0.0) / may);
        }
        if let Some(meters) = &self.meters {
            meters.publish(&sample);
        }
        Some(sample)
    }
}

impl Meters {
    /// `now`: what there is to tell.
    fn new(now: &CgroupSample) -> Self {
        describe();
        Self {
            cpu: now.cpu_seconds.map(|_| unknown(gauge!("cgroup_cpu_seconds_total"))),
            cpu_limit: unknown(gauge!("cgroup_cpu_limit")),
            cpu_ratio: now.cpu_seconds.map(|_| unknown(gauge!("cgroup_cpu_utilization_ratio"))),
            periods: now.periods.map(|_| counter!("cgroup_cpu_periods_total")),
            throttled: now
                .throttled_periods
                .map(|_| counter!("cgroup_cpu_throttled_periods_total")),
            throttled_seconds: now
                .throttled_seconds
                .map(|_| unknown(gauge!("cgroup_cpu_throttled_seconds_total"))),
            memory: now.memory_used.map(|_| unknown(gauge!("cgroup_memory_working_set_bytes"))),
            memory_limit: unknown(gauge!("cgroup_memory_limit_bytes")),
            oom_kills: now.oom_kills.map(|_| counter!("cgroup_oom_kills_total")),
        }
    }

    /// No limit is `+Inf`.
    fn publish(&self, sample: &CgroupSample) {
        self.cpu_limit.set(sample.cpu_limit.unwrap_or(f64::INFINITY));
        self.memory_limit.set(sample.memory_limit.map_or(f64::INFINITY, |bytes| bytes as f64));
        for (gauge, value) in [
            (&self.cpu, sample.cpu_seconds),
            (&self.cpu_ratio, sample.cpu_ratio),
            (&self.throttled_seconds, sample.throttled_seconds),
            (&self.memory, sample.memory_used.map(|bytes| bytes as f64)),
        ] {
            if let (Some(gauge), Some(value)) = (gauge, value) {
                gauge.set(value);
            }
        }
        for (counter, value) in [
            (&self.periods, sample.periods),
            (&self.throttled, sample.throttled_periods),
            (&self.oom_kills, sample.oom_kills),
        ] {
            if let (Some(counter), Some(value)) = (counter, value) {
                counter.absolute(value);
            }
        }
    }
}

fn describe() {
    for (name, unit, text) in [
        ("cgroup_cpu_seconds_total", Unit::Seconds, "CPU time used by the control group."),
        ("cgroup_cpu_limit", Unit::Count, "CPUs the control group may use; +Inf without a limit."),
        ("cgroup_cpu_utilization_ratio", Unit::Count, "Share of the CPU limit in use."),
        (
            "cgroup_cpu_throttled_seconds_total",
            Unit::Seconds,
            "Time for which threads were stopped for having used up the CPU limit.",
        ),
        (
            "cgroup_memory_working_set_bytes",
            Unit::Bytes,
            "Memory in use without file caches that were not touched lately.",
        ),
        (
            "cgroup_memory_limit_bytes",
            Unit::Bytes,
            "Memory the control group may use; +Inf without a limit.",
        ),
    ] {
        describe_gauge!(name, unit, text);
    }
    for (name, text) in [
        ("cgroup_cpu_periods_total", "Scheduling periods in which the control group had work."),
        ("cgroup_cpu_throttled_periods_total", "Those in which it used up the CPU limit."),
        ("cgroup_oom_kills_total", "Processes of the group killed for want of memory."),
    ] {
        describe_counter!(name, text);
    }
}
