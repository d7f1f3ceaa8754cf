//! Files as kernels write them.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A root with files of ours.
struct Root(PathBuf);

impl Root {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-memory-{}-{number}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        let meminfo = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:   12000 kB\n";
        for (path, text) in [("proc/meminfo", meminfo)].iter().chain(files) {
            let path = root.0.join(path);
            fs::create_dir_all(path.parent().expect("has a parent")).expect("temporary folder");
            fs::write(path, text).expect("temporary file");
        }
        root
    }

    fn sample(&self) -> MemorySample {
        LinuxMemory::under(&self.0).sample().expect("readable")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MIB: u64 = 1 << 20;

#[test]
fn without_a_cgroup_the_machine_counts() {
    let root = Root::new(&[("proc/pressure/memory", PRESSURE)]);
    let expected =
        MemorySample { used: 4_000 * 1_024, limit: 16_000 * 1_024, pressure: Some(12.5) };
    assert_eq!(root.sample(), expected);
    assert_eq!(Root::new(&[]).sample().pressure, None);
}

#[test]
fn of_a_group_and_those_around_it_the_fullest_counts() {
    let root = Root::new(&[
        ("proc/self/cgroup", "0::/app/web\n"),
        ("sys/fs/cgroup/app/web/memory.max", "max\n"),
        ("sys/fs/cgroup/app/web/memory.current", "9000000\n"),
        ("sys/fs/cgroup/app/web/memory.pressure", PRESSURE),
        ("sys/fs/cgroup/app/memory.max", "10485760\n"),
        ("sys/fs/cgroup/app/memory.current", "9437184\n"),
        ("sys/fs/cgroup/app/memory.stat", "anon 1\ninactive_file 1048576\nactive_file 5\n"),
        ("proc/pressure/memory", "some avg10=99.00 avg60=0 avg300=0 total=1\n"),
    ]);
    let expected = MemorySample { used: 8 * MIB, limit: 10 * MIB, pressure: Some(12.5) };
    assert_eq!(root.sample(), expected);
}

#[test]
fn version_one_is_read_too_and_its_none_is_a_large_number() {
    let listed = "9:name=systemd:/\n4:memory:/docker/abc\n0::/\n";
    let limited = Root::new(&[
        ("proc/self/cgroup", listed),
        // As a container sees it: the path is the host's, the mount is the group itself.
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "8388608\n"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "7340032\n"),
        ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1048576\n"),
    ]);
    let expected = MemorySample { used: 6 * MIB, limit: 8 * MIB, pressure: None };
    assert_eq!(limited.sample(), expected);
    let free = Root::new(&[
        ("proc/self/cgroup", listed),
        ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "7340032\n"),
    ]);
    assert_eq!(free.sample().limit, 16_000 * 1_024);
}

#[test]
fn files_that_make_no_sense_are_passed_over() {
    let root = Root::new(&[
        ("proc/self/cgroup", "\nnonsense\n1:memory\n0::/a\n"),
        ("sys/fs/cgroup/a/memory.max", "many\n"),
        ("sys/fs/cgroup/memory.max", "\n"),
        ("proc/pressure/memory", "full avg10=3.00\nsome avg10=?\n"),
    ]);
    let expected = MemorySample { used: 4_000 * 1_024, limit: 16_000 * 1_024, pressure: None };
    assert_eq!(root.sample(), expected);
    let nowhere = LinuxMemory::under("/nowhere/at/all").sample();
    assert_eq!(nowhere.map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
}

#[test]
#[cfg(target_os = "linux")]
fn this_machine_can_be_read() {
    let sample = LinuxMemory::new().sample().expect("Linux");
    assert!(sample.used > 0 && sample.used < sample.limit, "{sample:?}");
}

const PRESSURE: &str = "some avg10=12.50 avg60=0.00 avg300=0.00 total=11
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
";
