use std::collections::HashMap;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use sysinfo::{DiskRefreshKind, Disks, NetworkData, Networks, System};
use tokio::time::Instant;

use super::pressure::{self, PressureSample};
use super::{procfs, unknown};

/// One sample of the host.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SystemSample {
    /// Share of all CPUs in use since the sample before, 0 to 1. `None` on the
    /// first sample, and if the sample before is less than 200 ms old.
    pub cpu_ratio: Option<f64>,
    /// CPUs online.
    pub cpus: usize,
    /// Physical memory, in bytes.
    pub memory_total: u64,
    /// Memory in use, in bytes; caches the kernel can drop do not count.
    pub memory_used: u64,
    /// Memory a new program could have without swapping, in bytes.
    pub memory_available: u64,
    /// Load averages over 1, 5 and 15 minutes; zero where there is no such thing.
    pub load: [f64; 3],
    /// Mounted file systems, sorted by mount point.
    pub disks: Vec<DiskSample>,
    /// Bytes received by all interfaces but the loopback, since boot.
    pub network_received: u64,
    /// Bytes sent by all interfaces but the loopback, since boot.
    pub network_transmitted: u64,
    /// Bytes read from and written to all disks since boot (Linux).
    pub disk_io: Option<(u64, u64)>,
    /// How much work waited for CPU, memory and IO (Linux).
    pub pressure: Option<PressureSample>,
}

impl SystemSample {
    /// Share of physical memory in use, 0 to 1; NaN, which counts as missing,
    /// where the system does not tell how much there is.
    #[must_use]
    pub fn memory_ratio(&self) -> f64 {
        if self.memory_total == 0 {
            return f64::NAN;
        }
        self.memory_used as f64 / self.memory_total as f64
    }
}

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskSample {
    /// Where it is mounted.
    pub mount: String,
    /// Size in bytes.
    pub total: u64,
    /// Bytes free for an unprivileged process.
    pub free: u64,
}

pub(super) struct SystemProbe {
    disks: Disks,
    networks: Networks,
    cpu_read_at: Option<Instant>,
    disk_io_before: Option<(u64, u64)>,
    gauges: SystemGauges,
    disk_gauges: HashMap<String, (Gauge, Gauge)>,
}

struct SystemGauges {
    cpu: Gauge,
    cpus: Gauge,
    memory_total: Gauge,
    memory_used: Gauge,
    memory_available: Gauge,
    load: [Gauge; 3],
    received: Counter,
    transmitted: Counter,
    disk_read: Counter,
    disk_written: Counter,
    /// By position in `RESOURCES`: ratios, then seconds; waiting, then stalled.
    /// None where the kernel does not tell.
    pressure: [Option<[Gauge; 4]>; 3],
}

impl SystemProbe {
    pub(super) fn new() -> Self {
        describe();
        Self {
            disks: Disks::new(),
            networks: Networks::new(),
            cpu_read_at: None,
            disk_io_before: None,
            gauges: SystemGauges {
                cpu: unknown(gauge!("system_cpu_utilization_ratio")),
                cpus: unknown(gauge!("system_cpus")),
                memory_total: unknown(gauge!("system_memory_limit_bytes")),
                memory_used: unknown(gauge!("system_memory_usage_bytes", "state" => "used")),
                memory_available: unknown(
                    gauge!("system_memory_usage_bytes", "state" => "available"),
                ),
                load: [
                    unknown(gauge!("system_load1")),
                    unknown(gauge!("system_load5")),
                    unknown(gauge!("system_load15")),
                ],
                received: counter!("system_network_receive_bytes_total"),
                transmitted: counter!("system_network_transmit_bytes_total"),
                disk_read: counter!("system_disk_read_bytes_total"),
                disk_written: counter!("system_disk_written_bytes_total"),
                pressure: pressure_gauges(pressure::read()),
            },
            disk_gauges: HashMap::new(),
        }
    }

