use metrics::{Gauge, Unit, describe_gauge, gauge};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

use super::{procfs, unknown};

/// One sample of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProcessSample {
    /// CPU time used since the start, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Memory held in RAM, in bytes.
    pub resident_bytes: u64,
    /// Most memory it ever held in RAM, in bytes, where the system says (Linux).
    pub peak_resident_bytes: Option<u64>,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Start, in seconds since 1970.
    pub start_time: u64,
    /// Open file descriptors, where the system says.
    pub open_fds: Option<usize>,
    /// Most file descriptors allowed, where the system says.
    pub max_fds: Option<usize>,
    /// Threads, where the system says.
    pub threads: Option<usize>,
}

pub(super) struct ProcessProbe {
    pid: Option<Pid>,
    gauges: ProcessGauges,
}

struct ProcessGauges {
    cpu: Gauge,
    resident: Gauge,
    peak: Gauge,
    virtual_: Gauge,
    start: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
}

impl ProcessProbe {
    pub(super) fn new() -> Self {
        describe();
        Self {
            pid: get_current_pid().ok(),
            gauges: ProcessGauges {
                cpu: unknown(gauge!("process_cpu_seconds_total")),
                resident: unknown(gauge!("process_resident_memory_bytes")),
                peak: unknown(gauge!("process_resident_memory_peak_bytes")),
                virtual_: unknown(gauge!("process_virtual_memory_bytes")),
                start: unknown(gauge!("process_start_time_seconds")),
                open_fds: unknown(gauge!("process_open_fds")),
                max_fds: unknown(gauge!("process_max_fds")),
                threads: unknown(gauge!("process_threads")),
            },
        }
    }

    /// `None` where the system does not tell a process about itself.
    pub(super) fn sample(&self, system: &mut System) -> Option<ProcessSample> {
        let pid = self.pid?;
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[pid]),
            true,
            ProcessRefreshKind::nothing().with_cpu().with_memory().with_tasks(),
        );
        let process = system.process(pid)?;
        let sample = ProcessSample {
            cpu_seconds: process.accumulated_cpu_time() as f64 / 1_000.0,
            resident_bytes: process.memory(),
            peak_resident_bytes: std::fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| procfs::peak_resident(&text)),
            virtual_bytes: process.virtual_memory(),
            start_time: process.start_time(),
            open_fds: process.open_files(),
            max_fds: process.open_files_limit(),
            // The main thread is not among the tasks.
            threads: process.tasks().map(|tasks| tasks.len() + 1),
        };
        self.publish(&sample);
        Some(sample)
    }

    fn publish(&self, sample: &ProcessSample) {
        let gauges = &self.gauges;
        gauges.cpu.set(sample.cpu_seconds);
        gauges.resident.set(sample.resident_bytes as f64);
        if let Some(peak) = sample.peak_resident_bytes {
            gauges.peak.set(peak as f64);
        }
        gauges.virtual_.set(sample.virtual_bytes as f64);
        gauges.start.set(sample.start_time as f64);
        for (gauge, value) in [
            (&gauges.open_fds, sample.open_fds),
            (&gauges.max_fds, sample.max_fds),
            (&gauges.threads, sample.threads),
        ] {
            if let Some(value) = value {
                gauge.set(value as f64);
            }
        }
    }
}

fn describe() {
    let seconds = Unit::Seconds;
    let bytes = Unit::Bytes;
    let count = Unit::Count;
    for (name, unit, text) in [
        ("process_cpu_seconds_total", seconds, "Total user and system CPU time spent in seconds."),
        ("process_resident_memory_bytes", bytes, "Resident memory size in bytes."),
        (
            "process_resident_memory_peak_bytes",
            bytes,
            "Most resident memory there ever was, in bytes.",
        ),
        ("process_virtual_memory_bytes", bytes, "Virtual memory size in bytes."),
        (
            "process_start_time_seconds",
            seconds,
            "Start time of the process since the Unix epoch in seconds.",
        ),
        ("process_open_fds", count, "Number of open file descriptors."),
        ("process_max_fds", count, "Maximum number of open file descriptors."),
        ("process_threads", count, "Number of OS threads in the process."),
    ] {
        describe_gauge!(name, unit, text);
    }
}
