//! What the process's control group may use and has used: cgroup v1 and v2.
//!
//! Reading files is one function; what they mean is told by pure functions
//! over their texts, which take anything and never panic.

use std::fs;
use std::path::{Path, PathBuf};

/// One sample of the control group of this process: what its container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CgroupSample {
    /// CPUs it may use at most; `None` without a limit. The least of its own
    /// limit and those of the groups around it.
    pub cpu_limit: Option<f64>,
    /// CPU time used since it was made, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Share of the limit used since the sample before; of all CPUs if there is
    /// no limit. `None` on the first sample.
    pub cpu_ratio: Option<f64>,
    /// Scheduling periods that have passed while it had work, if it is limited.
    pub periods: Option<u64>,
    /// Those in which it was stopped for having used up its share.
    pub throttled_periods: Option<u64>,
    /// Time for which its threads were stopped so, all together, in seconds.
    pub throttled_seconds: Option<f64>,
    /// Memory it may use at most, in bytes; `None` without a limit. The least of
    /// its own limit and those of the groups around it.
    pub memory_limit: Option<u64>,
    /// Memory in use, in bytes, without file caches that nobody has touched
    /// lately: what counts before the kernel kills.
    pub memory_used: Option<u64>,
    /// Processes of the group that were killed for want of memory.
    pub oom_kills: Option<u64>,
}

impl CgroupSample {
    /// Share of the memory limit in use; `None` without a limit.
    #[must_use]
    pub fn memory_ratio(&self) -> Option<f64> {
        let (limit, used) = (self.memory_limit?, self.memory_used?);
        (limit > 0).then(|| used as f64 / limit as f64)
    }
}

/// Where the files of the group are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    root: PathBuf,
    layout: Layout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    V2 { dir: PathBuf },
    V1 { cpu: Option<PathBuf>, usage: Option<PathBuf>, memory: Option<PathBuf> },
}