    pub(super) fn sample(&mut self, system: &mut System, now: Instant) -> SystemSample {
        let cpu_ratio = self.cpu_ratio(system, now);
        system.refresh_memory();
        self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage());
        self.networks.refresh(true);
        let load = System::load_average();
        let outside = || {
            self.networks.iter().filter(|(name, _)| !is_loopback(name)).map(|(_, network)| network)
        };
        // What each interface gained since the sample before: the first is the
        // start, and an interface that goes takes nothing away.
        self.gauges.received.increment(outside().map(NetworkData::received).sum());
        self.gauges.transmitted.increment(outside().map(NetworkData::transmitted).sum());
        let sample = SystemSample {
            cpu_ratio,
            cpus: system.cpus().len(),
            memory_total: system.total_memory(),
            memory_used: system.used_memory(),
            memory_available: system.available_memory(),
            load: [load.one, load.five, load.fifteen],
            disks: self.disk_samples(),
            network_received: outside().map(NetworkData::total_received).sum(),
            network_transmitted: outside().map(NetworkData::total_transmitted).sum(),
            disk_io: std::fs::read_to_string("/proc/diskstats")
                .ok()
                .and_then(|text| procfs::disk_bytes(&text)),
            pressure: pressure::read(),
        };
        self.publish(&sample);
        sample
    }

    /// CPU use is a difference of two readings at least 200 ms apart; a call
    /// that comes sooner leaves the older reading in place.
    fn cpu_ratio(&mut self, system: &mut System, now: Instant) -> Option<f64> {
        let before = self.cpu_read_at;
        let elapsed = before.map(|before| now.saturating_duration_since(before));
        if elapsed.is_some_and(|elapsed| elapsed < sysinfo::MINIMUM_CPU_UPDATE_INTERVAL) {
            return None;
        }
        system.refresh_cpu_usage();
        self.cpu_read_at = Some(now);
        before?;
        Some((f64::from(system.global_cpu_usage()) / 100.0).clamp(0.0, 1.0))
    }

    /// One entry per mount point: bind mounts list a disk several times.
    fn disk_samples(&self) -> Vec<DiskSample> {
        let mut disks: Vec<DiskSample> = self
            .disks
            .iter()
            .map(|disk| DiskSample {
                mount: disk.mount_point().to_string_lossy().into_owned(),
                total: disk.total_space(),
                free: disk.available_space(),
            })
            .collect();
        disks.sort_by(|a, b| a.mount.cmp(&b.mount));
        disks.dedup_by(|a, b| a.mount == b.mount);
        disks
    }

    pub(super) fn publish(&mut self, sample: &SystemSample) {
        let gauges = &self.gauges;
        if let Some(ratio) = sample.cpu_ratio {
            gauges.cpu.set(ratio);
        }
        gauges.cpus.set(sample.cpus as f64);
        // A host without memory is one that does not tell.
        if sample.memory_total > 0 {
            gauges.memory_total.set(sample.memory_total as f64);
            gauges.memory_used.set(sample.memory_used as f64);
            gauges.memory_available.set(sample.memory_available as f64);
        }
        for (gauge, load) in gauges.load.iter().zip(sample.load) {
            gauge.set(load);
        }
        if let Some(now) = sample.disk_io {
            // What came since the sample before, as with the network.
            let before = self.disk_io_before.replace(now).unwrap_or(now);
            gauges.disk_read.increment(now.0.saturating_sub(before.0));
            gauges.disk_written.increment(now.1.saturating_sub(before.1));
        }
        if let Some(pressure) = &sample.pressure {
            let stalls = [pressure.cpu, pressure.memory, pressure.io];
            for (gauges, stall) in gauges.pressure.iter().zip(stalls) {
                let (Some(gauges), Some(stall)) = (gauges, stall) else { continue };
                let values = [
                    stall.waiting_ratio,
                    stall.stalled_ratio,
                    stall.waiting_seconds,
                    stall.stalled_seconds,
                ];
                for (gauge, value) in gauges.iter().zip(values) {
                    gauge.set(value);
                }
            }
        }
        for (mount, (free, total)) in &self.disk_gauges {
            if !sample.disks.iter().any(|disk| disk.mount == *mount) {
                // It is gone. What it had is no longer so.
                free.set(f64::NAN);
                total.set(f64::NAN);
            }
        }
        for disk in &sample.disks {
            let (free, total) = self.disk_gauges.entry(disk.mount.clone()).or_insert_with(|| {
                let mount = disk.mount.clone();
                (
                    gauge!("system_disk_free_bytes", "mount" => mount.clone()),
                    gauge!("system_disk_limit_bytes", "mount" => mount),
                )
            });
            free.set(disk.free as f64);
            total.set(disk.total as f64);
        }
    }
}

