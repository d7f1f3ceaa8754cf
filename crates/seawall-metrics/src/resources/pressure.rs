//! Pressure stall information: how long tasks waited for a resource.

/// How much work waited for CPU, memory and IO, by `/proc/pressure`. `None` for
/// what the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PressureSample {
    /// For a CPU.
    pub cpu: Option<Stall>,
    /// For memory: reclaim, swap-in, refaults.
    pub memory: Option<Stall>,
    /// For disks.
    pub io: Option<Stall>,
}

/// Time lost to one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stall {
    /// Share of the last 10 s in which some task waited, 0 to 1.
    pub waiting_ratio: f64,
    /// Share of the last 10 s in which all tasks waited at once, 0 to 1.
    pub stalled_ratio: f64,
    /// Time in which some task waited, since boot, in seconds.
    pub waiting_seconds: f64,
    /// Time in which all tasks waited at once, since boot, in seconds.
    pub stalled_seconds: f64,
}

/// Reads one file. Old kernels have no `full` line for the CPU.
pub(super) fn parse(text: &str) -> Option<Stall> {
    let line = |kind: &str| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(kind))?;
        let value = |key: &str| -> Option<f64> {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key))?;
            word.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
        };
        Some(((value("avg10=")? / 100.0).min(1.0), value("total=")? / 1e6))
    };
    let (waiting_ratio, waiting_seconds) = line("some")?;
    let (stalled_ratio, stalled_seconds) = line("full").unwrap_or_default();
    Some(Stall { waiting_ratio, stalled_ratio, waiting_seconds, stalled_seconds })
}

/// Reads all three files.
pub(super) fn read() -> Option<PressureSample> {
    let of = |name| parse(&std::fs::read_to_string(format!("/proc/pressure/{name}")).ok()?);
    let sample = PressureSample { cpu: of("cpu"), memory: of("memory"), io: of("io") };
    (sample != PressureSample::default()).then_some(sample)
}