impl Cgroup {
    /// That of this process; `None` where there are no control groups.
    pub(super) fn own() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find(&text, Path::new("/sys/fs/cgroup"))
    }

    /// By the text of `/proc/self/cgroup` and where the groups are mounted. On
    /// hybrid hosts the controllers are in v1. In a container the path may be
    /// that of the host while only the group itself is mounted: then its files
    /// are at the root.
    pub(super) fn find(text: &str, root: &Path) -> Option<Self> {
        let v1 = |controller: &str| {
            let (controllers, path) = v1_path(text, controller)?;
            let mounts = [root.join(controllers), root.join(controller)];
            let mount = mounts.into_iter().find(|mount| mount.is_dir())?;
            Some(below(&mount, path))
        };
        let layout = if root.join("cgroup.controllers").is_file() {
            Layout::V2 { dir: below(root, v2_path(text)?) }
        } else {
            Layout::V1 { cpu: v1("cpu"), usage: v1("cpuacct"), memory: v1("memory") }
        };
        if layout == (Layout::V1 { cpu: None, usage: None, memory: None }) {
            return None;
        }
        Some(Self { root: root.to_owned(), layout })
    }

    /// Reads the group's files. What is not there is `None`.
    pub(super) fn read(&self) -> CgroupSample {
        match &self.layout {
            Layout::V2 { dir } => self.read_v2(dir),
            Layout::V1 { cpu, usage, memory } => {
                self.read_v1(cpu.as_deref(), usage.as_deref(), memory.as_deref())
            }
        }
    }

    fn read_v2(&self, dir: &Path) -> CgroupSample {
        let cpu = file(dir, "cpu.stat");
        let memory = file(dir, "memory.stat");
        let inactive = field(&memory, "inactive_file").unwrap_or(0);
        let seconds = |key| field(&cpu, key).map(|micros| micros as f64 / 1e6);
        CgroupSample {
            cpu_limit: self.least(dir, |dir| cpu_max(&file(dir, "cpu.max"))),
            cpu_seconds: seconds("usage_usec"),
            cpu_ratio: None,
            periods: field(&cpu, "nr_periods"),
            throttled_periods: field(&cpu, "nr_throttled"),
            throttled_seconds: seconds("throttled_usec"),
            memory_limit: self
                .least(dir, |dir| limit(&file(dir, "memory.max")).map(|it| it as f64))
                .map(|bytes| bytes as u64),
            memory_used: limit(&file(dir, "memory.current"))
                .map(|all| all.saturating_sub(inactive)),
            oom_kills: field(&file(dir, "memory.events"), "oom_kill"),
        }
    }

    fn read_v1(
        &self,
        cpu: Option<&Path>,
        usage: Option<&Path>,
        memory: Option<&Path>,
    ) -> CgroupSample {
        let of = |dir: Option<&Path>, name| dir.map_or_else(String::new, |dir| file(dir, name));
        let stat = of(cpu, "cpu.stat");
        let inactive = field(&of(memory, "memory.stat"), "total_inactive_file").unwrap_or(0);
        let quota = |dir: &Path| {
            let (quota, period) = (file(dir, "cpu.cfs_quota_us"), file(dir, "cpu.cfs_period_us"));
            cpu_max(&format!("{} {}", quota.trim(), period.trim()))
        };
        let bytes = |dir: &Path| {
            // Without a limit the file holds the largest number of pages.
            let limit = limit(&file(dir, "memory.limit_in_bytes"))?;
            (limit < UNLIMITED).then_some(limit as f64)
        };
        CgroupSample {
            cpu_limit: cpu.and_then(|dir| self.least(dir, quota)),
            cpu_seconds: limit(&of(usage, "cpuacct.usage")).map(|nanos| nanos as f64 / 1e9),
            cpu_ratio: None,
            periods: field(&stat, "nr_periods"),
            throttled_periods: field(&stat, "nr_throttled"),
            throttled_seconds: field(&stat, "throttled_time").map(|nanos| nanos as f64 / 1e9),
            memory_limit: memory.and_then(|dir| self.least(dir, bytes)).map(|it| it as u64),
            memory_used: limit(&of(memory, "memory.usage_in_bytes"))
                .map(|all| all.saturating_sub(inactive)),
            oom_kills: field(&of(memory, "memory.oom_control"), "oom_kill"),
        }
    }

    /// The least limit from `dir` up to the root: those around it bind as well.
    fn least(&self, dir: &Path, of: impl Fn(&Path) -> Option<f64>) -> Option<f64> {
        dir.ancestors()
            .take_while(|dir| dir.starts_with(&self.root))
            .filter_map(of)
            .min_by(f64::total_cmp)
    }
}

/// `200000 100000` as 2 CPUs; `None` for `max`, `-1` and nonsense.
pub(super) fn cpu_max(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    let quota: u64 = words.next()?.parse().ok()?;
    let period: u64 = words.next().map_or(Ok(100_000), str::parse).ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// A lone number; `None` for `max`.
pub(super) fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number behind `key` in lines of `key number`.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.strip_prefix(' ')?;
        rest.trim().parse().ok()
    })
}

/// `0::/path`.
pub(super) fn v2_path(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// `4:cpu,cpuacct:/path`: the controllers as they are mounted, and the path.
pub(super) fn v1_path<'a>(text: &'a str, controller: &str) -> Option<(&'a str, &'a str)> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|it| it == controller).then_some((controllers, path))
    })
}

/// `mount/path` if it is there, else the mount. A path never leads out of it.
fn below(mount: &Path, path: &str) -> PathBuf {
    let inside = !path.split('/').any(|part| part == "..");
    let dir = mount.join(path.trim_start_matches('/'));
    if inside && dir.is_dir() { dir } else { mount.to_owned() }
}

/// Empty if it cannot be read: not every controller is on everywhere.
fn file(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

/// Far beyond any machine: v1 writes 2^63 rounded down to a page.
const UNLIMITED: u64 = 1 << 60;