/// Those of what there is to tell now: the others would say 0 for ever.
pub(super) fn pressure_gauges(now: Option<PressureSample>) -> [Option<[Gauge; 4]>; 3] {
    let now = now.unwrap_or_default();
    let there = [now.cpu, now.memory, now.io].map(|stall| stall.is_some());
    let mut all = [None, None, None];
    for ((resource, there), gauges) in RESOURCES.into_iter().zip(there).zip(&mut all) {
        *gauges = there.then(|| {
            [
                unknown(gauge!("system_pressure_waiting_ratio", "resource" => resource)),
                unknown(gauge!("system_pressure_stalled_ratio", "resource" => resource)),
                unknown(gauge!("system_pressure_waiting_seconds_total", "resource" => resource)),
                unknown(gauge!("system_pressure_stalled_seconds_total", "resource" => resource)),
            ]
        });
    }
    all
}

fn is_loopback(interface: &str) -> bool {
    interface == "lo" || interface == "lo0"
}

fn describe() {
    let bytes = Unit::Bytes;
    let count = Unit::Count;
    for (name, unit, text) in [
        ("system_cpu_utilization_ratio", count, "Share of all CPUs in use, 0 to 1."),
        ("system_cpus", count, "CPUs online."),
        ("system_memory_limit_bytes", bytes, "Physical memory."),
        (
            "system_memory_usage_bytes",
            bytes,
            "Memory by state; used leaves out caches the kernel can drop.",
        ),
        ("system_load1", count, "Load average over 1 minute."),
        ("system_load5", count, "Load average over 5 minutes."),
        ("system_load15", count, "Load average over 15 minutes."),
        ("system_disk_free_bytes", bytes, "Free for unprivileged processes, by mount point."),
        ("system_disk_limit_bytes", bytes, "Size of the file system, by mount point."),
        (
            "system_pressure_waiting_ratio",
            count,
            "Share of the last 10 s in which some task waited for it, 0 to 1.",
        ),
        (
            "system_pressure_stalled_ratio",
            count,
            "Share of the last 10 s in which all tasks waited for it, 0 to 1.",
        ),
        (
            "system_pressure_waiting_seconds_total",
            Unit::Seconds,
            "Time in which some task waited for it, since boot.",
        ),
        (
            "system_pressure_stalled_seconds_total",
            Unit::Seconds,
            "Time in which all tasks waited for it, since boot.",
        ),
    ] {
        describe_gauge!(name, unit, text);
    }
    for (name, text) in [
        (
            "system_network_receive_bytes_total",
            "Received by all interfaces but the loopback since the first sample.",
        ),
        (
            "system_network_transmit_bytes_total",
            "Sent by all interfaces but the loopback since the first sample.",
        ),
        ("system_disk_read_bytes_total", "Read from all disks since the first sample."),
        ("system_disk_written_bytes_total", "Written to all disks since the first sample."),
    ] {
        describe_counter!(name, bytes, text);
    }
}

const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];
