//! How much memory is in use, as Linux tells it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::MemorySample;

/// Tells a [`Governor`](super::Governor) how much memory is in use.
pub trait MemorySensor: Send + 'static {
    /// Looks now. May block for some milliseconds: it runs off the runtime's own threads.
    ///
    /// # Errors
    /// If it cannot tell. The governor then leaves everything as it is.
    fn sample(&mut self) -> io::Result<MemorySample>;
}

/// The limits of this process: of its cgroup and those around it (version 2, or the memory
/// controller of version 1), whichever is nearest to being used up; where there is none, the
/// memory of the machine. With the pressure (PSI) of the same cgroup, or of the machine.
///
/// What counts as used is what the cgroup uses, without file pages that nobody used lately.
#[derive(Debug, Clone)]
pub struct LinuxMemory {
    root: PathBuf,
}

impl Default for LinuxMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl LinuxMemory {
    /// Reads `/proc` and `/sys/fs/cgroup`.
    #[must_use]
    pub fn new() -> Self {
        Self::under("/")
    }

    /// The same under another root, such as a host's that is mounted into a container.
    #[must_use]
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        fs::read_to_string(self.root.join(path))
    }

    /// The folders of the process' cgroup and those around it, innermost first, and how its files
    /// are called.
    fn groups(&self) -> Vec<(PathBuf, &'static Names)> {
        let listed = self.read("proc/self/cgroup").unwrap_or_default();
        let mut groups = Vec::new();
        for line in listed.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let (mount, names) = match controllers {
                "" => (self.root.join("sys/fs/cgroup"), &V2),
                some if some.split(',').any(|one| one == "memory") => {
                    (self.root.join("sys/fs/cgroup/memory"), &V1)
                }
                _ => continue,
            };
            // In a container the path may be the host's, and then only the mount itself is there.
            let inner = Path::new(path.trim_start_matches('/'));
            let around = inner.ancestors().map(|ancestor| mount.join(ancestor));
            groups.extend(around.map(|group| (group, names)));
        }
        groups
    }

    fn machine(&self) -> io::Result<MemorySample> {
        let meminfo = self.read("proc/meminfo")?;
        let kib = |name| field(&meminfo, name).map(|kib| kib.saturating_mul(1_024));
        match (kib("MemTotal:"), kib("MemAvailable:")) {
            (Some(limit), Some(available)) => {
                Ok(MemorySample { used: limit.saturating_sub(available), limit, pressure: None })
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no MemAvailable in meminfo")),
        }
    }
}

impl MemorySensor for LinuxMemory {
    fn sample(&mut self) -> io::Result<MemorySample> {
        let groups = self.groups();
        let mut sample = self.machine()?;
        let filled = |sample: &MemorySample| sample.used as f64 / sample.limit.max(1) as f64;
        for found in groups.iter().filter_map(|(group, names)| in_group(group, names)) {
            if filled(&found) > filled(&sample) {
                sample = found;
            }
        }
        let mut pressures = groups.iter().map(|(group, _)| group.join("memory.pressure"));
        let pressure = pressures
            .find_map(|path| fs::read_to_string(path).ok())
            .or_else(|| self.read("proc/pressure/memory").ok());
        sample.pressure = pressure.as_deref().and_then(some_avg10);
        Ok(sample)
    }
}

/// How the files of a cgroup are called.
struct Names {
    limit: &'static str,
    used: &'static str,
    inactive: &'static str,
}

const V2: Names = Names { limit: "memory.max", used: "memory.current", inactive: "inactive_file" };

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    inactive: "total_inactive_file",
};

/// `None` if the group has no limit, or is not there.
fn in_group(group: &Path, names: &Names) -> Option<MemorySample> {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // Version 2 says "max" for none, version 1 a number near the largest.
    let limit = number(names.limit).filter(|limit| *limit < NO_LIMIT)?;
    let used = number(names.used)?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let used = used.saturating_sub(field(&stat, names.inactive).unwrap_or(0));
    Some(MemorySample { used, limit, pressure: None })
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    })
}

/// `avg10` of the line `some`.
fn some_avg10(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let avg10 = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    avg10.parse().ok()
}

/// Above any real limit: an exabyte.
const NO_LIMIT: u64 = 1 << 60;

#[cfg(test)]
mod tests;
